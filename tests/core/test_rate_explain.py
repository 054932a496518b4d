"""What is told of a rate limit is what is done (proxy.md 5.5)."""

import pytest

from appliance.core.rate_choice import policy_of, ranked
from appliance.core.rate_explain import explain, is_shadowed
from appliance.core.rate_policy import parse_policy

STORED = ranked(
    map(parse_policy, ["50;w=60", "100;w=60;u=cents", "20;w=60;s=user", "500;w=60;s=plan"])
)


@pytest.mark.parametrize(
    ("header", "limited", "user", "properties", "policy", "source", "word"),
    [
        ("7;w=60", True, "", {}, "7;w=60", "header", "replaces"),
        ("7;w=60", False, "", {}, "7;w=60", "header", "replaces"),
        ("7;w=60;s=user", True, "", {}, "", "header", "no value"),
        ("seven", True, "ann", {}, "", "header", "no policy"),
        ("", False, "ann", {}, "", "none", "-rl-"),
        ("", True, "", {}, "50;w=60", "stored", "first of 2"),
        ("", True, "ann", {}, "20;w=60;s=user", "stored", "first of 3"),
        ("", True, "ann", {"plan": "x"}, "500;w=60;s=plan", "stored", "first of 4"),
    ],
)
def test_which_and_why(
    header: str, limited: bool, user: str, properties: dict[str, str], policy: str, source: str,
    word: str,
) -> None:  # fmt: skip
    told = explain(header, STORED, key_is_limited=limited, user_id=user, properties=properties)
    assert (told.policy.text.decode() if told.policy else "", told.source) == (policy, source)
    assert word in told.why
    if header != "seven":
        done = policy_of(
            header, STORED, key_is_limited=limited, user_id=user, properties=properties
        )  # fmt: skip
        assert told.policy == (None if told.not_applied else done)


def test_nothing_stored_nothing_readable_nothing_that_fits() -> None:
    def told(stored: list[str] | None) -> tuple[object, str]:
        policies = None if stored is None else ranked(map(parse_policy, stored))
        found = explain("", policies, key_is_limited=True, user_id="", properties={})
        assert found.policy is None
        return found.not_applied, found.why

    assert told([]) == ("", "the organisation has no stored policy: limits set adds one")
    assert told(None)[0] == "ratelimit-policy;reason=policies-unreadable"
    assert "of the user" in told(["1;w=60;s=user"])[1]


def test_a_policy_behind_another_of_its_segment_never_applies() -> None:
    first = parse_policy("50;w=60")
    assert is_shadowed(parse_policy("100;w=60;u=cents"), STORED) == first
    assert is_shadowed(first, STORED) is None
    assert is_shadowed(parse_policy("20;w=60;s=user"), STORED) is None
