"""A head of which only some lines differ from the one before says what a fresh reading says."""

import random

import pytest

from appliance.core.asks import parse_asks
from appliance.core.credentials import find_credentials, forward_headers
from appliance.door.head import HeadError, parse_head
from appliance.door.route_types import Kind, Route
from appliance.door.visit import Visit
from appliance.exchange import Aim
from appliance.features.aim import head_lines

ROUTE = Route(Kind.PROXY, 5)
KEY_ON_FILE = "a-key-on-file-of-no-known-shape"
HEAD = (
    b"POST /v1/gateway/oai/v1/chat/completions HTTP/1.1\r\n"
    b"Host: 127.0.0.1:8585\r\n"
    b"Content-Length: 12\r\n"
    b"Connection: keep-alive\r\n"
    b"Content-Type: application/json\r\n"
    b"Authorization: Bearer sk-provider-0123456789abcdef\r\n"
    b"Helicone-User-Id: user-1\r\n"
    b"Helicone-Session-Id: session-1\r\n"
    b"Helicone-Property-Tenant: acme\r\n"
    b"helicone-cache-enabled: true\r\n"
    b"traceparent: 00-abc-def-01\r\n"
    b"Idempotency-Key: once-1\r\n"
    b"X-Other: 1\r\n\r\n"
)
SEED = 20261121


def read(raw: bytes) -> Visit:
    """A visit as a connection makes it for its first request, with all that is kept of it."""
    head, framing, keep = parse_head(raw, scheme=b"http", client_address="127.0.0.1")
    visit = Visit(raw, head, framing, keep, ROUTE)
    facts = visit.facts
    facts.asks = parse_asks(head.first)
    facts.credentials = find_credentials(head.first)
    facts.found_key = KEY_ON_FILE
    fields = forward_headers(head.headers, KEY_ON_FILE)
    lines = head_lines(head.method, b"/v1/chat/completions", b"api.openai.com", fields)
    facts.aim = Aim(None, None, lines, True, None, "", "")
    return visit


def told(visit: Visit) -> object:
    """All that follows from a head."""
    head, facts = visit.head, visit.facts
    assert facts.aim is not None
    asks = facts.asks or parse_asks(head.first)
    return (
        head, visit.framing, visit.keep, asks, facts.credentials, facts.found_key, facts.aim.lines
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"user-1", b"user-2"),
        (b"user-1", "Zo\u00eb".encode()),
        (b"session-1", b"session-1000"),
        (b"Tenant: acme", b"Tenant:globex"),
        (b"00-abc-def-01", b"00-123-456-01"),
        (b"once-1", b"task-17"),
        (b"Length: 12", b"Length: 9876543210"),
        (b"user-1", b"sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"),  # not sent to the provider
    ],
)
def test_it_is_read_from_the_lines_that_differ(old: bytes, new: bytes) -> None:
    first = read(HEAD)
    before = told(first)
    raw = HEAD.replace(old, new)
    found = first.like(raw)
    assert found is not None
    assert told(found) == told(read(raw))
    assert told(first) == before
    assert found.again(raw) == found.framing
    back = found.like(HEAD)
    assert back is not None
    assert told(back) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"PUT"),
        (b"oai/v1", b"groq/v1"),
        (b"127.0.0.1:8585", b"127.0.0.2:8585"),
        (b"keep-alive", b"close"),
        (b"keep-alive", b"Idempotency-Key"),
        (b"0123456789abcdef", b"fedcba9876543210"),
        (b"application/json", b"text/plain"),
        (b"enabled: true", b"enabled: false"),
        (b"X-Other: 1", b"X-Other: 2"),
        (b"Property-Tenant", b"Property-Client"),
        (b"Helicone-User-Id", b"helicone-user-id"),
        (b"Helicone-User-Id: user-1\r\n", b""),
        (b"X-Other: 1", b"X-Other: 1\r\nX-More: 1"),
        (b"Idempotency-Key: once-1", b"Traceparent: 00-abc-def-01"),
        (b"once-1", b"sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"),
        (b"once-1", KEY_ON_FILE.encode()),
        (b"user-1", b""),
        (b"user-1", b"  user-1"),
        (b"user-1", b"user-1 "),
        (b"user-1", b"user\x00"),
        (b"user-1", b"us\ner"),
        (b"user-1", b"us\rer"),
        (b"Length: 12", b"Length: +12"),
        (b"Length: 12", b"Length: 12, 12"),
        (b"Length: 12", b"Length: 123456789012345678901"),
        (b"Length: 12", b"Length : 12"),
    ],
)
def test_any_other_head_is_read_anew(old: bytes, new: bytes) -> None:
    assert old in HEAD
    assert read(HEAD).like(HEAD.replace(old, new)) is None


def test_a_head_with_a_name_twice_is_read_anew() -> None:
    twice = HEAD.replace(b"X-Other: 1", b"traceparent: 00-second-01")
    assert read(twice).like(twice.replace(b"user-1", b"user-2")) is None


def test_a_chunked_body_stays_chunked() -> None:
    chunked = HEAD.replace(b"Content-Length: 12", b"Transfer-Encoding: chunked")
    found = read(chunked).like(chunked.replace(b"user-1", b"user-2"))
    assert found is not None
    assert found.framing.kind == "chunked"
    assert read(chunked).like(HEAD) is None


def test_no_damage_makes_it_say_anything_else_than_a_fresh_reading() -> None:
    """Random bytes put into, taken out of and changed in a head: never another meaning."""
    chance = random.Random(SEED)
    first = read(HEAD)
    taken = refused = 0
    for _ in range(20_000):
        raw = bytearray(HEAD[:-4])
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(raw))
            piece = chance.choice(
                [b"\r", b"\n", b" ", b":", b"\x00", b"7", b"k-", b"\xe9", b"\r\n"]
            )
            raw[at : at + chance.randint(0, 2)] = piece
        damaged = bytes(raw) + b"\r\n\r\n"
        if damaged.index(b"\r\n\r\n") != len(damaged) - 4:
            continue  # the door would have taken the first of the two ends
        found = first.like(damaged)
        if found is None:
            continue
        try:
            fresh = read(damaged)
        except HeadError:
            refused += 1
            continue
        taken += 1
        assert told(found) == told(fresh), damaged
    assert refused == 0, f"seed {SEED}"
    assert taken > 300
