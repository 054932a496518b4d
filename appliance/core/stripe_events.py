"""What Stripe's events say to the wallet (`internals.md 2.6`): payments, refunds, disputes.

Pure: JSON in, one of a few facts out, or a Refusal 400 that names the field. Amounts are whole
cents of USD; what is none of ours is `Ignored`, with the reason.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.core.money import round_half_even
from appliance.errors import Refusal

PICO_PER_CENT: Final = 10**10
CENTS_MAX: Final = 9 * 10**8  # of one payment: nine million USD, as the ledger's transfers
ID_CHARACTERS_MAX: Final = 256
WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}")
USD: Final = "usd"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing is done, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Paid:
    """Money came in. `credits_cents` of the `total_cents` are credits, the rest is a fee. `org` is
    what `metadata.orgId` says, "" where it says nothing."""

    intent: str
    charge: str
    customer: str
    org: str
    credits_cents: int
    total_cents: int


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money went back. The payment is known by its intent or its charge."""

    id: str
    intent: str
    charge: str
    cents: int


@dataclass(frozen=True, slots=True)
class Disputed:
    """A payment is disputed, or that dispute has another status."""

    id: str
    intent: str
    charge: str
    cents: int
    currency: str
    reason: str
    status: str


Told = Paid | Refunded | Disputed | Ignored


def read_event(document: object, product: str | None = None) -> tuple[str, Told]:
    """The event's id and what it says. With `product` only payments of it are credits. Raises
    Refusal 400."""
    event = _object(document, "body")
    event_id, kind = _id(event, "id", ""), _id(event, "type", "")
    reader = READERS.get(kind)
    if reader is None:
        return event_id, Ignored(f"events of the type {kind} change no wallet")
    data = _object(event.get("data"), "data")
    return event_id, reader(_object(data.get("object"), "data.object"), product)


def credits_due(returned_cents: int, credits_pico: int, total_cents: int) -> int:
    """How much of a payment's credits goes back when so much of its money has gone back in all: its
    share, to the cent, and never more than the money or than there was. In pico-USD."""
    share = credits_pico
    if total_cents > 0:
        scaled = round_half_even(returned_cents * credits_pico, total_cents * PICO_PER_CENT)
        share = scaled * PICO_PER_CENT
    return min(share, returned_cents * PICO_PER_CENT, credits_pico)


# -- the types that are read


def _paid(intent: Json, product: str | None) -> Told:
    metadata = _metadata(intent)
    if product is not None and metadata.get("productId") != product:
        return Ignored("metadata.productId is not stripe_product_id")
    if ignored := _other_currency(intent):
        return ignored
    credits_cents, total_cents = _breakdown(intent, metadata)
    if credits_cents == 0:
        return Ignored("nothing of this payment is credits")
    return Paid(
        _id(intent, "id"), _reference(intent, "latest_charge"), _reference(intent, "customer"),
        metadata.get("orgId", "").strip(), credits_cents, total_cents,
    )  # fmt: skip


def _breakdown(intent: Json, metadata: Mapping[str, str]) -> tuple[int, int]:
    """Credits and total: as the metadata says it, else all that was received is credits."""
    credits = _whole(metadata, "creditsAmountCents")
    fee = _whole(metadata, "stripeFeeCents")
    total = _whole(metadata, "totalAmountCents")
    if total is None:
        # What was received: of an amount that was captured in part, the rest was never paid.
        field = "amount_received" if intent.get("amount_received") is not None else "amount"
        total = _cents(intent, field)
    if credits is None:
        credits = total - max(fee or 0, 0)
    return _bounded(max(credits, 0), "metadata.creditsAmountCents"), _bounded(
        max(total, 0), "metadata.totalAmountCents"
    )


def _refunded(refund: Json, _product: str | None) -> Told:
    status = _id(refund, "status")
    if status != "succeeded":
        return Ignored(f"a refund counts when it has succeeded; this one is {status}")
    if ignored := _other_currency(refund):
        return ignored
    return Refunded(
        _id(refund, "id"), _reference(refund, "payment_intent"), _reference(refund, "charge"),
        _cents(refund, "amount"),
    )  # fmt: skip


def _disputed(dispute: Json, _product: str | None) -> Told:
    if ignored := _other_currency(dispute):
        return ignored
    return Disputed(
        _id(dispute, "id"), _reference(dispute, "payment_intent"), _reference(dispute, "charge"),
        _cents(dispute, "amount"), USD, _text(dispute, "reason"), _id(dispute, "status"),
    )  # fmt: skip


READERS: Final[dict[str, Callable[[Json, str | None], Told]]] = {
    "payment_intent.succeeded": _paid,
    "refund.created": _refunded,
    "refund.updated": _refunded,  # one that was pending when it was made
    "charge.dispute.created": _disputed,
    "charge.dispute.updated": _disputed,
    "charge.dispute.closed": _disputed,
}

# -- fields


def _object(value: object, where: str) -> Json:
    if not isinstance(value, dict):
        raise _invalid(where, "expected an object")
    return value


def _text(value: Json, field: str, where: str = "data.object.") -> str:
    text = value.get(field)
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > ID_CHARACTERS_MAX or not text.isprintable():
        raise _invalid(where + field, f"expected text of at most {ID_CHARACTERS_MAX} characters")
    return text


def _id(value: Json, field: str, where: str = "data.object.") -> str:
    text = _text(value, field, where)
    if not text:
        raise _invalid(where + field, "is missing")
    return text


def _reference(value: Json, field: str) -> str:
    """The id of another object, which may stand there whole; "" when there is none."""
    found = value.get(field)
    if isinstance(found, dict):
        return _id(found, "id", f"data.object.{field}.")
    return _text(value, field)


def _cents(value: Json, field: str) -> int:
    number = value.get(field)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise _invalid(f"data.object.{field}", "expected a whole number of cents")
    return _bounded(number, f"data.object.{field}")


def _bounded(cents: int, where: str) -> int:
    if cents > CENTS_MAX:
        raise _invalid(where, f"at most {CENTS_MAX} cents at a time")
    return cents


def _metadata(value: Json) -> dict[str, str]:
    found = _object(value.get("metadata") or {}, "data.object.metadata")
    for name, text in found.items():
        if not isinstance(text, str):
            raise _invalid(f"data.object.metadata.{name[:64]}", "expected text")
    return dict(found)


def _whole(metadata: Mapping[str, str], name: str) -> int | None:
    text = metadata.get(name)
    if text is None:
        return None
    if not WHOLE.fullmatch(text.strip()):
        raise _invalid(f"data.object.metadata.{name}", "expected a whole number of cents")
    return int(text)


def _other_currency(value: Json) -> Ignored | None:
    currency = _id(value, "currency").lower()
    return None if currency == USD else Ignored(f"credits are in USD, this is in {currency}")


def _invalid(where: str, why: str) -> Refusal:
    return Refusal(400, "stripe_event", f"{where}: {why}")
