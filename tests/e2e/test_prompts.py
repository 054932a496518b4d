"""Stored prompts through the gateway: what a provider is sent, and what the record says of it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_guard import ATTACK
from tests.e2e.test_moderation import BAD
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

CHAT = "/v1/chat/completions"
BODY = {
    "model": "gpt-4o",
    "temperature": 0.5,
    "messages": [{"role": "system", "content": "You greet {{hc:name:string}}."}],
}


@pytest.fixture(scope="module")
def house(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    environ = {"OPENAI_API_KEY": "sk-env-openai"}
    directory = tmp_path_factory.mktemp("prompts")
    with Appliance(directory, provider, environ=environ, lends=True) as appliance:
        yield appliance


KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"


def call(appliance: Appliance, path: str, body: dict[str, Any]) -> Reply:
    return appliance.call(path, body, {"Authorization": f"Bearer {KEY}"})


def api(appliance: Appliance, path: str, body: dict[str, Any]) -> Any:
    reply = call(appliance, path, body)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)["data"]


def made(appliance: Appliance, body: dict[str, Any] = BODY) -> tuple[str, str]:
    data = api(appliance, "/v1/prompt-2025", {"name": "n", "tags": [], "promptBody": body})
    return data["id"], data["versionId"]


def test_a_prompt_is_expanded_and_recorded(house: Appliance, provider: Provider) -> None:
    prompt_id, version_id = made(house)
    provider.clear()
    ask = {
        "prompt_id": prompt_id, "inputs": {"name": "Ada"},
        "messages": [{"role": "user", "content": "Go."}],
    }  # fmt: skip
    reply = call(house, CHAT, ask)
    assert reply.status == 200, reply.body
    sent = json.loads(provider.received[-1].body)
    assert [message["content"] for message in sent["messages"]] == ["You greet Ada.", "Go."]
    assert sent["temperature"] == 0.5
    assert not {"prompt_id", "inputs", "version_id", "environment"} & sent.keys()
    row = house.row(reply.id)
    assert (row["prompt_id"], row["prompt_version"]) == (prompt_id, version_id)
    kept = json.loads(house.body(reply.id)["prompt_template"])
    assert kept["inputs"] == {"name": "Ada"}
    inputs = house.call(
        f"/v1/prompt-2025/id/{prompt_id}/{version_id}/inputs?requestId={reply.id}", method="GET",
        headers={"Authorization": f"Bearer {KEY}"},
    )  # fmt: skip
    assert json.loads(inputs.body)["data"]["inputs"] == {"name": "Ada"}


def test_a_change_holds_for_the_next_call(house: Appliance, provider: Provider) -> None:
    prompt_id, version_id = made(house)
    ask = {"prompt_id": prompt_id, "inputs": {"name": "Ada"}}
    assert call(house, CHAT, ask).status == 200
    changed = {**BODY, "messages": [{"role": "user", "content": "New {{hc:name:string}}"}]}
    api(
        house, "/v1/prompt-2025/update",
        {"promptId": prompt_id, "promptVersionId": version_id, "newMajorVersion": True,
         "commitMessage": "", "promptBody": changed, "environment": "production"},
    )  # fmt: skip
    provider.clear()
    assert call(house, CHAT, ask).status == 200
    assert "New Ada" in provider.received[-1].body.decode()
    provider.clear()
    assert call(house, CHAT, {**ask, "version_id": version_id}).status == 200
    assert "You greet Ada." in provider.received[-1].body.decode()


def test_parts_of_other_prompts(house: Appliance, provider: Provider) -> None:
    part, _ = made(house)
    body = {**BODY, "messages": [{"role": "user", "content": f"<{{{{hcp:{part}:0}}}}>"}]}
    prompt_id, _ = made(house, body)
    provider.clear()
    assert call(house, CHAT, {"prompt_id": prompt_id, "inputs": {"name": "Ada"}}).status == 200
    assert "<You greet Ada.>" in provider.received[-1].body.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"inputs": {}}, "inputs.name is missing"),
        ({"inputs": {"name": []}}, "inputs.name: expected a string"),
        ({"inputs": 5}, "inputs: expected an object"),
        ({"environment": "nowhere"}, "no prompt"),
        ({"version_id": "nothing"}, "no prompt"),
        ({"version_id": 7}, "version_id: expected a text"),
        ({"prompt_id": "zzzzzz"}, "no prompt zzzzzz"),
        ({"prompt_id": ""}, "prompt_id: expected"),
        ({"prompt_id": 5}, "prompt_id: expected a text"),
    ],
)
def test_what_is_wrong_is_named(
    house: Appliance, provider: Provider, fields: dict[str, Any], words: str
) -> None:
    prompt_id, _ = made(house)
    provider.clear()
    reply = call(house, CHAT, {"prompt_id": prompt_id, "model": "gpt-4o", **fields})
    assert reply.status == 400, reply.body
    assert words in reply.body.decode()
    assert not provider.received


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_elsewhere_it_is_refused(house: Appliance, path: str) -> None:
    prompt_id, _ = made(house)
    body = {"model": "gpt-4o", "prompt_id": prompt_id, "input": "x", "max_tokens": 5}
    if path == "/v1/messages":
        body = {**body, "messages": [{"role": "user", "content": "x"}]}
    reply = call(house, path, body)
    assert reply.status == 400
    assert b"prompt_id" in reply.body


@pytest.mark.parametrize("role", ["user", "system"])
@pytest.mark.parametrize(
    ("header", "input_", "code"),
    [
        ("Helicone-LLM-Security-Enabled", ATTACK, "PROMPT_THREAT_DETECTED"),
        ("Helicone-Moderations-Enabled", BAD, "PROMPT_FLAGGED_FOR_MODERATION"),
    ],
)
def test_what_is_put_into_a_prompt_is_checked(
    house: Appliance, provider: Provider, role: str, header: str, input_: str, code: str
) -> None:
    text = "Answer {{hc:name:string}} kindly."
    prompt_id, _ = made(house, {"model": "gpt-4o", "messages": [{"role": role, "content": text}]})
    provider.clear()
    headers = {"Authorization": f"Bearer {KEY}", header: "true"}
    for name, status in (input_, 400), ("Ada", 200):
        reply = house.call(CHAT, {"prompt_id": prompt_id, "inputs": {"name": name}}, headers)
        assert reply.status == status, reply.body
        assert (code in reply.body.decode()) is (status == 400)
        assert reply.values("helicone-not-applied") == []
    assert b"Ada" in provider.received[-1].body


def test_the_link_of_a_version(house: Appliance) -> None:
    _, version_id = made(house)
    for version in ("v1", "v2"):
        path = f"/{version}/prompt-2025/query/version"
        found = api(house, path, {"promptVersionId": version_id})
        with urllib.request.urlopen(found["s3_url"]) as reply:
            assert json.loads(reply.read()) == BODY
