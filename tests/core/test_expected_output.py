"""The 95th percentile of answers' lengths: by user, else by model, else nothing is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import expected_output as module
from appliance.core.expected_output import SAMPLES_MAX, SAMPLES_MIN, ExpectedOutput


def noted(*lengths: int, user: str = "") -> ExpectedOutput:
    outputs = ExpectedOutput()
    for length in lengths:
        outputs.note("m", user, length)
    return outputs


def test_nothing_is_said_of_few_answers() -> None:
    assert noted(*[100] * (SAMPLES_MIN - 1)).tokens("m") is None
    assert noted(*[100] * SAMPLES_MIN).tokens("m") is not None
    assert ExpectedOutput().tokens("m") is None


def test_names_take_little_room() -> None:
    """They come from clients: of long ones the beginning counts."""
    outputs = ExpectedOutput()
    for _ in range(SAMPLES_MIN):
        outputs.note("m" * 60_000, "u" * 60_000, 10)
    assert outputs.tokens("m" * 60_000, "u" * 50_000) is not None
    kept = sum(len(text) for name in outputs._by_name for text in name)
    assert kept <= 2 * 2 * module.NAME_CHARACTERS_MAX


def test_a_user_of_whom_little_is_known_is_like_all() -> None:
    outputs = noted(*[1000] * SAMPLES_MIN, user="ann")
    for _ in range(SAMPLES_MIN - 1):
        outputs.note("m", "bob", 10)
    assert outputs.tokens("m", "bob") == outputs.tokens("m")
    assert outputs.tokens("m", "bob") in range(1000, 1251)
    outputs.note("m", "bob", 10)
    assert outputs.tokens("m", "bob") in range(10, 13)
    assert outputs.tokens("other", "bob") is None


@given(st.lists(st.integers(0, 200_000), min_size=SAMPLES_MIN, max_size=2 * SAMPLES_MIN))
def test_it_is_the_95th_percentile_or_a_quarter_more(lengths: list[int]) -> None:
    exact = sorted(lengths)[len(lengths) - 1 - len(lengths) // 20]
    found = noted(*lengths).tokens("m")
    assert found is not None
    assert exact <= found <= exact * 5 // 4


@pytest.mark.parametrize("tokens", [*range(300), 65_535, 65_536, 2**28, 2**40])
def test_buckets_hold_what_falls_into_them(tokens: int) -> None:
    bucket = module._bucket(tokens)
    if tokens < 2**29:
        assert module._upper(bucket - 1) < tokens <= module._upper(bucket)
    else:
        assert bucket == module.BUCKETS - 1


def test_what_is_old_fades() -> None:
    outputs = noted(*[10_000] * 500)
    for _ in range(4 * SAMPLES_MAX):
        outputs.note("m", "", 10)
    found = outputs.tokens("m")
    assert found is not None
    assert found < 20


def test_there_is_room_for_so_many() -> None:
    outputs = ExpectedOutput(3)
    for model in ("a", "b", "c", "a", "d"):
        for _ in range(SAMPLES_MIN):
            outputs.note(model, "", 5)
    assert len(outputs) == 3
    assert outputs.tokens("b") is None  # the longest unused
    assert outputs.tokens("a") == 5
