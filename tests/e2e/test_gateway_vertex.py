"""The gateway and Vertex AI under a service account: Gemini, and Claude by rawPredict.

The token is bought at an endpoint that the configuration names; the account's file names Google's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.e2e.gateway_contract import KEY, SAY, GatewayContract, bearer, newest, post
from tests.fakes import provider_claude as claude
from tests.fakes import provider_gemini as gemini
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_google_token import PROJECT, STRANGER, account, desk_of
from tests.fakes.provider_mind import TEXT
from tests.fakes.raw_client import Reply

MODEL = "gemini-2.5-flash/vertex"
TOKENS = b"/google/token"


def vertex_toml(provider: Provider, path: str = TOKENS.decode()) -> str:
    return f'[providers.vertex]\nbase_url = "{provider.url}"\ntoken_url = "{provider.url}{path}"\n'


def store(appliance: Appliance, key: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = appliance.command(
        "provider-keys.add", provider="vertex", secret=json.dumps(key), **more
    )
    return found


def purchases(provider: Provider) -> int:
    return sum(request.target == TOKENS for request in list(provider.received))


ROUTER = """
[routers.google]
[[routers.google.targets]]
provider = "vertex"
"""


class OnVertex(GatewayContract):
    @classmethod
    def config(cls, provider: Provider) -> str:
        return vertex_toml(provider)

    @classmethod
    def prepare(cls, appliance: Appliance) -> None:
        store(appliance, account())


class TestGeminiOnVertex(OnVertex):
    model = MODEL
    thinking_model = "gemini-2.5-pro/vertex"
    fault = "fake-…/vertex"
    record = ("GOOGLE", "gemini-2.5-flash")
    usage: ClassVar[dict[str, int]] = gemini.CHAT_USAGE
    has_last_word = False

    def words(self, status: int) -> str:
        return gemini.WORDS[status][1]


class TestClaudeOnVertex(OnVertex):
    model = thinking_model = "claude-4.5-sonnet/vertex"
    fault = "fake-…-claude/vertex"
    record = ("GOOGLE", "claude-sonnet-4-5@20250929")
    usage: ClassVar[dict[str, int]] = claude.CHAT_USAGE

    def words(self, status: int) -> str:
        return claude.ERRORS[status][1]


@pytest.fixture
def vertex(provider: Provider, tmp_path: Path) -> Iterator[Appliance]:
    """A server of its own, that knows no key yet."""
    provider.clear()
    desk = desk_of(provider)
    desk.gate, desk.broken = "", False
    config = vertex_toml(provider) + f'[providers.openai]\nbase_url = "{provider.url}/strict"\n'
    with Appliance(tmp_path, config=config, environ={"OPENAI_API_KEY": "sk-env"}) as appliance:
        yield appliance


def ask(appliance: Appliance, model: str = MODEL) -> Reply:
    return post(appliance, {"model": model, "messages": SAY})


def test_a_token_is_bought_once_and_told_nobody(provider: Provider, vertex: Appliance) -> None:
    key = account()
    store(vertex, key)
    desk = desk_of(provider)
    desk.gate = "token desk"
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, vertex) for _ in range(8)]
        provider.find(b"POST " + TOKENS)
        provider.open_gate(desk.gate)
        statuses = {one.result().status for one in asked}
    assert statuses == {200}
    assert ask(vertex).status == 200
    assert purchases(provider) == 1
    told = b"".join(request.head for request in provider.received)
    assert told.count(b"Bearer " + desk.issued[-1].encode()) == 9
    vertex.stop()
    secrets = [desk.issued[-1].encode(), key["private_key"].splitlines()[5].encode()]
    for path in vertex.directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret in data for secret in secrets), path
    vertex.start()


def test_a_token_that_is_not_taken_is_bought_anew(provider: Provider, vertex: Appliance) -> None:
    store(vertex, account())
    assert ask(vertex).status == 200
    desk_of(provider).issued.clear()  # as Google revokes
    assert ask(vertex).status == 401
    assert ask(vertex).status == 200
    assert purchases(provider) == 2


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (account(STRANGER), "Invalid JWT Signature"),
        (account(token_uri="http://127.0.0.1:1/token"), "token_uri is none of Google's"),
        (account(client_email="x@y.z"), "account not found"),
        (account(private_key="-----BEGIN PRIVATE KEY-----\nno"), "no PEM text"),
    ],
)
def test_an_account_that_buys_nothing(
    provider: Provider, vertex: Appliance, key: dict[str, Any], says: str
) -> None:
    store(vertex, key)
    for _ in range(3):
        reply = ask(vertex)
        assert (reply.status, says in reply.json["error"]["message"]) == (401, True), reply.body
    assert purchases(provider) <= 1  # a "no" is remembered for a while
    assert not any(b"aiplatform" in one.head or b"Content" in one.target
                   for one in provider.received)  # fmt: skip
    # The others go on.
    reply = ask(vertex, f"{MODEL},gpt-4o/openai")
    assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, TEXT)


def test_a_token_desk_that_fails(provider: Provider, vertex: Appliance) -> None:
    store(vertex, account())
    desk = desk_of(provider)
    desk.broken = True
    reply = ask(vertex)
    assert reply.status == 502
    assert "token endpoint answered 503" in reply.json["error"]["message"]
    row = newest(vertex)
    assert (row["http_status"], row["outcome"]) == (502, "refused")
    assert ask(vertex, f"{MODEL},gpt-4o/openai").status == 200


def test_an_account_of_the_environment(provider: Provider, tmp_path: Path) -> None:
    provider.clear()
    desk_of(provider).gate, desk_of(provider).broken = "", False
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account()))
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    with Appliance(tmp_path / "a", config=vertex_toml(provider), environ=environ) as appliance:
        assert ask(appliance).status == 200
        assert f"/projects/{PROJECT}/".encode() in provider.received[-1].target


def test_the_settings_of_a_key(provider: Provider, vertex: Appliance) -> None:
    config = {"projectId": PROJECT, "region": "europe-west4"}
    store(vertex, account(project_id="another"), config=config)
    assert ask(vertex).status == 200
    assert b"/projects/project-1/locations/europe-west4/" in provider.received[-1].target


GENERATE = (
    f"/v1beta1/projects/{PROJECT}/locations/us-central1/publishers/google/models/"
    "gemini-2.5-flash:generateContent"
)
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}


def test_an_account_where_vertex_is_called_by_its_own_paths(
    provider: Provider, vertex: Appliance
) -> None:
    """Without the gateway, and twice over one connection."""
    store(vertex, account())
    with vertex.client() as raw:
        for _ in range(2):
            reply = raw.call(f"/v1/gateway/vertex{GENERATE}", CONTENTS, bearer(KEY))
            assert reply.status == 200, reply.body
            assert reply.json["candidates"][0]["content"]["parts"][0]["text"] == TEXT
    assert purchases(provider) == 1


@pytest.mark.parametrize("way", ["/v1/gateway/vertex", "/router/google"])
def test_a_token_that_is_not_taken_on_a_path_of_its_own_is_bought_anew(
    provider: Provider, tmp_path: Path, way: str
) -> None:
    """One that is not taken in place of it is kept for a while."""
    provider.clear()
    desk = desk_of(provider)
    desk.gate, desk.broken = "", False
    config = vertex_toml(provider) + ROUTER
    with Appliance(tmp_path, config=config) as appliance:
        store(appliance, account())

        def status() -> int:
            return appliance.call(way + GENERATE, CONTENTS, bearer(KEY)).status

        assert status() == 200
        desk.issued.clear()  # as Google revokes
        assert status() == 401
        assert status() == 200
        desk.issued.clear()
        assert [status() for _ in range(3)] == [401] * 3
    assert purchases(provider) == 2
