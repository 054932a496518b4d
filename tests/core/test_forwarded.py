"""Who called, behind proxies: only trusted ones are believed, from the right end of the chain."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.forwarded import BYTES_MAX, Caller, TrustedProxies, address_of, counted_as

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.1"])
PEER = "10.0.0.1"
CLIENT = "203.0.113.7"
XFF, PROTO, HOST = b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host"
FORWARDED = b"Forwarded"


def caller(*headers: tuple[bytes, bytes], peer: str = PEER) -> Caller:
    return PROXIES.caller(peer, "http", "inner:8585", headers)


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], PEER),
        ([(XFF, b"203.0.113.7")], CLIENT),
        ([(b"x-FORWARDED-for", b" 203.0.113.7 ")], CLIENT),
        ([(XFF, b"203.0.113.7:4711")], CLIENT),
        ([(XFF, b"::ffff:203.0.113.7")], CLIENT),
        ([(XFF, b"2001:db8::1")], "2001:db8::1"),
        ([(XFF, b"[2001:db8::1]:80")], "2001:db8::1"),
        # what the client wrote stands to the left of what the proxy saw
        ([(XFF, b"127.0.0.1, 203.0.113.7")], CLIENT),
        ([(XFF, b"127.0.0.1"), (XFF, b"203.0.113.7")], CLIENT),
        ([(XFF, b"10.9.9.9, 203.0.113.7")], CLIENT),
        # several proxies of ours
        ([(XFF, b"1.1.1.1, 203.0.113.7, 10.0.0.2, fd00::3, 192.0.2.1")], CLIENT),
        ([(XFF, b"10.0.0.3, 10.0.0.2")], "10.0.0.3"),  # one of the house itself
        # no address: the proxy that says so is all that is known
        ([(XFF, b"1.1.1.1, unknown")], PEER),
        ([(XFF, b"1.1.1.1, , 10.0.0.2")], "10.0.0.2"),
        ([(XFF, b"")], PEER),
        ([(XFF, b"1.1.1.1,")], PEER),
        ([(XFF, b"203.0.113.7\xff")], PEER),
        ([(FORWARDED, b"for=203.0.113.7")], CLIENT),
        ([(FORWARDED, b'FOR="203.0.113.7:80";by=10.0.0.1;proto=https')], CLIENT),
        ([(FORWARDED, b'for="[2001:db8::1]:4711"')], "2001:db8::1"),
        ([(FORWARDED, b'for=1.1.1.1, for="203.0.113.7", for=10.0.0.2')], CLIENT),
        ([(FORWARDED, b"for=_hidden")], PEER),
        ([(FORWARDED, b"proto=https")], PEER),
        ([(FORWARDED, b"for=203.0.113.7;for=1.1.1.1")], PEER),
        # what a client writes takes nothing of what the proxy adds away
        ([(FORWARDED, b'for=1.1.1.1;x="'), (FORWARDED, b"for=203.0.113.7")], PEER),
        ([(FORWARDED, b'for=1.1.1.1;x="'), (FORWARDED, b'for="[2001:db8::1]:47"')], PEER),
        ([(FORWARDED, b'for=1.1.1.1;x="\\'), (FORWARDED, b'for="203.0.113.7"')], PEER),
        # the two disagree: the client wrote one of them
        ([(XFF, b"203.0.113.7"), (FORWARDED, b"for=1.1.1.1")], PEER),
        ([(XFF, b"203.0.113.7"), (FORWARDED, b"for=203.0.113.7")], CLIENT),
    ],
)  # fmt: skip
def test_the_address(headers: list[tuple[bytes, bytes]], address: str) -> None:
    assert caller(*headers).address == address


@pytest.mark.parametrize("peer", ["203.0.113.9", "", "unix", "11.0.0.1", "192.0.2.2"])
def test_nobody_else_is_believed(peer: str) -> None:
    lines = [
        (XFF, b"1.1.1.1"),
        (PROTO, b"https"),
        (HOST, b"x.example"),
        (FORWARDED, b"for=1.1.1.1"),
    ]
    assert caller(*lines, peer=peer) == Caller(peer, "http", "inner:8585")
    none = TrustedProxies().caller(PEER, "http", "inner:8585", lines)
    assert none == Caller(PEER, "http", "inner:8585")


def test_a_proxy_may_be_written_in_both_ways() -> None:
    line = (XFF, b"203.0.113.7")
    assert caller(line, peer="::ffff:10.0.0.1").address == CLIENT
    assert caller(line, peer="fd00::1%eth0").address == CLIENT


@pytest.mark.parametrize(
    ("headers", "scheme", "host"),
    [
        ([(PROTO, b"https"), (HOST, b"LLM.example.com")], "https", "llm.example.com"),
        ([(XFF, b"1.1.1.1"), (PROTO, b"HTTPS"), (HOST, b"a.b:8443")], "https", "a.b:8443"),
        ([(PROTO, b"wss")], "https", "inner:8585"),
        ([(PROTO, b"gopher"), (HOST, b"a b")], "http", "inner:8585"),
        ([(HOST, b"a.b/evil")], "http", "inner:8585"),
        ([(HOST, b"[2001:db8::1]:80")], "http", "[2001:db8::1]:80"),
        # appended by each: of the outermost of ours, and nothing that a client wrote before it
        ([(XFF, b"1.1.1.1, 10.0.0.2"), (PROTO, b"https, http")], "https", "inner:8585"),
        ([(XFF, b"1.1.1.1"), (PROTO, b"https, http")], "http", "inner:8585"),
        ([(XFF, b"1.1.1.1, 203.0.113.7"), (HOST, b"evil.example, a.b")], "http", "a.b"),
        # told once, by the nearest or the outermost: it holds for all
        ([(XFF, b"1.1.1.1, 10.0.0.2"), (PROTO, b"https")], "https", "inner:8585"),
        ([(FORWARDED, b'for=1.1.1.1;proto=https;host="a.b:1"')], "https", "a.b:1"),
        ([(FORWARDED, b"for=1.1.1.1;host=evil;proto=https, for=2.2.2.2;host=a.b")], "http", "a.b"),
        ([(FORWARDED, b"for=1.1.1.1;host=a.b, for=10.0.0.2;host=c.d")], "http", "a.b"),
        # the client knows its own address, and no more than that
        ([(XFF, b"1.1.1.1"), (FORWARDED, b"for=1.1.1.1;host=evil")], "http", "inner:8585"),
    ],
)  # fmt: skip
def test_scheme_and_host(headers: list[tuple[bytes, bytes]], scheme: str, host: str) -> None:
    found = caller(*headers)
    assert (found.scheme, found.host) == (scheme, host)


@given(st.binary(max_size=200), st.sampled_from([XFF, FORWARDED]), st.booleans())
def test_whatever_a_client_writes_it_is_not_somebody_else(
    written: bytes, name: bytes, own_line: bool
) -> None:
    """The proxy appends what it sees: that, or the proxy itself, is who called."""
    seen = b"203.0.113.7" if name == XFF else b'for="203.0.113.7"'
    lines = [(name, written), (name, seen)] if own_line else [(name, written + b", " + seen)]
    assert caller(*lines).address in (CLIENT, PEER)
    if b'"' not in written:
        assert caller(*lines).address == CLIENT


@pytest.mark.parametrize("name", [XFF, FORWARDED])
@pytest.mark.parametrize("piece", [b"1.1.1.1,", b'"', b'\\"', b'"\\', b";", b"for=", b"10.0.0.2,"])
def test_long_ones_cost_little(name: bytes, piece: bytes) -> None:
    line = name, piece * (60_000 // len(piece)) + b", 203.0.113.7"
    began_s = time.process_time()
    assert caller(line).address in (CLIENT, PEER, "10.0.0.2")
    assert time.process_time() - began_s < 0.2
    assert len(line[1]) > BYTES_MAX


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_who_has_a_network_is_counted_as_one(text: str, name: str) -> None:
    assert counted_as(text) == name


def test_what_is_no_address() -> None:
    for text in ("", "1.2.3", "1.2.3.4.5", "[::1", "::1]", "x" * 5000, "1.2.3.4 5", "0x7f.0.0.1"):
        assert address_of(text) is None or text == "[::1", text
