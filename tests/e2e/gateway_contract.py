"""What a client of the gateway may expect, whoever answers: the official SDKs against strict fakes.

A test module names its provider in a class of its own; the tests below are then run for it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar

import anthropic
import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_mind import ARGUMENTS, SIGNATURE, TEXT, THOUGHT
from tests.fakes.raw_client import Reply

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
SAY: Any = [{"role": "user", "content": "Say hello."}]
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\nfake").decode()
SEES = "I see image/png of 12 bytes."
SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
DEADLINES = '[deadlines]\ngap = "1.5s"\n'


def tool(name: str) -> Any:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA}}


TOOLS: Any = [tool("get_weather"), tool("get_news")]
CLAUDE_TOOLS: Any = [
    {"name": name, "input_schema": SCHEMA} for name in ("get_weather", "get_news")
]  # fmt: skip


class GatewayContract:
    """`usage` is what the fake says, as chat clients are told it. `fault` is the model string of a
    fake that misbehaves, `fake-…` in its place."""

    model: ClassVar[str]
    thinking_model: ClassVar[str] = ""
    fault: ClassVar[str]
    record: ClassVar[tuple[str, str]]  # provider and model
    usage: ClassVar[dict[str, int]]
    environ: ClassVar[dict[str, str]] = {}
    has_last_word: ClassVar[bool] = True

    @classmethod
    def config(cls, provider: Provider) -> str:
        raise AssertionError("each provider has one")

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(
        cls, provider: Provider, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Appliance]:
        config = DEADLINES + cls.config(provider)
        directory = tmp_path_factory.mktemp("gateway")
        with Appliance(directory, config=config, environ=cls.environ) as appliance:
            appliance.provider = provider
            cls.prepare(appliance)
            yield appliance

    @classmethod
    def prepare(cls, appliance: Appliance) -> None:
        """Store keys, where the environment's are not used."""

    @pytest.fixture
    def client(self, gateway: Appliance, provider: Provider) -> Iterator[openai.OpenAI]:
        provider.clear()
        with openai.OpenAI(api_key=KEY, base_url=gateway.url + "/v1", max_retries=0) as client:
            yield client

    @pytest.fixture
    def claude(self, gateway: Appliance) -> Iterator[anthropic.Anthropic]:
        with anthropic.Anthropic(api_key=KEY, base_url=gateway.url, max_retries=0) as client:
            yield client

    # -- the official OpenAI SDK

    def test_text(self, client: openai.OpenAI, gateway: Appliance) -> None:
        told: Any = [{"role": "developer", "content": "a poet"}, *SAY]
        reply = client.chat.completions.create(model=self.model, messages=told, max_tokens=2000)
        assert reply.choices[0].message.content == f"{TEXT} You are a poet."
        assert reply.choices[0].finish_reason == "stop"
        self.check_usage(reply.usage)
        row = newest(gateway)
        assert row["is_stream"] is False
        self.check_row(row)

    def test_a_stream(self, client: openai.OpenAI, gateway: Appliance) -> None:
        found, pieces = streamed(client, model=self.model, messages=SAY)
        assert found.choices[0].message.content == TEXT
        assert found.choices[0].finish_reason == "stop"
        assert pieces > 3  # it came piece by piece
        self.check_usage(found.usage)
        row = newest(gateway)
        assert row["is_stream"] is True
        assert row["time_to_first_token_ms"] is not None
        self.check_row(row)

    def test_a_stream_is_written_in_whole_events(self, gateway: Appliance) -> None:
        reply = post(gateway, {"model": self.model, "messages": SAY, "stream": True})
        frames = [frame for frame in reply.frames if frame]
        assert all(frame.startswith(b"data: ") and frame.endswith(b"\n\n") for frame in frames)
        assert reply.body.endswith(b"data: [DONE]\n\n")
        assert (reply.status, reply.end) == (200, "clean")
        assert reply.first("content-type") == b"text/event-stream; charset=utf-8"

    def test_a_client_that_leaves_at_the_last_event_has_had_it_all(
        self, gateway: Appliance
    ) -> None:
        """As SDKs do: what is on record then is a whole reply."""
        if not self.has_last_word:
            return  # its stream ends with its bytes
        model = self.at_fault("fake-held-tail")
        with gateway.client() as raw:
            body = {"model": model, "messages": SAY, "stream": True}
            raw.request("/v1/chat/completions", body, bearer(KEY))
            id = raw.head().id
            raw.read_until(b"data: [DONE]\n\n")
        row = gateway.row(id)
        assert (row["outcome"], row["status"]) == ("complete", 200)

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_tool_is_called_and_answers(self, client: openai.OpenAI, *, stream: bool) -> None:
        asked: Any = {"model": self.model, "tools": TOOLS}
        ask: Any = [{"role": "user", "content": "Use both of them."}]
        first = one(client, stream, messages=ask, **asked)
        assert first.choices[0].finish_reason == "tool_calls"
        calls = first.choices[0].message.tool_calls
        assert [call.function.name for call in calls] == ["get_weather", "get_news"]
        assert [json.loads(call.function.arguments) for call in calls] == [ARGUMENTS] * 2
        assert len({call.id for call in calls}) == 2
        self.check_usage(first.usage)
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"at": number})}
            for number, call in enumerate(calls)
        ]
        told = [*ask, sent_back(first.choices[0].message), *results]
        second = one(client, stream, messages=told, **asked)
        said = second.choices[0].message.content.replace(" ", "")
        assert said.startswith('Thetoolssaidget_weather={"at":0},get_news={"at":1}.')

    @pytest.mark.parametrize(
        ("choice", "called"),
        [
            ("auto", ["get_weather"]),
            ("required", ["get_weather"]),
            ("none", []),
            ({"type": "function", "function": {"name": "get_news"}}, ["get_news"]),
        ],
    )
    def test_the_choice_of_a_tool(
        self, client: openai.OpenAI, choice: Any, called: list[str]
    ) -> None:
        reply = client.chat.completions.create(
            model=self.model, messages=SAY, tools=TOOLS, tool_choice=choice
        )
        calls: Any = reply.choices[0].message.tool_calls or []
        assert [call.function.name for call in calls] == called
        assert bool(reply.choices[0].message.content) is not bool(called)

    def test_an_image(self, client: openai.OpenAI) -> None:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        text = {"type": "text", "text": "What is it?"}
        told: Any = [{"role": "user", "content": [text, image]}]
        reply = client.chat.completions.create(model=self.model, messages=told)
        assert reply.choices[0].message.content == f"{TEXT} {SEES}"

    @pytest.mark.parametrize("stream", [False, True])
    def test_thoughts_come_and_go_back(self, client: openai.OpenAI, *, stream: bool) -> None:
        if not self.thinking_model:
            return  # chat itself shows none: `test_what_was_thought_is_counted` is in its place
        asked: Any = {
            "model": self.thinking_model, "reasoning_effort": "high", "max_tokens": 4096,
            "tools": TOOLS,
        }  # fmt: skip
        first = one(client, stream, messages=SAY, **asked)
        message = sent_back(first.choices[0].message)
        assert message["reasoning"] == THOUGHT
        (detail,) = message["reasoning_details"]
        assert (detail["thinking"], detail["signature"]) == (THOUGHT, SIGNATURE)
        (call,) = message["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": '{"at":0}'}
        told = [*SAY, message, result]
        second = one(client, stream, messages=told, **asked)
        # The fake knows its own signature, and refuses any other.
        assert second.choices[0].message.content.endswith("I remember why.")

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, openai.BadRequestError), (401, openai.AuthenticationError),
            (403, openai.PermissionDeniedError), (404, openai.NotFoundError),
            (429, openai.RateLimitError), (500, openai.InternalServerError),
            (503, openai.InternalServerError),
        ],
    )  # fmt: skip
    def test_an_error(
        self, client: openai.OpenAI, gateway: Appliance, status: int, kind: Any, *, stream: bool
    ) -> None:
        with pytest.raises(kind) as caught:
            client.chat.completions.create(
                model=self.at_fault(f"fake-error-{status}"), messages=SAY, stream=stream
            )
        assert caught.value.status_code == status
        assert self.words(status) in caught.value.message
        if status == 429:
            assert caught.value.response.headers["retry-after"] == "7"
        row = newest(gateway)
        assert (row["http_status"], row["provider"]) == (status, self.record[0])
        assert not Decimal(row["cost_usd"] or 0)

    def test_a_stream_that_is_cut(self, gateway: Appliance) -> None:
        body = {"model": self.at_fault("fake-cut-after-3"), "messages": SAY, "stream": True}
        reply = post(gateway, body)
        assert reply.end != "clean"
        assert b"[DONE]" not in reply.body
        assert b'"content":' in reply.body  # what came is there
        assert newest(gateway)["outcome"] == "cut"

    def test_a_stream_that_stalls(self, gateway: Appliance) -> None:
        body = {"model": self.at_fault("fake-stall-after-3"), "messages": SAY, "stream": True}
        reply = post(gateway, body)
        assert b"[DONE]" not in reply.body
        assert reply.end != "clean"
        assert newest(gateway)["outcome"] in ("stalled", "timeout_gap")

    def test_a_stream_without_its_end(self, gateway: Appliance) -> None:
        """Its bytes end well, but the provider has not said its last word: nor do we."""
        model = self.at_fault("fake-short-2")
        reply = post(gateway, {"model": model, "messages": SAY, "stream": True})
        assert b"[DONE]" not in reply.body
        assert reply.status == 200

    def test_an_error_amid_a_stream(self, client: openai.OpenAI, gateway: Appliance) -> None:
        stream = client.chat.completions.create(
            model=self.at_fault("fake-error-in-200"), messages=SAY, stream=True
        )
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        assert caught.value.message
        assert newest(gateway)["outcome"] == "error_in_200"

    # -- the official Anthropic SDK

    def test_messages(self, claude: anthropic.Anthropic, gateway: Appliance) -> None:
        reply = claude.messages.create(
            model=self.model, max_tokens=2000, system="a poet", messages=SAY
        )
        (block,) = reply.content
        assert block.to_dict()["text"] == f"{TEXT} You are a poet."
        assert reply.stop_reason == "end_turn"
        counted = reply.usage
        read, written = counted.cache_read_input_tokens, counted.cache_creation_input_tokens
        assert counted.input_tokens + (read or 0) + (written or 0) == self.usage["prompt_tokens"]
        assert counted.output_tokens == self.usage["completion_tokens"]
        assert read == self.usage["cached"]
        self.check_row(newest(gateway))

    def test_messages_streamed(self, claude: anthropic.Anthropic, gateway: Appliance) -> None:
        with claude.messages.stream(model=self.model, max_tokens=2000, messages=SAY) as stream:
            assert "".join(stream.text_stream) == TEXT
            final = stream.get_final_message()
        assert final.stop_reason == "end_turn"
        assert final.usage.output_tokens == self.usage["completion_tokens"]
        self.check_row(newest(gateway))

    @pytest.mark.parametrize("stream", [False, True])
    def test_messages_with_tools(self, claude: anthropic.Anthropic, *, stream: bool) -> None:
        asked: Any = {"model": self.model, "max_tokens": 2000, "tools": CLAUDE_TOOLS}
        ask: Any = [{"role": "user", "content": "Use both of them."}]
        first = message(claude, stream, messages=ask, **asked)
        assert first.stop_reason == "tool_use"
        uses: Any = [block for block in first.content if block.type == "tool_use"]
        assert [(use.name, use.input) for use in uses] == [
            ("get_weather", ARGUMENTS), ("get_news", ARGUMENTS),
        ]  # fmt: skip
        results = [
            {"type": "tool_result", "tool_use_id": use.id, "content": '{"at":1}'} for use in uses
        ]
        blocks = [block.to_dict() for block in first.content]
        told = [
            *ask,
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": results},
        ]
        second: Any = message(claude, stream, messages=told, **asked)
        assert second.content[-1].text.startswith("The tools said get_weather=")

    def test_messages_with_an_image(self, claude: anthropic.Anthropic) -> None:
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
        told: Any = [{"role": "user", "content": content}]
        reply: Any = claude.messages.create(model=self.model, max_tokens=2000, messages=told)
        assert reply.content[0].text == f"{TEXT} {SEES}"

    @pytest.mark.parametrize("stream", [False, True])
    def test_messages_with_thoughts(self, claude: anthropic.Anthropic, *, stream: bool) -> None:
        if not self.thinking_model:
            return
        asked: Any = {
            "model": self.thinking_model, "max_tokens": 4096,
            "thinking": {"type": "enabled", "budget_tokens": 2048},
        }  # fmt: skip
        first: Any = message(claude, stream, messages=SAY, **asked)
        assert [block.type for block in first.content] == ["thinking", "text"]
        assert first.content[0].thinking == THOUGHT
        assert first.content[0].signature == SIGNATURE
        said = {"role": "assistant", "content": [block.to_dict() for block in first.content]}
        told = [*SAY, said, {"role": "user", "content": "And now?"}]
        second: Any = message(claude, stream, messages=told, **asked)
        assert second.content[-1].text == TEXT

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, anthropic.BadRequestError), (429, anthropic.RateLimitError),
         (503, anthropic.InternalServerError)],
    )  # fmt: skip
    def test_messages_with_an_error(
        self, claude: anthropic.Anthropic, status: int, kind: Any
    ) -> None:
        with pytest.raises(kind) as caught:
            claude.messages.create(
                model=self.at_fault(f"fake-error-{status}"), max_tokens=9, messages=SAY
            )
        assert caught.value.status_code == status
        assert caught.value.body["type"] == "error"
        assert self.words(status) in caught.value.body["error"]["message"]

    # -- what they look at

    def at_fault(self, name: str) -> str:
        return self.fault.replace("fake-…", name)

    def words(self, status: int) -> str:
        """What the fake says with this status."""
        raise AssertionError("each provider has its own")

    def check_usage(self, counted: Any) -> None:
        told = counted.to_dict()
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert told[name] == self.usage[name], told
        assert told["prompt_tokens_details"]["cached_tokens"] == self.usage["cached"]

    def check_row(self, row: dict[str, Any]) -> None:
        assert (row["provider"], row["model"]) == self.record
        assert (row["outcome"], row["http_status"], row["status"]) == ("complete", 200, 200)
        counted = row["completion_tokens"] + (row["reasoning_tokens"] or 0)
        assert counted == self.usage["completion_tokens"]
        assert Decimal(row["cost_usd"]) > 0
        assert not row["not_applied"]


def one(client: openai.OpenAI, stream: bool, **asked: Any) -> Any:
    """The whole reply, however it comes."""
    if stream:
        return streamed(client, **asked)[0]
    return client.chat.completions.create(**asked)


def sent_back(message: Any) -> dict[str, Any]:
    """The message as it is sent back, without what the SDK noted on it as it came in pieces."""
    told: dict[str, Any] = message.to_dict()
    for call in told.get("tool_calls") or ():
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    return told


def streamed(client: openai.OpenAI, **asked: Any) -> tuple[Any, int]:
    """What the SDK makes of a stream, and how many pieces of text it had."""
    state = ChatCompletionStreamState()
    pieces = 0
    options: Any = {"stream": True, "stream_options": {"include_usage": True}}
    for chunk in client.chat.completions.create(**asked, **options):
        state.handle_chunk(chunk)
        pieces += any(choice.delta.content for choice in chunk.choices)
    return state.current_completion_snapshot, pieces


def message(client: anthropic.Anthropic, stream: bool, **asked: Any) -> Any:
    if not stream:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def newest(appliance: Appliance) -> dict[str, Any]:
    sql = "SELECT * FROM requests ORDER BY recorded_at DESC, exchange_id DESC LIMIT 1"
    return appliance.query(sql)[0]


def post(appliance: Appliance, body: dict[str, Any], **headers: str) -> Reply:
    return appliance.call("/v1/chat/completions", body, {**bearer(KEY), **headers})
