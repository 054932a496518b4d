"""A hold of a living exchange never expires: neither with its budget's period nor with its age."""

from __future__ import annotations

import time
from pathlib import Path

from tests.actors.wallet_kit import (
    ORG,
    USD,
    audit,
    credits_call,
    held,
    own_call,
    rows,
    running,
    until,
)

MONTH_US = 31 * 86_400_000_000


async def test_holds_outlive_their_period_and_the_clean_up(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    async with running(path, usd=5) as rig:
        rig.now_us = time.time_ns() // 1000  # ids have the time of the true clock
        await rig.desk.set_budget(ORG, scope="user", period="day", limit_pico=10 * USD)
        paid, counted = await held(rig, credits_call()), await held(rig, own_call())
        rig.wallet.settle(await held(rig, own_call()), USD)
        for _ in range(3):
            rig.now_us += MONTH_US
            rig.wallet._fold_at_s = 0.0
            rig.wallet.soon()
            await until(lambda: rig.wallet._fold_at_s > 0)
        assert len(rows(path, "SELECT id FROM ledger_holds")) >= 2
        assert rig.desk.state(ORG).held == USD
        assert rig.wallet.settle(paid, USD // 2).is_new
        assert rig.wallet.settle(counted, USD // 2).is_new
        assert rig.spent() == USD // 2
        await rig.wallet.stored()
    assert audit(path) == ([], 0)
