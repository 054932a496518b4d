"""The grammar of rate limit policies (proxy.md 5.1), and what a policy is worth."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import rate_policy
from appliance.core.rate_policy import (
    GRAINS_PER_CENT,
    GRAINS_PER_REQUEST,
    POLICY_CHARACTERS_MAX,
    QUOTA_MAX,
    PolicyInvalid,
    parse_policy,
    stored_policy,
)


@pytest.mark.parametrize(
    ("written", "capacity", "window_s", "unit", "segment", "limit", "canonical"),
    [
        ("1000;w=3600", 1000 * 10**6, 3600, "request", "", "1000", "1000;w=3600"),
        ("0.5;w=60;u=cents", 5 * 10**9, 60, "cents", "", "0.5", "0.5;w=60;u=cents"),
        ("100;w=60;u=request", 10**8, 60, "request", "", "100", "100;w=60"),
        ("100;w=60;s=user", 10**8, 60, "request", "user", "100", "100;w=60;s=user"),
        ("100;w=60;s=USER", 10**8, 60, "request", "user", "100", "100;w=60;s=user"),
        ("100;w=60;s=App_Name-2", 10**8, 60, "request", "app_name-2", "100",
         "100;w=60;s=app_name-2"),
        ("5;W=31536000;U=Cents;S=Org", 5 * 10**10, 31536000, "cents", "org", "5",
         "5;w=31536000;u=cents;s=org"),
        (" \t100;w=60\n", 10**8, 60, "request", "", "100", "100;w=60"),
        ("0100.50;w=060", 100_500_000, 60, "request", "", "100.5", "100.5;w=60"),
        ("10.0;w=60", 10**7, 60, "request", "", "10", "10;w=60"),
        (f"{QUOTA_MAX};w=60;u=cents", QUOTA_MAX * 10**10, 60, "cents", "", str(QUOTA_MAX),
         f"{QUOTA_MAX};w=60;u=cents"),
        ("0.0000000001;w=60", 1, 60, "request", "", "0.0000000001", "0.0000000001;w=60"),
        ("0.1234565;w=60", 123_456, 60, "request", "", "0.1234565", "0.1234565;w=60"),
    ],
)  # fmt: skip
def test_valid_policies(
    written: str, capacity: int, window_s: int, unit: str, segment: str, limit: str, canonical: str
) -> None:
    policy = parse_policy(written)
    assert (policy.capacity, policy.window_s, policy.unit, policy.segment) == (
        capacity, window_s, unit, segment,
    )  # fmt: skip
    assert policy.window_us == window_s * 1_000_000
    assert policy.one == (GRAINS_PER_CENT if unit == "cents" else GRAINS_PER_REQUEST)
    assert (policy.limit.decode(), policy.text.decode()) == (limit, canonical)
    assert parse_policy(canonical) == policy, "the canonical text means the same"


INVALID = [
    ("", "policy", "'' is not a quota"),
    ("   ", "policy", "'' is not a quota"),
    ("w=60", "policy", "'w=60' is not a quota"),
    ("100", "policy", "after the quota comes ;w="),
    ("100;", "policy", "after the quota comes ;w="),
    ("100;w=", "policy", "after the quota comes ;w="),
    ("100;w=60.5", "policy", "after the quota comes ;w="),
    ("100;w=-60", "policy", "after the quota comes ;w="),
    ("100;s=user;w=60", "policy", "after the quota comes ;w="),
    ("100:w=60", "policy", "'100:w=60' is not a quota"),
    ("-1;w=60", "policy", "'-1' is not a quota"),
    ("+1;w=60", "policy", "'+1' is not a quota"),
    ("1e3;w=60", "policy", "'1e3' is not a quota"),
    (".5;w=60", "policy", "'.5' is not a quota"),
    ("5.;w=60", "policy", "'5.' is not a quota"),
    ("1_000;w=60", "policy", "'1_000' is not a quota"),
    ("١٠٠;w=60", "policy", "is not a quota"),
    ("100;w=٦٠", "policy", "after the quota comes ;w="),
    ("inf;w=60", "policy", "'inf' is not a quota"),
    ("100; w=60", "policy", "blanks"),
    ("100;w=60 ;u=cents", "policy", "blanks"),
    ("100;w=60;x=extra", "policy", "'x=extra' is not known"),
    ("100;w=60;", "policy", "'' is not known"),
    ("100;w=60;u=tokens", "policy", "'tokens' is not request or cents"),
    ("100;w=60;u=", "policy", "'' is not request or cents"),
    ("100;w=60;s=", "policy", "the segment '' is not"),
    ("100;w=60;s=a.b", "policy", "the segment 'a.b' is not"),
    ("100;w=60;s=Straße", "policy", "the segment 'Straße' is not"),
    ("100;w=60;ſ=user", "policy", "'ſ=user' is not known"),  # what ignoring case would make an s
    ("100;w=60;s=K\u0065y\u212a", "policy", "is not user or a property"),  # and a k
    ("100;w=60;s=user;u=cents", "policy", "another order"),
    ("100;w=60;u=cents;u=cents", "policy", "another order"),
    ("100;w=60;s=a;s=b", "policy", "another order"),
    ("100;w=59", "window", "w=59 is not between 60 and 31536000"),
    ("100;w=0", "window", "w=0"),
    ("100;w=31536001", "window", "w=31536001"),
    ("0;w=60", "quota", "0 is not above 0"),
    ("0.000;w=60", "quota", "0 is not above 0"),
    (f"{QUOTA_MAX + 1};w=60", "quota", f"at most {QUOTA_MAX}"),
    ("9" * 200 + ";w=60", "quota", "at most"),
    ("0;w=59", "quota", "0 is not above 0"),
    ("1;w=60;s=" + "a" * POLICY_CHARACTERS_MAX, "policy", "longer than"),
]


@pytest.mark.parametrize(("written", "field", "says"), INVALID)
def test_invalid_policies_name_the_field_and_what_to_write(
    written: str, field: str, says: str
) -> None:
    for _ in range(2):  # the second is answered from what was kept
        with pytest.raises(PolicyInvalid) as raised:
            parse_policy(written)
        assert raised.value.field == field
        assert raised.value.message.startswith(f"{field}: ")
        assert says in raised.value.message


def test_what_was_parsed_is_kept_within_bounds() -> None:
    assert parse_policy("100;w=60") is parse_policy(" 100;w=60 ")
    rate_policy._parse.cache_clear()
    with pytest.raises(PolicyInvalid):
        parse_policy("1" * (POLICY_CHARACTERS_MAX + 1))
    assert rate_policy._parse.cache_info().currsize == 0, "long texts never reach the cache"
    assert rate_policy._parse.cache_info().maxsize == rate_policy.POLICIES_CACHED_MAX


@pytest.mark.parametrize(
    ("fields", "canonical"),
    [
        ((100, 60), "100;w=60"),
        ((100, 60, "request", "global"), "100;w=60"),
        ((100, 60, "request", ""), "100;w=60"),
        ((0.5, 60, "cents", "user"), "0.5;w=60;u=cents;s=user"),
        ((Decimal("1E+3"), 3600, "cents"), "1000;w=3600;u=cents"),
        (("2.50", 60, "request", "Customer"), "2.5;w=60;s=customer"),
    ],
)
def test_stored_fields_make_the_same_policies(fields: tuple[Any, ...], canonical: str) -> None:
    assert stored_policy(*fields) == parse_policy(canonical)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ((0, 60), "quota"),
        ((float("nan"), 60), "quota"),
        (("many", 60), "quota"),
        ((-1, 60), "policy"),
        ((1, 59), "window"),
        ((1, 60, "tokens"), "policy"),
        ((1, 60, "request", "a b"), "policy"),
        ((1, 60, "request", "a;x=1"), "policy"),
    ],
)
def test_stored_fields_are_held_to_the_same_rules(fields: tuple[Any, ...], field: str) -> None:
    with pytest.raises(PolicyInvalid) as raised:
        stored_policy(*fields)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("written", "per_minute"),
    [("100;w=60", 100), ("1;w=3600;u=cents", Fraction(1, 60)), ("0.5;w=30000", Fraction(1, 1000))],
)
def test_what_is_granted_in_a_minute(written: str, per_minute: Fraction | int) -> None:
    assert parse_policy(written).per_minute == per_minute


@given(st.text(alphabet="0123456789.;wus=WUScentruqX_- ", max_size=40))
def test_any_text_is_a_policy_or_says_what_is_wrong(text: str) -> None:
    found = rate_policy._parse(text)
    if isinstance(found, tuple):
        assert found[0] in ("policy", "quota", "window")
        assert found[1]
    else:
        assert parse_policy(found.text.decode()) == found
        assert found.capacity > 0
