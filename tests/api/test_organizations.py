"""Organisations and their members: who may do what, and what stays."""

from __future__ import annotations

import pytest

from tests.api.people_kit import MINE, PASSWORD, THEIRS, People

MEMBERS = f"/v1/organization/{MINE}/members"


async def test_an_invitation_makes_a_member(people: People) -> None:
    await people.sign_in("ann", "owner")
    invited = await people.ask(
        "ann", "POST", MEMBERS, {"email": "Bob@example.com", "role": "viewer"}
    )
    data = invited.json["data"]
    assert data["url"].startswith("http://127.0.0.1:8585/sign-in?token=us.")
    token = data["url"].partition("token=")[2]
    listed = (await people.ask("ann", "GET", f"/v1/organization/{MINE}/invites")).json["data"]
    assert [row["email"] for row in listed] == ["bob@example.com"]
    assert token not in str(listed)
    reply = await people.house.post("/v1/auth/link", {"token": token, "password": PASSWORD})
    people.keep("bob", reply)
    assert reply.json["data"]["organization"]["role"] == "viewer"
    rows = (await people.ask("bob", "GET", MEMBERS)).json["data"]
    assert [(row["email"], row["role"]) for row in rows] == [
        ("ann@example.com", "owner"), ("bob@example.com", "viewer"),
    ]  # fmt: skip
    again = await people.ask("ann", "POST", MEMBERS, {"email": "bob@example.com", "role": "viewer"})
    assert again.status == 409


async def test_whoever_has_an_account_joins_with_its_password(people: People) -> None:
    await people.sign_in("ann", "owner")
    await people.add("bob", "owner", THEIRS)
    invited = await people.ask(
        "ann", "POST", MEMBERS, {"email": "bob@example.com", "role": "member"}
    )
    token = invited.json["data"]["url"].partition("token=")[2]
    # Whoever has the link alone takes nobody's account over.
    body = {"token": token, "password": "a password of his own"}
    assert (await people.house.post("/v1/auth/link", body)).status == 401
    reply = await people.house.post("/v1/auth/link", {"token": token, "password": PASSWORD})
    assert reply.json["data"]["organization"]["id"] == MINE
    assert reply.json["data"]["organization"]["role"] == "member"


async def test_an_invitation_opens_no_account_that_waits_for_a_password(people: People) -> None:
    """Whoever invites has the link as well."""
    await people.sign_in("mallory", "owner", THEIRS)
    await people.add("ann", "owner")
    await people.forget_password("ann")
    members = f"/v1/organization/{THEIRS}/members"
    given = {"email": "ann@example.com", "role": "viewer"}
    made = (await people.ask("mallory", "POST", members, given)).json["data"]
    body = {"token": made["url"].partition("token=")[2], "password": PASSWORD}
    reply = await people.house.post("/v1/auth/link", body)
    assert (reply.status, b"set-cookie" in reply.headers) == (409, False)
    assert (await people.sign_in("ann")).status == 401
    # It is not used up: with a password of her own she joins.
    body["token"] = await people.link("reset", "ann@example.com", "")
    assert (await people.house.post("/v1/auth/link", body)).status == 200
    body["token"] = made["url"].partition("token=")[2]
    reply = await people.house.post("/v1/auth/link", body)
    assert reply.json["data"]["organization"]["id"] == THEIRS


async def test_an_invitation_does_not_bring_an_old_password_back(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people.sign_in("ann", "owner")
    await people.add("bob", "owner", THEIRS)
    given = {"email": "bob@example.com", "role": "viewer"}
    made = (await people.ask("ann", "POST", MEMBERS, given)).json["data"]
    is_password = people.house.accounts.is_password

    async def slow(text: str, stored: str) -> bool:
        found: bool = await is_password(text, stored)
        await people.forget_password("bob")
        return found

    monkeypatch.setattr(people.house.accounts, "is_password", slow)
    body = {"token": made["url"].partition("token=")[2], "password": PASSWORD}
    assert (await people.house.post("/v1/auth/link", body)).status == 409
    monkeypatch.undo()
    assert (await people.sign_in("bob")).status == 401


@pytest.mark.parametrize("change", ["DELETE", "PATCH"])
async def test_invitations_go_with_whoever_made_them(people: People, change: str) -> None:
    await people.sign_in("ann", "owner")
    await people.sign_in("bob", "admin")
    given = {"email": "bobs-other-address@example.com", "role": "admin"}
    made = (await people.ask("bob", "POST", MEMBERS, given)).json["data"]
    body = {"role": "viewer"} if change == "PATCH" else None
    assert (await people.ask("ann", change, f"{MEMBERS}/{people.ids['bob']}", body)).status == 200
    follow = {"token": made["url"].partition("token=")[2], "password": PASSWORD}
    assert (await people.house.post("/v1/auth/link", follow)).status == 404
    listed = await people.ask("ann", "GET", f"/v1/organization/{MINE}/invites")
    assert listed.json["data"] == []


async def test_an_invitation_is_taken_back(people: People) -> None:
    await people.sign_in("ann", "admin")
    data = (
        await people.ask("ann", "POST", MEMBERS, {"email": "b@example.com", "role": "member"})
    ).json["data"]
    path = f"/v1/organization/{MINE}/invites/{data['id']}"
    assert (await people.ask("ann", "DELETE", path)).status == 200
    assert (await people.ask("ann", "DELETE", path)).status == 404
    token = data["url"].partition("token=")[2]
    reply = await people.house.post("/v1/auth/link", {"token": token, "password": PASSWORD})
    assert reply.status == 404


async def test_a_role_counts_with_the_next_call(people: People) -> None:
    await people.sign_in("ann", "owner")
    await people.sign_in("bob", "admin")
    path = f"{MEMBERS}/{people.ids['bob']}"
    assert (await people.ask("ann", "PATCH", path, {"role": "viewer"})).status == 200
    invite = {"email": "x@example.com", "role": "viewer"}
    assert (await people.ask("bob", "POST", MEMBERS, invite)).status == 403
    assert (await people.ask("ann", "DELETE", path)).status == 200
    assert (await people.ask("bob", "GET", MEMBERS)).status == 401
    assert (await people.ask("ann", "DELETE", path)).status == 404


async def test_the_last_owner_stays(people: People) -> None:
    await people.sign_in("ann", "owner")
    path = f"{MEMBERS}/{people.ids['ann']}"
    for method, body in (("PATCH", {"role": "admin"}), ("DELETE", None)):
        reply = await people.ask("ann", method, path, body)
        assert reply.status == 409
        assert "last owner" in reply.json["error"]
    await people.add("bob", "owner")
    assert (await people.ask("ann", "PATCH", path, {"role": "admin"})).status == 200


async def test_an_admin_makes_nobody_an_owner(people: People) -> None:
    await people.sign_in("ann", "owner")
    await people.sign_in("bob", "admin")
    own, anns = f"{MEMBERS}/{people.ids['bob']}", f"{MEMBERS}/{people.ids['ann']}"
    calls = [
        ("PATCH", own, {"role": "owner"}),
        ("PATCH", anns, {"role": "viewer"}),
        ("DELETE", anns, None),
        ("POST", MEMBERS, {"email": "x@example.com", "role": "owner"}),
    ]
    for call in calls:
        assert (await people.ask("bob", *call)).status == 403, call
    assert (await people.ask("ann", *calls[0])).status == 200


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_others_change_nothing(people: People, role: str) -> None:
    await people.sign_in("ann", role)
    calls = [
        ("POST", MEMBERS, {"email": "x@example.com", "role": "viewer"}),
        ("PATCH", f"/v1/organization/{MINE}", {"name": "x"}),
        ("POST", "/v1/organization/create", {"name": "x"}),
        ("GET", f"/v1/organization/{MINE}/invites", None),
        ("GET", "/v1/appliance/audit", None),
    ]
    for call in calls:
        assert (await people.ask("ann", *call)).status == 403, call
    assert [act["action"] for act in await people.acts()] == ["sign-in.password"]


async def test_a_new_organisation_belongs_to_its_maker(people: People) -> None:
    await people.sign_in("ann", "admin")
    made = (await people.ask("ann", "POST", "/v1/organization/create", {"name": "Acme"})).json
    assert made["data"]["role"] == "owner"
    # It is another organisation until one moves there.
    path = f"/v1/organization/{made['data']['id']}"
    assert (await people.ask("ann", "GET", path)).status == 404
    moved = {"organization_id": made["data"]["id"]}
    await people.ask("ann", "POST", "/v1/auth/organization", moved)
    renamed = await people.ask("ann", "PATCH", path, {"name": "Acme & Sons"})
    assert renamed.json["data"]["name"] == "Acme & Sons"
    for bad in ("", None, 7, "x" * 300, "a\nb"):
        assert (await people.ask("ann", "PATCH", path, {"name": bad})).status == 422


async def test_acts_are_written_down_without_secrets(people: People) -> None:
    await people.sign_in("ann", "owner")
    data = (
        await people.ask("ann", "POST", MEMBERS, {"email": "b@example.com", "role": "member"})
    ).json["data"]
    await people.ask("ann", "PATCH", f"/v1/organization/{MINE}", {"name": "x" * 500})
    reply = await people.ask("ann", "GET", "/v1/appliance/audit?limit=2")
    rows = reply.json["data"]
    assert [row["action"] for row in rows] == ["member.invite", "sign-in.password"]
    assert rows[0]["target"] == data["id"]
    assert rows[0]["detail"] == {"role": "member"}
    assert rows[0]["actor"] == f"user:{people.ids['ann']}"
    assert rows[0]["address"] == "127.0.0.1"
    assert data["url"].partition("token=")[2].encode() not in reply.body
    older = await people.ask("ann", "GET", f"/v1/appliance/audit?before={rows[0]['id']}")
    assert [row["action"] for row in older.json["data"]] == ["sign-in.password"]
    for bad in ("limit=0", "limit=x", "before=-1", "limit=1001", "action=" + "a" * 300):
        assert (await people.ask("ann", "GET", f"/v1/appliance/audit?{bad}")).status == 422


async def test_another_organisation_sees_none_of_it(people: People) -> None:
    await people.sign_in("ann", "owner")
    await people.sign_in("eve", "owner", THEIRS)
    await people.ask("ann", "POST", MEMBERS, {"email": "b@example.com", "role": "member"})
    rows = (await people.ask("eve", "GET", "/v1/appliance/audit")).json["data"]
    assert [row["action"] for row in rows] == ["sign-in.password"]
    status = (await people.ask("eve", "GET", "/v1/appliance/status")).json["data"]
    assert status["members"] == 1
