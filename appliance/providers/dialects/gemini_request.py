"""A chat body as a request to Gemini's generateContent, on AI Studio and on Vertex
(`proxy.md 11.3`).

Pure. What Gemini cannot express is refused by name, never dropped.
"""

import re

from appliance.providers.dialects.common import (
    Json,
    ModelFacts,
    check_fields,
    check_part,
    list_at,
    mapping,
    object_at,
    refused,
    string,
    text_at,
)
from appliance.providers.dialects.gemini_contents import Contents
from appliance.providers.dialects.gemini_parts import SERVICE
from appliance.providers.dialects.gemini_schema import put_schema
from appliance.providers.dialects.gemini_thinking import kind_of, thinking_config
from appliance.providers.dialects.gemini_tools import put_tools

COPIED = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
}
# These ask nothing of the reply: who calls, and where a cache may find what it knows already.
# Gemini takes no names and caches by itself.
HINTS = (
    "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "cache_control",
)  # fmt: skip
KNOWN = frozenset({
    "messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop",
    "n", "tools", "tool_choice", "plugins", "web_search_options", "response_format", "logprobs",
    "top_logprobs", "modalities", "image_generation", "reasoning_effort", "reasoning_options",
    "disable_reasoning", "safety_settings", "metadata", "service_tier", *COPIED, *HINTS,
})  # fmt: skip
FORMAT_FIELDS = frozenset({"name", "description", "schema", "strict"})
IMAGE_FIELDS = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}
SAFETY_FIELDS = frozenset({"category", "threshold", "method"})
MODALITIES = {"text": "TEXT", "image": "IMAGE"}
TIERS = ("flex", "priority")
JSON_TYPE = "application/json"
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
LOW = "MEDIA_RESOLUTION_LOW"


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool, vertex: bool = False) -> Json:
    """The body; streams differ in the address alone."""
    check_fields(chat, KNOWN, SERVICE)
    model_id = model.provider_model_id
    contents = Contents(must_sign=kind_of(model_id).signs_calls, vertex=vertex)
    messages = list_at(chat.get("messages"), "messages")
    for number, message in enumerate(messages):
        contents.read(message, f"messages[{number}]")
    if not contents.turns:
        raise refused("messages", "at least one message that says something is needed")
    body: Json = {"contents": contents.turns}
    if contents.system:
        body["system_instruction"] = {"parts": contents.system}
    put_tools(chat, body)
    settings = _settings(chat)
    _put_format(chat, settings)
    _put_output(chat, settings)
    _put_resolution(messages, settings)
    thinking = thinking_config(chat, model_id)
    if thinking is not None:
        settings["thinkingConfig"] = thinking
    if settings:
        body["generationConfig"] = settings
    _put_safety(chat, body)
    _put_rest(chat, body, vertex)
    return body


def _settings(chat: Json) -> Json:
    settings: Json = {
        name: chat[field] for field, name in COPIED.items() if chat.get(field) is not None
    }
    for field in ("max_completion_tokens", "max_tokens"):
        value = chat.get(field)
        if value is not None:
            if type(value) is not int or value < 1:
                raise refused(field, "a whole number of tokens above 0 is needed")
            settings["maxOutputTokens"] = value
            break
    if chat.get("stop"):
        stop = chat["stop"]
        settings["stopSequences"] = [stop] if type(stop) is str else stop
    if chat.get("n") not in (None, 1):
        settings["candidateCount"] = chat["n"]
    if chat.get("logprobs"):
        settings["responseLogprobs"] = True
        if chat.get("top_logprobs"):
            settings["logprobs"] = chat["top_logprobs"]
    elif chat.get("top_logprobs"):
        raise refused("top_logprobs", "set logprobs to true with it")
    return settings


def _put_format(chat: Json, settings: Json) -> None:
    if chat.get("response_format") is None:
        return
    given = object_at(chat["response_format"], "response_format")
    kind = given.get("type")
    if kind == "text":
        return
    if kind not in ("json_object", "json_schema"):
        raise refused("response_format.type", f"one of text, json_object, json_schema, not {kind}")
    settings["responseMimeType"] = JSON_TYPE
    if kind == "json_schema":
        where = "response_format.json_schema"
        named = object_at(given.get("json_schema"), where)
        check_part(named, FORMAT_FIELDS, where, SERVICE)
        schema = object_at(named.get("schema"), f"{where}.schema")
        if named.get("description") and "description" not in schema:
            schema = {**schema, "description": text_at(named, "description", where)}
        put_schema(settings, schema, name="responseSchema", name_of_json="responseJsonSchema")


def _put_output(chat: Json, settings: Json) -> None:
    """What the reply is made of, and how its images look."""
    kinds = list_at(chat.get("modalities") or [], "modalities")
    for number, kind in enumerate(kinds):
        if string(kind) not in MODALITIES:
            raise refused(f"modalities[{number}]", f"one of {', '.join(MODALITIES)}")
    if kinds and kinds != ["text"]:
        settings["responseModalities"] = [MODALITIES[kind] for kind in kinds]
    images = object_at(chat.get("image_generation") or {}, "image_generation")
    check_part(images, frozenset(IMAGE_FIELDS), "image_generation", SERVICE)
    wanted = {name: images[field] for field, name in IMAGE_FIELDS.items() if images.get(field)}
    if wanted:
        settings["imageConfig"] = wanted


def _put_resolution(messages: list[object], settings: Json) -> None:
    """How closely images are looked at. Gemini has one resolution for all of a request."""
    details: dict[str, str] = {}
    for number, message in enumerate(messages):
        content = mapping(message).get("content")
        for at, part in enumerate(content if type(content) is list else ()):
            image = mapping(part).get("image_url")
            if image is not None:
                where = f"messages[{number}].content[{at}].image_url.detail"
                details.setdefault("low" if mapping(image).get("detail") == "low" else "", where)
    if len(details) > 1:
        raise refused(details["low"], f"{SERVICE} has one detail for all images of a request")
    if "low" in details:
        settings["mediaResolution"] = LOW


def _put_safety(chat: Json, body: Json) -> None:
    """Thresholds in Gemini's own words: chat bodies have none."""
    given = list_at(chat.get("safety_settings") or [], "safety_settings")
    for number, setting in enumerate(given):
        where = f"safety_settings[{number}]"
        check_part(object_at(setting, where), SAFETY_FIELDS, where, SERVICE)
        text_at(setting, "category", where)
        text_at(setting, "threshold", where)
    if given:
        body["safetySettings"] = given


def _put_rest(chat: Json, body: Json, vertex: bool) -> None:
    metadata = object_at(chat.get("metadata") or {}, "metadata")
    # Who calls is a hint here as well: it is where Anthropic's clients put it.
    labels = {name: value for name, value in metadata.items() if name != "user_id"}
    for name, value in labels.items():
        fits = LABEL.fullmatch(name) and type(value) is str and LABEL.fullmatch(value)
        if not vertex or not name or not fits:
            why = "labels are lower-case letters, digits, _ and -" if vertex else "it has no labels"
            raise refused(f"metadata.{name}", f"{SERVICE} cannot express this: {why}")
    if labels:
        body["labels"] = labels
    tier = chat.get("service_tier")
    if tier not in (None, "auto", "default"):
        if string(tier) not in TIERS or vertex:
            raise refused("service_tier", f"{SERVICE} has no {tier} here; leave it out")
        body["serviceTier"] = tier
