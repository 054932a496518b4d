"""Stored prompts over REST: versions, environments, links, and whose they are."""

from typing import Any

import pytest

from storage import prompt_tables
from tests.api.kit import House

V1, V2 = "/v1/prompt-2025", "/v2/prompt-2025"
BODY = {"model": "gpt-4o", "temperature": 0.5, "messages": [{"role": "system", "content": "Hi."}]}
OTHER = ((b"authorization", b"Bearer other"),)
MINE = ((b"authorization", b"Bearer both"),)


async def made(house: House, **options: Any) -> tuple[str, str]:
    body = {"name": "greeter", "tags": ["a", "b", "a"], "promptBody": BODY}
    data = (await house.post(V1, body, **options)).json["data"]
    return data["id"], data["versionId"]


async def data_of(house: House, path: str, body: Any, status: int = 200, **options: Any) -> Any:
    reply = await house.post(path, body, **options)
    assert reply.status == status, reply.body
    return reply.json["data"]


async def test_the_first_version_is_production(house: House) -> None:
    prompt_id, version_id = await made(house)
    assert len(prompt_id) == 6
    assert prompt_id.isalnum()
    version = await data_of(house, f"{V1}/query/production-version", {"promptId": prompt_id})
    assert (version["id"], version["major_version"], version["minor_version"]) == (
        version_id, 0, 0,
    )  # fmt: skip
    assert version["environments"] == ["production"]
    assert version["model"] == "gpt-4o"
    assert "prompt_body" not in version
    prompt = (await house.get(f"{V1}/id/{prompt_id}")).json["data"]
    assert (prompt["name"], prompt["tags"]) == ("greeter", ["a", "b"])


async def test_the_link_needs_no_key_and_gives_the_bare_body(house: House) -> None:
    _, version_id = await made(house)
    body = {"promptVersionId": version_id}
    version = await data_of(house, f"{V1}/query/version", body)
    house.access.open = False
    target = version["s3_url"].removeprefix("http://127.0.0.1:8585")
    reply = await house.get(target)
    assert (reply.status, reply.json) == (200, BODY)
    assert (await house.get(target.replace("signature=", "signature=0"))).status == 403


async def test_versions_and_environments(house: House) -> None:
    prompt_id, first = await made(house)
    ids = {"promptId": prompt_id, "promptVersionId": first}
    changed = {**BODY, "model": "claude-sonnet-4"}
    update = {**ids, "commitMessage": "second", "promptBody": changed}
    minor = (await data_of(house, f"{V1}/update", {**update, "newMajorVersion": False}))["id"]
    major = (
        await data_of(
            house, f"{V1}/update", {**update, "newMajorVersion": True, "environment": "staging"}
        )
    )["id"]
    listed = await data_of(house, f"{V1}/query/versions", {"promptId": prompt_id})
    assert [(v["id"], v["major_version"], v["minor_version"]) for v in listed] == [
        (major, 1, 0), (minor, 0, 1), (first, 0, 0),
    ]  # fmt: skip
    assert listed[0]["commit_message"] == "second"
    only = await data_of(house, f"{V1}/query/versions", {"promptId": prompt_id, "majorVersion": 0})
    assert [v["id"] for v in only] == [minor, first]
    total = await data_of(house, f"{V1}/query/total-versions", {"promptId": prompt_id})
    assert total == {"totalVersions": 3, "majorVersions": 2}
    staging = {"promptId": prompt_id, "environment": "staging"}
    found = await data_of(house, f"{V2}/query/environment-version", staging)
    assert (found["id"], found["prompt_body"]) == (major, changed)
    move = {"promptId": prompt_id, "promptVersionId": minor, "environment": "production"}
    await data_of(house, f"{V1}/update/environment", move)
    production = await data_of(house, f"{V1}/query/production-version", {"promptId": prompt_id})
    assert production["id"] == minor
    assert (await house.get(f"{V1}/environments")).json["data"] == ["production", "staging"]
    gone = {**staging, "promptVersionId": major}
    await data_of(house, f"{V1}/remove/environment", gone)
    await data_of(house, f"{V1}/query/environment-version", staging, 404)
    await data_of(house, f"{V1}/remove/environment", gone, 404)
    text = await data_of(house, f"{V1}/diff", {"fromVersionId": first, "toVersionId": minor})
    assert '-  "model": "gpt-4o"' in text
    assert '+  "model": "claude-sonnet-4"' in text
    assert (await house.get(f"{V1}/{minor}/prompt-body")).json["data"] == changed
    assert (await house.ask("DELETE", f"{V1}/{prompt_id}/{minor}")).status == 409
    assert (await house.ask("DELETE", f"{V1}/{prompt_id}/{major}")).status == 200
    await data_of(house, f"{V1}/query/version", {"promptVersionId": major}, 404)
    again = await data_of(house, f"{V1}/update", {**update, "newMajorVersion": True})
    assert (await data_of(house, f"{V1}/query/version", {"promptVersionId": again["id"]}))[
        "major_version"
    ] == 2, "a number is not used again"


async def test_names_tags_and_deletion(house: House) -> None:
    prompt_id, version_id = await made(house)
    await data_of(house, f"{V1}/id/{prompt_id}/rename", {"name": "Farewell"})
    reply = await house.ask("PATCH", f"{V1}/id/{prompt_id}/tags", b'{"tags": ["z"]}')
    assert reply.json["data"] == ["z"]
    assert (await house.get(f"{V1}/tags")).json["data"] == ["z"]
    page = {"search": "fare", "tagsFilter": ["z", "y"], "page": 0, "pageSize": 10}
    assert [p["id"] for p in await data_of(house, f"{V1}/query", page)] == [prompt_id]
    assert "total" not in house.last.json
    other_id, _ = await made(house)
    for asked, ids, total in (
        ({"pageSize": 1}, [other_id], 2),
        ({"pageSize": 1, "page": 1}, [prompt_id], 2),
        ({"page": 5}, [], 2),
        ({"search": "fare"}, [prompt_id], 1),
    ):
        reply = await house.post(f"{V1}/query", {**asked, "total": True})
        assert [p["id"] for p in reply.json["data"]] == ids
        assert reply.json["total"] == total
    assert (await house.ask("DELETE", f"{V1}/{other_id}")).status == 200
    for other in ({"search": "no"}, {"tagsFilter": ["a"]}, {"page": 1}):
        assert await data_of(house, f"{V1}/query", {**page, **other}) == []
    assert (await house.get(f"{V1}/count")).json["data"] == 1
    assert (await house.ask("DELETE", f"{V1}/{prompt_id}")).status == 200
    assert (await house.ask("DELETE", f"{V1}/{prompt_id}")).status == 404
    assert (await house.get(f"{V1}/count")).json["data"] == 0
    await data_of(house, f"{V1}/query/version", {"promptVersionId": version_id}, 404)


async def test_another_organisations_prompts_are_not_there(house: House) -> None:
    house.access.open = False
    prompt_id, version_id = await made(house, headers=MINE)
    ids = {"promptId": prompt_id, "promptVersionId": version_id}
    for path, body in (
        ("query/version", ids), ("query/production-version", ids),
        ("query/environment-version", {**ids, "environment": "production"}),
        ("update", {**ids, "newMajorVersion": True, "promptBody": BODY}),
        ("update/environment", {**ids, "environment": "x"}),
        ("remove/environment", {**ids, "environment": "production"}),
        (f"id/{prompt_id}/rename", {"name": "x"}),
        ("diff", {"fromVersionId": version_id, "toVersionId": version_id}),
    ):  # fmt: skip
        await data_of(house, f"{V1}/{path}", body, 404, headers=OTHER)
    for method, path in (
        ("GET", f"id/{prompt_id}"), ("GET", f"{version_id}/prompt-body"),
        ("DELETE", prompt_id), ("DELETE", f"{prompt_id}/{version_id}"),
    ):  # fmt: skip
        assert (await house.ask(method, f"{V1}/{path}", headers=OTHER)).status == 404
    reply = await house.post(f"{V1}/query/versions", ids, headers=OTHER)
    assert reply.status == 404
    assert len(await data_of(house, f"{V1}/query/versions", ids, headers=MINE)) == 1


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("", {"tags": [], "promptBody": BODY}, "name"),
        ("", {"name": "n", "tags": "a", "promptBody": BODY}, "tags"),
        ("", {"name": "n", "tags": [""], "promptBody": BODY}, "tags"),
        ("", {"name": "n", "tags": []}, "promptBody"),
        ("", {"name": "n", "promptBody": {"messages": 1}}, "promptBody.messages"),
        ("", {"name": "n", "promptBody": {"messages": ["x" * 2**20]}}, "promptBody"),
        ("/query", {"page": -1}, "page"),
        ("/query", {"total": 1}, "total"),
        ("/query/version", {}, "promptVersionId"),
        ("/query/environment-version", {"promptId": "x", "environment": "a b"}, "environment"),
        ("/update", {"promptId": "x", "promptVersionId": "y", "newMajorVersion": 1},
         "newMajorVersion"),
    ],
)  # fmt: skip
async def test_bad_input_names_the_field(house: House, path: str, body: Any, field: str) -> None:
    reply = await house.post(V1 + path, body)
    assert reply.status == 422
    assert reply.json["error"].startswith(f"{field}: ")


async def test_prompts_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt_id, version_id = await made(house)
    monkeypatch.setattr(prompt_tables, "PROMPTS_MAX", 1)
    monkeypatch.setattr(prompt_tables, "VERSIONS_MAX", 1)
    assert (await house.post(V1, {"name": "n", "promptBody": BODY})).status == 409
    update = {"promptId": prompt_id, "promptVersionId": version_id, "promptBody": BODY}
    assert (await house.post(f"{V1}/update", update)).status == 409
