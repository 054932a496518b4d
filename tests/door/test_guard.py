"""What the guard of the full lane passes on, however the bytes arrive."""

from __future__ import annotations

import pytest

from appliance.door.guard import Guard

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
SIZED = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=1\r\nhello\r\n0\r\nX-A: 1\r\n\r\n"
)
UPGRADE = b"GET /w HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_good_messages_pass_untouched(size: int) -> None:
    raw = GET + SIZED + CHUNKED + GET + SIZED
    guard = Guard()
    passed = b"".join(guard.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    assert passed == raw
    assert guard.fault == ""


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "bad",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
    ],
)
def test_nothing_passes_from_a_malformed_message_on(bad: bytes, size: int) -> None:
    guard = Guard()
    raw = SIZED + bad + GET
    passed = b"".join(guard.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    assert guard.fault
    assert passed.startswith(SIZED)
    assert GET not in passed
    assert b"zz" not in passed


def test_a_head_is_passed_on_when_it_is_whole() -> None:
    guard = Guard()
    assert guard.feed(GET[:-1]) == b""
    assert guard.feed(GET[-1:]) == GET


@pytest.mark.parametrize("connection", ["Connection: Upgrade", "connection: x,UPGRADE , y", "X: 1"])
@pytest.mark.parametrize("size", [1, 1000])
def test_an_upgrade_frees_nobody_from_the_rules(connection: str, size: int) -> None:
    """Whether the rest of the head asks for it or not: what follows is read as HTTP."""
    guard = Guard()
    upgrade = UPGRADE.replace(b"Connection: Upgrade", connection.encode())
    raw = upgrade + GET + GET.replace(b"Host: a", b"Host: a\r\nHost: b") + GET
    passed = b"".join(guard.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    assert passed.endswith(GET)
    head = passed.removesuffix(GET)
    assert b"\r\nUpgrade: websocket\r\n" in head
    assert b"upgrade" not in head.lower().replace(b"upgrade: websocket", b"")
    assert head.count(b"\r\n") == upgrade.count(b"\r\n")
    assert guard.fault


def test_offers_to_upgrade_are_taken_out() -> None:
    offer = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nX: 1\r\n\r\n"
    guard = Guard()
    assert guard.feed(offer + GET) == b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n" + GET


def test_a_head_without_an_end_is_bounded() -> None:
    guard = Guard()
    for _ in range(100):
        guard.feed(b"X: " + b"a" * 1000 + b"\r\n")
    assert guard.fault
