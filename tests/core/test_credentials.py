"""Where a Helicone key may be, and that it leaves in no header (proxy.md 1.7, 1.8)."""

import pytest

from appliance.core.credentials import (
    Credentials,
    find_credentials,
    forward_headers,
    without_bearer,
)

G = "abcdefg-1234567-hijklmn-7654321"
KEY = f"sk-helicone-{G}"
OTHER = f"pk-helicone-eu-{G}"
PROXY = f"sk-helicone-proxy-{G}-123e4567-e89b-42d3-a456-426614174000"
OPENAI = "sk-proj-abc"


@pytest.mark.parametrize(
    ("headers", "in_path", "key", "place", "own"),
    [
        ({}, "", "", "", False),
        ({"helicone-auth": f"Bearer {KEY}"}, "", KEY, "helicone-auth", False),
        ({"helicone-auth": KEY}, "", KEY, "helicone-auth", False),
        ({"helicone-auth": f"bearer {KEY}"}, "", KEY, "helicone-auth", False),
        ({"helicone-auth": f"Bearer {KEY}"}, OTHER, KEY, "helicone-auth", False),
        ({"helicone-auth": "Bearer nonsense"}, "", "nonsense", "helicone-auth", False),
        ({}, KEY, KEY, "path", False),
        ({"authorization": f"Bearer {OPENAI}"}, KEY, KEY, "path", True),
        ({"authorization": f"Bearer {OPENAI}, Bearer {KEY}"}, "", KEY, "authorization", True),
        ({"authorization": f"Bearer {KEY},Bearer {OPENAI}"}, "", KEY, "authorization", True),
        ({"authorization": f"Bearer {OPENAI}, {KEY}"}, "", KEY, "authorization", True),
        (
            {"helicone-auth": f"Bearer {OTHER}", "authorization": f"Bearer {OPENAI}, Bearer {KEY}"},
            "",
            OTHER,
            "helicone-auth",
            True,
        ),
        ({"authorization": f"Bearer {KEY}"}, "", KEY, "authorization", False),
        ({"authorization": KEY}, "", KEY, "authorization", False),
        ({"x-api-key": KEY}, "", KEY, "x-api-key", False),
        ({"x-api-key": f"Bearer {KEY}"}, "", KEY, "x-api-key", False),
        (
            {"x-api-key": "sk-ant-x", "authorization": f"Bearer {KEY}"},
            "",
            KEY,
            "authorization",
            True,
        ),
        ({"x-api-key": KEY, "authorization": f"Bearer {OPENAI}"}, "", KEY, "x-api-key", True),
        ({"authorization": f"Bearer {OPENAI}"}, "", "", "", True),
        ({"api-key": "azure"}, "", "", "", True),
        ({"x-goog-api-key": "AIza"}, "", "", "", True),
        ({"authorization": "Bearer "}, "", "", "", False),
        (
            {"authorization": "Bearer sk-helicone-bogus"},
            "",
            "sk-helicone-bogus",
            "authorization",
            False,
        ),
    ],
)
def test_places(headers: dict[str, str], in_path: str, key: str, place: str, own: bool) -> None:
    found = find_credentials({n.encode(): v.encode() for n, v in headers.items()}, in_path)
    assert (found.key, found.place, found.own) == (key, place, own)
    assert not found.stand_in


def test_a_proxy_key_stands_in_for_the_providers() -> None:
    found = find_credentials({b"authorization": f"Bearer {PROXY}".encode()})
    assert found == Credentials(stand_in=PROXY)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"'; DROP TABLE api_keys--", b"\0", b"x" * 60_000])
def test_odd_bytes_are_only_an_unknown_key(value: bytes) -> None:
    assert find_credentials({b"helicone-auth": b"Bearer " + value}).shape is None
    assert find_credentials({b"authorization": value}).own
    assert without_bearer(b"Bearer " + value) == without_bearer(value)


def test_what_is_forwarded_is_untouched_and_in_order() -> None:
    headers = [
        (b"Host", b"127.0.0.1:8585"),
        (b"Content-Type", b"application/json"),
        (b"Helicone-Auth", f"Bearer {KEY}".encode()),
        (b"Accept", b"*/*"),
        (b"X-A", b"1"),
        (b"x-a", b"2"),
        (b"Connection", b"keep-alive"),
        (b"HELICONE-Property-App", b"x"),
        (b"Authorization", b"Bearer sk-proj-abc"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"2"),
        (b"Expect", b"100-continue"),
        (b"TE", b"trailers"),
        (b"__helicone-mock-response", b"{}"),
        (b"Upgrade", b"h2c"),
        (b"Accept-Encoding", b"gzip"),
    ]
    assert forward_headers(headers) == [
        (b"Content-Type", b"application/json"), (b"Accept", b"*/*"), (b"X-A", b"1"),
        (b"x-a", b"2"), (b"Authorization", b"Bearer sk-proj-abc"), (b"Accept-Encoding", b"gzip"),
    ]  # fmt: skip


def test_what_connection_lists_is_hop_by_hop() -> None:
    headers = [(b"Connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"X-Stay", b"1")]
    assert forward_headers(headers) == [(b"X-Stay", b"1")]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("Authorization", f"Bearer {OPENAI}, Bearer {KEY}", f"Bearer {OPENAI}"),
        ("Authorization", f"Bearer {KEY}, Bearer {OPENAI}", f"Bearer {OPENAI}"),
        ("Authorization", f"Bearer {KEY}", None),
        ("Authorization", f"Bearer {PROXY}", None),
        ("Authorization", f"Bearer sk-{G}", None),
        ("Authorization", f"Bearer sk-cp-{G}", None),
        ("Authorization", "Bearer sk-helicone-bogus", None),
        ("x-api-key", KEY, None),
        ("api-key", OTHER, None),
        ("x-goog-api-key", KEY, None),
        ("Cookie", f"a=b; key={KEY}", None),
        ("Referer", f"http://localhost:8585/{KEY}/v1", None),
        ("Authorization", f"Bearer sk-proj-{G}", f"Bearer sk-proj-{G}"),
        ("X-Trace", f"task-{G}", f"task-{G}"),
    ],
)
def test_a_helicone_key_leaves_in_no_header(name: str, value: str, kept: str | None) -> None:
    sent = forward_headers([(name.encode(), value.encode()), (b"Accept", b"*/*")])
    expected = [] if kept is None else [(name.encode(), kept.encode())]
    assert sent == [*expected, (b"Accept", b"*/*")]


def test_a_key_on_file_of_any_shape_is_taken_out() -> None:
    key = "an-old-key-of-no-known-shape"
    headers = [(b"Authorization", f"Bearer {key}".encode()), (b"A", b"b")]
    assert forward_headers(headers, key) == [(b"A", b"b")]
    assert forward_headers(headers, "A") == headers


def test_signing_secrets_go_to_nobody() -> None:
    names = (b"AWS-Access-Key", b"aws-secret-key", b"Aws-Session-Token")
    headers = [*((name, b"s") for name in names), (b"Accept", b"*/*")]
    assert forward_headers(headers) == [(b"Accept", b"*/*")]
