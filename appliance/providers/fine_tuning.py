"""Recorded calls as examples for fine-tuning: the conversation with its answer, as OpenAI takes it
and as Anthropic's models do.

Pure. Whatever the call was written in becomes a chat first; what cannot be expressed is refused by
name, and so is a call without a whole answer: nothing is learned from half a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from appliance.core.reply import read_reply
from appliance.errors import Refusal

Json = dict[str, Any]

SHAPES: Final = {
    "openai": ("messages", "tools", "parallel_tool_calls"),
    "anthropic": ("system", "messages", "tools"),
}
SAID: Final = ("role", "content", "tool_calls", "function_call")
EVENTS: Final = "text/event-stream"
ANTHROPIC_BLOCKS: Final = ("tool_use", "tool_result", "image", "document", "thinking")
RESPONSE_ENDS: Final = ("response.completed", "response.incomplete")


class NoExample(ValueError):  # noqa: N818 - whoever exports is told
    """Why a row cannot be learned from."""


class _Model(NamedTuple):
    """No model's own limits matter to an example."""

    provider_model_id: str = "model"
    max_output_tokens: int = 0


def example(shape: str, request: object, response: object) -> Json:
    """One line. Raises NoExample."""
    try:
        chat = _chat(request)
        chat["messages"] = [*chat["messages"], _answer(response)]
        return chat if shape == "openai" else _anthropic(chat)
    except Refusal as refusal:
        raise NoExample(refusal.message) from None
    except RecursionError:
        raise NoExample("nested too deeply") from None


def _chat(request: object) -> Json:
    """What was asked: messages and tools alone."""
    from appliance.providers.dialects import anthropic_inbound, responses_inbound

    if not isinstance(request, dict):
        raise NoExample("its request is no JSON object")
    messages, tools = request.get("messages"), request.get("tools")
    if isinstance(messages, list) and messages:
        if not _is_anthropic(request, messages, tools):
            whole = request
        else:
            asked = {"model": "model", "max_tokens": 1, "messages": messages}
            for name in ("system", "tools"):
                if request.get(name):
                    asked[name] = request[name]
            whole = anthropic_inbound.request_to_chat(asked)
    elif request.get("input"):
        asked = {"model": "model", "input": request["input"]}
        for name in ("instructions", "tools"):
            if request.get(name):
                asked[name] = request[name]
        whole = responses_inbound.request_to_chat(asked)
    else:
        raise NoExample("its request has no messages")
    chat: Json = {"messages": [_plain(message) for message in whole["messages"]]}
    for name in SHAPES["openai"][1:]:
        if whole.get(name):
            chat[name] = whole[name]
    return chat


def _plain(message: object) -> Json:
    """Without what the model thought, and without marks for caches."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise NoExample("its request has a message without a role")
    left_out = ("reasoning", "reasoning_content", "reasoning_details", "annotations", "refusal")
    found = {name: value for name, value in message.items() if name not in left_out}
    found.pop("cache_control", None)
    if isinstance(found.get("content"), list):
        found["content"] = [
            {name: value for name, value in part.items() if name != "cache_control"}
            if isinstance(part, dict) else part
            for part in found["content"]
        ]  # fmt: skip
    return found


def _is_anthropic(request: Json, messages: Sequence[object], tools: object) -> bool:
    """Whether it says something in the way that Messages alone has; plain text is the same."""
    if request.get("system") or request.get("anthropic_version"):
        return True
    if isinstance(tools, list) and any(
        isinstance(tool, dict) and "input_schema" in tool for tool in tools
    ):
        return True
    contents = [message.get("content") for message in messages if isinstance(message, dict)]
    return any(
        isinstance(block, dict) and block.get("type") in ANTHROPIC_BLOCKS
        for content in contents if isinstance(content, list)
        for block in content
    )  # fmt: skip


def _answer(response: object) -> Json:
    """The message that the model is to learn."""
    if isinstance(response, str):
        message = _streamed(response)
    elif isinstance(response, dict):
        message = _whole(response)
    else:
        raise NoExample("it has no response")
    said = {name: message[name] for name in SAID if message.get(name)}
    if not said.keys() & {"content", "tool_calls", "function_call"}:
        raise NoExample("its response says nothing")
    return {**said, "role": "assistant", "content": message.get("content")}


def _whole(response: Json) -> Json:
    from appliance.providers.dialects import anthropic_reply, responses_reply

    if response.get("type") == "message" and isinstance(response.get("content"), list):
        response = anthropic_reply.reply_to_chat(response, model="model", created=0, id="id")
    elif response.get("object") == "response" and isinstance(response.get("output"), list):
        response = responses_reply.reply_to_chat(response, model="model", created=0, id="id")
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(message, dict):
        raise NoExample("its response is no answer of a chat")
    return message


def _streamed(text: str) -> Json:
    from appliance.providers.dialects import anthropic_stream

    events = _events(text.encode("utf-8", "replace"))
    if any(event.get("type") == "message_start" for event in events):
        stream = anthropic_stream.StreamToChat(model="model", created=0, id="id")
        chunks = stream.feed(text.encode("utf-8", "replace")) + stream.finish()
        if not stream.is_done:
            raise NoExample("its stream was cut")
        events = _events(chunks)
    for event in events:
        if event.get("type") in RESPONSE_ENDS and isinstance(event.get("response"), dict):
            return _whole(event["response"])
    return _folded(events)


def _events(data: bytes) -> list[Json]:
    documents = read_reply(data, EVENTS, whole=True).documents
    return [document for document in documents if isinstance(document, dict)]


def _folded(chunks: Sequence[Json]) -> Json:
    """The first choice of a chat's stream, put together."""
    texts: list[str] = []
    calls: dict[int, Json] = {}
    is_whole = False
    for chunk in chunks:
        for choice in _list(chunk.get("choices")):
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            is_whole = is_whole or bool(choice.get("finish_reason"))
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                continue
            if isinstance(delta.get("content"), str):
                texts.append(delta["content"])
            for piece in _list(delta.get("tool_calls")):
                if isinstance(piece, dict):
                    _take_call(calls, piece)
    if not is_whole:
        raise NoExample("its stream was cut, or is none of a chat")
    message: Json = {"content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _take_call(calls: dict[int, Json], piece: Json) -> None:
    place = piece.get("index")
    call = calls.setdefault(
        place if isinstance(place, int) else len(calls),
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
    )
    if isinstance(piece.get("id"), str):
        call["id"] = piece["id"]
    said = piece.get("function")
    for name in ("name", "arguments"):
        if isinstance(said, dict) and isinstance(said.get(name), str):
            call["function"][name] += said[name]


def _anthropic(chat: Json) -> Json:
    from appliance.providers.dialects import anthropic_request

    asked: Json = {name: value for name, value in chat.items() if name in ("messages", "tools")}
    body = anthropic_request.without_cache_control(
        anthropic_request.request_from_chat(asked, model=_Model(), stream=False)
    )
    return {name: body[name] for name in SHAPES["anthropic"] if body.get(name)}
