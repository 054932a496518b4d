"""`reprice`: the cost of recorded calls by another price list, and everybody says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.hooks_kit import data, rest
from tests.e2e.starting import environment, run, until
from tests.fakes.appliance import CHAT, ROOT, Appliance, providers_toml
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider

PRICE = "[[prices]]\nprovider = 'openai'\nmodel = '{}'\ninput = {}\noutput = {}\n"
OLD = PRICE.format("gpt-4o", 1, 2) + PRICE.format("gpt-4o-mini", 3, 4)
NEW = PRICE.format("gpt-4o", 10, 20) + PRICE.format("gpt-4o-mini", 3, 4) + PRICE.format("new", 1, 1)
SINCE = ("--since", "1h")
SUM = "SELECT sum(cost_usd) AS usd, sum(recorded_cost_usd) AS first FROM requests"


def ask(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}]}


def reprice(appliance: Appliance, *arguments: str) -> Any:
    done = run(
        appliance.directory, "reprice", *SINCE, "--json", "--config", str(appliance.config),
        "--data-dir", str(appliance.data), *arguments,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def priced(appliance: Appliance, prices: str) -> None:
    """The same directory with another price list, served."""
    assert appliance.stop() == 0
    appliance.config.write_text(prices + providers_toml(appliance.provider))
    appliance.start()


def calls(appliance: Appliance) -> None:
    for model in ("gpt-4o", "gpt-4o", "gpt-4o-mini", "new", "odd"):
        assert appliance.call(CHAT, ask(model)).status == 200
    until(lambda: appliance.query("SELECT count(*) AS n FROM requests")[0]["n"] == 5)


def said_by_all(appliance: Appliance) -> set[Decimal]:
    """The cost of everything, by HQL, dashboard, report, REST and SQL."""
    now = datetime.now(UTC)
    span = {"start": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
    body = {"filter": "all", "timeFilter": span, "dbIncrement": "day", "timeZoneDifference": 0}
    dashboard = data(rest(appliance, "POST", "/v1/metrics/summary", body))["totalCost"]
    sql = {"sql": "SELECT sum(cost_usd) AS usd FROM request_response_rmt"}
    hql = data(rest(appliance, "POST", "/v1/helicone-sql/execute", sql))["rows"][0]["usd"]
    listed = data(rest(appliance, "POST", "/v1/request/query-clickhouse", {"filter": "all"}))
    dearest = {"filter": "all", "sort": {"cost": "desc"}, "limit": 1}
    (first,) = data(rest(appliance, "POST", "/v1/request/query-clickhouse", dearest))
    assert first["cost"] == max(one["cost"] or 0 for one in listed)
    (*_, total) = json.loads(
        run(appliance.directory, "report", "--json", "--data-dir", str(appliance.data)).stdout
    )
    (row,) = appliance.query(SUM)
    amounts = [dashboard, hql, sum(one["cost"] or 0 for one in listed), total["cost_usd"]]
    # REST and dashboard tell cost as a float: exact to far below a cent.
    print(amounts, row)
    return {round(Decimal(str(one)), 9) for one in (*amounts, row["usd"])}


def test_everybody_says_the_corrected_cost(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider, config=OLD) as appliance:
        calls(appliance)
        (before,) = said_by_all(appliance)
        priced(appliance, NEW)
        assert said_by_all(appliance) == {before}
        dry = reprice(appliance, "--dry-run")
        assert (dry["dry_run"], dry["calls"], dry["changed"], dry["unknown_price"]) == (
            True, 5, 3, 1,
        )  # fmt: skip
        assert said_by_all(appliance) == {before}
        done = reprice(appliance)
        assert {**done, "dry_run": True, "until": ""} == {
            **dry,
            "until": "",
            "since": done["since"],
        }
        (after,) = said_by_all(appliance)
        assert round(Decimal(done["new_usd"]), 9) == after > before
        assert Decimal(done["old_usd"]) + Decimal(done["difference_usd"]) == Decimal(
            done["new_usd"]
        )
        by_model = {one["model"]: one for one in done["models"]}
        assert Decimal(by_model["gpt-4o"]["new_usd"]) == 10 * Decimal(by_model["gpt-4o"]["old_usd"])
        assert by_model["new"]["old_usd"] == "0"
        assert (by_model["gpt-4o-mini"]["changed"], by_model["odd"]["unknown_price"]) == (0, 1)
        (kept,) = appliance.query(SUM)
        assert round(Decimal(str(kept["first"])), 9) == before
        again = reprice(appliance)
        assert (again["changed"], again["difference_usd"]) == (0, "0")
        assert [one["action"] for one in audit(appliance) if one["action"] == "reprice"] == [
            "reprice", "reprice",
        ]  # fmt: skip
        # Rolled into the lake, and made anew from it, it is the same.
        appliance.command("roll")
        assert said_by_all(appliance) == {after}
        appliance.command("rebuild")
        assert said_by_all(appliance) == {after}
        assert appliance.command("verify")["ok"]
        (row,) = appliance.query(
            "SELECT DISTINCT price_source FROM requests WHERE model = 'gpt-4o' AND repriced_at > "
            "request_created_at"
        )
        assert row["price_source"] == "user:1"


def audit(appliance: Appliance) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = appliance.command("audit", limit=100)
    return found


def test_without_a_server_and_back_again(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider, config=OLD) as appliance:
        calls(appliance)
        (before,) = said_by_all(appliance)
        assert appliance.stop() == 0
        appliance.config.write_text(NEW + providers_toml(provider))
        assert reprice(appliance, "--dry-run")["changed"] == 3
        assert reprice(appliance)["changed"] == 3
        assert reprice(appliance)["changed"] == 0
        appliance.start()
        (after,) = said_by_all(appliance)
        assert after > before
        # The old list does not know the model that was priced meanwhile: its cost stays.
        priced(appliance, OLD)
        back = reprice(appliance)
        assert (back["changed"], back["unknown_price"]) == (2, 2)
        assert said_by_all(appliance) == {round(Decimal(back["new_usd"]), 9)}


def test_a_run_that_was_broken_off_is_begun_again(tmp_path: Path, provider: Provider) -> None:
    """Killed behind the first correction: it stays, and the next run does the rest."""
    with Appliance(tmp_path, provider, config=OLD) as appliance:
        calls(appliance)
        priced(appliance, NEW)
        (first,) = appliance.query(
            "SELECT epoch_us(min(request_created_at) + INTERVAL 1 MICROSECOND) AS us FROM requests"
        )
        until_text = datetime.fromtimestamp(first["us"] / 1e6, UTC).isoformat()
        assert reprice(appliance, "--until", until_text)["changed"] == 1
        appliance.restart()
        whole = reprice(appliance)
        assert whole["changed"] == 2
        assert said_by_all(appliance) == {round(Decimal(whole["new_usd"]), 9)}


INTERRUPTED = """
import os, signal, sys
import trio
from appliance import cli, repricing

async def page(self, rows):
    os.kill(os.getpid(), signal.SIGINT)
    await trio.sleep_forever()

repricing.Corrections.page = page
sys.exit(cli.main(sys.argv[1:]))
"""


def test_ctrl_c_ends_it_without_a_word(tmp_path: Path, provider: Provider) -> None:
    """While it holds the directory itself; what was corrected by then is kept by the journal."""
    with Appliance(tmp_path, provider, config=OLD) as appliance:
        calls(appliance)
    command = [sys.executable, "-c", INTERRUPTED, "reprice", *SINCE]
    done = subprocess.run(
        [*command, "--data-dir", str(appliance.data)],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")
    assert reprice(appliance)["calls"] == 5  # and the directory is free


@pytest.mark.parametrize("flag", ["--since", "--until"])
def test_what_is_no_time(tmp_path: Path, provider: Provider, flag: str) -> None:
    with Appliance(tmp_path, provider) as appliance:
        given = {"--since": "1h", flag: "yesterday"}
        options = [word for pair in given.items() for word in pair]
        done = run(tmp_path, "reprice", *options, "--data-dir", str(appliance.data))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert '"yesterday" is no time' in line
