"""The feed and the sender over a real state store and a real database, with a clock of our own and
receivers that are down, slow, broken or gone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.actors import webhooks as module
from appliance.core.webhooks import ATTEMPTS_MAX, signature
from appliance.errors import UpstreamFailed
from storage import webhook_tables as table
from storage.frames import Position
from tests.actors.hooks_kit import InlineTables
from tests.actors.webhooks_kit import Bench, Receiver
from tests.storage.analytics_rows import ORG, opened

OTHER_ORG = bytes(15) + b"\x02"
HOUR_S = 3600


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[InlineTables]:
    found = InlineTables(tmp_path)
    yield found
    found.close()


@pytest.fixture
def bench(tables: InlineTables) -> Bench:
    return Bench(tables)


def by_number(bench: Bench) -> list[table.Delivery]:
    return sorted(bench.deliveries(), key=lambda row: row.exchange_id)


async def test_what_is_recorded_is_sent_once_and_signed(autojump_clock: Any, bench: Bench):
    bench.ingest.add(1, 2)
    async with bench.running():
        receiver = bench.add("a")
        await trio.sleep(1)
        bench.ingest.add(3, user_id="u-3", model="gpt-4o")
        bench.ingest.add(4, org=OTHER_ORG)
        bench.ingest.add(5)
        await trio.sleep(1)
    # Not what was there before it, and nothing of others.
    assert [row.exchange_id[-1] for row in by_number(bench)] == [3, 5]
    assert sorted(receiver.requests) == [row.request_id for row in by_number(bench)]
    first = by_number(bench)[0]
    _, headers, body = next(got for got in receiver.got if first.request_id.encode() in got[2])
    assert headers["Helicone-Signature"] == signature("key of a", body)
    assert headers["Helicone-Delivery-Id"] == first.id
    sent = json.loads(body)
    exchange = str(uuid.UUID(bytes=first.exchange_id))
    assert sent["request_response_url"] == f"https://here.example/v1/signed/{exchange}"
    assert (sent["user_id"], sent["model"]) == ("u-3", "gpt-4o")
    assert sent["request_body"] is not None
    assert (first.state, first.attempts, first.status, first.error) == ("delivered", 1, 200, "")
    assert bench.actor.trouble == ""
    # After a restart nothing comes again.
    async with bench.running():
        await trio.sleep(HOUR_S)
        bench.ingest.add(6)
        await trio.sleep(1)
    assert len(receiver.got) == 3


async def test_without_webhooks_the_database_is_not_asked(autojump_clock: Any, bench: Bench):
    async with bench.running():
        for number in range(1, 20):
            bench.ingest.add(number)
            await trio.sleep(1)
    assert bench.ingest.queries == []


async def test_filters_and_samples(autojump_clock: Any, bench: Bench):
    every = bench.add("every")
    prod = bench.add("prod", filters='[["env","prod"]]')
    none = bench.add("none", sample_percent=0.0)
    some = bench.add("some", sample_percent=40.0)
    async with bench.running():
        bench.ingest.add(*range(1, 51), properties={"env": "prod"})
        bench.ingest.add(*range(51, 101), properties={"env": "test"})
        bench.ingest.add(*range(101, 111))
        await trio.sleep(30)
    assert (len(every.got), len(prod.got), len(none.got)) == (110, 50, 0)
    assert 20 < len(some.got) < 70


async def test_steps_of_a_trace_and_what_is_imported_are_not_sent(
    autojump_clock: Any, bench: Bench
):
    receiver = bench.add("a")
    async with bench.running():
        bench.ingest.add(1, step="tool", source="otlp")
        bench.ingest.add(2, source="import")
        bench.ingest.add(3, source="log")
        await trio.sleep(1)
    assert [row.exchange_id[-1] for row in bench.deliveries()] == [3]
    assert len(receiver.got) == 1


async def test_more_than_a_page_is_looked_through(
    autojump_clock: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FEED_ROWS_MAX", 7)
    receiver = bench.add("a")
    async with bench.running():
        bench.ingest.add(*range(1, 31))
        await trio.sleep(10)
    assert sorted(receiver.requests) == sorted({row.request_id for row in bench.deliveries()})
    assert len(receiver.got) == 30


async def test_a_receiver_that_is_down_is_tried_again_until_it_is_there(
    autojump_clock: Any, bench: Bench
):
    down = UpstreamFailed("connect_failed", "refuses connections", retryable=True)
    receiver = bench.add("a", Receiver([down, 500, 302, 200]))
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(5)
        (row,) = bench.deliveries()
        assert (row.state, row.attempts, row.error) == ("waiting", 1, "refuses connections")
        await trio.sleep(10)
        (row,) = bench.deliveries()
        assert (row.status, row.error) == (500, "answered 500")
        await trio.sleep(31)
        assert "redirects are not followed" in bench.deliveries()[0].error
        await trio.sleep(200)
    (row,) = bench.deliveries()
    assert (row.state, row.attempts, row.status, row.error) == ("delivered", 4, 200, "")
    assert len(set(receiver.ids)) == 1
    assert len({body for *_, body in receiver.got}) == 1
    waits = [round(b - a) for a, b in zip(receiver.at_s, receiver.at_s[1:], strict=False)]
    assert waits == [10, 30, 90]


async def test_it_is_given_up_after_so_many_attempts_and_can_be_replayed(
    autojump_clock: Any, bench: Bench
):
    receiver = bench.add("a", Receiver(usual=503))
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(48 * HOUR_S)
        (row,) = bench.deliveries()
        assert (row.state, row.attempts) == ("failed", ATTEMPTS_MAX)
        receiver.usual = 200
        bench.tables.tables.write(
            partial(
                table.replay, webhook_id=row.webhook_id, delivery_id=row.id,
                now_us=int(bench.clock() * 1e6),
            )
        )  # fmt: skip
        bench.actor.changed()
        await trio.sleep(1)
    (row,) = bench.deliveries()
    assert (row.state, row.attempts, len(receiver.got)) == ("delivered", 1, ATTEMPTS_MAX + 1)
    assert len(set(receiver.ids)) == 1


async def test_a_slow_receiver_holds_up_nobody_else(autojump_clock: Any, bench: Bench):
    slow = bench.add("slow", Receiver(usual=60.0))
    quick = bench.add("quick")
    dead = bench.add("dead", Receiver(usual=1000.0))
    async with bench.running():
        bench.ingest.add(*range(1, 21))
        await trio.sleep(5)
        assert len(quick.got) == 20
        assert (len(slow.got), len(dead.got)) == (4, 4)
        await trio.sleep(100)
        assert (slow.most_open, dead.most_open) == (4, 4)
        assert {row.error for row in bench.deliveries("dead") if row.attempts} == {
            "no answer within 90 s"
        }


async def test_killed_while_sending_it_is_sent_again_under_the_same_id(
    autojump_clock: Any, bench: Bench
):
    receiver = bench.add("a", Receiver(usual=60.0))
    async with bench.running():
        bench.ingest.add(1, 2)
        await trio.sleep(1)
    assert bench.states() == {"waiting": 2}
    receiver.usual = 200
    async with bench.running():
        await trio.sleep(1)
    assert bench.states() == {"delivered": 2}
    assert sorted(receiver.ids) == sorted(2 * [row.id for row in bench.deliveries()])


async def test_what_the_feed_had_not_noted_is_found_again(autojump_clock: Any, bench: Bench):
    receiver = bench.add("a")
    bench.ingest.add(*range(1, 6))
    async with bench.running():
        await trio.sleep(1)
    assert len(receiver.got) == 5


async def test_a_deleted_request_is_not_sent(autojump_clock: Any, bench: Bench):
    receiver = bench.add("a", Receiver([500]))
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(1)
        bench.ingest.analytics.hide([bench.deliveries()[0].exchange_id])
        with bench.ingest.analytics._transaction(room=False):
            bench.ingest.analytics._run("DELETE FROM store.hot_requests")
        await trio.sleep(20)
    (row,) = bench.deliveries()
    assert (row.state, row.error, len(receiver.got)) == ("dropped", "the request was deleted", 1)


async def test_beyond_its_bound_the_oldest_go(
    autojump_clock: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table, "WAITING_MAX", 10)
    monkeypatch.setattr(table, "KEPT_MAX", 5)
    receiver = bench.add("a", Receiver(usual=500))
    async with bench.running():
        for number in range(1, 31):
            bench.ingest.add(number)
            await trio.sleep(0.5)
    states = bench.states()
    assert states["waiting"] <= 10
    assert states["dropped"] <= 6
    newest = {row.exchange_id[-1] for row in bench.deliveries() if row.state == "waiting"}
    assert 30 in newest
    assert receiver.got


async def test_switched_off_removed_and_changed(autojump_clock: Any, bench: Bench):
    receiver = bench.add("a", Receiver(usual=500))
    other = bench.add("b")
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(1)
        bench.change("a.example", is_active=False)
        bench.ingest.add(2)
        await trio.sleep(HOUR_S)
        assert bench.states("a.example") == {"dropped": 1}
        assert len(receiver.got) == 1
        bench.change("a.example", is_active=True, since=bench.ingest.position)
        receiver.usual = 200
        bench.ingest.add(3)
        await trio.sleep(1)
        assert bench.states("a.example") == {"dropped": 1, "delivered": 1}
        assert len(other.got) == 3
        (row,) = [row for row in bench.rows() if "b.example" in row.destination]
        bench.tables.tables.write(partial(table.remove_webhook, org=ORG, webhook_id=row.id))
        bench.actor.changed()
        bench.ingest.add(4)
        await trio.sleep(1)
    assert len(other.got) == 3
    assert len(bench.deliveries()) == 3


async def test_stores_that_break_are_waited_for(autojump_clock: Any, bench: Bench):
    receiver = bench.add("a")
    async with bench.running():
        await trio.sleep(1)
        bench.ingest.broken = True
        bench.ingest.add(1)
        await trio.sleep(1)
        assert bench.actor.trouble
        bench.ingest.broken = False
        await trio.sleep(10)
        assert (len(receiver.got), bench.actor.trouble) == (1, "")
        bench.tables.broken = True
        bench.ingest.add(2)
        await trio.sleep(60)
        assert len(receiver.got) == 1
        bench.tables.broken = False
        await trio.sleep(10)
    assert len(receiver.got) == 2


async def test_an_outcome_that_cannot_be_noted_is_not_a_second_delivery(
    autojump_clock: Any, bench: Bench
):
    receiver = bench.add("a", Receiver(usual=2.0))
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(1)
        bench.tables.broken = True
        await trio.sleep(HOUR_S)
        bench.tables.broken = False
        await trio.sleep(HOUR_S)
    assert len(receiver.got) == 1
    assert bench.states() == {"delivered": 1}


async def test_one_key_that_does_not_open_stops_no_other(autojump_clock: Any, bench: Bench):
    bench.add("damaged", sealed=b"damaged")
    receiver = bench.add("a")
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(1)
    assert len(receiver.got) == 1


async def test_while_the_database_is_made_anew_nothing_is_taken_for_deleted(
    autojump_clock: Any, bench: Bench
):
    receiver = bench.add("a", Receiver([500]))
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(1)
        kept = bench.ingest.analytics, bench.ingest.position
        bench.ingest.analytics, bench.ingest.position = opened(None), Position(1, 0)
        await trio.sleep(HOUR_S)
        assert bench.states() == {"waiting": 1}
        bench.ingest.analytics, bench.ingest.position = kept
        await trio.sleep(60)
    assert bench.states() == {"delivered": 1}
    assert len(receiver.got) == 2


async def test_a_clock_that_jumps(autojump_clock: Any, bench: Bench):
    receiver = bench.add("a", Receiver([500, 500]))
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(1)
        bench.clock.jumped_s = 10 * HOUR_S
        await trio.sleep(25)
        assert len(receiver.got) == 2
        bench.clock.jumped_s = 0
        await trio.sleep(11 * HOUR_S)
    assert bench.states() == {"delivered": 1}


async def test_no_link_without_a_public_url(autojump_clock: Any, bench: Bench):
    bench.url = None
    receiver = bench.add("a")
    async with bench.running():
        bench.ingest.add(1)
        await trio.sleep(1)
    assert "request_response_url" not in json.loads(receiver.got[0][2])


def counted(bench: Bench) -> dict[str, float]:
    samples = list(bench.actor.gauges("us"))
    assert all(labels == {"region": "us"} for _, labels, _ in samples)
    return {name.removeprefix("webhook_"): value for name, _, value in samples}


async def test_what_becomes_of_deliveries_is_counted(
    autojump_clock: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    names = ("sent_total", "failed_total", "retried_total", "dropped_total", "waiting")
    assert counted(bench) == dict.fromkeys(names, 0)
    monkeypatch.setattr(table, "WAITING_MAX", 3)
    bench.add("good")
    bad = bench.add("bad", Receiver(usual=500))
    async with bench.running():
        bench.ingest.add(1, 2, 3, 4)
        await trio.sleep(5)
        assert counted(bench) == {
            "sent_total": 3, "failed_total": 0, "retried_total": 3, "dropped_total": 2,
            "waiting": 3,
        }  # fmt: skip
        await trio.sleep(48 * HOUR_S)
        found = counted(bench)
        assert (found["failed_total"], found["waiting"]) == (3, 0)
        assert found["retried_total"] == len(bad.got) - 3
        bad.usual = 1000.0
        bench.ingest.add(5)
        await trio.sleep(1)
        assert counted(bench)["waiting"] == 1
        bench.change("good", is_active=False)
        bench.change("bad", is_active=False)
        await trio.sleep(200)
        assert counted(bench)["waiting"] == 0
