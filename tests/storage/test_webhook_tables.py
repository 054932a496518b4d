"""Deliveries in the state store: what was deleted leaves no id behind."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from storage import webhook_tables as table
from storage.frames import Position
from storage.state_tables import StateTables


@pytest.mark.parametrize(
    ("forgotten", "left"),
    [(frozenset([b"b" * 16]), {"a", "c"}), (frozenset(), {"a", "b", "c"}), (None, {"a", "c"})],
)
def test_deliveries_of_deleted_exchanges_go(
    tmp_path: Path, forgotten: frozenset[bytes] | None, left: set[str]
) -> None:
    path = tmp_path / "state.sqlite"
    tables = StateTables.open(path)
    row = table.WebhookRow("w", bytes(16), "https://a.example", 100.0, "[]", True, True, b"sealed")
    assert tables.write(partial(table.add_webhook, row=row))
    wanted = [(name, "w", name.encode() * 16, f"request {name}") for name in "abc"]
    tables.write(partial(table.feed, wanted=wanted, upto=Position(1, 1), now_us=1))
    done = table.Outcome("b", "delivered", 1, 1, 200, "", 1.0)
    tables.write(partial(table.note_outcomes, outcomes=[done]))
    tables.write(partial(table.forget_exchanges, exchange_ids=forgotten))
    found = tables.read(
        partial(table.deliveries_of, webhook_id="w", state=None, before=None, limit=9)
    )
    assert {one.id for one in found} == left
    tables.close()
    for name in {"a", "b", "c"} - left:
        for file in tmp_path.iterdir():
            assert f"request {name}".encode() not in file.read_bytes()
