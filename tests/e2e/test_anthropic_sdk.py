"""The official Anthropic SDK through the program: what it returns, and what is on record."""

from __future__ import annotations

import asyncio
import json
import uuid
from decimal import Decimal
from typing import Any

import anthropic
import pytest

from tests.fakes.appliance import ANTHROPIC, Appliance, Row
from tests.fakes.provider import Provider
from tests.fakes.provider_openai import TEXT

MODEL = "claude-sonnet-4-6"
# 21 tokens in at $3 and 14 out at $15 per million.
COST = Decimal("0.000273")
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
TOOLS: Any = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]


@pytest.fixture
def request_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def ids(request_id: str) -> dict[str, str]:
    return {"Helicone-Request-Id": request_id}


@pytest.fixture
def client(appliance: Appliance) -> Any:
    with anthropic.Anthropic(
        base_url=appliance.url + ANTHROPIC, api_key="sk-ant-test", max_retries=0
    ) as client:
        yield client


def check(row: Row, *, stream: bool = False) -> None:
    assert (row["provider"], row["model"]) == ("ANTHROPIC", MODEL)
    assert (row["status"], row["http_status"], row["outcome"]) == (200, 200, "complete")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (21, 14)
    assert row["usage_source"] == "provider"
    assert Decimal(row["cost_usd"]) == COST
    assert row["is_stream"] is stream


def test_message(
    client: anthropic.Anthropic,
    appliance: Appliance,
    provider: Provider,
    ids: dict[str, str],
    request_id: str,
) -> None:
    marked = {**ids, "anthropic-beta": f"fake-{request_id}"}
    reply = client.messages.create(
        model=MODEL, max_tokens=100, messages=MESSAGES, extra_headers=marked
    )
    assert reply.content[0].text == TEXT  # type: ignore[union-attr]
    check(appliance.row(request_id))
    body = appliance.body(request_id)
    assert json.loads(body["request"])["messages"] == MESSAGES
    assert json.loads(body["response"])["stop_reason"] == "end_turn"
    received = provider.find(f"fake-{request_id}")
    assert b"sk-ant-test" in (
        received.first(b"authorization") or received.first(b"x-api-key") or b""
    )
    assert received.first(b"anthropic-version")
    assert received.target == b"/v1/messages"


@pytest.mark.parametrize("tools", [False, True])
def test_stream(
    client: anthropic.Anthropic,
    appliance: Appliance,
    ids: dict[str, str],
    request_id: str,
    tools: bool,
) -> None:
    given: Any = {"tools": TOOLS} if tools else {}
    with client.messages.stream(
        model=MODEL, max_tokens=100, messages=MESSAGES, extra_headers=ids, **given
    ) as stream:
        for _ in stream:
            pass
        message = stream.get_final_message()
    assert message.usage.output_tokens == 14
    if tools:
        assert message.content[1].input == {"city": "Paris"}  # type: ignore[union-attr]
        assert message.stop_reason == "tool_use"
    check(appliance.row(request_id), stream=True)
    assert "event: message_stop\n" in appliance.body(request_id)["response"]


def test_tools(
    client: anthropic.Anthropic, appliance: Appliance, ids: dict[str, str], request_id: str
) -> None:
    reply = client.messages.create(
        model=MODEL, max_tokens=100, messages=MESSAGES, tools=TOOLS, extra_headers=ids
    )
    assert reply.content[1].input == {"city": "Paris"}  # type: ignore[union-attr]
    check(appliance.row(request_id))


ERRORS = [
    (400, anthropic.BadRequestError),
    (401, anthropic.AuthenticationError),
    (404, anthropic.NotFoundError),
    (429, anthropic.RateLimitError),
    (500, anthropic.InternalServerError),
    (529, anthropic.InternalServerError),
]


@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_errors(
    client: anthropic.Anthropic,
    appliance: Appliance,
    ids: dict[str, str],
    request_id: str,
    status: int,
    kind: type[anthropic.APIStatusError],
) -> None:
    with pytest.raises(kind) as raised:
        client.messages.create(
            model=f"fake-error-{status}", max_tokens=100, messages=MESSAGES, extra_headers=ids
        )
    assert raised.value.status_code == status
    assert raised.value.body["type"] == "error"  # type: ignore[index]
    row = appliance.row(request_id)
    assert (row["status"], row["outcome"]) == (status, "complete")
    assert Decimal(row["cost_usd"]) == 0


def test_an_error_inside_a_stream(
    client: anthropic.Anthropic, appliance: Appliance, ids: dict[str, str], request_id: str
) -> None:
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(
            model="fake-error-in-200", max_tokens=100, messages=MESSAGES, extra_headers=ids
        ) as stream,
    ):
        for _ in stream:
            pass
    row = appliance.row(request_id)
    assert (row["outcome"], row["status"], row["http_status"]) == ("error_in_200", 500, 200)


def test_async(appliance: Appliance) -> None:
    names = [str(uuid.uuid4()) for _ in range(10)]

    async def one(client: anthropic.AsyncAnthropic, number: int) -> None:
        headers = {"Helicone-Request-Id": names[number]}
        if number % 2:
            async with client.messages.stream(
                model=MODEL, max_tokens=100, messages=MESSAGES, extra_headers=headers
            ) as stream:
                assert "".join([text async for text in stream.text_stream])
        else:
            reply = await client.messages.create(
                model=MODEL, max_tokens=100, messages=MESSAGES, extra_headers=headers
            )
            assert reply.content[0].text == TEXT  # type: ignore[union-attr]

    async def all_of_them() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=appliance.url + ANTHROPIC, api_key="sk-ant-test", max_retries=0
        ) as client:
            await asyncio.gather(*(one(client, number) for number in range(len(names))))

    asyncio.run(all_of_them())
    for number, name in enumerate(names):
        check(appliance.row(name), stream=bool(number % 2))


def test_the_sdk_with_the_helicone_key_in_the_path(
    appliance: Appliance, provider: Provider, ids: dict[str, str], request_id: str
) -> None:
    """`proxy.md 1.7` (b): the documented recipe for Anthropic's SDKs."""
    key = "sk-helicone-abcdefg-abcdefg-abcdefg-abcdefg"
    with anthropic.Anthropic(
        base_url=f"{appliance.url}{ANTHROPIC}/{key}", api_key=f"sk-ant-{request_id}"
    ) as client:
        client.messages.create(model=MODEL, max_tokens=100, messages=MESSAGES, extra_headers=ids)
    received = provider.find(f"sk-ant-{request_id}")
    assert received.target == b"/v1/messages"
    assert b"helicone" not in received.head.lower()
    row = appliance.row(request_id)
    check(row)
    assert key not in str(row)
