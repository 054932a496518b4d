"""Fallback targets: what is sent to each, and when the next one is tried (proxy.md 6.2)."""

import json
from typing import Any

import pytest

from appliance.core.ask_types import Asks
from appliance.core.asks import parse_asks
from appliance.core.fallbacks import (
    BODY_HEADERS,
    ENTRIES_MAX,
    FallbackTarget,
    goes_on,
    targets_of,
    with_override,
)
from appliance.errors import Refusal

CLIENT = {
    b"content-type": b"application/json",
    b"content-encoding": b"gzip",
    b"authorization": b"Bearer sk-first",
    b"x-own": b"1",
}


def entry(**changes: Any) -> dict[str, Any]:
    return {"target-url": "https://api.openai.com", "headers": {}, "onCodes": [429], **changes}


def asked(entries: list[dict[str, Any]], **headers: str) -> Asks:
    sent = {b"helicone-fallbacks": json.dumps(entries).encode()}
    sent |= {f"helicone-{k.replace('_', '-')}".encode(): v.encode() for k, v in headers.items()}
    return parse_asks(sent)


def targets(*entries: dict[str, Any], **headers: str) -> tuple[FallbackTarget, ...]:
    return targets_of(asked(list(entries), **headers), CLIENT)


def test_an_entrys_headers_replace_the_clients() -> None:
    first, second = targets(
        entry(headers={"Authorization": "Bearer sk-a", "Content-Type": "text/plain"}),
        entry(**{"target-url": "https://other.example/base/"}, headers={"api-key": "k"}),
    )
    assert first.headers == [
        (b"content-encoding", b"gzip"),
        (b"Authorization", b"Bearer sk-a"),
        (b"Content-Type", b"text/plain"),
    ]
    assert second.headers == [
        (b"content-type", b"application/json"),
        (b"content-encoding", b"gzip"),
        (b"api-key", b"k"),
    ]
    assert (first.index, second.index) == (0, 1)
    assert second.target.base_url == "https://other.example/base"


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Helicone-Auth", "helicone-x"],
)
def test_what_frames_a_message_or_is_ours_never_goes_out(name: str) -> None:
    (target,) = targets(entry(headers={name: "x", "A": "b"}))
    assert target.headers[2:] == [(b"A", b"b")]


def test_a_helicone_key_never_goes_out() -> None:
    key = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyz23"
    (target,) = targets(entry(headers={"Authorization": f"Bearer {key}"}))
    assert all(key.encode() not in value for _, value in target.headers)
    assert (target.credentials.key, target.credentials.stand_in) == (key, "")


def test_a_stand_in_for_a_providers_key_is_found_but_not_sent() -> None:
    key = "sk-helicone-proxy-abcdefg-hijklmn-opqrstu-vwxyz23-3f1d1c7e-3b4a-4e7d-9c55-1a2b3c4d5e6f"
    (target,) = targets(entry(headers={"authorization": f"Bearer {key}"}))
    assert target.credentials.stand_in == key
    assert target.headers == [(name, CLIENT[name]) for name in BODY_HEADERS]


@pytest.mark.parametrize(
    ("codes", "status", "next_one"),
    [
        ([429], 429, True), ([429], 428, False), ([429], 500, False), ([], 500, False),
        ([{"from": 500, "to": 599}], 500, True), ([{"from": 500, "to": 599}], 599, True),
        ([{"from": 500, "to": 599}], 499, False), ([{"from": 500, "to": 599}], 600, False),
        ([401, {"from": 400, "to": 400}], 400, True), ([{"from": 9, "to": 1}], 5, False),
        ([200], 200, True),
    ],
)  # fmt: skip
def test_which_statuses_lead_on(codes: list[Any], status: int, next_one: bool) -> None:
    tried = targets(entry(onCodes=codes), entry(onCodes=codes))
    assert goes_on(tried, 0, status) is next_one
    assert goes_on(tried, 1, status) is False


@pytest.mark.parametrize(
    ("body", "override", "expected"),
    [
        ({"model": "a", "n": 1}, {"model": "b"}, {"model": "b", "n": 1}),
        ({"model": "a"}, {"stop": None, "n": 2}, {"model": "a", "stop": None, "n": 2}),
        ({"m": [1, 2]}, {"m": [3]}, {"m": [3]}),
        ({"o": {"a": {"x": 1}, "b": 2}}, {"o": {"a": {"y": 3}}},
         {"o": {"a": {"x": 1, "y": 3}, "b": 2}}),
        ({"o": 5}, {"o": {"a": 1}}, {"o": {"a": 1}}),
        ({"o": {"a": 5}}, {"o": {"a": {"b": {}}}}, {"o": {"a": {"b": {}}}}),
        ({"o": {"a": 1}}, {"o": 2}, {"o": 2}),
        ({}, {"o": {"__proto__": {"x": 1}, "a": 1}}, {"o": {"a": 1}}),
        ({"a": 1}, {"constructor": 1, "prototype": 2, "b": 3}, {"a": 1, "b": 3}),
    ],
)  # fmt: skip
def test_overrides_are_merged(body: Any, override: Any, expected: Any) -> None:
    assert json.loads(with_override(json.dumps(body).encode(), override)) == expected


def test_what_is_not_overridden_keeps_its_bytes() -> None:
    body = b'{"temperature": 1.50, "seed": 123456789012345678901234567890, "model": "a"}'
    edited = with_override(body, {"model": "b"})
    assert b"1.50" in edited
    assert b"123456789012345678901234567890" in edited
    assert with_override(body, {}) is body
    assert with_override(b"not json", {"__proto__": 1}) == b"not json"


def test_overrides_do_not_persist_to_later_entries() -> None:
    first, second = targets(entry(bodyKeyOverride={"a": 1}), entry(bodyKeyOverride={"b": 2}))
    body = b"{}"
    assert json.loads(with_override(body, first.body_override)) == {"a": 1}
    assert json.loads(with_override(body, second.body_override)) == {"b": 2}


@pytest.mark.parametrize("body", [b"", b"[1]", b'"x"', b'{"a":', b"\xff\xfe", b"[" * 5000])
def test_a_body_that_cannot_be_overridden_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="bodyKeyOverride, but the body is not a JSON object"):
        with_override(body, {"model": "b"})


@pytest.mark.parametrize(
    ("headers", "own", "read", "buckets", "seed"),
    [
        ({"cache_enabled": "true", "cache_seed": "s"}, {}, True, 1, "s"),
        ({"cache_enabled": "true", "cache_seed": "s"}, {"cache-control": "no-store"}, True, 1, "s"),
        (
            {"cache_enabled": "true", "cache_seed": "s"},
            {"Helicone-Cache-Enabled": "true", "Helicone-Cache-Bucket-Max-Size": "3"},
            True, 3, "",
        ),
        ({"cache_enabled": "true"}, {"Helicone-Cache-Enabled": "false"}, False, 1, ""),
        ({}, {"helicone-cache-enabled": "true"}, True, 1, ""),
        ({}, {}, False, 1, ""),
    ],
)  # fmt: skip
def test_caching_is_the_clients_unless_an_entry_has_its_own(
    headers: dict[str, str], own: dict[str, str], read: bool, buckets: int, seed: str
) -> None:
    (target,) = targets(entry(headers=own), user_id="ann", **headers)
    asks = target.asks
    assert (asks.cache_read, asks.cache_save) == (read, read)
    assert (asks.cache_buckets, asks.cache_seed, asks.user_id) == (buckets, seed, "ann")


def test_an_entrys_own_cache_age() -> None:
    own = {"Helicone-Cache-Enabled": "true", "Cache-Control": "max-age=9"}
    (target,) = targets(entry(headers=own), cache_enabled="true")
    assert target.asks.cache_age_s == 9


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([entry(**{"target-url": "openai"})], r"helicone-fallbacks\[0\].target-url does not"),
        ([entry(), entry(**{"target-url": "https://a b"})], r"\[1\].target-url is not a URL"),
        ([entry(headers={"a b": "c"})], r"\[0\].headers: field name"),
        ([entry(headers={"a": "c\r\nd: e"})], r"\[0\].headers: control character"),
        ([entry(headers={"Helicone-Cache-Bucket-Max-Size": "21"})], "is at most 20"),
        ([entry()] * (ENTRIES_MAX + 1), f"has {ENTRIES_MAX + 1} entries, at most {ENTRIES_MAX}"),
    ],
)  # fmt: skip
def test_refusals_name_the_entry(entries: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        targets(*entries)


def test_an_override_is_bounded_in_depth() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for _ in range(depth):
            value = {"a": [value]}
        return value

    targets(entry(bodyKeyOverride=nested(15)))
    with pytest.raises(Refusal, match="bodyKeyOverride is nested too deep"):
        targets(entry(bodyKeyOverride=nested(17)))


def test_no_fallbacks_are_no_targets() -> None:
    assert targets_of(Asks(), CLIENT) == ()
