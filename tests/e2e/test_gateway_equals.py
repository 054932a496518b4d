"""Between providers of equal priority and price the gateway asks the one that does better."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.starting import until
from tests.e2e.test_retries import GOOD, answer
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider, Talk
from tests.fakes.raw_client import Reply

MODEL = "kimi-k2-thinking"  # at fireworks and novita, for the same price
NAMES = ("fireworks", "novita")
KEYS = {"KEY_FIREWORKS": "sk-env-f", "KEY_NOVITA": "sk-env-n"}
HEADERS = {
    "Authorization": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd", "x-fake": "set",
}  # fmt: skip
Step = Any  # a status, with header lines or without, or "late"


class Pair:
    """A server before two equals; `steps` says what each does with every call."""

    def __init__(self, appliance: Appliance, providers: dict[str, Provider]) -> None:
        self.appliance = appliance
        self.providers = providers
        self.steps: dict[str, Step] = dict.fromkeys(NAMES, 200)

    def call(self, **body: Any) -> Reply:
        ask = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **body}
        reply: Reply = self.appliance.call("/v1/chat/completions", ask, HEADERS)
        return reply

    def counts(self) -> dict[str, int]:
        return {name: len(one.received) for name, one in self.providers.items()}

    def metric(self, line: str) -> int:
        text = self.appliance.call("/metrics", method="GET").body.decode()
        found = re.search(rf"^helicone_appliance_{re.escape(line)} (\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        providers = {name: stack.enter_context(Provider()) for name in NAMES}
        config = "".join(
            f'\n[providers.{name}]\nbase_url = "{one.url}"\napi_key_env = "KEY_{name.upper()}"\n'
            for name, one in providers.items()
        )
        appliance = stack.enter_context(Appliance(tmp_path, config=config, environ=KEYS))
        made = Pair(appliance, providers)

        def acting(name: str) -> Any:
            async def act(talk: Talk) -> None:
                await talk.read_body()
                step = made.steps[name]
                if step == "late":
                    await trio.sleep(0.3)  # longer than one that is not known is taken to need
                    step = 200
                status, lines = step if isinstance(step, tuple) else (step, ())
                body = GOOD if status == 200 else b'{"error":{"message":"no"}}'
                await talk.send(answer(status, body, *lines))

            return act

        for name, one in providers.items():
            one.add("set", acting(name))
        yield made


def test_both_are_asked(pair: Pair) -> None:
    for _ in range(40):
        assert pair.call().status == 200
    counts = pair.counts()
    assert sum(counts.values()) == 40
    assert min(counts.values()) > 0
    row = pair.appliance.row(pair.call().id)
    properties = row["properties"]
    assert sorted(properties["Helicone-Gateway-Equals"].split(", ")) == sorted(NAMES)
    assert properties["Helicone-Gateway-Provider"] == row["attempts"][0]["provider"].lower()
    total = sum(
        pair.metric(f'gateway_calls_total{{provider="{name}",result="good"}}') for name in NAMES
    )
    assert total == 41


@pytest.mark.parametrize("step", [500, (429, (b"Retry-After: 600",))])
def test_one_that_cannot_goes_behind_the_other(pair: Pair, step: Step) -> None:
    bad, good = random.sample(NAMES, 2)
    print("the one that cannot:", bad)
    pair.steps[bad], pair.steps[good] = step, "late"  # so the bad one looks quicker
    for _ in range(100):  # until it was asked often enough to be known for it
        assert pair.call().status == 200  # the other answers
        if pair.metric(f'gateway_endpoint_out{{provider="{bad}",why="'
                       f'{"open" if step == 500 else "limited"}"}}'):  # fmt: skip
            break
    else:
        raise AssertionError("it stayed in front")
    pair.steps[good] = 200
    before = pair.counts()
    replies = [pair.call() for _ in range(20)]
    assert {reply.status for reply in replies} == {200}
    assert pair.counts() == {bad: before[bad], good: before[good] + 20}
    row = pair.appliance.row(replies[-1].id)
    assert row["properties"]["Helicone-Gateway-Equals"] == f"{good}, {bad}"
    pair.steps[good] = 503
    last = pair.call()  # with nothing better left it is asked all the same
    assert pair.counts()[bad] == before[bad] + 1
    assert last.status >= 400


def test_a_client_who_leaves_says_nothing_of_the_provider(pair: Pair) -> None:
    async def held(talk: Talk) -> None:
        await talk.read_body()
        await talk.gate("never")

    usual = {name: one.scripts["set"] for name, one in pair.providers.items()}
    for one in pair.providers.values():
        one.add("set", held)
    for number in range(1, 7):
        with pair.appliance.client() as client:
            client.request("/v1/chat/completions", {"model": MODEL, "messages": []}, HEADERS)
            until(lambda number=number: sum(pair.counts().values()) == number)
    until(lambda: pair.appliance.query("SELECT count(*) AS n FROM requests")[0]["n"] == 6)
    for name, script in usual.items():
        pair.providers[name].add("set", script)
    assert pair.call().status == 200
    text = pair.appliance.call("/metrics", method="GET").body.decode()
    assert "gateway_endpoint_out" not in text
    assert 'result="bad"' not in text
