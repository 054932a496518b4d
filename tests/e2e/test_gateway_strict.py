"""The gateway and the hosts of Anthropic and OpenAI, checked field by field: each SDK against the
other's provider, and against its own."""

from __future__ import annotations

from typing import ClassVar

from tests.e2e.gateway_contract import GatewayContract
from tests.fakes import provider_chat as chat
from tests.fakes import provider_claude as claude
from tests.fakes.provider import Provider


class TestAnthropic(GatewayContract):
    model = thinking_model = "claude-4.5-sonnet/anthropic"
    fault = "fake-…/anthropic"
    record = ("ANTHROPIC", "claude-sonnet-4-5-20250929")
    usage: ClassVar[dict[str, int]] = claude.CHAT_USAGE
    environ: ClassVar[dict[str, str]] = {"ANTHROPIC_API_KEY": "sk-env-anthropic"}

    @classmethod
    def config(cls, provider: Provider) -> str:
        return f'[providers.anthropic]\nbase_url = "{provider.url}/strict"\n'

    def words(self, status: int) -> str:
        return claude.ERRORS[status][1]


class TestOpenAI(GatewayContract):
    model = "gpt-4o/openai"
    fault = "fake-…/openai"
    record = ("OPENAI", "gpt-4o")
    usage: ClassVar[dict[str, int]] = chat.CHAT_USAGE
    environ: ClassVar[dict[str, str]] = {"OPENAI_API_KEY": "sk-env-openai"}

    @classmethod
    def config(cls, provider: Provider) -> str:
        return f'[providers.openai]\nbase_url = "{provider.url}/strict/v1"\n'

    def words(self, status: int) -> str:
        return chat.WORDS[status][2]
