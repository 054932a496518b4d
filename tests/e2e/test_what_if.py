"""`what-if` over a real directory: other prices, another model, another limit."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import run, until
from tests.e2e.test_reprice import OLD, PRICE, ask
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

SUM = "SELECT count(*) AS n, sum(cost_usd) AS usd, max(repriced_at) AS at FROM requests"


def what_if(appliance: Appliance, *arguments: str, code: int = 0) -> Any:
    done = run(
        appliance.directory, "what-if", "--config", str(appliance.config),
        "--data-dir", str(appliance.data), *arguments,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("live", [True, False], ids=["served", "offline"])
def test_other_prices_and_limits(tmp_path: Path, provider: Provider, live: bool) -> None:
    with Appliance(tmp_path, provider, config=OLD) as appliance:
        for user, model in (("ada", "gpt-4o"), ("ada", "gpt-4o"), ("eve", "gpt-4o-mini")):
            headers = {"Helicone-User-Id": user, "Helicone-Property-Team": "mail"}
            assert appliance.call(CHAT, ask(model), headers).status == 200
        until(lambda: appliance.query(SUM)[0]["n"] == 3)
        if not live:
            assert appliance.stop() == 0
        before = appliance.query(SUM)
        file = tmp_path / "prices.toml"
        file.write_text(PRICE.format("gpt-4o", 10, 20))
        *models, total = json.loads(what_if(appliance, "--prices", str(file), "--json").stdout)
        dear = next(row for row in models if row["name"] == "gpt-4o")
        assert (dear["calls"], dear["changed"]) == (2, 2)
        assert Decimal(str(dear["new_usd"])) == 10 * Decimal(str(dear["old_usd"]))
        assert Decimal(str(total["old_usd"])) == Decimal(str(before[0]["usd"]))
        swap = ("--model", "gpt-4o=gpt-4o-mini", "--by", "user", "--format", "csv")
        users = {
            r["name"]: r for r in csv.DictReader(what_if(appliance, *swap).stdout.splitlines())
        }
        assert set(users) == {"ada", "eve"}
        # Both calls had the same tokens: twice what eve's one has cost.
        assert Decimal(users["ada"]["new_usd"]) == 2 * Decimal(users["eve"]["old_usd"])
        *rows, whole = json.loads(what_if(appliance, "--limit", "1;w=3600;s=user", "--json").stdout)
        assert {row["name"]: row["refused"] for row in rows} == {"ada": 1, "eve": 0}
        assert (whole["calls"], whole["refused"]) == (3, 1)
        assert whole["first_refused"] == whole["last_refused"]
        team = what_if(appliance, "--limit", "1;w=3600;s=team", "--format", "csv").stdout
        assert [row["refused"] for row in csv.DictReader(team.splitlines())] == ["2"]
        table = what_if(appliance, "--limit", "1;w=3600;s=nobody")
        assert "3 calls have no value for the segment" in table.stderr
        assert appliance.query(SUM) == before


def test_what_cannot_be_asked_is_one_line(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        pass
    bad = tmp_path / "bad.toml"
    bad.write_text("[[prices]]\nmodel = 'x'\ninput = 'dear'\n")
    none = tmp_path / "none.toml"
    none.write_text("")
    for arguments, said in (
        ((), "one question at a time"),
        (("--limit", "1;w=60", "--model", "a=b"), "one question at a time"),
        (("--limit", "100"), '--limit "100"'),
        (("--model", "gpt-4o"), "write OLD=NEW"),
        (("--prices", str(bad)), "prices[1]"),
        (("--prices", str(none)), "has no [[prices]]"),
        (("--prices", str(tmp_path / "gone.toml")), "cannot be read"),
        (("--limit", "1;w=60", "--since", "soon"), '"soon" is no time'),
        (("--limit", "1;w=60", "--org", "nobody"), "no organisation has"),
    ):
        code = 1 if said in ("cannot be read", "no organisation has") else 2
        (line,) = what_if(appliance, *arguments, code=code).stderr.splitlines()
        assert said in line
