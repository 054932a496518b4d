"""What credits pay for: only what is charged exactly, whatever a client says of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.shop_kit import SAY, Shop, shop
from tests.fakes.provider import Provider

MESSAGES: dict[str, Any] = {"model": "claude-sonnet-4-6", "messages": SAY, "max_tokens": 100}


@pytest.fixture(scope="module")
def one(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("shop"), provider) as made:
        made.appliance.command(
            "provider-keys.add", provider="anthropic", secret="sk-ant-platform", org="platform"
        )
        made.top_up("50")
        yield made


def spent(one: Shop) -> Decimal:
    return Decimal(one.settled()["spent_usd"])


def test_a_client_does_not_say_what_its_calls_cost(one: Shop) -> None:
    before = spent(one)
    assert one.ask().status == 200
    price = spent(one) - before
    reply = one.ask(headers={"Helicone-Model-Override": "gpt-4.1-nano"})
    assert reply.status == 200
    assert spent(one) - before == 2 * price > 0
    assert reply.first("helicone-not-applied") == b"model-override;reason=credits"
    row = one.appliance.row(reply.id)
    assert Decimal(row["cost_usd"]) == price
    assert row["not_applied"] == ["model-override;reason=credits"]
    assert one.ask(headers={"Helicone-Model-Override": "gpt-4.1-nano"}).status == 200


NATIVE = {"Helicone-Gateway-Body-Mapping": "NO_MAPPING"}
TO_CLAUDE = {"messages": SAY, "model": "claude-sonnet-4-6/anthropic"}
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
REFUSED: list[tuple[str, str, dict[str, Any], dict[str, str]]] = [
    # a path, the field that is named, what differs in the body, headers
    (CHAT, "service_tier", {"service_tier": "priority"}, {}),
    (CHAT, "web_search_options", {"web_search_options": {}}, {}),
    (CHAT, "messages", {"messages": []}, {}),
    (CHAT, "models", {"models": ["gpt-5-pro"]}, {}),
    (CHAT, "service_tier", {"service_tier": "priority"}, NATIVE),
    (RESPONSES, "background", {"input": "hi", "background": True}, {}),
    (RESPONSES, "tools[0].type", {"input": "hi", "tools": [{"type": "code_interpreter"}]}, {}),
    ("/v1/messages", "speed", {**MESSAGES, "speed": "fast"}, {}),
    ("/v1/messages", "inference_geo", {**MESSAGES, "inference_geo": "us"}, {}),
    (CHAT, "inference_geo", {**MESSAGES, "inference_geo": "us"}, NATIVE),
]


@pytest.mark.parametrize(("path", "named", "changes", "headers"), REFUSED)
def test_what_is_not_charged_exactly_is_refused(
    one: Shop, path: str, named: str, changes: dict[str, Any], headers: dict[str, str]
) -> None:
    before, calls = spent(one), len(one.provider.received)
    if path == RESPONSES:
        changes = {"messages": None, "max_tokens": None, **changes}
    body = {name: value for name, value in changes.items() if value is not None}
    if path == RESPONSES:
        headers_all = {"Authorization": f"Bearer {one.key}", **headers}
        refused = one.appliance.call(path, {"model": "gpt-4o", **body}, headers_all)
    else:
        refused = one.ask(path, **body, headers=headers)
    assert refused.status == 400, refused.body
    assert f"{named}: " in refused.body.decode()
    assert len(one.provider.received) == calls
    assert spent(one) == before


def test_a_stream_in_the_providers_own_format_is_counted(one: Shop) -> None:
    before = spent(one)
    reply = one.ask(stream=True, headers=NATIVE)
    assert reply.status == 200
    row = one.appliance.row(reply.id)
    assert row["usage_source"] == "provider"
    assert spent(one) - before == Decimal(row["cost_usd"]) > 0


def test_with_an_own_key_the_provider_judges(one: Shop) -> None:
    one.appliance.command("provider-keys.add", provider="openai", secret="sk-acme", org="acme")
    try:
        before = spent(one)
        assert one.ask(service_tier="priority").status == 200
        assert spent(one) == before
    finally:
        one.appliance.command("provider-keys.remove", key="openai", org="acme")
