"""The gateway and a deployment of Azure OpenAI: chat at an address, and under a key, of its own."""

from __future__ import annotations

from typing import ClassVar

from tests.e2e.gateway_contract import GatewayContract
from tests.fakes.provider import Provider
from tests.fakes.provider_chat import CHAT_USAGE, WORDS
from tests.fakes.provider_formats import AZURE_KEY


class TestAzure(GatewayContract):
    model = "gpt-4o/azure"
    fault = "fake-…/azure"
    record = ("AZURE", "gpt-4o")
    usage: ClassVar[dict[str, int]] = CHAT_USAGE
    environ: ClassVar[dict[str, str]] = {"AZURE_OPENAI_API_KEY": AZURE_KEY}

    @classmethod
    def config(cls, provider: Provider) -> str:
        return f'[providers.azure]\nbase_url = "{provider.url}"\n'

    def words(self, status: int) -> str:
        return WORDS[status][2]
