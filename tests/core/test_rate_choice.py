"""Which policy a request runs under (proxy.md 5.5)."""

import pytest

from appliance.core.rate_choice import counts_users, policy_of, ranked
from appliance.core.rate_policy import PolicyInvalid, parse_policy

STORED = [
    "100;w=60",
    "50;w=60",
    "5000;w=3600",
    "20;w=60;s=user",
    "300;w=3600;s=user",
    "500;w=60;s=plan",
    "400;w=60;s=team",
    "9;w=60;s=Region",
]


@pytest.mark.parametrize(
    ("header", "user_id", "properties", "chosen"),
    [
        # of a header, and nothing else
        ("7;w=60", "ann", {"plan": "gold"}, "7;w=60"),
        ("7000;w=60;s=nothing", "ann", {"plan": "gold"}, "7000;w=60;s=nothing"),
        # property before user before all; the least in a minute among equals
        ("", "", {}, "50;w=60"),
        ("", "ann", {}, "300;w=3600;s=user"),
        ("", "ann", {"plan": "gold"}, "500;w=60;s=plan"),
        ("", "ann", {"plan": "gold", "team": "red"}, "400;w=60;s=team"),
        ("", "", {"plan": "gold", "team": "red", "region": "eu"}, "9;w=60;s=region"),
        ("", "", {"REGION": "eu"}, "9;w=60;s=region"),
        # what has no value is not there: an empty property switches no limit off
        ("", "ann", {"plan": ""}, "300;w=3600;s=user"),
        ("", " ", {"plan": "\x00"}, "50;w=60"),
        ("", "", {"planet": "earth"}, "50;w=60"),
    ],
)
def test_precedence(header: str, user_id: str, properties: dict[str, str], chosen: str) -> None:
    policies = ranked(parse_policy(text) for text in STORED)
    policy = policy_of(
        header, policies, key_is_limited=True, user_id=user_id, properties=properties
    )
    assert policy == parse_policy(chosen)


def test_stored_policies_are_for_limited_keys_alone() -> None:
    policies = ranked([parse_policy("1;w=60")])
    assert policy_of("", policies, key_is_limited=False) is None
    assert policy_of("2;w=60", policies, key_is_limited=False) == parse_policy("2;w=60")
    assert policy_of("", policies, key_is_limited=True) == policies[0]


def test_none_applies() -> None:
    assert policy_of("", (), key_is_limited=True) is None
    only_users = ranked([parse_policy("1;w=60;s=user")])
    assert policy_of("", only_users, key_is_limited=True) is None


def test_a_wrong_header_replaces_stored_policies_too() -> None:
    with pytest.raises(PolicyInvalid):
        policy_of("100;w=1", ranked([parse_policy("1;w=60")]), key_is_limited=True)


def test_units_are_compared_by_their_numbers() -> None:
    policies = ranked(parse_policy(text) for text in ("5;w=60;u=cents", "4;w=60", "3;w=60;u=cents"))
    assert [policy.text for policy in policies] == [b"3;w=60;u=cents", b"4;w=60", b"5;w=60;u=cents"]


def test_a_body_is_read_for_its_user_where_that_matters() -> None:
    of_all, of_user = parse_policy("1;w=60"), parse_policy("1;w=60;s=user")
    assert counts_users("1;w=60;s=USER", ())
    assert not counts_users("1;w=60;s=plan", (of_user,))  # the header replaces what is stored
    assert counts_users("", (of_all, of_user))
    assert not counts_users("", (of_all,))
    assert not counts_users("", ())
    with pytest.raises(PolicyInvalid):
        counts_users("1", (of_user,))
