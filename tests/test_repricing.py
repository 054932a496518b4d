"""`reprice` in a running server, over a region that stands in: when corrections count as made."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio

from appliance import repricing
from appliance.errors import Refusal
from tests.core.test_derive import rows
from tests.core.test_repriced import CHEAP, DEAR, book, recorded


class Standing:
    """A region with one call on record."""

    def __init__(self, *, writes: bool = True, stale_ms: float | None = None) -> None:
        self.journal = self.ingest = self
        self.degraded: str | None = None
        self.analytics, self.restoring = self, False  # open, and whole
        self.appended = 0
        self._writes, self._stale_ms = writes, stale_ms

    def append(self, *_: object) -> None:
        self.appended += 1

    async def wait_written(self) -> None:
        if not self._writes:
            await trio.sleep_forever()

    async def caught_up(self, _: float) -> float | None:
        return self._stale_ms


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    call, _ = rows(priced=book(CHEAP))

    async def query(
        _region: object, sql: str, _parameters: object, take: Any, *, whole: bool
    ) -> None:
        assert whole
        await take([], [(1,)] if "count(*)" in sql else [recorded(call)])

    monkeypatch.setattr(repricing, "run_query", query)

    async def run(region: Standing, *, dry: bool = False) -> dict[str, Any]:
        async def tell(_: object) -> None: ...

        given = cast("Any", region)
        return await repricing.reprice_region(given, book(DEAR), {}, tell, dry=dry)

    return run


async def test_corrections_that_wait_in_memory_are_not_told_of(
    ask: Any, autojump_clock: trio.abc.Clock
) -> None:
    region = Standing(writes=False)
    with pytest.raises(Refusal, match="too slow; begin again"):
        await ask(region)
    assert region.appended == 1


async def test_a_degraded_journal_is_given_none(ask: Any) -> None:
    region = Standing()
    region.degraded = "journal;reason=no_space"
    with pytest.raises(Refusal, match="no_space; begin again"):
        await ask(region)
    assert region.appended == 0
    assert (await ask(region, dry=True))["changed"] == 1


@pytest.mark.parametrize("stale_ms", [None, 0.2, 1500.0])
async def test_figures_that_follow_are_told_of(ask: Any, stale_ms: float | None) -> None:
    found = await ask(Standing(stale_ms=stale_ms))
    assert found["changed"] == 1
    assert found.get("stale_by_ms") == (None if stale_ms is None else round(stale_ms))
