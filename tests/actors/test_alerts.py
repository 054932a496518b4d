"""Alerts minute by minute, and their news, over a real state store and a clock of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.actors.alerts import Ways, look_at_all
from appliance.actors.notices import Notices
from appliance.api.filter_fields import REQUEST_TABLES
from appliance.core.notices import Channels
from appliance.errors import Refusal, UpstreamFailed
from appliance.upstream.mail import MailFailed
from storage import alert_tables as table
from storage.notice_tables import Notice, add_notices
from storage.vault import VaultError
from tests.actors.hooks_kit import InlineTables, WallClock

ORG = bytes(15) + b"\x01"
SLACK = "https://hooks.slack.com/services/T/B/x"
HOOK = "https://a.example/in"
EVERYWHERE = Channels(("a@b.example", "c@d.example"), (SLACK,), (HOOK,))


def seal(owner: str, text: str) -> bytes:
    return f"{owner} {text}".encode()


def unseal(owner: str, sealed: bytes) -> str:
    if sealed == b"damaged":
        raise VaultError("no")
    return sealed.decode().removeprefix(f"{owner} ")


class Bench:
    """Values of the alerts by their names, and where news have come to."""

    def __init__(self, tables: InlineTables) -> None:
        self.tables = tables
        self.clock = WallClock()
        self.rows: dict[Decimal, Any] = {}
        self.mails: list[tuple[str, str, str]] = []
        self.posts: list[tuple[str, Any]] = []
        self.fails: dict[str, Exception] = {}
        self.changes = 0
        self.url: str | None = None

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        await trio.lowlevel.checkpoint()
        found = self.rows.get(
            next(Decimal(p) for p in parameters if isinstance(p, str) and p[0] == "7")
        )
        if isinstance(found, Exception):
            raise found
        if found == "slow":
            await trio.sleep_forever()
        return found or []

    async def look(self) -> None:
        def changed() -> None:
            self.changes += 1

        ways = Ways(self.query, seal, unseal, changed, lambda: self.url, REQUEST_TABLES)
        await look_at_all(self.tables, ways, self.clock)  # type: ignore[arg-type]

    def add(self, number: int, **more: Any) -> None:
        """An alert with the threshold 7<number>, by which its answer is found."""
        key = f"00000000-0000-4000-8000-{number:012}"
        known = {
            "id": key, "org": ORG, "name": f"alert {number}", "metric": "cost",
            "threshold": f"7{number}", "aggregation": None, "percentile": None, "grouping": None,
            "grouping_is_property": False, "window_ms": 300_000, "requests_min": 0,
            "filter": '"all"', "emails": json.dumps(EVERYWHERE.emails),
            "sealed": seal(key, EVERYWHERE.secrets()), **more,
        }  # fmt: skip
        assert self.tables.tables.write(partial(table.add_alert, row=table.AlertRow(**known)))

    def history(self) -> list[table.Incident]:
        return self.tables.tables.read(partial(table.history_of, org=ORG, limit=100, offset=0))[0]

    def statuses(self) -> list[str]:
        return [row.status for row in self.tables.tables.read(table.all_alerts)]

    def waiting(self) -> list[tuple[str, str]]:
        return self.tables.tables.read(
            lambda c: c.execute(
                "SELECT channel, subject FROM notices WHERE state = 'waiting'"
            ).fetchall()
        )

    def states(self) -> dict[str, int]:
        return self.tables.tables.read(
            lambda c: dict(
                c.execute("SELECT state, count(*) FROM notices GROUP BY state").fetchall()
            )
        )

    def notices(self, *, mail: bool = True) -> Notices:
        tables: Any = self.tables
        return Notices(
            tables, self._post, self._mail if mail else None, unseal, clock=self.clock,
            draw=lambda: 0.5,
        )  # fmt: skip

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        await trio.lowlevel.checkpoint()
        if url in self.fails:
            raise self.fails[url]
        self.posts.append((url, json.loads(body)))
        return 200

    async def _mail(self, to: str, subject: str, text: str) -> None:
        await trio.lowlevel.checkpoint()
        if to in self.fails:
            raise self.fails[to]
        self.mails.append((to, subject, text))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    tables = InlineTables(tmp_path)
    yield Bench(tables)
    tables.close()


async def test_from_the_first_minute_to_the_last(autojump_clock: Any, bench: Bench):
    bench.add(1)
    bench.url = "https://h.example"
    await bench.look()
    assert (bench.statuses(), bench.waiting()) == (["resolved"], [])
    bench.rows[Decimal(71)] = [(None, Decimal("80.126"), 12)]
    for _ in range(3):  # it is told once
        await bench.look()
        await trio.sleep(60)
    assert bench.statuses() == ["triggered"]
    (incident,) = bench.history()
    assert (incident.status, incident.triggered_value, incident.groups) == (
        "triggered",
        "80.13",
        "[]",
    )
    assert incident.ended_at_us is None
    assert bench.changes == 1
    subject = "Alert triggered: alert 1"
    assert sorted(bench.waiting()) == sorted(
        (channel, subject) for channel in ("email", "email", "slack", "webhook")
    )
    bench.rows.clear()
    for minutes in range(6):
        assert bench.statuses() == ["triggered"], minutes
        await bench.look()
        await trio.sleep(60)
    assert bench.statuses() == ["resolved"]
    (incident,) = bench.history()
    assert incident.status == "resolved"
    assert (incident.ended_at_us or 0) - incident.started_at_us == 8 * 60_000_000
    assert len(bench.waiting()) == 8
    bench.rows[Decimal(71)] = [(None, Decimal(90), 1)]
    await bench.look()
    assert len(bench.history()) == 2
    async with trio.open_nursery() as nursery:
        notices = bench.notices()
        await nursery.start(notices.run)
        await trio.sleep(1)
        notices.close()
    assert bench.states() == {"sent": 12}
    texts = [text for to, head, text in bench.mails if to == "a@b.example" and head == subject]
    assert any("80.13 USD over 12 requests" in text for text in texts)
    assert all(text.endswith("https://h.example/alerts") for text in texts)
    events = [body for url, body in bench.posts if url == HOOK]
    assert [one["type"] for one in events].count("alert.resolved") == 1
    assert {one["url"] for one in events} == {"https://h.example/alerts"}
    assert {tuple(body) for url, body in bench.posts if url == SLACK} == {("text",)}


async def test_one_with_a_cooldown_of_its_own(autojump_clock: Any, bench: Bench):
    bench.add(1, cooldown_ms=60_000)
    bench.rows[Decimal(71)] = [(None, Decimal(80), 12)]
    await bench.look()
    bench.rows.clear()
    for expected in ("triggered", "resolved"):
        await bench.look()
        assert bench.statuses() == [expected]
        await trio.sleep(60)


async def test_groups(autojump_clock: Any, bench: Bench):
    bench.add(1, grouping="user")
    bench.rows[Decimal(71)] = [("u-1", Decimal(90), 5), ("u-2", Decimal(80), 3)]
    await bench.look()
    (incident,) = bench.history()
    assert incident.triggered_value == ""
    assert [one["name"] for one in json.loads(incident.groups)] == ["u-1", "u-2"]


async def test_one_that_cannot_be_asked_stops_no_other(autojump_clock: Any, bench: Bench):
    bench.add(1)
    bench.add(2)
    bench.add(3)
    bench.add(4, sealed=b"damaged")
    bench.add(5, filter='{"gone":{"x":{"equals":1}}}')
    bench.rows = {
        Decimal(71): Refusal(503, "busy", "not now"),
        Decimal(72): "slow",
        Decimal(73): [(None, Decimal(80), 1)],
        Decimal(74): [(None, Decimal(80), 1)],
    }
    await bench.look()
    assert bench.statuses() == ["resolved", "resolved", "triggered", "resolved", "resolved"]


async def test_a_paused_one_is_not_looked_at(autojump_clock: Any, bench: Bench):
    bench.add(1, is_active=False)
    bench.rows[Decimal(71)] = [(None, Decimal(80), 1)]
    await bench.look()
    assert (bench.statuses(), bench.history()) == (["resolved"], [])


async def test_one_that_was_removed_meanwhile_is_not_told_of(autojump_clock: Any, bench: Bench):
    bench.add(1)
    bench.rows[Decimal(71)] = [(None, Decimal(80), 1)]
    kept = bench.query

    async def removing(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        (row,) = bench.tables.tables.read(table.all_alerts)
        bench.tables.tables.write(partial(table.remove_alert, org=ORG, alert_id=row.id))
        return await kept(sql, parameters)

    bench.query = removing  # type: ignore[method-assign]
    await bench.look()
    assert (bench.waiting(), bench.history()) == ([], [])


def put(bench: Bench, *notices: Notice) -> None:
    now_us = int(bench.clock() * 1e6)
    bench.tables.tables.write(partial(add_notices, notices=notices, now_us=now_us))


def notice(number: int, channel: str, to: str) -> Notice:
    key = f"n{number}"
    return Notice(
        key, ORG, channel, seal(key, to), "Subject", "{}" if channel != "email" else "Text"
    )


async def test_a_channel_that_is_down_is_tried_again(autojump_clock: Any, bench: Bench):
    bench.fails = {
        SLACK: UpstreamFailed("connect_failed", "refuses", retryable=True),
        "a@b.example": MailFailed("the mail server answered 451"),
    }
    put(bench, notice(1, "slack", SLACK), notice(2, "email", "a@b.example"),
        notice(3, "webhook", HOOK), notice(4, "email", "c@d.example"))  # fmt: skip
    put(bench, notice(3, "webhook", HOOK))  # the same news again
    async with trio.open_nursery() as nursery:
        notices = bench.notices()
        await nursery.start(notices.run)
        await trio.sleep(5)
        assert bench.states() == {"waiting": 2, "sent": 2}
        bench.fails.clear()
        await trio.sleep(10)
        assert bench.states() == {"sent": 4}
        bench.fails[HOOK] = ValueError("a bug")
        put(bench, notice(5, "webhook", HOOK))
        notices.changed()
        await trio.sleep(48 * 3600)
        assert bench.states() == {"sent": 4, "failed": 1}
        notices.close()
    assert len(bench.mails) == 2
    assert len(bench.posts) == 2
    # What has ended keeps no text.
    kept = bench.tables.tables.read(
        lambda c: c.execute("SELECT DISTINCT body FROM notices").fetchall()
    )
    assert kept == [("",)]


async def test_without_a_mail_server_it_is_said_why(autojump_clock: Any, bench: Bench):
    put(bench, notice(1, "email", "a@b.example"))
    async with trio.open_nursery() as nursery:
        notices = bench.notices(mail=False)
        await nursery.start(notices.run)
        await trio.sleep(1)
        notices.close()
    (error,) = bench.tables.tables.read(lambda c: c.execute("SELECT error FROM notices").fetchone())
    assert "[smtp]" in error


async def test_a_store_that_breaks_while_it_is_noted_sends_nothing_twice(
    autojump_clock: Any, bench: Bench
):
    put(bench, notice(1, "webhook", HOOK))
    post = bench._post

    async def breaking(url: str, headers: Mapping[str, str], body: bytes) -> int:
        bench.tables.broken = True
        return await post(url, headers, body)

    bench._post = breaking  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        notices = bench.notices()
        await nursery.start(notices.run)
        await trio.sleep(100)
        assert "state store" in notices.trouble
        bench.tables.broken = False
        await trio.sleep(100)
        assert notices.trouble == ""
        notices.close()
    assert len(bench.posts) == 1
    assert bench.states() == {"sent": 1}


@pytest.mark.parametrize(
    ("slow_s", "states"), [(1, {"sent": 2, "waiting": 1}), (9, {"sent": 1, "waiting": 2})]
)
async def test_what_is_under_way_at_the_end_has_a_moment_and_is_noted(
    autojump_clock: Any, bench: Bench, slow_s: int, states: dict[str, int]
):
    post = bench._post

    async def slowly(url: str, headers: Mapping[str, str], body: bytes) -> int:
        await trio.sleep(slow_s)
        return await post(url, headers, body)

    bench._post = slowly  # type: ignore[method-assign]
    put(bench, notice(1, "webhook", HOOK), notice(2, "email", "a@b.example"))
    async with trio.open_nursery() as nursery:
        notices = bench.notices()
        await nursery.start(notices.run)
        await trio.sleep(0.5)
        notices.close()
        put(bench, notice(3, "webhook", HOOK))  # nothing more is begun
    assert bench.states() == states


def test_only_so_many_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    from storage import notice_tables

    monkeypatch.setattr(notice_tables, "WAITING_MAX", 3)

    async def fill() -> None:
        for number in range(6):
            put(bench, notice(number, "webhook", HOOK))

    trio.run(fill)
    assert bench.states() == {"waiting": 3, "dropped": 3}
