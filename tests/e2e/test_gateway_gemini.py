"""The gateway and Gemini on AI Studio, called by the official SDKs of OpenAI and Anthropic."""

from __future__ import annotations

from typing import ClassVar

import openai
import pytest

from tests.e2e.gateway_contract import SAY, TOOLS, GatewayContract, newest, one, sent_back, streamed
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_formats import GEMINI_KEY
from tests.fakes.provider_gemini import CHAT_USAGE, THOUGHTS, WORDS
from tests.fakes.provider_mind import TEXT


class TestGemini(GatewayContract):
    model = "gemini-2.5-flash/google-ai-studio"
    thinking_model = "gemini-2.5-pro/google-ai-studio"
    fault = "fake-…/google-ai-studio"
    record = ("GOOGLE", "gemini-2.5-flash")
    usage: ClassVar[dict[str, int]] = CHAT_USAGE
    environ: ClassVar[dict[str, str]] = {"GEMINI_API_KEY": GEMINI_KEY}
    has_last_word = False

    @classmethod
    def config(cls, provider: Provider) -> str:
        return f'[providers.google-ai-studio]\nbase_url = "{provider.url}"\n'

    def words(self, status: int) -> str:
        return WORDS[status][1]

    def test_its_key_is_in_the_address_and_nowhere_else(
        self, client: openai.OpenAI, gateway: Appliance, provider: Provider
    ) -> None:
        client.chat.completions.create(model=self.model, messages=SAY)
        (received,) = provider.received
        assert received.target.endswith(b":generateContent?key=" + GEMINI_KEY.encode())
        assert received.first(b"authorization") is None
        assert GEMINI_KEY not in str(newest(gateway))
        assert GEMINI_KEY not in gateway.log

    @pytest.mark.parametrize("stream", [False, True])
    def test_what_was_thought_is_counted(
        self, client: openai.OpenAI, gateway: Appliance, *, stream: bool
    ) -> None:
        asked = {"model": self.thinking_model, "reasoning_effort": "low"}
        reply = one(client, stream, messages=SAY, **asked)
        assert reply.usage.completion_tokens == self.usage["completion_tokens"] + THOUGHTS
        assert reply.usage.completion_tokens_details.reasoning_tokens == THOUGHTS
        assert newest(gateway)["reasoning_tokens"] == THOUGHTS

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_prompt_that_is_blocked(self, client: openai.OpenAI, *, stream: bool) -> None:
        told = [{"role": "user", "content": "block me"}]
        reply = one(client, stream, model=self.model, messages=told)
        (choice,) = reply.choices
        assert choice.finish_reason == "content_filter"
        assert choice.message.refusal == "It is not allowed."
        assert not choice.message.content

    def test_a_newer_model_gets_its_signatures_back(self, client: openai.OpenAI) -> None:
        """Generation 3 refuses calls that come back without."""
        asked = {"model": "gemini-3-pro-preview/google-ai-studio", "tools": TOOLS}
        first, _ = streamed(client, messages=SAY, **asked)
        (call,) = first.choices[0].message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "7"}
        told = [*SAY, sent_back(first.choices[0].message), result]
        second = one(client, False, messages=told, **asked)
        assert 'get_weather={"result":7}' in second.choices[0].message.content

    def test_calls_that_another_provider_made(self, client: openai.OpenAI) -> None:
        call = {
            "id": "toolu_1", "type": "function",
            "function": {"name": "get_news", "arguments": "{}"},
        }  # fmt: skip
        told = [
            *SAY, {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "none"},
        ]  # fmt: skip
        for model in ("gemini-3-pro-preview/google-ai-studio", self.model):
            reply = one(client, False, model=model, messages=told, tools=TOOLS)
            assert "get_news=" in reply.choices[0].message.content

    def test_what_gemini_cannot_be_asked(self, client: openai.OpenAI, provider: Provider) -> None:
        with pytest.raises(openai.BadRequestError, match="logit_bias"):
            client.chat.completions.create(model=self.model, messages=SAY, logit_bias={"1": 1})
        assert not provider.received

    def test_json_of_a_schema(self, client: openai.OpenAI, provider: Provider) -> None:
        schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
        format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        reply = one(client, False, model=self.model, messages=SAY, response_format=format)
        assert reply.choices[0].message.content == TEXT
        settings = provider.received[-1].json["generationConfig"]
        assert settings["responseMimeType"] == "application/json"
