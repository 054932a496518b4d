"""Which deadlines an exchange has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from appliance.config_options import Deadlines as Limits
from appliance.features.answer import timeout_failure
from appliance.features.deadlines import Deadlines
from tests.fakes.bare_exchange import bare_exchange

USUAL = Limits(first_byte_s=900, gap_s=300)
OWN = Limits(first_byte_s=5, gap_s=7200, total_s=9)


def limits_of(provider: str | None, *, increase: bool = False) -> Limits:
    deadlines = Deadlines(USUAL, {"slow": OWN})
    row = SimpleNamespace(id=provider) if provider else None
    x = bare_exchange(
        route=SimpleNamespace(provider=row), asks=SimpleNamespace(increase_timeout=increase)
    )
    found = deadlines.of(x)
    assert deadlines.of(x) is found  # worked out once
    return found


def test_the_usual_and_a_providers_own() -> None:
    assert limits_of("openai") is USUAL
    assert limits_of(None) is USUAL
    assert limits_of("slow") is OWN


def test_increase_timeout_makes_them_longer_and_never_shorter() -> None:
    usual, own = limits_of("openai", increase=True), limits_of("slow", increase=True)
    assert (usual.first_byte_s, usual.gap_s, usual.total_s) == (1800, 1800, USUAL.total_s)
    assert (own.first_byte_s, own.gap_s, own.total_s) == (1800, 7200, 9)


@pytest.mark.parametrize("phase", ["connect", "first_byte", "gap", "total"])
def test_the_failure_names_the_option(phase: str) -> None:
    failure = timeout_failure(phase, OWN)
    assert failure.name == f"timeout_{phase}"
    assert f"[deadlines] {phase}" in failure.message
    assert f"{getattr(OWN, phase + '_s'):g} s" in failure.message
