"""Signing in and out: passwords, keys, one-time links, cookies, and what pages cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.core.forwarded import Caller
from storage import accounts as book
from tests.api.kit import FakeLinks
from tests.api.people_kit import MINE, PASSWORD, THEIRS, People

QUERY = ("POST", "/v1/request/query", {"filter": "all"})


async def test_a_user_signs_in_and_asks(people: People) -> None:
    reply = await people.sign_in("ann", "member")
    assert reply.status == 200
    data = reply.json["data"]
    assert data["signed_in"] is True
    assert data["user"]["email"] == "ann@example.com"
    assert (data["organization"]["id"], data["organization"]["role"]) == (MINE, "member")
    cookie = reply.headers[b"set-cookie"]
    for part in (b"HttpOnly", b"SameSite=Lax", b"Path=/", b"Max-Age="):
        assert part in cookie
    assert b"Secure" not in cookie  # this was plain HTTP: a browser would not send it back
    assert (await people.ask("ann", *QUERY)).status == 200
    told = (await people.ask("ann", "GET", "/v1/auth/session")).json["data"]
    assert told["csrf_token"].encode() == people.csrf["ann"]
    assert [act["action"] for act in await people.acts()] == ["sign-in.password"]
    assert (await people.acts())[0]["actor"] == f"user:{people.ids['ann']}"


async def test_nobody_is_told_which_of_two_was_wrong(people: People) -> None:
    await people.add("ann", "owner")
    wrong = await people.sign_in("", email="ann@example.com", password="not this one at all")
    unknown = await people.sign_in("", email="bob@example.com", password=PASSWORD)
    assert (wrong.status, wrong.json) == (unknown.status, unknown.json)
    assert wrong.status == 401
    assert b"set-cookie" not in wrong.headers
    # Without a password nobody signs in, not even with an empty one.
    await people.forget_password("ann")
    assert (await people.sign_in("", email="ann@example.com", password="")).status == 401


async def test_attempts_are_limited(people: People) -> None:
    await people.add("ann", "owner")
    for _ in range(10):
        reply = await people.sign_in("", email="ann@example.com", password="guess after guess")
        assert reply.status == 401
    reply = await people.sign_in("ann")
    assert reply.status == 429
    assert int(reply.headers[b"retry-after"]) > 0


async def test_changes_need_the_token_that_only_our_pages_read(people: People) -> None:
    await people.sign_in("ann", "owner")
    assert (await people.ask("ann", *QUERY, csrf=False)).status == 403
    assert "X-CSRF-Token" in people.house.last.json["error"]
    people.csrf["ann"] = b"another"
    assert (await people.ask("ann", *QUERY)).status == 403
    # A page of another site is refused before anything is looked at.
    headers = (*people.headers("ann"), (b"origin", b"https://stranger.example"))
    assert (await people.house.post(QUERY[1], QUERY[2], headers=headers)).status == 403


async def test_a_cookie_that_we_did_not_sign_is_none(people: People) -> None:
    await people.sign_in("ann", "owner")
    good = people.cookies["ann"]
    name, _, value = good.partition(b"=")
    region, token, signature = value.split(b".")
    forged = [
        b".".join([region, token, b"A" * 43]),
        b".".join([b"eu", token, signature]),
        b".".join([region, b"A" * 43, signature]),
        b"", b"x", value + b"x",
    ]  # fmt: skip
    for text in forged:
        people.cookies["ann"] = name + b"=" + text
        assert (await people.ask("ann", *QUERY)).status == 401, text
    people.cookies["ann"] = b"a=b; " + good + b"; c=d"
    assert (await people.ask("ann", *QUERY)).status == 200


async def test_over_tls_no_other_host_of_the_site_plants_a_session(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people.sign_in("eve", "owner", THEIRS)
    monkeypatch.setattr(FakeLinks, "caller", lambda *_: Caller("192.0.2.7", "https", "a.example"))
    assert (await people.ask("eve", *QUERY)).status == 401
    await people.sign_in("ann", "owner")
    assert people.cookies["ann"].startswith(b"__Host-")
    people.cookies["ann"] = people.cookies["eve"] + b"; " + people.cookies["ann"]
    reply = await people.ask("ann", "GET", "/v1/auth/session")
    assert reply.json["data"]["user"]["email"] == "ann@example.com"


async def test_sign_out_ends_the_session(people: People) -> None:
    await people.sign_in("ann", "owner")
    reply = await people.ask("ann", "POST", "/v1/auth/sign-out")
    assert reply.status == 200
    assert b"Max-Age=0" in reply.headers[b"set-cookie"]
    assert (await people.ask("ann", *QUERY)).status == 401
    assert (await people.ask("ann", "POST", "/v1/auth/sign-out")).status == 401


async def test_sessions_are_seen_and_ended(people: People) -> None:
    await people.sign_in("ann", "owner")
    first = people.cookies["ann"]
    await people.sign_in("ann")
    rows = (await people.ask("ann", "GET", "/v1/auth/sessions")).json["data"]
    assert sorted(row["current"] for row in rows) == [False, True]
    other = next(row["id"] for row in rows if not row["current"])
    await people.sign_in("eve", "owner", THEIRS)
    assert (await people.ask("eve", "DELETE", f"/v1/auth/sessions/{other}")).status == 404
    assert (await people.ask("ann", "DELETE", f"/v1/auth/sessions/{other}")).status == 200
    people.cookies["ann"] = first
    assert (await people.ask("ann", "GET", "/v1/auth/sessions")).status == 401


async def test_another_password_ends_all_other_sessions(people: People) -> None:
    await people.sign_in("ann", "owner")
    before = people.cookies["ann"]
    await people.sign_in("ann")
    change = "POST", "/v1/auth/password"
    wrong = {"current_password": "no", "password": "another good one"}
    assert (await people.ask("ann", *change, wrong)).status == 401
    for bad in ("short", "aaaaaaaaaaaa", "ann@example.com", None, 7):
        given = {"current_password": PASSWORD, "password": bad}
        reply = await people.ask("ann", *change, given)
        assert reply.status == 422
        assert reply.json["error"].startswith("password: ")
    given = {"current_password": PASSWORD, "password": "another good one"}
    assert (await people.ask("ann", *change, given)).status == 200
    assert (await people.ask("ann", *QUERY)).status == 200
    people.cookies["ann"] = before
    assert (await people.ask("ann", *QUERY)).status == 401
    assert (await people.sign_in("ann")).status == 401
    email = "ann@example.com"
    assert (await people.sign_in("", email=email, password="another good one")).status == 200


async def test_another_password_is_not_set_again_by_an_older_link(people: People) -> None:
    await people.sign_in("ann", "owner")
    token = await people.link("reset", "ann@example.com", "")
    given = {"current_password": PASSWORD, "password": "another good one"}
    assert (await people.ask("ann", "POST", "/v1/auth/password", given)).status == 200
    reply = await people.house.post("/v1/auth/link", {"token": token, "password": PASSWORD})
    assert reply.status == 404


async def test_a_key_signs_in_without_a_user(people: People) -> None:
    await people.organizations()
    assert (await people.sign_in("k", key="both")).status == 200
    assert (await people.ask("k", *QUERY)).status == 200
    told = (await people.ask("k", "GET", "/v1/auth/session")).json["data"]
    assert told["user"] is None
    assert told["organization"]["id"] == MINE
    # A key says who belongs to the organisation in no form.
    path = f"/v1/organization/{MINE}/members"
    invited = {"email": "x@example.com", "role": "owner"}
    assert (await people.ask("k", "POST", path, invited)).status == 403
    assert (await people.ask("k", "GET", "/v1/auth/sessions")).status == 403
    assert (await people.sign_in("", key="writer")).status == 403
    assert (await people.sign_in("", key="sk-unknown")).status == 401
    assert (await people.sign_in("", key="x" * 100_000)).status == 401


async def test_a_key_that_is_taken_away_takes_its_sessions(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people.organizations()
    await people.sign_in("k", key="both")
    monkeypatch.setattr(people.house.accounts, "_lookup", lambda _: None)
    assert (await people.ask("k", *QUERY)).status == 401


async def test_with_a_key_the_cookie_does_not_count(people: People) -> None:
    await people.sign_in("ann", "owner")
    headers = (*people.headers("ann", csrf=False), (b"authorization", b"Bearer other"))
    reply = await people.house.get("/v1/organization", headers=headers)
    assert [row["id"] for row in reply.json["data"]] == [THEIRS]


async def test_the_first_owner_comes_by_a_link_once(people: People) -> None:
    token = await people.link("first", "", "owner")
    for _ in range(2):  # looking uses nothing up
        told = (await people.house.post("/v1/auth/link/check", {"token": token})).json["data"]
        assert told["kind"] == "first"
    body = {"token": token, "email": "Ann@Example.com", "password": PASSWORD, "name": "Ann"}
    reply = await people.house.post("/v1/auth/link", body)
    assert reply.status == 200
    people.keep("ann", reply)
    told = reply.json["data"]
    assert (told["user"]["email"], told["organization"]["role"]) == ("ann@example.com", "owner")
    again = await people.house.post("/v1/auth/link", {**body, "email": "eve@example.com"})
    assert again.status == 404
    assert b"set-cookie" not in again.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no address", "password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": "short"}, "password"),
        ({"email": "a@example.com", "password": PASSWORD, "name": "x" * 300}, "name"),
    ],
)
async def test_a_slip_does_not_use_a_link_up(people: People, body: Any, field: str) -> None:
    token = await people.link("first", "", "owner")
    reply = await people.house.post("/v1/auth/link", {"token": token, **body})
    assert reply.status == 422
    assert reply.json["error"].startswith(f"{field}: ")
    assert (await people.house.post("/v1/auth/link/check", {"token": token})).status == 200


async def test_links_end(people: People) -> None:
    token = await people.link("first", "", "owner", lasts_us=0)
    for text in (token, "us.", "us.x", "eu." + token[3:], "", None, 7, "x" * 5000):
        reply = await people.house.post("/v1/auth/link/check", {"token": text})
        assert reply.status == 404, text


async def test_a_reset_sets_a_password_and_ends_sessions(people: People) -> None:
    await people.sign_in("ann", "owner")
    token = await people.link("reset", "ann@example.com", "")
    body = {"token": token, "password": "entirely another"}
    assert (await people.house.post("/v1/auth/link", body)).status == 200
    assert (await people.ask("ann", *QUERY)).status == 401
    assert (await people.sign_in("ann")).status == 401


async def test_moving_between_organisations(people: People) -> None:
    await people.sign_in("ann", "viewer")
    move = "POST", "/v1/auth/organization"
    for wanted, status in ((THEIRS, 404), (None, 422), ("x", 404)):
        assert (await people.ask("ann", *move, {"organization_id": wanted})).status == status
    await people.house.tables["us"].write(
        lambda connection: book.put_member(connection, THEIRS, people.ids["ann"], "admin")
    )
    told = (await people.ask("ann", *move, {"organization_id": THEIRS})).json["data"]
    assert (told["organization"]["id"], told["organization"]["role"]) == (THEIRS, "admin")
    listed = (await people.ask("ann", "GET", "/v1/organization")).json["data"]
    assert {row["id"]: row["role"] for row in listed} == {MINE: "viewer", THEIRS: "admin"}


async def test_who_is_not_signed_in_is_told_so(people: People) -> None:
    closed = (await people.house.get("/v1/auth/session")).json["data"]
    assert (closed["signed_in"], closed["open"], closed["user"]) == (False, False, None)
    people.house.access.open = True
    opened = (await people.house.get("/v1/auth/session")).json["data"]
    assert (opened["signed_in"], opened["open"]) == (False, True)
    assert opened["csrf_token"] == ""


async def test_no_secret_is_in_an_answer_or_the_file(people: People) -> None:
    await people.sign_in("ann", "owner")
    said = b""
    for path in ("/v1/auth/session", "/v1/auth/sessions", f"/v1/organization/{MINE}/members"):
        said += (await people.ask("ann", "GET", path)).body
    token = people.cookies["ann"].split(b".")[1]
    assert token not in said
    assert b"argon2" not in said
    kept = await people.house.tables["us"].read(lambda found: "".join(found.iterdump()))
    assert token.decode() not in kept
    assert PASSWORD not in kept


async def test_the_page_works_without_scripts(people: People) -> None:
    token = await people.link("first", "", "owner")
    page = await people.house.get(f"/sign-in?token={token}")
    assert page.status == 200
    assert b"Make the first account" in page.body
    assert b"<script" not in page.body
    assert b"default-src 'none'" in page.headers[b"content-security-policy"]
    form = f"token={token}&email=ann%40example.com&password=correct+horse+battery".encode()
    sent = await people.house.ask("POST", "/sign-in", form)
    assert sent.status == 303
    assert sent.headers[b"location"] == b"/"
    assert b"helicone_session=" in sent.headers[b"set-cookie"]
    assert (await people.house.get(f"/sign-in?token={token}")).status == 404
    good = b"email=ann%40example.com&password=correct+horse+battery"
    assert (await people.house.ask("POST", "/sign-in", good)).status == 303
    wrong = b'email=%22%3E%3Cscript%3E%40example.com&password=x"'
    refused = await people.house.ask("POST", "/sign-in", wrong)
    assert refused.status == 422
    assert b"<script" not in refused.body
    assert (await people.house.ask("POST", "/sign-in", b"x" * 20_000)).status == 413
    assert (await people.house.ask("POST", "/sign-in", b"a=1&" * 50)).status == 400


async def test_a_link_in_a_mail_may_be_followed(people: People) -> None:
    """Also where access is open, and nothing else that another site's page starts is answered."""
    people.house.access.open = True
    from_mail = ((b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate"))
    from_page = ((b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors"))
    for path in ("/sign-in", "/sign-in?token=us.x"):
        assert (await people.house.get(path, headers=from_mail)).status in (200, 404)
        assert (await people.house.get(path, headers=from_page)).status == 403
    form = b"email=a%40example.com&password=x"
    assert (await people.house.ask("POST", "/sign-in", form, headers=from_mail)).status == 403
    assert (await people.house.get("/v1/auth/session", headers=from_mail)).status == 403
