"""Between the lanes: what opens one of them opens nothing behind it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.appliance import CHAT, OAI, Appliance
from tests.fakes.http2_client import Http2Client
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@pytest.mark.parametrize("first", [True, False], ids=["first", "after-health"])
def test_a_websocket_opens_no_door(appliance: Appliance, first: bool) -> None:
    """Answered in HTTP, by the rules of HTTP, and no bug in the log (it was one a request)."""
    before = len(appliance.log)
    foreign = {**WEBSOCKET, "Origin": "http://evil.example"}
    # It is opened on a connection of its own, or not at all.
    opened = 101 if first else 400
    for path, headers, status in (
        ("/healthcheck", WEBSOCKET, 200),
        ("/healthcheck", foreign, 403),
        ("/v1/request/query", WEBSOCKET, 422),
        (OAI + "/realtime?model=gpt-4o", WEBSOCKET, opened),
        (OAI + "/realtime?model=gpt-4o", foreign, 403),
    ):
        with appliance.client() as client:
            if not first:
                assert client.call("/healthcheck", None, {}, method="GET").status == 200
            client.request(path, None, headers, method="GET")
            line = client.read_until(b"\r\n")
            assert line.startswith(f"HTTP/1.1 {status} ".encode()), path
    assert "ERROR" not in appliance.log[before:]


def test_what_follows_a_websocket_is_checked(appliance: Appliance, provider: Provider) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in WEBSOCKET.items())
    doubled = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\n" + 2 * "Content-Length: 2\r\n"
    seen = len(provider.received)
    before = len(appliance.log)
    with appliance.client() as client:
        opening = f"GET /healthcheck HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
        client.sock.sendall((opening + doubled + "\r\n{}").encode())
        received = b""
        while data := client.sock.recv(65536):
            received += data
    assert received.count(b"HTTP/1.1 ") == 1
    assert len(provider.received) == seen
    assert "ERROR" not in appliance.log[before:]


@pytest.mark.parametrize("method", ["GET / HTTP/1.1", "G@ET", "", "GET:"])
def test_a_method_of_http2_that_is_no_token_reaches_nobody(
    appliance: Appliance, provider: Provider, method: str
) -> None:
    """It went into the provider's request line as it came: `GET / HTTP/1.1 /v1/… HTTP/1.1`."""
    seen = len(provider.received)
    with Http2Client(appliance.url) as client:
        assert client.call(CHAT, method=method).status == 400
        assert client.call("/healthcheck", method=method).status == 400
        assert client.call("/healthcheck", method="GET").status == 200
    assert len(provider.received) == seen
