"""What Stripe's events say: one row per event, good or not (`internals.md 2.6`)."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.core.stripe_events import (
    CENTS_MAX,
    PICO_PER_CENT,
    Disputed,
    Ignored,
    Paid,
    Refunded,
    Told,
    credits_due,
    read_event,
)
from appliance.errors import Refusal

INTENT: dict[str, Any] = {
    "id": "pi_1", "object": "payment_intent", "amount": 1060, "amount_received": 1060,
    "currency": "usd", "customer": "cus_1", "latest_charge": "ch_1",
    "metadata": {"orgId": "o-1", "productId": "prod_1"},
}  # fmt: skip
REFUND: dict[str, Any] = {
    "id": "re_1", "object": "refund", "amount": 530, "currency": "usd", "status": "succeeded",
    "payment_intent": "pi_1", "charge": "ch_1",
}  # fmt: skip
DISPUTE: dict[str, Any] = {
    "id": "dp_1", "object": "dispute", "amount": 1060, "currency": "usd", "charge": "ch_1",
    "payment_intent": "pi_1", "reason": "fraudulent", "status": "needs_response",
}  # fmt: skip


def event(kind: str, found: Any) -> dict[str, Any]:
    return {"id": "evt_1", "object": "event", "type": kind, "data": {"object": found}}


def intent(metadata: Any = None, /, **changes: Any) -> dict[str, Any]:
    named = {**INTENT["metadata"], **metadata} if isinstance(metadata, dict) else metadata
    changed = {**INTENT, "metadata": INTENT["metadata"] if metadata is None else named, **changes}
    return event("payment_intent.succeeded", changed)


def paid(credits: int, total: int) -> Paid:
    return Paid("pi_1", "ch_1", "cus_1", "o-1", credits, total)


READ: list[tuple[str, dict[str, Any], Told]] = [
    ("all of it is credits", intent(), paid(1060, 1060)),
    ("the metadata's credits", intent({"creditsAmountCents": "1000"}), paid(1000, 1060)),
    ("less the fee", intent({"stripeFeeCents": "60"}), paid(1000, 1060)),
    ("a fee below nothing is none", intent({"stripeFeeCents": "-60"}), paid(1060, 1060)),
    ("the metadata's total", intent({"totalAmountCents": "1100"}), paid(1100, 1100)),
    (
        "all three",
        intent({"totalAmountCents": "1100", "stripeFeeCents": "9", "creditsAmountCents": " 7 "}),
        paid(7, 1100),
    ),
    ("more credits than money", intent({"creditsAmountCents": "2000"}), paid(2000, 1060)),
    ("captured in part", intent(amount_received=500), paid(500, 500)),
    ("an older form", intent(amount_received=None), paid(1060, 1060)),
    (
        "whole objects in place of their ids",
        intent(customer={"id": "cus_1"}, latest_charge={"id": "ch_1", "amount": 3}),
        paid(1060, 1060),
    ),
    (
        "no customer, no charge",
        intent(customer=None, latest_charge=None),
        Paid("pi_1", "", "", "o-1", 1060, 1060),
    ),
    (
        "no metadata",
        event("payment_intent.succeeded", {**INTENT, "metadata": None}),
        Paid("pi_1", "ch_1", "cus_1", "", 1060, 1060),
    ),
    ("USD in capitals", intent(currency="USD"), paid(1060, 1060)),
    ("a refund", event("refund.created", REFUND), Refunded("re_1", "pi_1", "ch_1", 530)),
    (
        "one that was pending before",
        event("refund.updated", REFUND),
        Refunded("re_1", "pi_1", "ch_1", 530),
    ),
    *[
        (
            kind,
            event(f"charge.dispute.{kind}", {**DISPUTE, "status": status}),
            Disputed("dp_1", "pi_1", "ch_1", 1060, "usd", "fraudulent", status),
        )
        for kind, status in (
            ("created", "needs_response"), ("updated", "under_review"), ("closed", "won"),
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("what", "given", "told"), READ, ids=[row[0] for row in READ])
def test_what_is_read(what: str, given: dict[str, Any], told: Told) -> None:
    assert read_event(given) == ("evt_1", told)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (event("customer.created", {"id": "cus_1"}), "change no wallet"),
        (event("payment_intent.payment_failed", INTENT), "change no wallet"),
        (event("payment_intent.created", "anything"), "change no wallet"),
        (intent(currency="eur"), "in eur"),
        (intent({"creditsAmountCents": "0"}), "nothing of this payment"),
        (intent({"stripeFeeCents": "9999"}), "nothing of this payment"),
        (intent({"creditsAmountCents": "-5"}), "nothing of this payment"),
        (event("refund.created", {**REFUND, "status": "pending"}), "this one is pending"),
        (event("refund.created", {**REFUND, "currency": "eur"}), "in eur"),
        (event("charge.dispute.created", {**DISPUTE, "currency": "eur"}), "in eur"),
    ],
)
def test_what_changes_nothing(given: dict[str, Any], why: str) -> None:
    _, told = read_event(given)
    assert isinstance(told, Ignored)
    assert why in told.why


def test_only_the_product_is_credits() -> None:
    assert read_event(intent(), "prod_1")[1] == paid(1060, 1060)
    for given in (intent({"productId": "prod_2"}), intent(metadata={})):
        assert isinstance(read_event(given, "prod_1")[1], Ignored)


def metadata(value: Any) -> dict[str, Any]:
    return event("payment_intent.succeeded", {**INTENT, "metadata": value})


OBJECT = "data.object."


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "body"), ("text", "body"), (None, "body"), (5, "body"),
        ({}, "id"), ({"id": 5, "type": "x"}, "id"), ({"id": "e"}, "type"),
        ({"id": "e" * 257, "type": "x"}, "id"), ({"id": "e\0", "type": "x"}, "id"),
        ({"id": "\ud800", "type": "x"}, "id"), ({"id": "e", "type": ["x"]}, "type"),
        ({"id": "e", "type": "refund.created"}, "data"),
        ({"id": "e", "type": "refund.created", "data": []}, "data"),
        ({"id": "e", "type": "refund.created", "data": {}}, "data.object"),
        (event("refund.created", [1]), "data.object"),
        (intent(id=None), OBJECT + "id"), (intent(id=7), OBJECT + "id"),
        (intent(currency=None), OBJECT + "currency"), (intent(currency=3), OBJECT + "currency"),
        (intent(customer=3), OBJECT + "customer"), (intent(customer={}), OBJECT + "customer.id"),
        (intent(latest_charge=[]), OBJECT + "latest_charge"),
        (intent(amount_received="5"), OBJECT + "amount_received"),
        (intent(amount_received=-5), OBJECT + "amount_received"),
        (intent(amount_received=True), OBJECT + "amount_received"),
        (intent(amount_received=1.5), OBJECT + "amount_received"),
        (intent(amount_received=CENTS_MAX + 1), OBJECT + "amount_received"),
        (metadata([1]), OBJECT + "metadata"), (metadata("x"), OBJECT + "metadata"),
        (metadata({"orgId": 5}), OBJECT + "metadata.orgId"),
        (intent({"creditsAmountCents": "ten"}), OBJECT + "metadata.creditsAmountCents"),
        (intent({"creditsAmountCents": "1.5"}), OBJECT + "metadata.creditsAmountCents"),
        (intent({"creditsAmountCents": ""}), OBJECT + "metadata.creditsAmountCents"),
        (intent({"creditsAmountCents": "9" * 15}), "metadata.creditsAmountCents"),
        (intent({"totalAmountCents": "9" * 30}), OBJECT + "metadata.totalAmountCents"),
        (event("refund.created", {**REFUND, "status": None}), OBJECT + "status"),
        (event("refund.created", {**REFUND, "amount": None}), OBJECT + "amount"),
        (event("charge.dispute.closed", {**DISPUTE, "status": ""}), OBJECT + "status"),
        (event("charge.dispute.closed", {**DISPUTE, "reason": {}}), OBJECT + "reason"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(given: Any, field: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read_event(given)
    assert refusal.value.status == 400
    assert refusal.value.message.startswith(field + ":")


@pytest.mark.parametrize(
    ("returned", "credits", "total", "due"),
    [
        (0, 1000, 1060, 0),
        (530, 1000, 1060, 500),
        (1060, 1000, 1060, 1000),
        (5000, 1000, 1060, 1000),  # never more than there was
        (1, 1000, 1060, 1),
        (500, 2000, 1000, 500),  # nor than the money
        (300, 1000, 0, 300),
        (5000, 1000, 0, 1000),
    ],
)
def test_what_a_refund_takes_back(returned: int, credits: int, total: int, due: int) -> None:
    assert credits_due(returned, credits * PICO_PER_CENT, total) == due * PICO_PER_CENT


def test_it_never_takes_back_less_for_more() -> None:
    for credits, total in ((1000, 1060), (7, 1100), (2000, 1060), (999, 333)):
        pico = credits * PICO_PER_CENT
        due = [credits_due(returned, pico, total) for returned in range(total + 50)]
        assert due == sorted(due)
        assert due[total] == min(pico, total * PICO_PER_CENT)
