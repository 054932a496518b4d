"""The gateway and Bedrock, every request signed: Converse, and Claude by InvokeModel."""

from __future__ import annotations

from typing import ClassVar, Literal

import openai

from tests.e2e.gateway_contract import SAY, TOOLS, GatewayContract
from tests.fakes import provider_bedrock as bedrock
from tests.fakes.provider import Provider
from tests.fakes.provider_claude import CHAT_USAGE as CLAUDE_USAGE

PAIR = {"AWS_ACCESS_KEY_ID": bedrock.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": bedrock.SECRET_KEY}
PRICES = """
[[providers.bedrock.prices]]
model = "amazon.nova-2-lite-v1:0"
input = "0.3"
output = "2.5"
"""


class OnBedrock(GatewayContract):
    environ: ClassVar[dict[str, str]] = PAIR

    @classmethod
    def config(cls, provider: Provider) -> str:
        return f'[providers.bedrock]\nbase_url = "{provider.url}"\n{PRICES}'

    def words(self, status: int) -> str:
        return bedrock.WORDS[status][1]


class TestConverse(OnBedrock):
    model = thinking_model = "amazon.nova-2-lite-v1:0/bedrock"
    fault = "fake-…/bedrock"
    record = ("AWS", "amazon.nova-2-lite-v1:0")
    usage: ClassVar[dict[str, int]] = bedrock.CHAT_USAGE

    def test_a_choice_of_no_tool_leaves_the_tools_out(
        self, client: openai.OpenAI, provider: Provider
    ) -> None:
        """Converse has no such choice."""
        cases: list[tuple[Literal["auto", "none"], bool]] = [("auto", True), ("none", False)]
        for choice, sent in cases:
            client.chat.completions.create(
                model=self.model, messages=SAY, tools=TOOLS, tool_choice=choice
            )
            assert ("toolConfig" in provider.received[-1].json) is sent


class TestClaudeOnBedrock(OnBedrock):
    model = thinking_model = "claude-4.5-sonnet/bedrock"
    fault = "fake-…-claude/bedrock"
    record = ("AWS", "anthropic.claude-sonnet-4-5-20250929-v1:0")
    usage: ClassVar[dict[str, int]] = CLAUDE_USAGE
