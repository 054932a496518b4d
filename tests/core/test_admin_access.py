"""The administration's key: compared in constant time, and itself rate limited."""

from __future__ import annotations

import hmac

import pytest

from appliance.core import admin_access as module
from appliance.core.admin_access import AdminGate
from appliance.errors import Refusal

KEY = "an-admin-key-of-some-length"
RIGHT = f"Bearer {KEY}".encode()


def refused(gate: AdminGate, given: bytes | None, address: str = "a", now_s: float = 0.0) -> int:
    """The status; 0 when it is let in."""
    try:
        gate.check(given, address, now_s)
    except Refusal as refusal:
        return 599 if KEY in refusal.message else refusal.status
    return 0


@pytest.mark.parametrize("given", [RIGHT, KEY.encode(), f"bearer  {KEY} ".encode()])
def test_the_key_opens(given: bytes) -> None:
    assert refused(AdminGate(KEY), given) == 0


@pytest.mark.parametrize(
    "given", [None, b"", b"Bearer ", RIGHT[:-1], RIGHT + b"x", b"Basic x", b"\xff\xfe"]
)
def test_nothing_else_does(given: bytes | None) -> None:
    assert refused(AdminGate(KEY), given) == 401


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_it_is_closed(key: str | None) -> None:
    for given in (None, b"", b"Bearer "):
        assert refused(AdminGate(key), given) == 500


def test_it_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compared(one: bytes, two: bytes) -> bool:
        seen.append((len(one), len(two)))
        return real(one, two)

    gate = AdminGate(KEY)
    monkeypatch.setattr(hmac, "compare_digest", compared)
    for given in (RIGHT, b"x", b"y" * 5000):
        refused(gate, given)
    assert seen == [(32, 32)] * 3


def test_guessing_is_refused_before_it_is_compared() -> None:
    gate = AdminGate(KEY)
    for _ in range(module.WRONG_PER_MINUTE):
        assert refused(gate, b"wrong") == 401
    assert refused(gate, b"wrong") == 429
    assert refused(gate, RIGHT) == 429
    assert refused(gate, RIGHT, "b") == 0
    assert refused(gate, RIGHT, now_s=59.9) == 429
    assert refused(gate, RIGHT, now_s=60.0) == 0
    for _ in range(module.CALLS_PER_MINUTE):
        assert refused(gate, RIGHT, "c", 10.0) == 0
    with pytest.raises(Refusal) as refusal:
        gate.check(RIGHT, "c", 20.0)
    assert refusal.value.code == "admin_rate_limited"
    assert refusal.value.headers == {"Retry-After": "50"}


def test_a_network_of_ones_own_is_one_caller() -> None:
    gate = AdminGate(KEY)
    for number in range(module.WRONG_PER_MINUTE):
        assert refused(gate, b"wrong", f"2001:db8:0:1::{number:x}") == 401
    assert refused(gate, RIGHT, "2001:db8:0:1:ffff::1") == 429
    assert refused(gate, RIGHT, "2001:db8:0:2::1") == 0
    for _ in range(module.WRONG_PER_MINUTE):
        assert refused(gate, b"wrong", "192.0.2.1") == 401
    assert refused(gate, RIGHT, "::ffff:192.0.2.1") == 429
    assert refused(gate, RIGHT, "192.0.2.2") == 0


def test_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESSES_MAX", 3)
    gate = AdminGate(KEY)
    for number in range(10):
        assert refused(gate, RIGHT, str(number)) == 0
    assert len(gate._tallies) == 3
