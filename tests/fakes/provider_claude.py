"""Claude, strict, wherever it is served: Messages on Anthropic's own host, `rawPredict` on Vertex,
`invoke` on Bedrock. One body, three envelopes.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from anthropic.types import message_create_params as plain_params
from anthropic.types.beta import message_create_params as beta

from tests.fakes import provider_anthropic as plain
from tests.fakes.provider_mind import SIGNATURE, Answer, Asked, Refused, answer, pieces
from tests.fakes.provider_openai import compact
from tests.providers.dialects.official import misfit

USAGE = {
    "input_tokens": 31, "cache_creation_input_tokens": 8, "cache_read_input_tokens": 120,
    "cache_creation": {"ephemeral_5m_input_tokens": 8, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 27, "service_tier": "standard",
}  # fmt: skip
# As chat clients are told: the whole prompt, with what the cache gave and took.
CHAT_USAGE = {"prompt_tokens": 159, "completion_tokens": 27, "total_tokens": 186, "cached": 120}
# The API takes these, the newest SDK no longer types them.
SAMPLING = ("temperature", "top_p", "top_k")
VERSIONS = {"vertex": "vertex-2023-10-16", "bedrock": "bedrock-2023-05-31"}
ERRORS = {
    **plain.ERRORS, 403: ("permission_error", "Your key may not use this model."),
    503: ("api_error", "Service unavailable."),
}  # fmt: skip


def error(status: int, message: str = "") -> bytes:
    kind, usual = ERRORS[status]
    return compact({"type": "error", "error": {"type": kind, "message": message or usual}})


def error_event() -> bytes:
    return b"event: error\ndata: " + error(529) + b"\n\n"


def reply(body: dict[str, Any], model: str) -> bytes:
    found = answer(understood(body))
    return compact({
        "model": model, "id": "msg_fake", "type": "message", "role": "assistant",
        "content": _blocks(found), "stop_reason": _reason(found), "stop_sequence": None,
        "usage": USAGE,
    })  # fmt: skip


def documents(body: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """The events of a stream, `message_stop` last."""
    found = answer(understood(body))
    start = {
        "id": "msg_fake", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {**USAGE, "output_tokens": 1},
    }  # fmt: skip
    told: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(_blocks(found)):
        told += _streamed(index, block)
    delta = {"stop_reason": _reason(found), "stop_sequence": None}
    usage = {"output_tokens": USAGE["output_tokens"]}
    return [
        *told,
        {"type": "message_delta", "delta": delta, "usage": usage},
        {"type": "message_stop"},
    ]


def events(body: dict[str, Any], model: str) -> list[bytes]:
    return [plain.event(one) for one in documents(body, model)]


def _reason(found: Answer) -> str:
    return "tool_use" if found.calls else "end_turn"


def _blocks(found: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if found.thought:
        blocks.append({"type": "thinking", "thinking": found.thought, "signature": SIGNATURE})
    if found.text:
        blocks.append({"type": "text", "text": found.text})
    for number, (name, arguments) in enumerate(found.calls):
        id = f"toolu_fake_{number}"
        blocks.append({"type": "tool_use", "id": id, "name": name, "input": arguments})
    return blocks


def _streamed(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    kind = block["type"]
    if kind == "thinking":
        opened: dict[str, Any] = {"type": kind, "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": one} for one in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif kind == "text":
        opened = {"type": kind, "text": ""}
        deltas = [{"type": "text_delta", "text": one} for one in pieces(block["text"])]
    else:
        opened = {**block, "input": {}}
        text = compact(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": one} for one in ("", *pieces(text))]
    return [
        {"type": "content_block_start", "index": index, "content_block": opened},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def in_envelope(body: dict[str, Any], host: str) -> dict[str, Any]:
    """The Messages body of what Vertex or Bedrock was sent. Raises Refused."""
    if body.get("anthropic_version") != VERSIONS[host]:
        raise Refused(400, "anthropic_version: Field required")
    known = ("anthropic_version", "anthropic_beta")
    for name in ("model", *(("stream",) if host == "bedrock" else ())):
        if name in body:
            raise Refused(400, f"{name}: Extra inputs are not permitted")
    return {"model": "m", **{name: value for name, value in body.items() if name not in known}}


def understood(body: dict[str, Any]) -> Asked:
    """What a Messages body says. Raises Refused, as Anthropic does."""
    module: Any = beta if "context_management" in body else plain_params
    whole, streamed = module.MessageCreateParamsNonStreaming, module.MessageCreateParamsStreaming
    typed = {name: value for name, value in body.items() if name not in SAMPLING}
    problem = misfit(streamed if body.get("stream") else whole, typed, "body")
    if problem:
        raise Refused(400, f"{problem}: Extra inputs are not permitted")
    asked = Asked()
    system = body.get("system") or ""
    asked.system = system if isinstance(system, str) else " ".join(one["text"] for one in system)
    _read_turns(body["messages"], asked)
    asked.tools = [tool["name"] for tool in body.get("tools", ())]
    choice = body.get("tool_choice", {"type": "auto"})
    if "tool_choice" in body and not asked.tools:
        raise Refused(400, "tool_choice: may only be specified while providing tools.")
    words = {"auto": "auto", "none": "none", "any": "required"}
    asked.choice = choice["name"] if choice["type"] == "tool" else words[choice["type"]]
    thinking = body.get("thinking", {"type": "disabled"})
    asked.thinks = thinking["type"] != "disabled"
    if thinking["type"] == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        raise Refused(400, "max_tokens must be greater than thinking.budget_tokens.")
    if asked.thinks and body.get("temperature", 1) != 1:
        raise Refused(400, "temperature may only be set to 1 when thinking is enabled.")
    if asked.thinks and asked.choice not in ("auto", "none"):
        raise Refused(400, "Thinking may not be enabled when tool_choice forces tool use.")
    return asked


def _read_turns(turns: list[dict[str, Any]], asked: Asked) -> None:
    if not turns or turns[0]["role"] != "user":
        raise Refused(400, "messages: first message must use the user role")
    called: dict[str, str] = {}
    for turn in turns:
        content = turn["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            raise Refused(400, "messages: must have non-empty content")
        answered = [block for block in blocks if block["type"] == "tool_result"]
        if {block["tool_use_id"] for block in answered} != set(called):
            raise Refused(400, "messages: tool_use ids were found without tool_result blocks")
        asked.results = [f"{called[one['tool_use_id']]}={_said(one)}" for one in answered]
        for block in blocks:
            _read_block(block, turn["role"], asked)
        called = {block["id"]: block["name"] for block in blocks if block["type"] == "tool_use"}


def _read_block(block: dict[str, Any], role: str, asked: Asked) -> None:
    kind = block["type"]
    if kind == "text":
        if not block["text"].strip():
            raise Refused(400, "messages: text content blocks must contain non-whitespace text")
        asked.text = block["text"] if role == "user" else asked.text
    elif kind == "thinking":
        if block["signature"] != SIGNATURE:
            raise Refused(400, "Invalid signature in thinking block")
        asked.remembers = True
    elif kind == "image":
        asked.media.append(_media(block["source"]))


def _media(source: dict[str, Any]) -> str:
    if source["type"] != "base64":
        return str(source["url"])
    try:
        size = len(base64.b64decode(source["data"], validate=True))
    except (binascii.Error, ValueError):
        raise Refused(400, "image.source.base64: invalid base64 data") from None
    return f"{source['media_type']} of {size} bytes"


def _said(block: dict[str, Any]) -> str:
    content = block.get("content", "")
    return content if isinstance(content, str) else "".join(one.get("text", "") for one in content)
