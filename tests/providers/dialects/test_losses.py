"""What the original lost on the way, a line for each (`proxy.md 11`, issue 3): here it is carried,
or refused by its name.

`refused`: the field that a 400 names. Else `carried` is where the provider's body has it, and what
is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from appliance.core.attempts import Endpoint
from appliance.errors import Refusal
from appliance.providers.dialects.mapping import Inbound, body_of, chat_of

CLAUDE = Endpoint("claude", "anthropic", "claude-sonnet-4-5", "anthropic", 200000, 64000)
ON_BEDROCK = Endpoint("claude", "bedrock", "anthropic.claude-sonnet-4-5", "anthropic", 0, 64000)
ON_VERTEX = Endpoint("claude", "vertex", "claude-sonnet-4-5", "anthropic", 0, 64000)
GEMINI = Endpoint("gemini", "google-ai-studio", "gemini-2.5-flash", "google", 0, 65536)
GEMINI_3 = Endpoint("gemini", "google-ai-studio", "gemini-3-pro-preview", "google", 0, 65536)
VERTEX = Endpoint("gemini", "vertex", "gemini-2.5-flash", "google", 0, 65536)
NOVA = Endpoint("nova", "bedrock", "amazon.nova-2-lite-v1:0", "bedrock", 0, 5120)
GPT = Endpoint("gpt", "groq", "llama", "openai", 0, 5120)
ALL = (CLAUDE, ON_BEDROCK, ON_VERTEX, GEMINI, GEMINI_3, VERTEX, NOVA)
HELLO = {"role": "user", "content": "Hello"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
NAMED = {"type": "function", "function": {"name": "f"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = [HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
FUNCTION = {"role": "function", "name": "f", "content": "x"}
JSON = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


@dataclass(frozen=True)
class Row:
    what: str
    to: tuple[Endpoint, ...]
    asked: dict[str, Any]
    refused: str = ""
    carried: tuple[str, Any] | None = None
    inbound: Inbound = "chat"


def chat(**fields: Any) -> dict[str, Any]:
    return {"messages": [HELLO], **fields}


def choosing(choice: object) -> dict[str, Any]:
    return chat(tools=[TOOL], tool_choice=choice)


def user(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


ALL_CLAUDE = (CLAUDE, ON_BEDROCK, ON_VERTEX)
ALL_GEMINI = (GEMINI, GEMINI_3, VERTEX)
DEVELOPER = {"messages": [{"role": "developer", "content": "S"}, HELLO]}
RESPONSE: dict[str, Any] = {"input": "Hello", "max_output_tokens": 9}
ROWS = (
    # 11.1, to Anthropic
    Row("developer is system", ALL_CLAUDE, DEVELOPER, carried=("system", "S")),
    Row("none", ALL_CLAUDE, choosing("none"), carried=("tool_choice.type", "none")),
    Row("required", ALL_CLAUDE, choosing("required"), carried=("tool_choice.type", "any")),
    Row("named", ALL_CLAUDE, choosing(NAMED), carried=("tool_choice.name", "f")),
    Row("one call", ALL_CLAUDE, chat(tools=[TOOL], parallel_tool_calls=False),
        carried=("tool_choice.disable_parallel_tool_use", True)),
    Row("limit", ALL_CLAUDE, chat(max_completion_tokens=7, max_tokens=9),
        carried=("max_tokens", 7)),
    Row("stop", ALL_CLAUDE, chat(stop="END"), carried=("stop_sequences", ["END"])),
    Row("user", (CLAUDE,), chat(user="u1"), carried=("metadata.user_id", "u1")),
    Row("penalties", ALL_CLAUDE, chat(frequency_penalty=0.5), refused="frequency_penalty"),
    Row("bias", ALL, chat(logit_bias={"1": 1}), refused="logit_bias"),
    Row("sound", ALL_CLAUDE, user(SOUND), refused="messages[0].content[0].type"),
    Row("old functions", ALL, chat(functions=[{"name": "f"}]), refused="functions"),
    Row("old choice", ALL, chat(function_call="auto"), refused="function_call"),
    Row("old role", (*ALL_CLAUDE, NOVA), {"messages": [*CALLED, FUNCTION]},
        refused="messages[2].role"),
    Row("search on Bedrock", (ON_BEDROCK,), chat(plugins=[{"id": "web"}]), refused="plugins"),
    Row("other tools", ALL, chat(tools=[{"type": "code_interpreter"}]), refused="tools[0].type"),
    # 11.3, to Gemini
    Row("developer is system", ALL_GEMINI, DEVELOPER,
        carried=("system_instruction.parts", [{"text": "S"}])),
    Row("none", ALL_GEMINI, choosing("none"),
        carried=("toolConfig.functionCallingConfig.mode", "NONE")),
    Row("required", ALL_GEMINI, choosing("required"),
        carried=("toolConfig.functionCallingConfig.mode", "ANY")),
    Row("named", ALL_GEMINI, choosing(NAMED),
        carried=("toolConfig.functionCallingConfig.allowedFunctionNames", ["f"])),
    Row("sound", ALL_GEMINI, user(SOUND),
        carried=("contents.0.parts.0.inlineData.mimeType", "audio/wav")),
    Row("other parts", ALL_GEMINI, user({"type": "mystery"}),
        refused="messages[0].content[0].type"),
    Row("choices", ALL_GEMINI, chat(n=2), carried=("generationConfig.candidateCount", 2)),
    Row("seed", ALL_GEMINI, chat(seed=7), carried=("generationConfig.seed", 7)),
    Row("schema", ALL_GEMINI, chat(response_format=JSON),
        carried=("generationConfig.responseSchema", SCHEMA)),
    Row("effort", (GEMINI, VERTEX), chat(reasoning_effort="low"),
        carried=("generationConfig.thinkingConfig.includeThoughts", True)),
    Row("no effort", (GEMINI_3,), chat(reasoning_effort="none"), refused="reasoning_effort"),
    Row("labels", (GEMINI, GEMINI_3), chat(metadata={"team": "a"}), refused="metadata.team"),
    Row("labels", (VERTEX,), chat(metadata={"team": "a"}), carried=("labels", {"team": "a"})),
    # to Converse
    Row("developer is system", (NOVA,), DEVELOPER, carried=("system", [{"text": "S"}])),
    Row("required", (NOVA,), choosing("required"), carried=("toolConfig.toolChoice", {"any": {}})),
    Row("none after calls", (NOVA,), {
        "messages": [*CALLED, {"role": "tool", "tool_call_id": "call_1", "content": "x"}],
        "tools": [TOOL], "tool_choice": "none",
    }, refused="tool_choice"),
    Row("seed", (*ALL_CLAUDE, NOVA), chat(seed=7), refused="seed"),
    Row("choices", (*ALL_CLAUDE, NOVA), chat(n=2), refused="n"),
    Row("an address", (NOVA,),
        user({"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}),
        refused="messages[0].content[0].image_url.url"),
    # 11.6, Responses as chat
    Row("text.format", (GPT,),
        {**RESPONSE, "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}},
        carried=("response_format.json_schema.schema", SCHEMA), inbound="responses"),
    Row("required", (GPT,), {
        **RESPONSE, "tool_choice": "required",
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    }, carried=("tool_choice", "required"), inbound="responses"),
    Row("limit", (GPT,), RESPONSE, carried=("max_tokens", 9), inbound="responses"),
    Row("a session of theirs", (GPT,), {**RESPONSE, "previous_response_id": "r"},
        refused="previous_response_id", inbound="responses"),
    # Messages to chat
    Row("any", (GPT,), {
        "max_tokens": 9, "messages": [HELLO], "tool_choice": {"type": "any"},
        "tools": [{"name": "f", "input_schema": SCHEMA}],
    }, carried=("tool_choice", "required"), inbound="messages"),
    Row("top_k", (NOVA,), {"max_tokens": 9, "messages": [HELLO], "top_k": 3},
        carried=("additionalModelRequestFields.inferenceConfig.topK", 3), inbound="messages"),
    Row("servers", (GPT,), {
        "max_tokens": 9, "messages": [HELLO],
        "mcp_servers": [{"type": "url", "url": "https://a.test", "name": "a"}],
    }, refused="mcp_servers", inbound="messages"),
)  # fmt: skip
CASES = [(row, endpoint) for row in ROWS for endpoint in row.to]


def name_of(case: Any) -> str:
    return f"{case.inbound}-{case.what}" if isinstance(case, Row) else str(case.provider)


@pytest.mark.parametrize(("row", "endpoint"), CASES, ids=name_of)
def test_nothing_is_lost_without_a_word(row: Row, endpoint: Endpoint) -> None:
    asked = {"model": "m", **row.asked}
    if row.refused:
        with pytest.raises(Refusal) as refusal:
            translated(row, asked, endpoint)
        assert refusal.value.status == 400
        assert refusal.value.message.startswith(f"{row.refused}:"), refusal.value.message
        return
    assert row.carried is not None
    where, wanted = row.carried
    assert at(translated(row, asked, endpoint), where) == wanted


def translated(row: Row, asked: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    return body_of(row.inbound, chat_of(row.inbound, asked), endpoint, stream=False)


def at(body: Any, where: str) -> Any:
    for name in where.split("."):
        body = body[int(name)] if isinstance(body, list) else body[name]
    return body
