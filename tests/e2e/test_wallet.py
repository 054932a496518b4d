"""Credits and budgets: what is held before a call is settled with its record, to the last digit."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shop_kit import BODY, KEY, SAY, shop
from tests.fakes.appliance import CHAT, ROOT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Ended


def test_credits_pay_for_calls_to_the_last_digit(provider: Provider, tmp_path: Path) -> None:
    with shop(tmp_path, provider) as one:
        provider.clear()
        refused = one.ask()
        assert refused.status == 429, refused.body
        assert "insufficient" in refused.body.decode().lower()
        assert provider.received == []
        assert one.top_up("5", "pay_1")["counted"]
        assert not one.top_up("5", "pay_1")["counted"]  # the same payment told twice
        assert one.ask().status == 200
        assert provider.received[-1].first(b"authorization") == f"Bearer {KEY}".encode()
        stream = one.ask(stream=True)
        assert stream.status == 200
        found, cost = one.settled(), one.spent_on_record()
        assert Decimal(found["spent_usd"]) == cost > 0
        assert Decimal(found["available_usd"]) == 5 - cost
        before = len(provider.received)
        refused = one.ask(model="gpt-4o/openai", max_tokens=16_000, n=64)
        assert refused.status == 429, refused.body
        assert len(provider.received) == before
        with pytest.raises(Exception, match="neither spent nor held"):
            one.appliance.command("wallet.debit", org="acme", amount="5")
        assert Decimal(one.appliance.command("wallet.debit", org="acme", amount="1")
                       ["available_usd"]) == 4 - cost  # fmt: skip


def test_a_failed_call_costs_nothing(provider: Provider, tmp_path: Path) -> None:
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        assert one.ask(model="gpt-4o/openai", headers={"x-fake": "fake-error-500"}).status == 500
        found = one.settled()
        assert (found["spent_usd"], found["available_usd"]) == ("0", "5")


def test_calls_beside_each_other_never_spend_more_than_there_is(
    provider: Provider, tmp_path: Path
) -> None:
    """Each holds a cent at its worst; with five cents at most four fit at a time, since one stays
    in the wallet."""
    with shop(tmp_path, provider) as one:
        one.top_up("0.05")
        with ThreadPoolExecutor(20) as pool:
            replies = list(pool.map(lambda _: one.ask().status, range(200)))
        assert set(replies) <= {200, 429}
        assert 200 in replies
        found = one.settled()
        assert Decimal(found["spent_usd"]) == one.spent_on_record() <= Decimal("0.05")
        assert Decimal(found["available_usd"]) >= Decimal("0")


def test_what_a_kill_left_held_is_settled_by_the_record(provider: Provider, tmp_path: Path) -> None:
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        assert one.ask().status == 200  # on record, its settling perhaps not on the disk yet
        one.appliance.restart()
        cost = one.spent_on_record()
        assert Decimal(one.settled()["spent_usd"]) == cost > 0
        with one.appliance.client() as raw:  # one that runs when the process is killed
            headers = {"Authorization": f"Bearer {one.key}", "x-fake": "fake-held",
                       "x-fake-gate": "never"}  # fmt: skip
            raw.request("/v1/chat/completions", {**BODY, "stream": True}, headers)
            provider.find("never")
            one.appliance.restart()
        found = one.settled()
        charged = Decimal(found["spent_usd"]) - cost
        assert 0 < charged < Decimal("0.001")  # its input part: what was answered nobody knows
        assert Decimal(found["available_usd"]) == 5 - cost - charged


def test_a_model_without_a_price_is_not_paid_from_credits(
    provider: Provider, tmp_path: Path
) -> None:
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        refused = one.ask(model="made-up-model/openai")
        assert refused.status in (400, 401), refused.body
        assert one.settled()["spent_usd"] == "0"


def test_budgets_of_own_keys(provider: Provider, tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-env"}
    with Appliance(tmp_path, provider, lends=True, environ=environ) as appliance:
        limit = {"scope": "user", "limit": "0.001", "period": "day"}
        made = appliance.command("budgets.set", **limit)
        user = {"Helicone-User-Id": "ann"}
        replies = [appliance.call(CHAT, BODY, user) for _ in range(60)]
        assert replies[0].status == 200
        assert replies[-1].status == 429, replies[-1].body
        assert "per day (ann)" in replies[-1].body.decode()
        assert appliance.call(CHAT, BODY, {"Helicone-User-Id": "bob"}).status == 200
        sql = "SELECT sum(cost_usd) AS usd FROM requests WHERE user_id = 'ann'"
        (row,) = appliance.query(sql)
        (ann,) = [one for one in appliance.command("budgets.list") if one["value"] == "ann"]
        assert Decimal(ann["spent_usd"]) == Decimal(row["usd"])
        done = [reply.status for reply in replies].count(200)
        one_call = Decimal(ann["spent_usd"]) / done
        assert Decimal(ann["spent_usd"]) <= Decimal("0.001") + one_call  # passed by one at most
        appliance.kill()
        appliance.start()
        assert appliance.call(CHAT, BODY, user).status == 429
        appliance.command("budgets.remove", budget=made["id"])
        assert appliance.call(CHAT, BODY, user).status == 200


ODD_ENDS = [
    "fake-big-600", "fake-gzip", "fake-cut-after-3", "fake-reset-after-2", "fake-no-done",
    "fake-error-in-200", "fake-error-400", "fake-short-body",
]  # fmt: skip


def test_what_counts_is_what_is_on_record(provider: Provider, tmp_path: Path) -> None:
    """However a call ends, in whatever coding, spilled or not: the budget and the row agree."""
    provider.open_gate("open")
    with Appliance(tmp_path, provider) as appliance:
        appliance.command("budgets.set", scope="user", limit="1000", period="month")
        large = [{"role": "user", "content": "hello " * 400_000}]
        for number, script in enumerate([*ODD_ENDS, "fake-stream", "fake-gone"]):
            for stream in (False, True):
                body = {**BODY, "stream": stream, "messages": large if number % 2 else SAY}
                headers = {
                    "Helicone-User-Id": f"{script}-{stream}", "x-fake": script,
                    "x-fake-gate": "open",
                }  # fmt: skip
                if script == "fake-gone":
                    hang_up(appliance, provider, {**body, "stream": True}, headers)
                    continue
                if script == "fake-stream":
                    del headers["x-fake"]
                with appliance.client() as raw:
                    raw.request(CHAT, body, headers)
                    raw.reply()
        until_s = time.monotonic() + PATIENCE_S
        while True:
            spent = appliance.command("budgets.list")
            if {one["held_usd"] for one in spent} == {"0"}:
                break
            assert time.monotonic() < until_s, spent
            time.sleep(0.01)
        rows = appliance.query("SELECT user_id, outcome, cost_usd, not_applied FROM requests")
        assert len(rows) == 2 * len(ODD_ENDS) + 4
        assert {"complete", "cut", "client_gone"} <= {row["outcome"] for row in rows}
        assert [row["not_applied"] for row in rows if row["not_applied"]] == []
        counted = {one["value"]: Decimal(one["spent_usd"]) for one in spent}
        recorded = {
            user: sum(Decimal(row["cost_usd"] or 0) for row in rows if row["user_id"] == user)
            for user in counted
        }
        assert counted == recorded


def hang_up(
    appliance: Appliance, provider: Provider, body: dict[str, Any], headers: dict[str, str]
) -> None:
    """A client that leaves in the middle of a stream."""
    with appliance.client() as raw:
        headers = {**headers, "x-fake": "fake-held", "x-fake-gate": "never"}
        request_id = str(uuid.uuid4())
        raw.request(CHAT, body, {**headers, "Helicone-Request-Id": request_id})
        raw.read_until(b"data: ")
    assert appliance.row(request_id)["outcome"] == "client_gone"


def test_while_the_ledger_cannot_be_written(provider: Provider, tmp_path: Path) -> None:
    """Credits are refused, budgets of own keys are passed and marked; both come back."""
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        one.appliance.command("budgets.set", scope="user", limit="5", period="day", org="acme")
        own = {"Authorization": "Bearer sk-own", "Helicone-Auth": f"Bearer {one.key}",
               "Helicone-User-Id": "ann"}  # fmt: skip
        with closing(sqlite3.connect(one.appliance.data / "state.sqlite")) as other:
            other.isolation_level = None
            other.execute("BEGIN EXCLUSIVE")
            refused = one.ask()
            assert refused.status == 503
            assert "wallet cannot be relied upon" in refused.json["error"]["message"]
            passed = one.appliance.call(CHAT, BODY, own)
            assert passed.status == 200
            assert passed.first("helicone-not-applied") == b"budgets;reason=wallet-down"
            other.execute("ROLLBACK")
        until_s = time.monotonic() + PATIENCE_S
        while one.ask().status != 200:
            assert time.monotonic() < until_s
            time.sleep(0.05)
        counted = one.appliance.call(CHAT, BODY, own)
        assert counted.status == 200
        assert counted.first("helicone-not-applied") is None
        one.settled()
        rows = one.appliance.query("SELECT not_applied FROM requests WHERE user_id = 'ann'")
        assert sorted(row["not_applied"] for row in rows) == [[], ["budgets;reason=wallet-down"]]


ROUNDS = 3


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(30, marks=pytest.mark.long)])
def test_kills_under_load_leave_every_cent_accounted_for(
    provider: Provider, tmp_path: Path, rounds: int
) -> None:
    """What was spent is what is on record, and the input part of calls whose record was lost."""
    seed = int(os.environ.get("SEED", "20261122"))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        for _ in range(rounds):
            ended = threading.Event()
            kill_after = chance.randint(1, 60)
            done: list[int] = []

            def work(ended: threading.Event = ended, done: list[int] = done) -> None:
                while not ended.is_set():
                    try:
                        done.append(one.ask(stream=bool(len(done) % 2)).status)
                    except (Ended, OSError):
                        return

            with ThreadPoolExecutor(8) as pool:
                for _ in range(8):
                    pool.submit(work)
                while done.count(200) < kill_after:
                    time.sleep(0.001)
                one.appliance.kill()
                ended.set()
            one.appliance.start()
            assert set(done) <= {0, 200}  # 0: cut off by the kill
        found = one.settled()
        flags = one.appliance.command("wallet.flags", org="acme")
        assert {flag["kind"] for flag in flags} <= {"no_frame"}
        lost = sum((Decimal(flag["amount_usd"]) for flag in flags), Decimal(0))
        assert Decimal(found["spent_usd"]) == one.spent_on_record() + lost > 0
        assert Decimal(found["available_usd"]) == 5 - Decimal(found["spent_usd"])


def test_a_budget_that_cannot_be_counted_is_said(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance:
        appliance.command("budgets.set", scope="user", limit="1", period="day")
        reply = appliance.call(CHAT, {**BODY, "model": "nobody-knows"}, {"Helicone-User-Id": "a"})
        assert reply.status == 200
        assert reply.first("helicone-not-applied") == b"budgets;reason=no-price"
        row = appliance.row(reply.id)
        assert row["not_applied"] == ["budgets;reason=no-price"]


def test_the_commands(provider: Provider, tmp_path: Path) -> None:
    def run(*arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "appliance.cli", *arguments, "--data-dir", str(appliance.data)],
            cwd=ROOT, env={**os.environ, **appliance.environ}, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr if fails else done.stdout

    appliance = Appliance(tmp_path, provider)
    appliance.start()
    for _ in "live", "offline":
        shown = json.loads(run("wallet", "top-up", "2.5", "--event-id", "e1", "--json"))
        assert (shown["available_usd"], shown["repeated"]) == ("2.5", not appliance.running)
        other = run("wallet", "top-up", "3", "--event-id", "e1", fails=True)
        assert "as a top-up of $2.5, and is no top-up of $3 now" in other
        done = [
            one for one in json.loads(run("audit", "--json")) if one["action"] == "wallet.top-up"
        ]
        repeats = [one for one in done if "repeated" in str(one["detail"])]
        assert (len(done), len(repeats)) == ((1, 0) if appliance.running else (2, 1))
        run("budgets", "set", "property:Team", "10", "--per", "week", "--value", "search")
        (listed,) = json.loads(run("budgets", "list", "--json"))
        assert (listed["scope"], listed["limit_usd"]) == ("property:team", "10")
        assert "amount" in run("wallet", "debit", "much", fails=True)
        assert "period" in run("budgets", "set", "user", "1", "--per", "year", fails=True)
        if appliance.running:
            assert appliance.stop() == 0
