"""Shapes of Helicone keys (proxy.md 1.7)."""

import hashlib

import pytest

from appliance.core.keys import _parse_key, generate_key, hash_key, is_key_hash, parse_key

G = "abcdefg-1234567-hijklmn-7654321"
UUID = "123e4567-e89b-42d3-a456-426614174000"


@pytest.mark.parametrize(
    ("text", "kind", "write_only", "region", "limited"),
    [
        (f"sk-helicone-{G}", "api", False, "us", False),
        (f"pk-helicone-{G}", "api", True, "us", False),
        (f"sk-helicone-eu-{G}", "api", False, "eu", False),
        (f"pk-helicone-eu-{G}", "api", True, "eu", False),
        (f"sk-helicone-rl-{G}", "api", False, "us", True),
        (f"sk-helicone-eu-rl-{G}", "api", False, "eu", True),
        (f"sk-cp-{G}", "portal", False, "us", False),
        (f"pk-helicone-eu-cp-{G}", "portal", True, "eu", False),
        (f"sk-{G}", "api", False, "us", False),
        (f"sk-helicone-proxy-{G}-{UUID}", "proxy", False, "us", False),
    ],
)
def test_shapes(text: str, kind: str, write_only: bool, region: str, limited: bool) -> None:
    shape = parse_key(text)
    assert shape is not None
    assert (shape.kind, shape.write_only, shape.region, shape.limited) == (
        kind, write_only, region, limited,
    )  # fmt: skip
    assert shape.stand_in == (kind != "api")


@pytest.mark.parametrize(
    "text",
    [
        "", "sk-helicone", "sk-helicone-", f"sk-helicone-{G}x", f"SK-HELICONE-{G}",
        f"sk-helicone-{G.upper()}", f"pk-{G}", f"sk-eu-{G}", f"sk-rl-{G}", f" sk-helicone-{G}",
        "sk-proj-abcdefghijklmnop", "sk-ant-api03-abcdefg", f"Bearer sk-helicone-{G}",
        f"sk-helicone-{G}\n", "sk-helicone-" + "a" * 100_000, "sk-helicone-äbcdefg-1234567",
        f"sk-helicone-proxy-{G}", f"sk-proxy-{G}-{UUID}",
    ],
)  # fmt: skip
def test_other_text_is_no_key(text: str) -> None:
    assert parse_key(text) is None


@pytest.mark.parametrize("region", ["us", "eu"])
@pytest.mark.parametrize("write_only", [True, False])
def test_generated_keys_have_the_shape(write_only: bool, region: str) -> None:
    key = generate_key(write_only=write_only, region=region)
    shape = parse_key(key)
    assert shape is not None
    assert (shape.kind, shape.write_only, shape.region) == ("api", write_only, region)
    assert generate_key() != generate_key()


def test_hash_is_that_of_the_bearer_text() -> None:
    key = f"sk-helicone-{G}"
    assert hash_key(key) == hashlib.sha256(f"Bearer {key}".encode()).hexdigest()
    assert is_key_hash(hash_key(key))
    assert not is_key_hash(key)
    assert hash_key("any \udcff bytes")


def test_what_is_too_long_for_a_key_is_not_remembered() -> None:
    """Or strangers could fill a memory of 4,096 places with whole header blocks."""
    _parse_key.cache_clear()
    assert parse_key("sk-helicone-" + "a" * 60_000) is None
    assert _parse_key.cache_info().currsize == 0
