"""Whom a rate limit counts (proxy.md 5.2), and the keys of buckets."""

import pytest

from appliance.core.rate_policy import parse_policy
from appliance.core.rate_segment import (
    KEYS_CACHED_MAX,
    bucket_key,
    bucket_text,
    cleaned,
    segment_value,
    user_of_body,
)

ORG = bytes.fromhex("00000000000040008000000000000001")
HEX = ORG.hex()


@pytest.mark.parametrize(
    ("policy", "user_id", "properties", "value"),
    [
        ("1;w=60", "", {}, ""),
        ("1;w=60", "ann", {"a": "b"}, ""),
        ("1;w=60;s=user", "ann", {}, "ann"),
        ("1;w=60;s=user", "", {}, None),
        ("1;w=60;s=user", "  ", {}, None),
        ("1;w=60;s=user", "\x00\x1f", {}, None),
        ("1;w=60;s=user", "", {"user": "ann"}, None),
        ("1;w=60;s=Customer", "", {"customer": "acme"}, "acme"),
        ("1;w=60;s=customer", "", {"CusTomer": "acme"}, "acme"),
        ("1;w=60;s=helicone-session-id", "", {"Helicone-Session-Id": "s-1"}, "s-1"),
        ("1;w=60;s=customer", "ann", {}, None),
        ("1;w=60;s=customer", "ann", {"customer": ""}, None),
        ("1;w=60;s=customer", "ann", {"customer2": "acme"}, None),
    ],
)
def test_the_value_of_a_segment(
    policy: str, user_id: str, properties: dict[str, str], value: str | None
) -> None:
    assert segment_value(parse_policy(policy), user_id, properties) == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("ann", "ann"),
        ("a:b::c", "a_b__c"),
        ("  ann \t", "ann"),
        ("a\x00b\x1fc\x7fd\x85e\r\nf", "abcdef"),
        ("\x00 ann", "ann"),
        ("a b", "a b"),
        ("ünïcode ☕", "ünïcode ☕"),
        ("x" * 300, "x" * 256),
        (" " * 300 + "x", "x"),
    ],
)
def test_values_are_cleaned(written: str, value: str) -> None:
    assert cleaned(written) == value


@pytest.mark.parametrize(
    ("policy", "value", "text"),
    [
        ("1;w=60", "", f"tb:{HEX}:global::request"),
        ("1;w=60;u=cents", "", f"tb:{HEX}:global::cents"),
        ("1;w=60;s=user", "ann", f"tb:{HEX}:user:ann:request"),
        ("1;w=60;u=cents;s=user", "ann", f"tb:{HEX}:user:ann:cents"),
        ("1;w=60;s=Plan", "gold", f"tb:{HEX}:prop:plan:gold:request"),
        ("1;w=60;s=" + "a" * 200, "x", f"tb:{HEX}:prop:{'a' * 128}:x:request"),
    ],
)
def test_the_identity_of_a_bucket(policy: str, value: str, text: str) -> None:
    assert bucket_text(ORG, parse_policy(policy), value) == text


def test_quota_and_window_are_no_part_of_the_identity() -> None:
    texts = {bucket_text(ORG, parse_policy(text), "") for text in ("1;w=60", "9;w=60", "1;w=99")}
    assert len(texts) == 1


def test_different_organisations_segments_names_values_and_units_have_their_own() -> None:
    policies = [
        "1;w=60", "1;w=60;u=cents", "1;w=60;s=user", "1;w=60;u=cents;s=user", "1;w=60;s=a",
        "1;w=60;s=b", "1;w=60;s=global", "1;w=60;s=users",
    ]  # fmt: skip
    keys = {
        bucket_key(bucket_text(org, parse_policy(policy), value), secret)
        for org in (ORG, b"o" * 16)
        for policy in policies
        for value in ("a", "b")
        for secret in (b"s" * 32, b"t" * 32)
    }
    # The two policies of all have no value.
    assert len(keys) == (len(policies) * 2 - 2) * 2 * 2


def test_a_key_tells_nothing() -> None:
    key = bucket_key(f"tb:{HEX}:user:ann@example.com:request", b"s" * 32)
    assert len(key) == 16
    assert b"ann" not in key
    assert bucket_key("lone \udc80 surrogate", b"s" * 32) != bucket_key("lone ", b"s" * 32)
    assert bucket_key.cache_info().maxsize == KEYS_CACHED_MAX


@pytest.mark.parametrize(
    ("body", "user"),
    [
        (b'{"model":"m","user":"ann","messages":[{"user":"no"}]}', "ann"),
        (b'{"user":"a\\u00fc"}', "a\u00fc"),
        (b'{"messages":[{"user":"no"}]}', ""),
        (b'{"user":null}', ""),
        (b'{"user":5}', ""),
        (b'{"user":{"id":"ann"}}', ""),
        (b'["user"]', ""),
        (b'"user"', ""),
        (b"user=ann", ""),
        (b'{"user":"an', ""),
        (b'{"user":"\xff"}', ""),
        (b'{"a":' + b"[" * 100_000 + b',"user":"ann"}', ""),
        (b"", ""),
    ],
)
def test_the_user_of_a_body(body: bytes, user: str) -> None:
    assert user_of_body(body) == user
