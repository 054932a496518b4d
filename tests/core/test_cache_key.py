"""Cache keys: what tells two requests apart, and what must not (`proxy.md 4.1`, 12)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.cache_key import KEY_BYTES, KeyHead, keyed_headers, slot_of, without_ignored

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi","user":"in"}],"user":"ann"}'
HEADERS = [
    (b"Authorization", b"Bearer sk-provider"),
    (b"Helicone-Auth", b"Bearer sk-helicone-a"),
    (b"Helicone-Cache-Enabled", b"true"),
    (b"User-Agent", b"curl"),
]
SAME: dict[str, Any] = {
    "secret": b"secret", "region": "us", "org": b"o" * 16, "method": b"POST",
    "url": b"https://api.openai.com/v1/chat/completions", "headers": HEADERS,
}  # fmt: skip


def key(body: bytes = BODY, **other: Any) -> bytes:
    return KeyHead(**{**SAME, **other}).key(body)


@pytest.mark.parametrize(
    "other",
    [
        {"secret": b"another"},
        {"region": "eu"},
        {"org": b"p" * 16},
        {"method": b"GET"},
        {"url": b"https://api.openai.com/v1/chat/completions?a=1"},
        {"url": b"https://api.groq.com/v1/chat/completions"},
        {"seed": "7"},
        {"variant": b"messages"},
        {"body": BODY + b" "},
        {"headers": [*HEADERS, (b"Helicone-Cache-Bucket-Max-Size", b"3")]},
        {"headers": [*HEADERS, (b"helicone-cache-control", b"max-age=1")]},
        {"headers": [*HEADERS, (b"X-Api-Key", b"sk-ant")]},
        {"headers": [*HEADERS, (b"api-key", b"azure")]},
        {"headers": [*HEADERS, (b"x-goog-api-key", b"AIza")]},
        {"headers": [*HEADERS, (b"Authorization", b"Bearer second")]},
        {"headers": HEADERS[1:]},
        {"headers": [HEADERS[0], *HEADERS[2:]]},
    ],
    ids=str,
)
def test_these_are_different_requests(other: dict[str, Any]) -> None:
    assert key(**other) != key()
    assert len(key()) == KEY_BYTES


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS[::-1],
        [(name.upper(), value) for name, value in HEADERS],
        [*HEADERS, (b"Cache-Control", b"max-age=60")],
        [*HEADERS, (b"Helicone-User-Id", b"ann"), (b"Helicone-Property-App", b"x")],
        [*HEADERS, (b"Helicone-Request-Id", b"another")],
        [*HEADERS, (b"X-Stainless-Retry-Count", b"1")],
        # One half reads what the other has saved.
        [*HEADERS[:2], (b"Helicone-Cache-Save", b"true")],
        [*HEADERS[:2], (b"Helicone-Cache-Read", b"TRUE")],
    ],
)
def test_these_are_the_same_request(headers: list[tuple[bytes, bytes]]) -> None:
    assert key(headers=headers) == key()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"Bearer ya29.a0", b"Bearer ya29.b1", True),
        (b"Bearer ya29.a0", b"", True),
        (b"Bearer sk-ya29.a", b"Bearer sk-ya29.b", False),
        (b"Bearer sk-1", b"Bearer sk-2", False),
    ],
)
def test_google_tokens_rotate(one: bytes, other: bytes, same: bool) -> None:
    keys = [key(headers=[(b"authorization", value)] if value else []) for value in (one, other)]
    assert (keys[0] == keys[1]) is same


def test_kept_header_lines_are_lower_case_and_sorted() -> None:
    lines = [(b"X-API-Key", b"b"), (b"Accept", b"c"), (b"Helicone-Cache-Seed", b"a")]
    assert keyed_headers(lines) == [(b"helicone-cache-seed", b"a"), (b"x-api-key", b"b")]


def test_parts_do_not_run_together() -> None:
    assert key(url=b"ab", method=b"c") != key(url=b"a", method=b"bc")
    assert key(seed="a", variant=b"b") != key(seed="ab")
    assert key(headers=[(b"api-key", b"a"), (b"api-key", b"b")]) != key(
        headers=[(b"api-key", b"a7:api-key1:b")]
    )
    assert key(body=b"x", variant=b"") != key(body=b"", variant=b"x")


@pytest.mark.parametrize(
    ("body", "other", "same"),
    [
        (BODY, BODY.replace(b'"ann"', b'"bob"'), True),
        (BODY, BODY.replace(b',"user":"ann"', b""), True),
        (BODY, BODY.replace(b'"in"', b'"out"'), False),  # not at the top
        (BODY, BODY.replace(b"gpt-4o", b"gpt-4"), False),
        (b'{"user":1, "a": 2}', b'{"a":2}', True),  # written anew
        (b'[{"user":1}]', b'[{"user":2}]', False),
        (b"user=1", b"user=2", False),
        (b'{"user":1', b'{"user":2', False),
    ],
)
def test_ignored_keys(body: bytes, other: bytes, same: bool) -> None:
    ignored = ("user", "metadata")
    assert (key(body, ignored=ignored) == key(other, ignored=ignored)) is same
    if same:
        assert key(body) != key(other)


def test_what_is_no_object_stays_as_it_is() -> None:
    broken = (b'{"a":"\xff"}', b'{"a":%b}' % (b"9" * 30), b"[" * 100_000)
    for body in (b"", b"text", b"[1]", b'"user"', b"{", b"\xff", *broken):
        assert without_ignored(body, ("user",)) == body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "user"]), json_values), json_values)
def test_an_ignored_key_may_have_any_value(document: dict[str, Any], value: Any) -> None:
    try:
        bodies = [msgspec.json.encode(document | {"user": v}) for v in (value, 1)]
    except OverflowError:  # an integer that the encoder has no place for
        return
    first, second = (without_ignored(body, ("user",)) for body in bodies)
    assert first == second
    assert "user" not in msgspec.json.decode(first)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_key(body: bytes) -> None:
    assert len(key(body, ignored=("a",))) == KEY_BYTES


@given(st.lists(st.binary(max_size=20)))
def test_a_key_grows_with_its_body(pieces: list[bytes]) -> None:
    head = KeyHead(**SAME)
    growing = head.growing()
    for piece in pieces:
        growing.add(piece)
    assert growing.key() == head.key(b"".join(pieces))


def test_a_head_is_used_again() -> None:
    head = KeyHead(**SAME)
    assert head.key(b"a") == head.key(b"a") != head.key(b"b")


def test_slots_of_a_key() -> None:
    slots = [slot_of(key(), bucket) for bucket in range(20)]
    assert slots[0] == key()
    assert len(set(slots)) == 20


def test_without_an_organisation_there_is_no_key() -> None:
    with pytest.raises(AssertionError):
        key(org=b"")
