"""The official OpenAI SDK through the program: what it returns, and what is on record."""

from __future__ import annotations

import asyncio
import json
import uuid
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.fakes.appliance import OAI, Appliance, Row
from tests.fakes.provider_openai import TEXT

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
# 19 tokens in at $2.50 and 11 out at $10 per million.
CHAT_COST = Decimal("0.0001575")


@pytest.fixture
def request_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def ids(request_id: str) -> dict[str, str]:
    return {"Helicone-Request-Id": request_id}


@pytest.fixture
def client(appliance: Appliance) -> Any:
    with openai.OpenAI(
        base_url=appliance.url + OAI + "/v1", api_key="sk-test", max_retries=0
    ) as client:
        yield client


def check_chat(row: Row, *, stream: bool = False) -> None:
    assert row["provider"] == "OPENAI"
    assert row["model"] == "gpt-4o"
    assert (row["status"], row["http_status"], row["outcome"]) == (200, 200, "complete")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (19, 11)
    assert row["usage_source"] == "provider"
    assert Decimal(row["cost_usd"]) == CHAT_COST
    assert row["is_stream"] is stream
    assert (row["time_to_first_token_ms"] is not None) is stream
    assert row["derive_error"] is None
    assert [attempt["status"] for attempt in row["attempts"]] == [200]
    assert 0 < row["attempts"][0]["latency_ms"] <= row["latency_ms"] + 1


def test_chat(
    client: openai.OpenAI, appliance: Appliance, ids: dict[str, str], request_id: str
) -> None:
    reply = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, extra_headers=ids)
    assert reply.choices[0].message.content == TEXT
    assert reply.usage is not None
    assert reply.usage.total_tokens == 30
    check_chat(appliance.row(request_id))
    body = appliance.body(request_id)
    assert json.loads(body["request"])["messages"] == MESSAGES
    assert json.loads(body["response"])["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize("counted", [True, False])
def test_streamed_chat(
    client: openai.OpenAI,
    appliance: Appliance,
    ids: dict[str, str],
    request_id: str,
    counted: bool,
) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if counted else {}
    stream = client.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, extra_headers=ids, **options
    )
    with stream:
        words = [e.choices[0].delta.content or "" for e in stream if e.choices]
    assert " ".join(words[1:-1]) == TEXT
    row = appliance.row(request_id)
    if counted:
        check_chat(row, stream=True)
    else:
        assert (row["status"], row["outcome"], row["usage_source"]) == (
            200,
            "complete",
            "estimated",
        )
        assert 0 < Decimal(row["cost_usd"]) < Decimal("0.001")
        assert row["completion_tokens"] == pytest.approx(11, abs=4)
    assert appliance.body(request_id)["response"].endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
def test_tools(
    client: openai.OpenAI,
    appliance: Appliance,
    ids: dict[str, str],
    request_id: str,
    stream: bool,
) -> None:
    if stream:
        with client.chat.completions.stream(
            model="gpt-4o",
            messages=MESSAGES,
            tools=TOOLS,
            stream_options={"include_usage": True},
            extra_headers=ids,
        ) as events:
            for _ in events:
                pass
            choice: Any = events.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, tools=TOOLS, extra_headers=ids
        ).choices[0]
    assert choice.finish_reason == "tool_calls"
    call = choice.message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    check_chat(appliance.row(request_id), stream=stream)


ERRORS = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (404, openai.NotFoundError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_errors(
    client: openai.OpenAI,
    appliance: Appliance,
    ids: dict[str, str],
    request_id: str,
    status: int,
    kind: type[openai.APIStatusError],
) -> None:
    with pytest.raises(kind) as raised:
        client.chat.completions.create(
            model=f"fake-error-{status}", messages=MESSAGES, extra_headers=ids
        )
    assert raised.value.status_code == status
    assert raised.value.body["type"]  # type: ignore[index]  # the provider's own error, unwrapped
    assert raised.value.response.headers["helicone-status"] == "success"
    row = appliance.row(request_id)
    assert (row["status"], row["http_status"], row["outcome"]) == (status, status, "complete")
    assert Decimal(row["cost_usd"]) == 0
    assert '"error"' in appliance.body(request_id)["response"]


def test_embeddings(
    client: openai.OpenAI, appliance: Appliance, ids: dict[str, str], request_id: str
) -> None:
    reply = client.embeddings.create(
        model="text-embedding-3-small", input=["one", "two"], extra_headers=ids
    )
    assert len(reply.data) == 2
    assert len(reply.data[0].embedding) == 3
    row = appliance.row(request_id)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (8, 0)
    assert Decimal(row["cost_usd"]) == Decimal("0.00000016")  # 8 at $0.02 per million


@pytest.mark.parametrize("stream", [False, True])
def test_responses(
    client: openai.OpenAI,
    appliance: Appliance,
    ids: dict[str, str],
    request_id: str,
    stream: bool,
) -> None:
    if stream:
        with client.responses.create(
            model="gpt-4o", input="Say hello.", stream=True, extra_headers=ids
        ) as events:
            kinds = [event.type for event in events]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
    else:
        reply = client.responses.create(model="gpt-4o", input="Say hello.", extra_headers=ids)
        assert reply.output_text == TEXT
    row = appliance.row(request_id)
    assert (row["model"], row["outcome"], row["status"]) == ("gpt-4o", "complete", 200)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (36, 12)
    assert Decimal(row["cost_usd"]) == Decimal("0.00021")  # 36 × $2.50 + 12 × $10
    assert row["is_stream"] is stream


def test_models_are_listed(
    client: openai.OpenAI, appliance: Appliance, ids: dict[str, str], request_id: str
) -> None:
    assert [model.id for model in client.models.list(extra_headers=ids)] == ["gpt-4o"]
    row = appliance.row(request_id)
    assert (row["method"], row["outcome"]) == ("GET", "complete")


def test_async(appliance: Appliance) -> None:
    """Buffered, streamed and failing calls of the async client, all at once."""
    names = [str(uuid.uuid4()) for _ in range(12)]

    async def one(client: openai.AsyncOpenAI, number: int) -> None:
        headers = {"Helicone-Request-Id": names[number]}
        if number % 3 == 0:
            reply = await client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, extra_headers=headers
            )
            assert reply.choices[0].message.content == TEXT
        elif number % 3 == 1:
            stream = await client.chat.completions.create(
                model="gpt-4o",
                messages=MESSAGES,
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=headers,
            )
            async with stream:
                events = [event async for event in stream]
            assert events[-1].usage is not None
        else:
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(
                    model="fake-error-429", messages=MESSAGES, extra_headers=headers
                )

    async def all_of_them() -> None:
        async with openai.AsyncOpenAI(
            base_url=appliance.url + OAI + "/v1", api_key="sk-test", max_retries=0
        ) as client:
            await asyncio.gather(*(one(client, number) for number in range(len(names))))

    asyncio.run(all_of_them())
    for number, name in enumerate(names):
        row = appliance.row(name)
        if number % 3 == 2:
            assert row["status"] == 429
        else:
            check_chat(row, stream=number % 3 == 1)


def test_the_sdk_retries_by_itself(appliance: Appliance) -> None:
    """The proxy passes the provider's failure on; each call of the SDK is a row of its own."""
    user = f"retry-{uuid.uuid4()}"
    with (
        openai.OpenAI(
            base_url=appliance.url + OAI + "/v1", api_key="sk-test", max_retries=1
        ) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(
            model="fake-error-500", messages=MESSAGES, extra_headers={"Helicone-User-Id": user}
        )
    rows = appliance.query(f"SELECT status FROM requests WHERE user_id = '{user}'")
    assert [row["status"] for row in rows] == [500, 500]


def test_a_cut_stream_is_an_error_for_the_sdk(
    client: openai.OpenAI, appliance: Appliance, ids: dict[str, str], request_id: str
) -> None:
    stream = client.chat.completions.create(
        model="fake-cut-after-3", messages=MESSAGES, stream=True, extra_headers=ids
    )
    seen: list[Any] = []
    with stream, pytest.raises(openai.APIConnectionError):
        seen.extend(stream)
    assert len(seen) == 3
    row = appliance.row(request_id)
    assert (row["outcome"], row["status"], row["http_status"]) == ("cut", -100, 200)
