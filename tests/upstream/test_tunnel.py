"""Outbound proxies: which, for whom, and the CONNECT exchange on a scripted wire."""

import base64

import pytest

from appliance.errors import UpstreamFailed
from appliance.upstream.address import Origin
from appliance.upstream.tunnel import HEAD_BYTES_MAX, ProxySpec, open_tunnel, proxies_from

OPENAI = Origin("https", "api.openai.com", 443)
PROXY = ProxySpec(Origin("http", "proxy.corp", 3128))

ENVIRONMENTS = [
    # environment, origin, expected proxy as scheme://host:port or None
    ({}, OPENAI, None),
    ({"HTTPS_PROXY": "http://proxy.corp:3128"}, OPENAI, "http://proxy.corp:3128"),
    ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:2"}, OPENAI, "http://low:1"),
    ({"https_proxy": "", "HTTPS_PROXY": "http://up:2"}, OPENAI, "http://up:2"),
    ({"HTTP_PROXY": "http://p:1"}, OPENAI, None),
    ({"HTTP_PROXY": "http://p:1"}, Origin("http", "a.example", 80), "http://p:1"),
    ({"HTTPS_PROXY": "http://p:1"}, Origin("http", "a.example", 80), None),
    ({"ALL_PROXY": "http://p:1"}, OPENAI, "http://p:1"),
    ({"all_proxy": "http://p:1"}, Origin("http", "a.example", 80), "http://p:1"),
    ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:2"}, OPENAI, "http://q:2"),
    ({"HTTPS_PROXY": "proxy.corp:3128"}, OPENAI, "http://proxy.corp:3128"),
    ({"HTTPS_PROXY": "http://proxy.corp"}, OPENAI, "http://proxy.corp:80"),
    ({"HTTPS_PROXY": "https://proxy.corp/"}, OPENAI, "https://proxy.corp:443"),
    ({"HTTPS_PROXY": "http://[::1]:8080"}, OPENAI, "http://[::1]:8080"),
    # This machine is never the proxy's.
    ({"ALL_PROXY": "http://p:1"}, Origin("http", "localhost", 11434), None),
    ({"ALL_PROXY": "http://p:1"}, Origin("http", "a.localhost", 11434), None),
    ({"ALL_PROXY": "http://p:1"}, Origin("http", "127.0.0.1", 11434), None),
    ({"ALL_PROXY": "http://p:1"}, Origin("http", "::1", 11434), None),
    ({"ALL_PROXY": "http://p:1"}, Origin("http", "10.0.0.1", 80), "http://p:1"),
]


@pytest.mark.parametrize(("environ", "origin", "expected"), ENVIRONMENTS)
def test_choice(environ, origin, expected):
    spec = proxies_from(environ).proxy_for(origin)
    shown = spec and f"{spec.origin.scheme}://{spec.origin.authority}"
    assert shown == expected


DIRECT = [
    # NO_PROXY, host, port, direct?
    ("*", "api.openai.com", 443, True),
    ("openai.com", "api.openai.com", 443, True),
    ("openai.com", "openai.com", 443, True),
    ("openai.com", "notopenai.com", 443, False),
    (".openai.com", "api.openai.com", 443, True),
    (".openai.com", "openai.com", 443, True),
    ("*.openai.com", "api.openai.com", 443, True),
    ("OpenAI.com.", "api.openai.com", 443, True),
    ("a.example, openai.com", "api.openai.com", 443, True),
    ("a.example openai.com", "api.openai.com", 443, True),
    ("a.example,,", "api.openai.com", 443, False),
    ("api.openai.com:443", "api.openai.com", 443, True),
    ("api.openai.com:8443", "api.openai.com", 443, False),
    ("10.0.0.0/8", "10.1.2.3", 80, True),
    ("10.0.0.0/8", "11.1.2.3", 80, False),
    ("10.0.0.1/8", "10.1.2.3", 80, True),
    ("10.1.2.3", "10.1.2.3", 80, True),
    ("10.1.2.3:80", "10.1.2.3", 80, True),
    ("10.1.2.3:81", "10.1.2.3", 80, False),
    ("fd00::/8", "fd12::1", 80, True),
    ("[fd12::1]:80", "fd12::1", 80, True),
    ("fd12::1", "fd12::1", 80, True),
    ("10.0.0.0/8", "ten.example", 80, False),
    ("a:b:c", "api.openai.com", 443, False),
    ("a:99999", "api.openai.com", 443, False),
]


@pytest.mark.parametrize(("no_proxy", "host", "port", "direct"), DIRECT)
def test_no_proxy(no_proxy, host, port, direct):
    for name in ("NO_PROXY", "no_proxy"):
        settings = proxies_from({"ALL_PROXY": "http://p:1", name: no_proxy})
        assert (settings.proxy_for(Origin("https", host, port)) is None) == direct


def test_credentials_are_used_and_never_shown():
    settings = proxies_from({"HTTPS_PROXY": "http://us%40er:p%3Aw%2Fd@proxy.corp:3128"})
    spec = settings.proxy_for(OPENAI)
    assert spec is not None
    assert spec.origin == Origin("http", "proxy.corp", 3128)
    assert spec.authorization == "Basic " + base64.b64encode(b"us@er:p:w/d").decode()
    assert spec.authorization not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "socks5://p:1",
        "socks5h://u:secret@p:1",
        "http://",
        "http://u:secret@:80",
        "http://u:secret@a:x",
    ],
)
def test_unusable_proxies_stop_the_start_without_their_secret(url):
    with pytest.raises(ValueError, match="https_proxy") as caught:
        proxies_from({"HTTPS_PROXY": url})
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


class ScriptedWire:
    """Gives the pieces it was made with, then the end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.sent = b""

    async def recv(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def send_all(self, data: bytes) -> None:
        self.sent += data


async def test_connect_is_asked_for_with_the_password():
    wire = ScriptedWire(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
    await open_tunnel(wire, ProxySpec(PROXY.origin, "Basic eA=="), OPENAI)
    assert wire.sent == (
        b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n"
        b"Proxy-Authorization: Basic eA==\r\n\r\n"
    )


async def test_v6_targets_are_bracketed_and_replies_may_come_in_bits():
    reply = b"HTTP/1.0 200\r\n\r\n"
    wire = ScriptedWire(*[reply[at : at + 1] for at in range(len(reply))])
    await open_tunnel(wire, PROXY, Origin("https", "2606:4700::1", 443))
    assert wire.sent.startswith(b"CONNECT [2606:4700::1]:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization" not in wire.sent


REPLIES = [
    # pieces, part of the message, retryable
    ([b"HTTP/1.1 407 Auth\r\n\r\n"], "user and password", False),
    ([b"HTTP/1.1 403 No\r\n\r\n"], "status 403", False),
    ([b"HTTP/1.1 502 Bad\r\n\r\n"], "status 502", True),
    ([b"HTTP/1.1 503 Busy\r\n\r\n"], "status 503", True),
    ([b"HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\n"], "status 301", False),
    ([], "closed the connection", True),
    ([b"HTTP/1.1 200 OK\r\n"], "closed the connection", True),
    ([b"SSH-2.0-x\r\n\r\n"], "does not speak HTTP", False),
    ([b"HTTP/1.1 2000 OK\r\n\r\n"], "does not speak HTTP", False),
    ([b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n"], "before the tunnel was used", False),
    ([b"HTTP/1.1 200 OK\r\n"] + [b"X: " + b"y" * 4000 + b"\r\n"] * 9, "endless", False),
]


@pytest.mark.parametrize(("pieces", "text", "retryable"), REPLIES)
async def test_proxies_that_do_not_help(pieces, text, retryable):
    wire = ScriptedWire(*pieces)
    with pytest.raises(UpstreamFailed) as caught:
        await open_tunnel(wire, PROXY, OPENAI)
    assert caught.value.name == "connect_failed"
    assert text in caught.value.message
    assert "proxy.corp:3128" in caught.value.message
    assert caught.value.retryable == retryable


async def test_the_reply_head_is_bounded():
    wire = ScriptedWire(*[b"x" * 4096] * 100)
    with pytest.raises(UpstreamFailed, match="endless"):
        await open_tunnel(wire, PROXY, OPENAI)
    assert (100 - len(wire.pieces)) * 4096 <= HEAD_BYTES_MAX + 2 * 4096
