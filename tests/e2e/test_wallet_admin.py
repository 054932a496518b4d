"""The wallet over REST and Stripe's webhook, through the program, up to the calls it pays for."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.api.wallet_kit import ADMIN_KEY, SECRET, dispute, payment, refund, signature
from tests.e2e.shop_kit import Shop, shop
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

CONFIG = f'admin_key = "{ADMIN_KEY}"\nstripe_webhook_secret = "{SECRET}"\n'
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


def admin(appliance: Appliance, method: str, path: str, body: Any = None, **options: Any) -> Reply:
    headers = options.pop("headers", ADMIN)
    return appliance.call(path, body, headers, method=method, **options)


def stripe(appliance: Appliance, event: dict[str, Any]) -> Reply:
    body = json.dumps(event).encode()
    headers = {"stripe-signature": signature(body).decode(), "Content-Type": "application/json"}
    return appliance.call("/stripe/webhook", body, headers)


@pytest.fixture
def till(provider: Provider, tmp_path: Path) -> Iterator[Shop]:
    provider.clear()
    with shop(tmp_path, provider, CONFIG) as one:
        yield one
        assert ADMIN_KEY not in one.appliance.log
        assert SECRET not in one.appliance.log


def test_a_payment_pays_for_calls_until_it_is_disputed(till: Shop) -> None:
    assert till.ask().status == 429
    paid = payment(till.org, 500)
    reply = stripe(till.appliance, paid)
    assert (reply.status, reply.json["applied"]) == (200, True)
    till.appliance.restart()  # killed right after the answer: it was on the disk
    assert stripe(till.appliance, paid).json["applied"] is False
    assert till.ask().status == 200
    spent = Decimal(till.settled()["spent_usd"])
    assert spent == till.spent_on_record() > 0
    own = {"Authorization": f"Bearer {till.key}"}
    for found in (
        admin(till.appliance, "GET", "/wallet/state", headers=own),
        admin(till.appliance, "GET", f"/admin/wallet/{till.org}/state"),
    ):
        assert found.status == 200
        state = json.loads(found.body, parse_float=Decimal, parse_int=Decimal)
        assert (state["totalCredits"], state["totalDebits"]) == (500, spent * 100)
        assert state["effectiveBalance"] == state["balance"] == 500 - spent * 100
        assert state["totalEscrow"] == 0
    before = len(till.provider.received)
    assert stripe(till.appliance, dispute("created", "needs_response")).status == 200
    refused = till.ask()
    assert refused.status == 403
    assert b"disputed" in refused.body
    till.appliance.restart()
    assert till.ask().status == 403
    assert len(till.provider.received) == before
    assert stripe(till.appliance, dispute("closed", "won")).status == 200
    assert till.ask().status == 200
    till.settled()
    back = {"id": "re_1", "amount": 100, "currency": "usd", "status": "succeeded",
            "payment_intent": "pi_1"}  # fmt: skip
    assert stripe(till.appliance, refund(back)).json["applied"] is True
    assert Decimal(till.show()["paid_in_usd"]) == 4
    assert stripe(till.appliance, dispute("closed", "lost", number=1)).json["applied"] is False


def test_what_rest_changes_the_commands_see_and_the_other_way_round(till: Shop) -> None:
    path = f"/admin/wallet/{till.org}/modify-balance"
    body = {"amount": "250.5", "type": "credit", "reason": "gift", "referenceId": "ref_1"}
    for applied in (True, False):
        reply = admin(till.appliance, "POST", path, body)
        assert (reply.status, reply.json["applied"]) == (200, applied)
    assert till.show()["available_usd"] == "2.505"
    till.top_up("1", "pay_1")
    page = admin(till.appliance, "GET", f"/admin/wallet/{till.org}/tables/credit_purchases?page=x")
    assert [row["reference_id"] for row in page.json["data"]] == ["pay_1", "ref_1"]
    assert [row["credits"] for row in page.json["data"]] == [10**12, 2_505_000_000_000]
    debit = {**body, "type": "debit", "amount": 350.6, "referenceId": "ref_2"}
    refused = admin(till.appliance, "POST", path, debit)
    assert (refused.status, refused.json["error"].partition(":")[0]) == (400, "amount")
    done = admin(till.appliance, "POST", path, {**debit, "amount": 350.5})
    assert (done.status, done.json["effectiveBalance"]) == (200, 0)
    assert till.show()["available_usd"] == "0"
    total = admin(till.appliance, "GET", f"/wallet/credits/total?orgId={till.org}")
    assert total.json == {"totalCredits": 0}


def test_the_disallow_list_over_rest(till: Shop) -> None:
    """A reply whose cost cannot be told puts its model there; a removal holds for the next call."""
    till.top_up("5")
    no_usage = b'{"model":"gpt-4o","choices":[]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n"
    name = till.provider.add("without-usage", head % len(no_usage) + no_usage)
    assert till.ask(headers={"x-fake": name}).status == 200
    till.settled()
    state = admin(till.appliance, "GET", f"/admin/wallet/{till.org}/state").json
    (entry,) = state["disallowList"]
    assert till.ask().status == 400
    gone = admin(till.appliance, "DELETE", f"/admin/wallet/{till.org}/disallow-list",
                 {"provider": entry["provider"], "model": entry["model"]})  # fmt: skip
    assert (gone.status, gone.json["disallowList"]) == (200, [])
    assert till.ask().status == 200
    till.settled()


def test_an_administrators_key_reaches_no_provider(till: Shop) -> None:
    """Nor does it open anything else; what is none of the wallet's paths is answered here."""
    for method, path, status in (
        ("GET", "/admin/wallet/x/nowhere", 404), ("PUT", "/wallet/state", 405),
        ("GET", "/stripe/webhook", 405), ("POST", "/stripe/nowhere", 404),
        ("POST", f"/admin/wallet/{till.org}/state", 405), ("DELETE", "/wallet/credits/total", 405),
    ):  # fmt: skip
        assert admin(till.appliance, method, path).status == status, path
    assert till.provider.received == []


def test_strangers_are_slowed_down(till: Shop) -> None:
    path = f"/admin/wallet/{till.org}/state"
    wrong = {"Authorization": "Bearer wrong"}
    seen = [admin(till.appliance, "GET", path, headers=wrong).status for _ in range(12)]
    assert seen[:10] == [401] * 10
    assert seen[10:] == [429, 429]
    event = json.dumps(payment(till.org)).encode()
    for header in ("t=1,v1=0", f"t={int(time.time())},v1={'0' * 64}"):
        reply = till.appliance.call("/stripe/webhook", event, {"stripe-signature": header})
        assert reply.status == 400
    large = b" " * (1024 * 1024 + 1)
    headers = {"stripe-signature": signature(large).decode()}
    assert till.appliance.call("/stripe/webhook", large, headers).status == 413
    assert till.show()["paid_in_usd"] == "0"


def test_behind_a_proxy_of_ours_a_stranger_slows_down_nobody_else(
    provider: Provider, tmp_path: Path
) -> None:
    config = CONFIG + 'trusted_proxies = ["127.0.0.1"]\n'
    path = "/admin/wallet/00000000-0000-4000-8000-000000000001/state"
    with Appliance(tmp_path, provider, config=config) as appliance:

        def status(key: str, came_by: str) -> int:
            lines = {"Authorization": f"Bearer {key}", "X-Forwarded-For": came_by}
            return appliance.call(path, None, lines, method="GET").status

        # What a stranger writes in front of his own address makes nobody else of him.
        guesses = [status("wrong", f"10.1.1.{number}, 203.0.113.7") for number in range(12)]
        assert guesses == [401] * 10 + [429] * 2
        assert status(ADMIN_KEY, "203.0.113.7") == 429
        assert status(ADMIN_KEY, "203.0.113.8") == 200
        assert appliance.call(
            path, None, {"Authorization": f"Bearer {ADMIN_KEY}"}, method="GET"
        ).status == 200  # fmt: skip


def test_without_the_options_it_is_closed(appliance: Appliance) -> None:
    closed = admin(appliance, "GET", "/admin/wallet/x/state")
    assert (closed.status, "set admin_key" in closed.json["error"]) == (500, True)
    closed = appliance.call(
        "/stripe/webhook", b"{}", {"stripe-signature": signature(b"{}").decode()}
    )
    assert (closed.status, "set stripe_webhook_secret" in closed.json["error"]) == (500, True)


def test_as_an_operator_types_it(till: Shop) -> None:
    """With curl, and openssl for the signature, as the manual says it."""

    def curl(*arguments: str) -> Any:
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", *arguments], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    url, key = till.appliance.url, f"Authorization: Bearer {ADMIN_KEY}"
    body = json.dumps(
        {"amount": 1000, "type": "credit", "reason": "by hand", "referenceId": "hand_1"}
    )
    wallet = f"{url}/admin/wallet/{till.org}"
    assert curl("-H", key, "-d", body, f"{wallet}/modify-balance")["balance"] == 1000
    event, at = json.dumps(payment(till.org, 250)), int(time.time())
    mac = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET], input=f"{at}.{event}",
        capture_output=True, text=True, check=True,
    ).stdout.split()[-1]  # fmt: skip
    signed = f"Stripe-Signature: t={at},v1={mac}"
    assert curl("-H", signed, "-d", event, f"{url}/stripe/webhook")["applied"] is True
    assert curl("-H", key, f"{wallet}/state")["balance"] == 1250
