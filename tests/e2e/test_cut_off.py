"""Good replies that end before anything of them is passed on: their providers charge for them, so
they are on record and paid, whatever is called afterwards.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.shop_kit import BODY, shop
from tests.e2e.test_fault_matrix import billed, half, half_and_end
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_scripts import is_anthropic, normal

GATEWAY = "/v1/chat/completions"
FALLBACKS = "/gateway/v1/chat/completions"
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"


@pytest.fixture(scope="module")
def one(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    environ = {"OPENAI_API_KEY": "sk-env-openai", "ANTHROPIC_API_KEY": "sk-env-anthropic"}
    directory = tmp_path_factory.mktemp("cut-off")
    with Appliance(directory, provider, lends=True, environ=environ) as appliance:
        appliance.command("budgets.set", scope="user", limit="1000", period="month")
        yield appliance


def ask(one: Appliance, script: str, **more: Any) -> tuple[int, dict[str, Any], Decimal]:
    """Status, row, and what counts on the budget."""
    mark = str(uuid.uuid4())
    headers = {"Authorization": f"Bearer {KEY}", "x-fake": script, "Helicone-User-Id": mark,
               "Helicone-Request-Id": mark, "x-mark": mark, **more.pop("headers", {})}  # fmt: skip
    reply = one.call(more.pop("path", GATEWAY), {**BODY, **more}, headers)
    return reply.status, one.row(mark), billed(one, mark)


def test_the_next_model_answers(one: Appliance, provider: Provider) -> None:
    """What both have cost is one sum, on record and on the budget."""

    async def script(talk: Talk) -> None:
        await (normal if is_anthropic(talk) else half_and_end)(talk)

    both = provider.add(f"first-cut-{uuid.uuid4()}", script)
    alone = provider.add(f"cut-{uuid.uuid4()}", half_and_end)
    _, broken, first = ask(one, alone, model="gpt-4o/openai")
    assert broken["usage_source"] == "provider"
    assert broken["prompt_tokens"] > 0
    status, _, second = ask(one, both, model="claude-sonnet-4-6")
    assert status == 200
    status, row, spent = ask(one, both, model="gpt-4o/openai,claude-sonnet-4-6")
    assert status == 200
    assert Decimal(row["cost_usd"]) == spent == first + second
    assert min(first, second) > 0
    costs = [attempt["cost_usd"] for attempt in row["attempts"]]
    assert [Decimal(cost) for cost in costs] == [first, second]


def test_a_good_reply_that_is_given_up(one: Appliance, provider: Provider) -> None:
    """`onCodes` may name a good status: that call is charged too."""
    headers = {"Authorization": "Bearer sk-own", "Content-Type": "application/json"}
    targets = [{"target-url": provider.url, "headers": headers, "onCodes": [200]}] * 2
    more = {"helicone-fallbacks": json.dumps(targets), "Authorization": "Bearer sk-own"}
    status, row, spent = ask(one, "", path=FALLBACKS, headers=more)
    assert status == 200
    first, second = (Decimal(attempt["cost_usd"] or 0) for attempt in row["attempts"])
    assert Decimal(row["cost_usd"]) == spent == first + second
    assert first > 0 < second


def test_a_client_that_leaves_in_the_middle(one: Appliance, provider: Provider) -> None:
    """What had come by then is on its record, and counted."""

    async def script(talk: Talk) -> None:
        await half(talk)
        await talk.gate(name)

    name = f"half-{uuid.uuid4()}"
    provider.add(name, script)
    mark = str(uuid.uuid4())
    headers = {"Authorization": f"Bearer {KEY}", "x-fake": name, "Helicone-User-Id": mark,
               "Helicone-Request-Id": mark, "x-mark": mark}  # fmt: skip
    with one.client() as raw:
        raw.request(GATEWAY, {**BODY, "model": "gpt-4o/openai"}, headers)
        provider.find(mark)
    row = one.row(mark)
    assert row["outcome"] == "client_gone"
    assert billed(one, mark) == Decimal(row["cost_usd"]) > 0


def test_credits_pay_for_it(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> None:
    name = provider.add(f"cut-{uuid.uuid4()}", half_and_end)
    with shop(tmp_path_factory.mktemp("shop"), provider) as shop_of:
        shop_of.top_up("5")
        for _ in range(2):
            refused = shop_of.ask(model="gpt-4o/openai", headers={"x-fake": name})
            assert refused.status == 502, refused.body
        found = shop_of.settled()
        assert Decimal(found["spent_usd"]) == shop_of.spent_on_record() > 0
        assert found["disallowed"] == ""
