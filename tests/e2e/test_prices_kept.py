"""What was recorded keeps its price, however often its row is made again, whatever is configured by
then. Rows are made of the journal when they are recorded, when their segment goes into the lake,
when the database is made anew, and at each start of an encrypted directory.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from storage.price_eras import NAME
from tests.e2e.starting import failed_start, run, until
from tests.fakes.appliance import CHAT, Appliance, providers_toml
from tests.fakes.provider import Provider

PRICE = "[[prices]]\nprovider = 'openai'\nmodel = 'gpt-4o'\ninput = {}\noutput = 0\n"
KEY = "master_key = '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'\n"
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
TOKENS = 19  # of every prompt, as the fake counts
LOG = {
    "providerRequest": {
        "url": "https://api.openai.com/v1/chat/completions", "json": ASK, "meta": {},
    },
    "providerResponse": {
        "status": 200, "headers": {},
        "json": {"model": "gpt-4o", "usage": {"prompt_tokens": TOKENS, "completion_tokens": 0}},
    },
    # Long before any of it: it is priced by what holds when it is logged.
    "timing": {
        "startTime": {"seconds": 1_790_000_000, "milliseconds": 0},
        "endTime": {"seconds": 1_790_000_001, "milliseconds": 0},
    },
}  # fmt: skip


class Shop:
    """A server whose prices change; `expected` is what was recorded, in USD per million tokens."""

    def __init__(self, appliance: Appliance, before: str = "") -> None:
        self.appliance, self._before = appliance, before
        self.expected: list[int] = []

    def configure(self, dollars: int) -> None:
        assert self.appliance.provider is not None
        text = self._before + PRICE.format(dollars) + providers_toml(self.appliance.provider)
        self.appliance.config.write_text(text)

    def restart(self, dollars: int) -> None:
        self.appliance.kill()
        self.configure(dollars)
        self.appliance.start()

    def reload(self, dollars: int) -> None:
        self.configure(dollars)
        before = self.appliance.log.count("changed=prices")
        os.kill(self.appliance.pid, signal.SIGHUP)
        until(lambda: self.appliance.log.count("changed=prices") > before)

    def call(self, dollars: int) -> None:
        assert self.appliance.call(CHAT, ASK).status == 200
        assert self.appliance.call("/oai/v1/log", LOG).status == 200
        self.expected += [dollars, dollars]
        until(lambda: len(self.recorded()) == len(self.expected))

    def recorded(self) -> list[int]:
        sql = (
            "SELECT recorded_cost_usd AS usd FROM requests ORDER BY recorded_at, source NULLS FIRST"
        )
        found = self.appliance.query(sql)
        return [round(float(row["usd"]) / TOKENS * 1e6) for row in found]


@pytest.fixture(params=["plain root", "encrypted root"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, provider: Provider) -> Any:
    before = KEY if request.param == "encrypted root" else ""
    shop = Shop(Appliance(tmp_path, provider, config=before + PRICE.format(1)), before)
    with shop.appliance:
        yield shop


def test_it_does(shop: Shop) -> None:
    shop.call(1)
    shop.restart(2)
    assert shop.recorded() == shop.expected
    shop.call(2)
    shop.reload(3)
    shop.call(3)
    shop.reload(4)
    shop.call(4)
    shop.restart(5)
    shop.call(5)
    assert shop.recorded() == shop.expected == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    done = run(
        shop.appliance.directory, "verify", "--data-dir", str(shop.appliance.data),
        "--config", str(shop.appliance.config),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shop.appliance.command("roll")
    assert shop.recorded() == shop.expected
    shop.restart(6)
    assert shop.recorded() == shop.expected
    # What is in the lake has its price with it: the lists are not needed any more.
    told = json.loads((shop.appliance.data / NAME).read_bytes())
    assert len(told["eras"]) <= 2


def test_without_a_server_too(shop: Shop) -> None:
    shop.call(1)
    shop.restart(2)
    shop.call(2)
    shop.appliance.stop()
    shop.configure(3)
    for command in ("rebuild", "verify"):
        done = run(
            shop.appliance.directory, command, "--data-dir", str(shop.appliance.data),
            "--config", str(shop.appliance.config),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    shop.appliance.start()
    assert shop.recorded() == shop.expected


def test_a_list_that_cannot_be_read_stops_the_start(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        pass
    (appliance.data / NAME).write_text("{")
    _, said = failed_start(tmp_path, "--data-dir", str(appliance.data))
    assert f"{NAME} cannot be read" in said
    assert "move it away" in said
