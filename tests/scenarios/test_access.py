"""Who may call: open access on loopback is for programs, not for web pages; keys; their places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Headers

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
UNKNOWN = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"


@pytest.fixture(scope="module")
def keyed(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    config = 'access = "keys"\nallow_origins = ["https://app.example"]\nstream_usage = "ask"\n'
    directory = tmp_path_factory.mktemp("keyed")
    with Appliance(directory, provider, config=config) as running:
        yield running


@pytest.fixture(scope="module")
def key(keyed: Appliance) -> str:
    made = keyed.command("keys.create", name="tests", write_only=False)
    assert made["key"].startswith("sk-helicone-")
    found: str = made["key"]
    return found


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Content-Type": "text/plain"},
]


@pytest.mark.parametrize("lane", ["fast", "full"])
@pytest.mark.parametrize("headers", FOREIGN)
def test_foreign_pages_are_refused(
    appliance: Appliance, provider: Provider, headers: dict[str, str], lane: str
) -> None:
    """A page in the user's own browser can send plain POSTs to loopback: 403, nothing recorded."""
    provider.clear()
    with appliance.client() as client:
        if lane == "full":
            assert client.call("/healthcheck", method="GET").status == 200
        reply = client.call(CHAT, ASK, headers)
    assert reply.status == 403
    assert reply.first("access-control-allow-origin") is None
    assert provider.received == []
    assert appliance.rows(reply.id) == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.nip.example"])
@pytest.mark.parametrize("path", [CHAT, "/v1/request/query-clickhouse"])
def test_a_rebound_host_is_refused(
    appliance: Appliance, provider: Provider, host: str, path: str
) -> None:
    """DNS rebinding: the page is of the same origin as far as the browser knows."""
    provider.clear()
    with appliance.client() as client:
        client.host = host.encode()
        reply = client.call(path, ASK)
    assert reply.status == 403
    assert provider.received == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8585", "LOCALHOST"])
def test_our_own_names_are_fine(appliance: Appliance, host: str) -> None:
    with appliance.client() as client:
        client.host = host.encode()
        assert client.call(CHAT, ASK).status == 200


def test_our_own_pages_are_fine(appliance: Appliance) -> None:
    with appliance.client() as client:
        origin = f"http://{client.host.decode()}"
        reply = client.call(CHAT, ASK, {"Origin": origin, "Sec-Fetch-Site": "same-origin"})
    assert reply.status == 200


@pytest.mark.parametrize("upgrade", ["http://evil.example", "https://evil.example"])
def test_a_websocket_of_a_foreign_page(appliance: Appliance, upgrade: str) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": upgrade,
    }
    path = "/v1/gateway/oai/realtime?model=gpt-4o"
    assert appliance.call(path, None, headers, method="GET").status == 403


# -- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sk-provider"},
        {"Helicone-Auth": f"Bearer {UNKNOWN}", "Authorization": "Bearer sk-provider"},
        {"Helicone-Auth": "Bearer "},
        {"Helicone-Auth": "Bearer ' OR 1=1 --"},
        {"x-api-key": UNKNOWN},
    ],
)
@pytest.mark.parametrize("lane", ["fast", "full"])
def test_an_unknown_or_missing_key(
    keyed: Appliance, provider: Provider, headers: dict[str, str], lane: str
) -> None:
    provider.clear()
    with keyed.client() as client:
        if lane == "full":
            assert client.call("/healthcheck", method="GET").status == 200
        reply = client.call(CHAT, ASK, headers)
    assert reply.status == 401
    assert "keys create NAME" in reply.json["error"]["message"]
    assert provider.received == []
    assert keyed.rows(reply.id) == []
    for value in headers.values():
        secret = value.removeprefix("Bearer ")
        assert not secret or secret.encode() not in reply.body
        assert not secret or secret not in keyed.log


def places(key: str) -> list[tuple[str, dict[str, str], str]]:
    provider = "Bearer sk-provider"
    return [
        (CHAT, {"Helicone-Auth": f"Bearer {key}", "Authorization": provider}, provider),
        (CHAT, {"Helicone-Auth": key, "Authorization": provider}, provider),
        (CHAT, {"Authorization": f"{provider}, Bearer {key}"}, provider),
        (CHAT.replace("/v1/chat", f"/{key}/v1/chat"), {"Authorization": provider}, provider),
        (CHAT, {"x-api-key": key, "Authorization": provider}, provider),
        (CHAT, {"x-api-key": f"Bearer {key}", "Authorization": provider}, provider),
    ]


@pytest.mark.parametrize("place", range(6))
def test_every_place_of_a_key(keyed: Appliance, provider: Provider, key: str, place: int) -> None:
    path, headers, wanted = places(key)[place]
    provider.clear()
    reply = keyed.call(path, ASK, headers)
    assert reply.status == 200
    received = provider.received[0]
    assert received.values(b"authorization") == [wanted.encode()]
    assert key.encode() not in received.head
    row = keyed.row(reply.id)
    assert row["api_key_id"]
    assert key not in str(row)


def test_a_key_is_kept_nowhere(keyed: Appliance, key: str) -> None:
    """Its hash is: neither the directory nor the log holds the key itself."""
    keyed.call(CHAT, ASK, {"Helicone-Auth": f"Bearer {key}"})
    keyed.query("SELECT 1")
    files = [path for path in keyed.data.rglob("*") if path.is_file()]
    assert files
    assert not any(key.encode() in path.read_bytes() for path in files)
    assert key not in keyed.log


def test_a_revoked_key_is_refused_on_the_same_connection(keyed: Appliance) -> None:
    key = keyed.command("keys.create", name="short-lived", write_only=True)["key"]
    headers = {"Helicone-Auth": f"Bearer {key}"}
    with keyed.client() as client:
        assert client.call(CHAT, ASK, headers).status == 200
        keyed.command("keys.revoke", key="short-lived")
        assert client.call(CHAT, ASK, headers).status == 401


def test_any_page_may_call_the_proxy_with_a_key(keyed: Appliance, key: str) -> None:
    headers: Headers = [
        (b"Helicone-Auth", f"Bearer {key}".encode()),
        (b"Origin", b"https://shop.example"),
    ]
    reply = keyed.call(CHAT, ASK, headers)
    assert reply.status == 200
    assert reply.first("access-control-allow-origin") in (b"*", b"https://shop.example")
    preflight = keyed.call(
        CHAT,
        None,
        {
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "helicone-auth, content-type",
        },
        method="OPTIONS",
    )
    assert preflight.status == 204
    assert preflight.first("access-control-allow-methods")


def test_usage_can_be_asked_for_everywhere(keyed: Appliance, key: str) -> None:
    """`stream_usage = "ask"`: no header is needed."""
    reply = keyed.call(CHAT, {**ASK, "stream": True}, {"Helicone-Auth": f"Bearer {key}"})
    row = keyed.row(reply.id)
    assert (row["usage_source"], row["total_tokens"]) == ("provider", 30)


def test_health_needs_no_key(keyed: Appliance) -> None:
    assert keyed.call("/healthcheck", method="GET").status == 200
