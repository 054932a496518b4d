"""Where the export begins (the rest is in tests/e2e/test_otlp_export.py)."""

from functools import partial
from pathlib import Path
from typing import Any

import trio

from appliance.actors.otlp_export import OtlpExport
from appliance.actors.tables import Tables
from appliance.core.otlp_wire import protobuf_spans
from storage.state_tables import StateTables
from tests.actors.ingest_kit import append, deriver, open_journal


async def test_a_call_between_the_start_and_a_slow_state_store_is_sent(
    tmp_path: Path,
) -> None:
    journal = open_journal(tmp_path)
    tables = Tables(partial(StateTables.open, tmp_path / "state.sqlite"))
    sent: list[str] = []
    arrived = trio.Event()

    async def send(body: bytes) -> int:
        sent.extend(span.attributes["helicone.request_id"] for span in protobuf_spans(body))
        arrived.set()
        return 200

    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        append(journal, 1)  # before it is asked for: not sent
        await journal.wait_synced_past(journal.synced)
        export = OtlpExport(tmp_path, journal, tables, deriver(), send, gather_s=0)
        reading = tables.read

        async def slow_read(work: Any) -> Any:
            append(journal, 2)
            await journal.wait_synced_past(journal.synced)
            return await reading(work)

        tables.read = slow_read  # type: ignore[method-assign]
        await nursery.start(export.run)
        with trio.fail_after(20):
            await arrived.wait()
        export.close()
        await journal.close()
    await tables.close()
    assert len(sent) == 1
    assert sent[0].endswith("2")
