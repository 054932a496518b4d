"""Which bodies are paid for from credits: a strict list of fields and their kinds (proxy.md 6.9).

What one is not charged for exactly is not sent on the platform's key; bodies sent with a client's
own key are not checked. Pure.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance.core.attempt_errors import INVALID_FORMAT
from appliance.errors import Refusal

Json = dict[str, Any]
Check = Callable[[object, str], None]

# Tuples where a client's value is looked for, which may be a list or an object: those have no hash.
ROLES: Final = ("assistant", "developer", "function", "system", "tool", "user")
MESSAGE_FIELDS: Final = frozenset({
    "role", "content", "name", "refusal", "tool_calls", "tool_call_id", "function_call",
    "cache_control", "reasoning", "reasoning_details", "images",
})  # fmt: skip
PART_TYPES: Final = ("document", "image_url", "refusal", "text")
REFUSED_PARTS: Final = ("input_audio", "audio", "file")
CACHE_LIFETIMES: Final = ("1h", "5m")
MODALITIES: Final = ("text", "image")
# Other tiers have other prices than the ones that calls are charged by.
TIERS: Final = ("auto", "default", "standard_only")
# Tools that run at the provider for a fee which no reply tells: by the beginning of their type.
REFUSED_TOOLS: Final = (
    "code_execution", "code_interpreter", "file_search", "image_generation", "shell",
    "web_search_preview",
)  # fmt: skip
# In bodies of which no list of fields is kept: what changes the price of a call.
DEARER_FIELDS: Final = ("serviceTier", "service_tier", "performanceConfig")
REFUSED_FIELDS: Final[Mapping[str, str]] = {
    "web_search_options": "use the plugins field or a model name with :online",
    "audio": "audio is not paid from credits",
}
MANUAL: Final = "See the fields of a gateway body in the manual, under /docs."


def check_body(inbound: str, wire_format: str, body: Json) -> None:
    """A body in the format of the gateway's door that it came through, or, where it is passed on
    in the provider's own, in that one. Raises Refusal 400 that names the first field that is
    wrong."""
    if inbound == "native":
        inbound = {"openai": "chat", "anthropic": "messages"}.get(wire_format, inbound)
    check = {"chat": check_chat, "responses": check_responses, "messages": check_messages}.get(
        inbound, _check_other
    )
    check(body)


def check_chat(body: Json) -> None:
    """A Chat Completions body. Raises Refusal 400 that names the first field that is wrong."""
    _check_fields(body, CHAT_FIELDS)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _refused("messages", "a list of at least one message is needed")
    for number, message in enumerate(messages):
        _check_message(message, f"messages[{number}]")


def check_responses(body: Json) -> None:
    """A body of the Responses API."""
    _check_fields(body, RESPONSES_FIELDS)
    if not body.get("input") or not isinstance(body["input"], str | list):
        raise _refused("input", "text, or a list of at least one item, is needed")
    for number, item in enumerate(body["input"] if isinstance(body["input"], list) else ()):
        where = f"input[{number}]"
        if not isinstance(item, dict):
            raise _refused(where, "an object is needed")
        _check_responses_parts(item.get("content"), f"{where}.content")


def check_messages(body: Json) -> None:
    """A body of Anthropic's Messages."""
    _check_fields(body, MESSAGES_FIELDS)
    if not body.get("messages"):
        raise _refused("messages", "a list of at least one message is needed")


def _check_other(body: Json) -> None:
    for name in DEARER_FIELDS:
        if body.get(name) is not None:
            raise _refused(name, "what it asks for is not charged as the rest is")


def _check_fields(body: Json, fields: Mapping[str, Check]) -> None:
    for name, value in body.items():
        check = fields.get(name)
        if check is None:
            why = REFUSED_FIELDS.get(name, "there is no such field")
            raise _refused(name, why)
        if value is not None:
            check(value, name)
    if not isinstance(body.get("model"), str):
        raise _refused("model", "text is needed")


def _check_message(message: object, where: str) -> None:
    if not isinstance(message, dict):
        raise _refused(where, "an object is needed")
    for name in message:
        if name not in MESSAGE_FIELDS:
            raise _refused(f"{where}.{name}", "there is no such field in a message")
    if message.get("role") not in ROLES:
        raise _refused(f"{where}.role", f"one of {', '.join(ROLES)} is needed")
    _check_cache(message.get("cache_control"), f"{where}.cache_control")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise _refused(f"{where}.content", "text or a list of parts is needed")
    for number, part in enumerate(content if isinstance(content, list) else ()):
        _check_part(part, f"{where}.content[{number}]")


def _check_part(part: object, where: str) -> None:
    if not isinstance(part, dict):
        raise _refused(where, "an object is needed")
    kind = part.get("type")
    if kind in REFUSED_PARTS:
        raise _refused(f"{where}.type", f"{kind} is not paid from credits")
    if kind not in PART_TYPES:
        raise _refused(f"{where}.type", f"one of {', '.join(PART_TYPES)} is needed")
    _check_cache(part.get("cache_control"), f"{where}.cache_control")


def _check_responses_parts(content: object, where: str) -> None:
    for number, part in enumerate(content if isinstance(content, list) else ()):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("input_audio", "input_file", "output_audio"):
            raise _refused(f"{where}[{number}].type", f"{kind} is not paid from credits")


def _check_cache(value: object, where: str) -> None:
    if value is None:
        return
    if not isinstance(value, dict) or value.get("type") != "ephemeral":
        raise _refused(where, 'an object with type "ephemeral" is needed')
    if "ttl" in value and value["ttl"] not in CACHE_LIFETIMES:
        raise _refused(f"{where}.ttl", f"one of {', '.join(CACHE_LIFETIMES)} is needed")
    for name in value:
        if name not in ("type", "ttl"):
            raise _refused(f"{where}.{name}", "there is no such field")


def _check_tier(value: object, where: str) -> None:
    if value not in TIERS:
        raise _refused(where, f"one of {', '.join(TIERS)} is paid from credits")


def _check_tools(value: object, where: str) -> None:
    _list(value, where)
    for number, tool in enumerate(value if isinstance(value, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind.startswith(REFUSED_TOOLS):
            raise _refused(f"{where}[{number}].type", f"{kind} is not paid from credits")


def _check_modalities(value: object, where: str) -> None:
    if not isinstance(value, list):
        raise _refused(where, "a list is needed")
    for one in value:
        if one not in MODALITIES:
            shown = one if isinstance(one, str) else "this"
            raise _refused(where, f"{shown} is not paid from credits")


def _kind(what: str, *kinds: type) -> Check:
    def check(value: object, where: str) -> None:
        # To Python true is a number; to JSON it is none.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise _refused(where, f"{what} is needed")

    return check


def _refused(where: str, why: str) -> Refusal:
    return Refusal(400, INVALID_FORMAT, f"{where}: {why}. {MANUAL}")


_text = _kind("text", str)
_number = _kind("a number", int, float)
_whole = _kind("a whole number", int)
_flag = _kind("true or false", bool)
_list = _kind("a list", list)
_object = _kind("an object", dict)
_choice = _kind("text or an object", str, dict)

_BOTH: Final[dict[str, Check]] = {
    "model": _text, "top_logprobs": _whole, "temperature": _number, "top_p": _number,
    "top_k": _number, "user": _text, "safety_identifier": _text, "prompt_cache_key": _text,
    "service_tier": _check_tier, "reasoning_options": _object, "stream": _flag,
    "stream_options": _object,
    "tools": _check_tools, "tool_choice": _choice, "parallel_tool_calls": _flag,
    "context_editing": _object, "image_generation": _object, "plugins": _list,
}  # fmt: skip
CHAT_FIELDS: Final[Mapping[str, Check]] = {
    **_BOTH,
    "messages": _list, "metadata": _object, "cache_control": _check_cache,
    "modalities": _check_modalities, "verbosity": _text, "reasoning_effort": _text,
    "disable_reasoning": _flag, "max_completion_tokens": _whole, "max_tokens": _whole,
    "frequency_penalty": _number, "presence_penalty": _number, "response_format": _object,
    "store": _flag, "stop": _kind("text or a list", str, list), "logit_bias": _object,
    "logprobs": _flag, "n": _whole, "prediction": _object, "seed": _whole,
    "function_call": _choice, "functions": _list,
}  # fmt: skip
RESPONSES_FIELDS: Final[Mapping[str, Check]] = {
    **_BOTH,
    "input": _kind("text or a list", str, list), "instructions": _text, "reasoning": _object,
    "max_output_tokens": _whole, "max_tool_calls": _whole, "text": _object, "truncation": _text,
    "include": _list,
}  # fmt: skip
MESSAGES_FIELDS: Final[Mapping[str, Check]] = {
    "model": _text, "messages": _list, "max_tokens": _whole, "system": _kind("text", str, list),
    "stop_sequences": _list, "stream": _flag, "temperature": _number, "top_p": _number,
    "top_k": _number, "thinking": _object, "output_config": _object, "tools": _check_tools,
    "tool_choice": _object, "metadata": _object, "service_tier": _check_tier,
    "cache_control": _check_cache, "context_management": _object,
}  # fmt: skip
