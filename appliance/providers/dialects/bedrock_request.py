"""A chat body as a request to Bedrock's Converse API, for models other than Claude.

Pure. What Converse cannot express is refused by name, never dropped.
"""

import re
from typing import Final

from appliance.providers.dialects.bedrock_address import vendor_of
from appliance.providers.dialects.bedrock_blocks import SERVICE, Blocks
from appliance.providers.dialects.bedrock_tools import put_tools
from appliance.providers.dialects.common import (
    Json,
    ModelFacts,
    arguments_object,
    arguments_text,
    check_fields,
    check_part,
    digest,
    list_at,
    object_at,
    reasoning_details,
    refused,
    string,
    text_at,
    to_json,
)

# These ask nothing of the reply: who calls, and where a cache may find what it knows already.
HINTS = (
    "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "cache_control",
)  # fmt: skip
KNOWN = frozenset({
    "messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop",
    "temperature", "top_p", "top_k", "tools", "tool_choice", "response_format", "metadata",
    "service_tier", "reasoning_effort", "reasoning_options", "disable_reasoning", *HINTS,
})  # fmt: skip
MESSAGE_FIELDS = frozenset({"role", "content", "cache_control"})
TOOL_FIELDS = frozenset({*MESSAGE_FIELDS, "tool_call_id", "name", "is_error"})
# What a client sends back of a reply: notes about the text are not a part of what was said.
ASSISTANT_FIELDS = frozenset({
    *MESSAGE_FIELDS, "tool_calls", "refusal", "reasoning", "reasoning_content",
    "reasoning_details", "annotations",
})  # fmt: skip
CALL_FIELDS = frozenset({"id", "type", "function", "index", "cache_control", "extra_content"})
FORMAT_FIELDS = frozenset({"name", "description", "schema", "strict"})
TIERS: Final = ("priority", "flex")
# What may be noted beside a call for whoever reads the logs of invocations.
LABEL: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")
LABELS_MAX: Final = 16
TOOL_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
EFFORTS: Final = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high",
    "max": "high",
}  # fmt: skip


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool) -> Json:
    """The body; streams differ in the address alone."""
    check_fields(chat, KNOWN, SERVICE)
    turns = Turns()
    for number, message in enumerate(list_at(chat.get("messages"), "messages")):
        turns.read(message, f"messages[{number}]")
    if not turns.messages:
        raise refused("messages", "at least one message that says something is needed")
    body: Json = {"messages": turns.messages}
    if turns.system:
        body["system"] = turns.system
    put_tools(chat, body, has_calls=turns.has_calls)
    _put_settings(chat, body, model.provider_model_id)
    _put_format(chat, body)
    _put_rest(chat, body)
    return body


class Turns:
    """Reads messages one by one. Roles alternate: what one side says in a row is one message."""

    __slots__ = ("_blocks", "has_calls", "messages", "system")

    def __init__(self) -> None:
        self._blocks = Blocks()
        self.has_calls = False
        self.messages: list[Json] = []
        self.system: list[Json] = []

    def read(self, value: object, where: str) -> None:
        message = object_at(value, where)
        role = message.get("role")
        if role == "system" or role == "developer":
            check_part(message, MESSAGE_FIELDS, where, SERVICE)
            self.system += self._said(message, where)
            for block in self.system:
                if "text" not in block:
                    raise refused(f"{where}.content", "a system prompt is text")
        elif role == "user":
            check_part(message, MESSAGE_FIELDS, where, SERVICE)
            self._turn("user", self._said(message, where))
        elif role == "tool":
            self._turn("user", [self._result(message, where)])
        elif role == "assistant":
            self._turn("assistant", self._assistant(message, where))
        else:
            raise refused(f"{where}.role", f"{SERVICE} has no role {role}")

    def _said(self, message: Json, where: str) -> list[Json]:
        return self._blocks.of(message.get("content"), f"{where}.content")

    def _turn(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _result(self, message: Json, where: str) -> Json:
        check_part(message, TOOL_FIELDS, where, SERVICE)
        self.has_calls = True
        result: Json = {
            "toolUseId": tool_id(text_at(message, "tool_call_id", where)),
            # Something must be there, and a text must not be blank.
            "content": self._said(message, where) or [{"json": {}}],
        }
        if message.get("is_error"):
            result["status"] = "error"
        return {"toolResult": result}

    def _assistant(self, message: Json, where: str) -> list[Json]:
        """Thoughts, then text, then calls."""
        check_part(message, ASSISTANT_FIELDS, where, SERVICE)
        blocks = _thoughts(message) + self._said(message, where)
        if message.get("refusal"):
            blocks.append({"text": text_at(message, "refusal", where)})
        calls = list_at(message.get("tool_calls") or [], f"{where}.tool_calls")
        for number, value in enumerate(calls):
            blocks.append(_call(value, f"{where}.tool_calls[{number}]"))
            self.has_calls = True
        return blocks


def _thoughts(message: Json) -> list[Json]:
    """Only what the provider can know again: models without signatures refuse thoughts of old."""
    blocks: list[Json] = []
    for detail in reasoning_details(message):
        signature = string(detail.get("signature"))
        if type(detail.get("data")) is str:
            blocks.append({"reasoningContent": {"redactedContent": detail["data"]}})
        elif signature:
            text = {"text": string(detail.get("thinking")), "signature": signature}
            blocks.append({"reasoningContent": {"reasoningText": text}})
    return blocks


def _call(value: object, where: str) -> Json:
    call = object_at(value, where)
    kind = call.get("type", "function")
    if kind != "function":
        raise refused(f"{where}.type", f"{SERVICE} takes calls of functions, not {kind}")
    check_part(call, CALL_FIELDS, where, SERVICE)
    place = f"{where}.function"
    function = object_at(call.get("function"), place)
    return {"toolUse": {
        "toolUseId": tool_id(text_at(call, "id", where)),
        "name": text_at(function, "name", place),
        "input": arguments_object(arguments_text(function, place), f"{place}.arguments"),
    }}  # fmt: skip


def tool_id(text: str) -> str:
    """Ids have at most 64 characters of a few kinds; another becomes one, always the same."""
    return text if TOOL_ID.fullmatch(text) else "call_" + digest(text)


def _put_settings(chat: Json, body: Json, model_id: str) -> None:
    settings: Json = {}
    for field in ("max_completion_tokens", "max_tokens"):
        value = chat.get(field)
        if value is not None:
            if type(value) is not int or value < 1:
                raise refused(field, "a whole number of tokens above 0 is needed")
            settings["maxTokens"] = value
            break
    for field, name in (("temperature", "temperature"), ("top_p", "topP")):
        if chat.get(field) is not None:
            settings[name] = chat[field]
    if chat.get("stop"):
        stop = chat["stop"]
        settings["stopSequences"] = [stop] if type(stop) is str else stop
    if settings:
        body["inferenceConfig"] = settings
    vendor, name = vendor_of(model_id)
    more: Json = _reasoning(chat, vendor, name)
    if chat.get("top_k") is not None:
        is_nova = vendor == "amazon" and name.startswith("nova")
        more.update(
            {"inferenceConfig": {"topK": chat["top_k"]}} if is_nova else {"top_k": chat["top_k"]}
        )
    if more:
        body["additionalModelRequestFields"] = more


def _reasoning(chat: Json, vendor: str, name: str) -> Json:
    """How much to think, in the words of the model's maker: Converse has none of its own."""
    effort = "none" if chat.get("disable_reasoning") else chat.get("reasoning_effort")
    options = object_at(chat.get("reasoning_options") or {}, "reasoning_options")
    # A budget is told by the effort beside it.
    known = frozenset() if effort is None else frozenset({"budget_tokens"})
    check_part(options, known, "reasoning_options", SERVICE)
    if effort is None:
        return {}
    if effort != "none" and string(effort) not in EFFORTS:
        raise refused("reasoning_effort", f"one of none, {', '.join(EFFORTS)}")
    if vendor == "amazon" and name.startswith("nova-2"):
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": EFFORTS[effort]}}
    if effort == "none":
        return {}
    if vendor == "openai":
        return {"reasoning_effort": EFFORTS[effort]}
    raise refused("reasoning_effort", f"{SERVICE} cannot tell this model; leave it out")


def _put_format(chat: Json, body: Json) -> None:
    if chat.get("response_format") is None:
        return
    given = object_at(chat["response_format"], "response_format")
    kind = given.get("type")
    if kind == "text":
        return
    if kind != "json_schema":
        raise refused("response_format.type", f"{SERVICE} has text and json_schema, not {kind}")
    where = "response_format.json_schema"
    named = object_at(given.get("json_schema"), where)
    check_part(named, FORMAT_FIELDS, where, SERVICE)
    schema: Json = {"schema": to_json(object_at(named.get("schema"), f"{where}.schema"))}
    for field in ("name", "description"):
        if named.get(field) is not None:
            schema[field] = text_at(named, field, where)
    body["outputConfig"] = {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}
    }


def _put_rest(chat: Json, body: Json) -> None:
    metadata = object_at(chat.get("metadata") or {}, "metadata")
    # Who calls is a hint here as well: it is where Anthropic's clients put it.
    labels = {name: value for name, value in metadata.items() if name != "user_id"}
    for name, value in labels.items():
        fits = name and LABEL.fullmatch(name) and type(value) is str and LABEL.fullmatch(value)
        if not fits or len(labels) > LABELS_MAX:
            why = f"at most {LABELS_MAX} short texts of letters, digits and : _ @ $ # = / + , - ."
            raise refused(f"metadata.{name}", f"{SERVICE} cannot express this: {why}")
    if labels:
        body["requestMetadata"] = labels
    tier = chat.get("service_tier")
    if tier not in (None, "auto", "default"):
        if string(tier) not in TIERS:
            raise refused("service_tier", f"one of auto, default, {', '.join(TIERS)}")
        body["serviceTier"] = {"type": tier}
