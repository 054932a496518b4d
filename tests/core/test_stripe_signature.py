"""Signatures of Stripe's webhooks: over the raw body, near in time, one of several."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from appliance.core.stripe_signature import SIGNATURES_MAX, TOLERANCE_S, Signature
from appliance.errors import Refusal

SECRET = "whsec_0123456789abcdef"
NOW_S = 1_800_000_000
BODY = b'{"id": "evt_1"}'


def signed(body: bytes = BODY, at_s: int = NOW_S, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), b"%d.%s" % (at_s, body), hashlib.sha256).hexdigest()


def refused(header: bytes | None, body: bytes = BODY, now_s: float = NOW_S) -> str:
    """What is said, "" when it is good."""
    try:
        Signature(header, now_s).check(body, SECRET)
    except Refusal as refusal:
        told = f"{refusal.status} {refusal.message}"
        return told if SECRET not in told and told.startswith("400 ") else f"UNEXPECTED {told}"
    return ""


def test_known_answer() -> None:
    """Worked out with another tool: printf '1800000000.{"id": "evt_1"}' | openssl dgst -hmac …"""
    known = "365941248c8b931fa7b0b5d6d9170db1d807afbe5634ffa20ae4faa88d95afd2"
    assert signed() == known
    assert refused(f"t={NOW_S},v1={known}".encode()) == ""


GOOD = signed()


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW_S},v1={GOOD}",
        f"v1={GOOD},t={NOW_S}",
        f" t={NOW_S} , v1={GOOD} ",
        f"t={NOW_S},v1={'0' * 64},v1={GOOD},v0=abc",
        f"t={NOW_S},v1={GOOD},v1={'0' * 64}",
    ],
)
def test_good_ones(header: str) -> None:
    assert refused(header.encode()) == ""


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "is missing"),
        (b"", "is missing"),
        (b"t=1" + b"," * 5000, "too long"),
        (b"nonsense", "expected t="),
        (f"v1={GOOD}".encode(), "expected t="),
        (f"t=,v1={GOOD}".encode(), "expected t="),
        (f"t=-5,v1={GOOD}".encode(), "expected t="),
        (f"t={'9' * 400},v1={GOOD}".encode(), "expected t="),
        (f"t={NOW_S}".encode(), "expected t="),
        (f"t={NOW_S},v0={GOOD}".encode(), "expected t="),
        (f"t={NOW_S}".encode() + b",v1=0" * (SIGNATURES_MAX + 1), "expected t="),
        (f"t={NOW_S},v1=".encode(), "no signature of this body"),
        (f"t={NOW_S},v1={GOOD[:-1]}".encode(), "no signature of this body"),
        (f"t={NOW_S},v1={GOOD.upper()}".encode(), "no signature of this body"),
        (f"t={NOW_S},v1={GOOD[:-1]}\xff".encode("latin-1"), "no signature of this body"),
        (f"t={NOW_S + 1},v1={GOOD}".encode(), "no signature of this body"),
        (f"t={NOW_S},v1={signed(secret='whsec_another')}".encode(), "no signature of this body"),
    ],
)
def test_bad_ones(header: bytes | None, said: str) -> None:
    told = refused(header)
    assert told.startswith("400 stripe-signature: ")
    assert said in told


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY.replace(b" ", b"")])
def test_another_body(body: bytes) -> None:
    assert "no signature of this body" in refused(f"t={NOW_S},v1={GOOD}".encode(), body)


@pytest.mark.parametrize(
    ("apart_s", "good"),
    [(0, True), (TOLERANCE_S, True), (-TOLERANCE_S, True), (301, False), (-301, False)],
)
def test_only_near_in_time(apart_s: int, good: bool) -> None:
    header = f"t={NOW_S},v1={GOOD}".encode()
    assert (refused(header, now_s=NOW_S + apart_s) == "") is good


def test_it_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = hmac.compare_digest

    def compared(one: bytes, two: bytes) -> bool:
        seen.append(len(two))
        return real(one, two)

    monkeypatch.setattr(hmac, "compare_digest", compared)
    assert refused(f"t={NOW_S},v1={GOOD},v1=x,v1=y".encode()) == ""
    assert seen == [64, 64, 64]  # the first one was good, and all were looked at
