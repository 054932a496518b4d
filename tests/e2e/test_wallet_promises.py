"""What the wallet promises of money, through the running program: a thousand calls at once, however
a call ends, and what the cache answers.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.shop_kit import BODY, SAY, Shop, shop
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_openai import pretty
from tests.fakes.raw_client import Ended

AT_ONCE = 1000
INPUT_TOKENS, OUTPUT_TOKENS = 1000, 1000
MODEL = "gpt-4o/openai"
COST_USD = Decimal("0.0125")  # of one call, at $2.50 and $10 for a million tokens
OVERAGE = 3  # as the ledger numbers it


def transfers(one: Appliance) -> list[tuple[int, int]]:
    """Kind and amount of all, from the server's file, as another connection sees it."""
    with closing(sqlite3.connect(f"file:{one.data}/state.sqlite?mode=ro", uri=True)) as file:
        found: list[tuple[int, int]] = file.execute(
            "SELECT kind, posted_pico FROM ledger_transfers ORDER BY id, step, leg"
        ).fetchall()
        return found


def open_holds(one: Appliance) -> int:
    with closing(sqlite3.connect(f"file:{one.data}/state.sqlite?mode=ro", uri=True)) as file:
        found: int = file.execute("SELECT count(*) FROM ledger_holds").fetchone()[0]
        return found


def wait_until_stored(one: Appliance) -> None:
    """Until no hold is in the file: what was settled last is stored a moment later."""
    until_s = time.monotonic() + PATIENCE_S
    while open_holds(one):
        assert time.monotonic() < until_s
        time.sleep(0.01)


class Tills:
    """A provider that answers when all are there, at the price of the worst case."""

    def __init__(self, provider: Provider) -> None:
        self.arrived = 0
        self.go = threading.Event()
        self._changed = threading.Condition()
        self.refused = 0
        self.name = provider.add(f"dear-{uuid.uuid4()}", self.answer)

    async def answer(self, talk: Talk) -> None:
        await talk.read_body()
        with self._changed:
            self.arrived += 1
            self._changed.notify_all()
        await talk.gate(self.name)
        usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS,
                 "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}  # fmt: skip
        choice = {"index": 0, "message": {"role": "assistant", "content": "."},
                  "finish_reason": "length"}  # fmt: skip
        body = pretty({"id": "c", "object": "chat.completion", "created": 1764000000,
                       "model": "gpt-4o", "choices": [choice], "usage": usage})  # fmt: skip
        await talk.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    def said_no(self) -> None:
        with self._changed:
            self.refused += 1
            self._changed.notify_all()

    def wait(self, number: int) -> None:
        """Until so many have arrived or were refused."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: self.arrived + self.refused >= number, PATIENCE_S
            ), (self.arrived, self.refused)


async def ask_all(one: Shop, tills: Tills, number: int) -> list[int]:
    """The statuses of so many calls that are all under way before the first is answered."""
    host, _, port = one.appliance.url.removeprefix("http://").partition(":")
    body = pretty({**BODY, "model": MODEL, "max_tokens": OUTPUT_TOKENS})
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n"
        b"x-fake: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (host.encode(), one.key.encode(), tills.name.encode(), len(body), body)
    )
    statuses: list[int] = []

    async def ask() -> None:
        stream = await trio.open_tcp_stream(host, int(port))
        async with stream:
            await stream.send_all(request)
            data = b""
            while b"\r\n\r\n" not in data:
                piece = await stream.receive_some()
                assert piece, data
                data += piece
            statuses.append(int(data[9:12]))
            if statuses[-1] != 200:
                tills.said_no()

    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(ask)
        await trio.to_thread.run_sync(tills.wait, number)
        one.provider.open_gate(tills.name)
    return statuses


@pytest.mark.timeout(300)
def test_a_thousand_calls_at_once_on_five_dollars(provider: Provider, tmp_path: Path) -> None:
    """Each may cost 1.3 cents, and costs nearly that: about 390 fit. None is answered before
    all have been let through or refused, so all their holds stand beside each other."""
    tills = Tills(provider)
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        statuses = trio.run(ask_all, one, tills, AT_ONCE)
        assert len(statuses) == AT_ONCE
        assert set(statuses) == {200, 429}
        passed = statuses.count(200)
        assert passed == tills.arrived
        found = one.settled()
        spent = Decimal(found["spent_usd"])
        assert spent == one.spent_on_record() == passed * COST_USD
        assert Decimal("4.7") < spent <= Decimal("4.99")  # it was used, and a cent stays
        assert Decimal(found["available_usd"]) == 5 - spent
        # And on, one after the other, until nothing fits.
        while one.ask(model=MODEL, max_tokens=OUTPUT_TOKENS,
                      headers={"x-fake": tills.name}).status == 200:  # fmt: skip
            pass
        found = one.settled()
        assert Decimal(found["spent_usd"]) == one.spent_on_record() <= Decimal("4.99")
        kinds = {kind for kind, _ in transfers(one.appliance)}
        assert OVERAGE not in kinds, "a hold was too small"
        assert one.appliance.command("wallet.flags", org="acme") == []


ENDS = [
    "fake-error-400", "fake-error-429", "fake-error-500", "fake-cut-after-3", "fake-reset-after-2",
    "fake-no-done", "fake-error-in-200", "fake-short-body", "fake-gzip", "fake-gone",
]  # fmt: skip


def test_no_end_of_a_call_leaves_a_hold(provider: Provider, tmp_path: Path) -> None:
    """Paid from credits, buffered and streaming: what is on record was spent, nothing is held."""
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        for script, stream in ((script, stream) for script in ENDS for stream in (False, True)):
            before = len(provider.received)
            if script == "fake-gone":
                hang_up(one, stream=stream)
            else:
                break_off(one, script, stream=stream)
            assert len(provider.received) > before, script
            one.settled()
            # A reply whose cost could not be told keeps its model from being paid for again.
            if disallowed := one.show()["disallowed"]:
                given = {"provider": "openai", "model": disallowed.partition("/")[2]}
                one.appliance.command("wallet.allow", org="acme", **given)
        found = one.settled()
        wait_until_stored(one.appliance)
        flags = one.appliance.command("wallet.flags", org="acme")
        untold = sum((Decimal(flag["amount_usd"]) for flag in flags), Decimal(0))
        assert {flag["kind"] for flag in flags} <= {"no_cost"}
        assert Decimal(found["spent_usd"]) == one.spent_on_record() + untold
        assert Decimal(found["available_usd"]) == 5 - Decimal(found["spent_usd"])
        rows = one.appliance.query("SELECT outcome FROM requests")
        assert len(rows) == 2 * len(ENDS)
        assert "client_gone" in {row["outcome"] for row in rows}


def break_off(one: Shop, script: str, *, stream: bool) -> None:
    """A call whose provider fails."""
    one.provider.open_gate("open")
    headers = {"Authorization": f"Bearer {one.key}", "x-fake": script, "x-fake-gate": "open"}
    with one.appliance.client() as raw, suppress(Ended):
        raw.call("/v1/chat/completions", {**BODY, "model": MODEL, "stream": stream}, headers)


def hang_up(one: Shop, *, stream: bool) -> None:
    """A client that leaves: in the middle of a stream, or while it waits for its answer."""
    gate, request_id = f"never-{uuid.uuid4()}", str(uuid.uuid4())
    headers = {"Authorization": f"Bearer {one.key}", "Helicone-Request-Id": request_id,
               "x-fake": "fake-held" if stream else "fake-stall", "x-fake-gate": gate}  # fmt: skip
    with one.appliance.client() as raw:
        raw.request("/v1/chat/completions", {**BODY, "model": MODEL, "stream": stream}, headers)
        if stream:
            raw.read_until(b"data: ")
        else:
            one.provider.find(gate)
    assert one.appliance.row(request_id)["outcome"] == "client_gone"


def test_cached_answers_never_settle_or_charge(provider: Provider, tmp_path: Path) -> None:
    """A hit is counted on no budget, makes no hold and no transfer, and costs nothing on record."""
    with Appliance(tmp_path, provider) as appliance:
        appliance.command("budgets.set", scope="user", limit="1000", period="month")
        text = str(uuid.uuid4())
        for stream in (False, True):
            body = {**BODY, "stream": stream, "messages": [{"role": "user", "content": text}]}
            user = {"Helicone-User-Id": f"ann-{stream}", "Helicone-Cache-Enabled": "true"}
            first = appliance.call(CHAT, body, user)
            assert (first.status, first.first("helicone-cache")) == (200, b"MISS")
            spent = settled_budget(appliance, user["Helicone-User-Id"])
            assert spent > 0
            before = transfers(appliance)
            hits = [appliance.call(CHAT, body, user) for _ in range(3)]
            assert [hit.first("helicone-cache") for hit in hits] == [b"HIT"] * 3
            assert [hit.body for hit in hits] == [first.body] * 3
            rows = [appliance.row(hit.id) for hit in hits]
            assert {(Decimal(row["cost_usd"] or 0), row["outcome"]) for row in rows} == {
                (Decimal(0), "cache_hit")
            }
            # A call that is counted is stored after all that came before it.
            other = {"Helicone-User-Id": f"bob-{stream}"}
            assert appliance.call(CHAT, body, other).status == 200
            settled_budget(appliance, other["Helicone-User-Id"])
            assert len(transfers(appliance)) == len(before) + 1
            assert open_holds(appliance) == 0
            assert settled_budget(appliance, user["Helicone-User-Id"]) == spent


def test_cached_answers_cost_no_credits(provider: Provider, tmp_path: Path) -> None:
    """The same through the gateway: the first call is paid for, its repetitions are not."""
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        for stream in (False, True):
            headers = {"Helicone-Cache-Enabled": "true"}
            first = one.ask(stream=stream, headers=headers)
            assert (first.status, first.first("helicone-cache")) == (200, b"MISS")
            found = one.settled()
            assert Decimal(found["spent_usd"]) == one.spent_on_record() > 0
            wait_until_stored(one.appliance)
            before = transfers(one.appliance)
            for _ in range(3):
                hit = one.ask(stream=stream, headers=headers)
                assert (hit.status, hit.first("helicone-cache")) == (200, b"HIT")
                assert hit.body == first.body
                assert one.show() == found
                row = one.appliance.row(hit.id)
                assert (Decimal(row["cost_usd"] or 0), row["outcome"]) == (0, "cache_hit")
            # What is asked for next is stored after all that came before it.
            one.top_up("1", f"evt-{stream}")
            assert transfers(one.appliance)[:-1] == before
            assert open_holds(one.appliance) == 0


def settled_budget(appliance: Appliance, value: str) -> Decimal:
    """What was spent of one value's budget, once nothing is held and it is on the disk."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        found = [one for one in appliance.command("budgets.list") if one["value"] == value]
        if found and found[0]["held_usd"] == "0" and not open_holds(appliance):
            return Decimal(found[0]["spent_usd"])
        assert time.monotonic() < until_s, found
        time.sleep(0.01)


def test_a_budget_is_passed_by_one_call_at_most_and_that_is_reported(
    provider: Provider, tmp_path: Path
) -> None:
    limit = Decimal("0.0005")
    with Appliance(tmp_path, provider) as appliance:
        appliance.command("budgets.set", scope="user", limit=str(limit), period="month")
        user = {"Helicone-User-Id": "ann"}
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(lambda _: appliance.call(CHAT, BODY, user).status, range(64)))
        assert set(replies) == {200, 429}
        spent = settled_budget(appliance, "ann")
        one_call = spent / replies.count(200)
        assert limit < spent <= limit + one_call
        (flag,) = appliance.command("wallet.flags")
        assert (flag["kind"], flag["about"]) == ("budget_passed", "user *, per month (ann)")
        assert Decimal(flag["amount_usd"]) == spent - limit


def test_a_call_that_is_under_way_keeps_its_hold(provider: Provider, tmp_path: Path) -> None:
    """However long it takes, and however many others come and go meanwhile."""
    with shop(tmp_path, provider) as one:
        one.top_up("5")
        gate = f"later-{uuid.uuid4()}"
        headers = {"Authorization": f"Bearer {one.key}", "x-fake": "fake-held",
                   "x-fake-gate": gate}  # fmt: skip
        with one.appliance.client() as raw:
            body: dict[str, Any] = {**BODY, "model": MODEL, "messages": SAY, "stream": True}
            raw.request("/v1/chat/completions", body, headers)
            raw.read_until(b"data: ")
            held = Decimal(one.show()["held_usd"])
            assert held > 0
            for _ in range(20):
                assert one.ask().status == 200
            until_s = time.monotonic() + PATIENCE_S
            while Decimal(one.show()["held_usd"]) != held:
                assert time.monotonic() < until_s
                time.sleep(0.01)
            provider.open_gate(gate)
            raw.read_until(b"[DONE]")
        assert Decimal(one.settled()["spent_usd"]) == one.spent_on_record()
