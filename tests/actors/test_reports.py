"""Reports that are due, over a real state store and a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.actors.reports import Ways, made, send_due
from appliance.core.notices import Channels
from appliance.core.reports import schedule_of
from appliance.errors import Refusal
from storage.batch import Batch
from storage.frames import Position
from storage.notice_tables import due_notices
from storage.report_tables import ReportRow, put_report
from storage.vault import VaultError
from tests.actors.hooks_kit import NOON_S, InlineTables
from tests.storage.analytics_rows import ORG, body_row, opened, request_row

WEEK_S = 7 * 24 * 3600
DUE_S = schedule_of("weekly", UTC).latest(NOON_S)
CHANNELS = Channels(("a@b.example",), (), ("https://a.example/in",))


def unseal(owner: str, sealed: bytes) -> str:
    if sealed == b"damaged":
        raise VaultError("no")
    return sealed.decode()


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[InlineTables]:
    found = InlineTables(tmp_path)
    yield found
    found.close()


@pytest.fixture
def ways() -> Iterator[Ways]:
    """Ten requests last week, five in the week before, a cent each."""
    analytics = opened(None)
    batch = Batch()
    for number in range(1, 16):
        weeks = 1 if number <= 10 else 2
        row = request_row(
            number, request_created_at=(DUE_S - weeks * WEEK_S + number) * 10**6, cost_pico=10**10
        )
        batch.add_exchange(row, body_row(number), 0)
    analytics.ingest(batch, Position(1, 1))

    async def query(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        await trio.lowlevel.checkpoint()
        with analytics.query(sql, parameters) as found:
            return found.fetch()

    yield Ways(query, lambda owner, text: text.encode(), unseal, lambda: None, lambda: None, UTC)
    analytics.close()


def put(tables: InlineTables, number: int, **more: Any) -> ReportRow:
    known: dict[str, Any] = {
        "id": f"r{number}", "org": ORG, "name": "LLM calls", "frequency": "weekly",
        "emails": json.dumps(CHANNELS.emails), "sealed": CHANNELS.secrets().encode(), **more,
    }  # fmt: skip
    row = ReportRow(**known)
    assert tables.tables.write(partial(put_report, row=row))
    return row


def waiting(tables: InlineTables) -> list[Any]:
    return tables.tables.read(partial(due_notices, now_us=2 * 10**18, limit=100))[0]


async def test_a_week_beside_the_week_before_once(tables: InlineTables, ways: Ways):
    put(tables, 1)
    put(tables, 2, frequency="daily")
    put(tables, 3, is_active=False)
    put(tables, 4, sealed=b"damaged")
    for _ in range(2):  # as after a kill in the middle of it
        await send_due(tables, ways, "weekly", DUE_S, int(NOON_S * 1e6))  # type: ignore[arg-type]
    mail, hook = sorted(waiting(tables), key=lambda one: one.channel)
    assert (mail.channel, hook.channel) == ("email", "webhook")
    assert mail.subject == "LLM calls: weekly report"
    assert "Requests: 10  (+100.0 %)" in mail.body
    assert "Cost: $0.1000  (+100.0 %)" in mail.body
    begin = datetime.fromtimestamp(DUE_S - WEEK_S, UTC)
    assert mail.body.startswith(f"{begin:%Y-%m-%d} 10:00 UTC to ")
    assert json.loads(hook.body)["requests"] == {"value": 10, "before": 5, "change_percent": "100"}
    # A week later it is another one.
    await send_due(tables, ways, "weekly", DUE_S + WEEK_S, int(NOON_S * 1e6))  # type: ignore[arg-type]
    assert len(waiting(tables)) == 4


async def test_on_trial_it_is_sent_each_time(tables: InlineTables, ways: Ways):
    row = put(tables, 1)
    first = await made(row, ways, DUE_S, "test 1")
    second = await made(row, ways, DUE_S, "test 2")
    assert {one.id for one in first}.isdisjoint(one.id for one in second)


async def test_a_database_that_does_not_answer_is_asked_again_later(
    tables: InlineTables, ways: Ways
):
    put(tables, 1)

    async def query(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        await trio.lowlevel.checkpoint()
        raise Refusal(503, "busy", "not now")

    with pytest.raises(Refusal):  # the scheduler tries the moment again
        await send_due(tables, ways._replace(query=query), "weekly", DUE_S, 0)  # type: ignore[arg-type]
    assert waiting(tables) == []
