"""`report` says what dashboard and HQL say, to the last digit, with and without a server."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.e2e.hooks_kit import data, rest
from tests.e2e.starting import run, until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

TEAMS = ("search", "search", "mail", "")


def ask(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}]}


def report(tmp_path: Path, appliance: Appliance, *arguments: str) -> Any:
    done = run(tmp_path, "report", "--data-dir", str(appliance.data), *arguments)
    assert done.returncode == 0, done.stderr
    return done


def test_it_equals_dashboard_and_hql(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        for model in ("gpt-4o", "gpt-4o-mini"):
            for team in TEAMS:
                headers = {"Helicone-Property-Team": team} if team else {}
                assert appliance.call(CHAT, ask(model), headers).status == 200
        everything = {"filter": "all"}
        until(lambda: data(rest(appliance, "POST", "/v1/request/count/query", everything)) == 8)
        now = datetime.now(UTC)
        span = {"start": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
                "end": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
        body = {**everything, "timeFilter": span, "dbIncrement": "day", "timeZoneDifference": 0}
        dashboard = data(rest(appliance, "POST", "/v1/metrics/summary", body))
        sql = {"sql": "SELECT sum(cost_usd) AS usd FROM request_response_rmt"}
        hql = data(rest(appliance, "POST", "/v1/helicone-sql/execute", sql))["rows"]
        (*rows, total) = json.loads(report(tmp_path, appliance, "--json").stdout)
        assert {row["name"] for row in rows} == {"gpt-4o", "gpt-4o-mini"}
        assert [row["requests"] for row in rows] == [4, 4]
        cost = Decimal(str(total["cost_usd"]))
        assert cost > 0
        assert cost == Decimal(str(hql[0]["usd"]))
        assert float(cost) == float(dashboard["totalCost"])
        live = report(tmp_path, appliance, "--by", "property:Team", "--format", "csv").stdout
        key = report(tmp_path, appliance, "--by", "key", "--json")
        assert json.loads(key.stdout)[0]["name"] == "(none)"
    offline = report(tmp_path, appliance, "--by", "property:Team", "--format", "csv").stdout
    assert offline == live
    found = {row["name"]: int(row["requests"]) for row in csv.DictReader(offline.splitlines())}
    assert found == {"search": 4, "mail": 2, "(none)": 2}


def test_beside_a_providers_file(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        assert appliance.call(CHAT, ask("gpt-4o")).status == 200
    usage = tmp_path / "usage.csv"
    usage.write_text("model,cost_usd\nGPT-4o,0.5\nunknown-model,2\n")
    done = report(tmp_path, appliance, "--compare", str(usage), "--json")
    ours, alone, total = json.loads(done.stdout)
    assert (alone["name"], alone["requests"], alone["difference_usd"]) == ("unknown-model", 0, -2)
    assert Decimal(str(ours["difference_usd"])) == Decimal(str(ours["cost_usd"])) - Decimal("0.5")
    assert Decimal(str(total["provider_usd"])) == Decimal("2.5")


def test_keys_beside_a_providers_file(tmp_path: Path, provider: Provider) -> None:
    """By their ids or their names; one that was revoked since has its name still."""
    with Appliance(tmp_path, provider) as appliance:
        made = [appliance.command("keys.create", name=name) for name in ("laptop", "server")]
        for one in made:
            headers = {"Helicone-Auth": f"Bearer {one['key']}"}
            assert appliance.call(CHAT, ask("gpt-4o"), headers).status == 200
        appliance.command("keys.revoke", key="server")
    usage = tmp_path / "usage.csv"
    usage.write_text(f"date,api_key,cost\nlast week,LAPTOP,0.5\n,{made[1]['id']},2\n")
    done = report(tmp_path, appliance, "--by", "key", "--compare", str(usage), "--json")
    *rows, total = json.loads(done.stdout)
    found = {row["name"]: Decimal(str(row["provider_usd"])) for row in rows}
    assert found == {
        f"laptop ({made[0]['id']})": Decimal("0.5"), f"server ({made[1]['id']})": Decimal(2),
    }  # fmt: skip
    assert total["requests"] == 2
    assert "the time of 2 lines of usage.csv cannot be read" in done.stderr


def test_what_is_wrong_is_one_line(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        pass
    for arguments, code, said in (
        (("--month", "2026-13"), 2, '--month "2026-13" is no month'),
        (("--by", "colour"), 2, "allowed is user, key, model, provider, property:NAME"),
        (("--org", "nobody"), 1, 'no organisation has the id or name "nobody"'),
        (("--compare", str(tmp_path / "none.csv")), 1, "none.csv cannot be read"),
    ):
        done = run(tmp_path, "report", "--data-dir", str(appliance.data), *arguments)
        assert done.returncode == code
        (line,) = done.stderr.splitlines()
        assert said in line
