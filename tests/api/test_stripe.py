"""Stripe's webhook: signed events change wallets once, all others and strangers change nothing."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.api import stripe as module
from appliance.core.keys import DEFAULT_ORGANIZATION
from appliance.core.ledger_book import Wanted
from appliance.errors import Refusal
from tests.actors.wallet_kit import CENT, USD, credits_call, held
from tests.api.wallet_kit import (
    SECRET,
    Till,
    dispute,
    event,
    payment,
    refund,
    signature,
    till,
)

DEFAULT = str(uuid.UUID(bytes=DEFAULT_ORGANIZATION))


def call(org: str, pico: int = USD) -> Wanted:
    size = credits_call(pico).size
    return Wanted(uuid.UUID(org).bytes, size, True, provider="openai", model="gpt-x")


def credits(one: Till, org: str = DEFAULT) -> int:
    return one.rigs["us"].desk.state(uuid.UUID(org).bytes).credits


async def test_a_payment_becomes_credits_once(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        acme = one.org("acme")
        told = payment(acme, 1060, metadata={"orgId": acme, "creditsAmountCents": "1000"})
        reply = await one.stripe(told)
        assert (reply.status, reply.json) == (
            200, {"received": True, "applied": True, "reason": None},
        )  # fmt: skip
        again = await one.stripe(told)
        assert (again.status, again.json["applied"]) == (200, False)
        twin = await one.stripe({**told, "id": "evt_twin"})  # Stripe tells some twice, as two
        assert (twin.status, twin.json["reason"]) == (200, "told before")
        assert (await one.state(acme))["totalCredits"] == 1000
        page = await one.admin("GET", f"/admin/wallet/{acme}/tables/credit_purchases")
        assert [row["reference_id"] for row in page.json["data"]] == [told["id"]]


async def test_whose_payment_it_is(tmp_path: Path) -> None:
    async with till(tmp_path, "us", "eu") as one:
        acme, other, theirs = one.org("acme"), one.org("other"), one.org("theirs", "eu")
        nobody = await one.stripe(payment("", number=1))
        assert (nobody.status, nobody.json["applied"]) == (200, False)
        assert nobody.json["reason"].startswith("metadata.orgId names no organisation")
        for org in (str(uuid.uuid4()), "acme"):
            unknown = await one.stripe(payment(org, number=2))
            assert unknown.status == 400
            assert unknown.json["error"].startswith("data.object.metadata.orgId:")
        await one.stripe(payment(theirs, number=3))
        assert one.rigs["eu"].desk.state(uuid.UUID(theirs).bytes).credits == 10 * USD
        # From now on the customer is known, in whatever region; with two it is not said which.
        assert (await one.stripe(payment("", number=4))).json["applied"] is True
        assert one.rigs["eu"].desk.state(uuid.UUID(theirs).bytes).credits == 20 * USD
        await one.stripe(payment(acme, number=5))
        torn = await one.stripe(payment("", number=6))
        assert torn.status == 400
        assert torn.json["error"].startswith("data.object.metadata.orgId: is missing")
        assert credits(one, other) == 0


async def test_only_payments_of_the_product_are_credits(tmp_path: Path) -> None:
    async with till(tmp_path, stripe_product_id="prod_1") as one:
        for number, product in enumerate(("prod_2", None), 1):
            metadata = {"orgId": DEFAULT} | ({"productId": product} if product else {})
            reply = await one.stripe(payment(DEFAULT, number=number, metadata=metadata))
            assert (reply.status, reply.json["applied"]) == (200, False)
        ours = {"orgId": DEFAULT, "productId": "prod_1"}
        assert (await one.stripe(payment(DEFAULT, number=3, metadata=ours))).json["applied"]
        unclear = await one.stripe(
            payment("", number=4, customer="cus_9", metadata={"productId": "prod_1"})
        )
        assert unclear.status == 400  # it was paid for credits: somebody has to look
        assert credits(one) == 10 * USD


async def test_refunds(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        back = {"id": "re_1", "amount": 400, "currency": "usd", "status": "succeeded",
                "payment_intent": "pi_1", "charge": "ch_1"}  # fmt: skip
        early = await one.stripe(refund(back))
        assert (early.status, early.json["reason"]) == (
            200, "no payment of this intent or charge was told to this server",
        )  # fmt: skip
        await one.stripe(payment(DEFAULT, 1000))
        pending = await one.stripe(refund({**back, "status": "pending"}))
        assert (pending.status, pending.json["applied"]) == (200, False)
        for applied in (True, False):
            assert (await one.stripe(refund(back))).json["applied"] is applied
        assert credits(one) == 6 * USD
        open_hold = await held(one.rigs["us"], call(DEFAULT, 5 * USD))
        spent = await one.stripe(refund({**back, "id": "re_2"}))
        assert spent.status == 400
        assert "neither spent nor held" in spent.json["error"]
        one.rigs["us"].wallet.release(open_hold)
        assert credits(one) == 6 * USD


async def test_a_dispute_suspends_the_wallet_until_it_is_resolved(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        acme = one.org("acme")
        wallet = one.rigs["us"].wallet
        assert (await one.stripe(dispute("created", "needs_response"))).json["applied"] is False
        await one.stripe(payment(acme, 1000))
        assert (await one.stripe(dispute("created", "needs_response"))).json["applied"] is True
        shown = await one.state(acme)
        assert shown["disputeStatus"] == "suspended"
        (active,) = shown["activeDisputes"]
        assert active.pop("createdAt") == one.rigs["us"].now_us // 1000
        assert active.pop("eventId").startswith("evt_")
        assert active == {
            "id": "dp_1", "chargeId": "ch_1", "amount": 1000, "currency": "usd",
            "reason": "fraudulent", "status": "needs_response",
        }  # fmt: skip
        await one.stripe(dispute("updated", "under_review"))
        with pytest.raises(Refusal, match="suspended") as refusal:
            await wallet.hold(call(acme))
        assert refusal.value.status == 403
        assert (await one.stripe(dispute("closed", "won"))).json["applied"] is True
        late = await one.stripe(dispute("updated", "under_review"))
        assert (late.status, late.json["applied"]) == (200, False)
        assert (await one.state(acme))["disputeStatus"] == "active"
        wallet.release(await held(one.rigs["us"], call(acme)))
        assert credits(one, acme) == 10 * USD
        await one.stripe(payment(acme, 500, number=2))
        await one.stripe(dispute("closed", "lost", number=2, cents=500))
        assert credits(one, acme) == 10 * USD


async def test_other_events_change_nothing(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        for kind in ("customer.created", "invoice.paid", "payment_intent.canceled", "made.up"):
            reply = await one.stripe(event(kind, {"id": "x"}))
            assert (reply.status, reply.json["applied"]) == (200, False)
            assert kind in reply.json["reason"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body: is missing"),
        (b"{", "body: not JSON"),
        (b"\xff", "body: not JSON"),
        (b"[" * 5000 + b"]" * 5000, "body: nested too deeply"),
        (b"[]", "body: expected an object"),
        (b"{}", "id: is missing"),
        (b'{"id": 1e999999999, "type": "x"}', "id: expected text"),
        (
            json.dumps(payment(DEFAULT, amount_received="x")).encode(),
            "data.object.amount_received:",
        ),
        (
            json.dumps(payment(DEFAULT, amount_received=1.5)).encode(),
            "data.object.amount_received:",
        ),
    ],
)
async def test_bad_events_are_named(tmp_path: Path, body: bytes, words: str) -> None:
    async with till(tmp_path) as one:
        reply = await one.stripe(body)
        assert reply.status == 400
        assert reply.json["error"].startswith(words), reply.json
        assert credits(one) == 0


async def test_strangers_change_nothing(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        body = json.dumps(payment(DEFAULT)).encode()
        for header in (
            None,
            b"",
            b"t=1,v1=2",
            signature(body, secret="whsec_another_secret"),
            signature(body + b" "),
            signature(body, at_s=time.time() - 301),
        ):
            headers = () if header is None else ((b"stripe-signature", header),)
            reply = await one.house.ask("POST", "/stripe/webhook", body, headers=headers)
            assert reply.status == 400
            assert reply.json["error"].startswith("stripe-signature:")
            assert SECRET not in reply.body.decode()
        assert credits(one) == 0
        assert not any(SECRET in line for line in one.log.lines)


async def test_a_header_that_cannot_be_good_is_refused_before_the_body_is_read(
    tmp_path: Path,
) -> None:
    async with till(tmp_path) as one:
        big = b"x" * (module.BODY_BYTES_MAX + 1)
        headers = ((b"stripe-signature", b"t=1,v1=2"),)
        assert (await one.house.ask("POST", "/stripe/webhook", big, headers=headers)).status == 400
        assert (await one.stripe(big)).status == 413


async def test_without_a_secret_it_is_closed(tmp_path: Path) -> None:
    async with till(tmp_path, stripe_webhook_secret=None) as one:
        reply = await one.stripe(payment(DEFAULT))
        assert reply.status == 500
        assert "set stripe_webhook_secret" in reply.json["error"]


async def test_while_the_ledger_is_down_it_is_told_again(tmp_path: Path) -> None:
    async with till(tmp_path) as one:
        for number, trouble in enumerate(("before", "after"), 1):
            one.rigs["us"].trouble.append(trouble)
            told = payment(DEFAULT, number=number)
            assert (await one.stripe(told)).status == 503
            await one.rigs["us"].up()
            assert (await one.stripe(told)).status == 200
            assert credits(one) == 10 * USD * number


class Stream:
    """A caller whose body never ends; `begun` counts those that are being read."""

    def __init__(self, one: Till) -> None:
        self.one = one
        self.begun = 0
        self.statuses: list[int] = []

    async def ask(self) -> None:
        body = b"{}"
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": "/stripe/webhook", "raw_path": b"/stripe/webhook",
            "query_string": b"", "root_path": "", "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8585),
            "headers": [(b"host", b"127.0.0.1:8585"), (b"stripe-signature", signature(body))],
        }  # fmt: skip

        async def receive() -> Any:
            self.begun += 1
            await trio.sleep_forever()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])

        await self.one.house.app(scope, receive, send)


async def test_bodies_that_never_come_hold_up_a_few_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_S", 0.3)
    async with till(tmp_path) as one:
        strangers = Stream(one)
        async with trio.open_nursery() as nursery:
            for _ in range(module.READ_AT_ONCE + 4):
                nursery.start_soon(strangers.ask)
        assert strangers.begun == module.READ_AT_ONCE
        assert sorted(strangers.statuses) == [408] * module.READ_AT_ONCE + [503] * 4
        assert (await one.stripe(payment(DEFAULT))).status == 200
        assert credits(one) == 1000 * CENT
