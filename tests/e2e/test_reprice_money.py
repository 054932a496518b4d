"""`reprice` and money: what was paid stays paid, and what is told of as corrected is safe."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.e2e.shop_kit import Shop, shop
from tests.e2e.starting import run
from tests.e2e.storage_kit import Traffic, fill, needs_root, small_disk, wait_healthy
from tests.e2e.test_reprice import PRICE, SINCE, priced, reprice
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider

CHEAP, DEAR = (PRICE.format("gpt-4o*", *pair) for pair in ((1, 2), (10, 20)))
SUMS = "SELECT sum(cost_usd) AS usd, sum(recorded_cost_usd) AS first FROM requests"


def books(one: Shop) -> dict[str, Any]:
    """What the money is counted in, without the times of looking."""
    budgets = [
        {name: row[name] for name in ("value", "limit_usd", "spent_usd", "held_usd")}
        for row in one.appliance.command("budgets.list", org="acme")
    ]
    return {"wallet": one.settled(), "budgets": budgets}


def test_what_was_paid_stays_paid(provider: Provider, tmp_path: Path) -> None:
    """Ten times dearer afterwards: rows say so, wallet and budget do not; the books agree, also
    when they are opened anew and settled from the records."""
    with shop(tmp_path, provider, CHEAP) as one:
        one.top_up("5")
        one.appliance.command("budgets.set", org="acme", scope="user", limit="1", period="month")
        for _ in range(3):
            assert one.ask(headers={"Helicone-User-Id": "ann"}).status == 200
        before, cost = books(one), one.spent_on_record()
        assert Decimal(before["wallet"]["spent_usd"]) == cost > 0
        assert [Decimal(row["spent_usd"]) for row in before["budgets"]] == [cost]
        text = one.appliance.config.read_text()
        one.appliance.config.write_text(text.replace(CHEAP, DEAR))
        one.appliance.restart()
        done = reprice(one.appliance)
        assert (done["changed"], Decimal(done["difference_usd"])) == (3, 9 * cost)
        assert one.spent_on_record() == 10 * cost
        assert books(one) == before
        assert one.appliance.command("verify")["ok"]
        one.appliance.restart()
        assert books(one) == before
        one.appliance.command("rebuild")
        assert one.spent_on_record() == 10 * cost
        assert books(one) == before
        # What comes from now on is held and paid at the new price.
        assert one.ask(headers={"Helicone-User-Id": "ann"}).status == 200
        spent = Decimal(one.settled()["spent_usd"])
        assert spent == cost + one.spent_on_record() - 10 * cost


@needs_root
def test_on_a_full_disk_nothing_is_told_of_as_corrected(provider: Provider, tmp_path: Path) -> None:
    appliance = Appliance(tmp_path, provider, config=CHEAP)
    with small_disk(appliance.data, 128), appliance:
        traffic = Traffic(appliance)
        traffic.send(5)
        (before,) = appliance.query(SUMS)
        priced(appliance, DEAR)
        filler = fill(appliance.data)
        traffic.until_degraded(user="x" * 20_000)
        more = fill(appliance.data)
        command = ("reprice", *SINCE, "--json", "--data-dir", str(appliance.data))
        done = run(tmp_path, *command)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "the journal is degraded" in line
        assert "begin again" in line
        filler.unlink()
        more.unlink(missing_ok=True)
        wait_healthy(appliance)
        assert reprice(appliance)["changed"] >= 5
        (after,) = appliance.query(SUMS)
        assert Decimal(after["usd"]) > Decimal(after["first"]) >= Decimal(before["usd"])
