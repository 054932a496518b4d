"""Chat replies and errors as OpenAI's Responses API writes them, for clients that speak it
(`proxy.md 11.6`)."""

from appliance.core.usage.counts import count
from appliance.providers.dialects.common import (
    Json,
    content_text,
    mapping,
    own_call_id,
    reasoning_details,
    reasoning_text,
    string,
)
from appliance.providers.dialects.common_errors import chat_error, error_in_200, parts_of
from appliance.providers.dialects.responses_inbound import REDACTED

# What a response repeats of its request, and what it says where the request was silent.
ECHOED: Json = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": None,
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def reply_from_chat(chat: Json, *, request: Json | None = None) -> Json:
    """`request` is the client's body: a response repeats its settings."""
    choices = chat.get("choices")
    if chat.get("error") and not choices:
        raise error_in_200(chat)
    choice = mapping(choices[0] if type(choices) is list and choices else None)
    response = response_head(chat, request or {})
    put_end(response, string(choice.get("finish_reason")))
    response["output"] = _items(choice, string(response["id"]), item_status(response))
    response["usage"] = usage_from_chat(mapping(chat.get("usage")))
    if chat.get("service_tier"):
        response["service_tier"] = chat["service_tier"]
    return response


def response_head(chat: Json, request: Json) -> Json:
    """A response that has only begun."""
    created = chat.get("created")
    head: Json = {
        "id": string(chat.get("id")),
        "object": "response",
        "created_at": created if type(created) is int else 0,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": string(chat.get("model")),
        "output": [],
        "usage": None,
    }
    for name, default in ECHOED.items():
        given = request.get(name)
        head[name] = default if given is None else given
    return head


def put_end(response: Json, finish_reason: str) -> None:
    """Completed, or cut short and why."""
    reason = INCOMPLETE.get(finish_reason)
    response["status"] = "incomplete" if reason else "completed"
    if reason:
        response["incomplete_details"] = {"reason": reason}


def item_status(response: Json) -> str:
    return "incomplete" if response["status"] == "incomplete" else "completed"


def usage_from_chat(usage: Json) -> Json:
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = mapping(usage.get("prompt_tokens_details"))
    parts = mapping(usage.get("completion_tokens_details"))
    found: Json = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, **details},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0, **parts},
        "total_tokens": count(usage.get("total_tokens")) or prompt + completion,
    }
    for name in ("server_tool_use", "cost"):
        if usage.get(name) is not None:
            found[name] = usage[name]
    return found


def reasoning_item(id: str, detail: Json, status: str) -> Json:
    text = string(detail.get("thinking"))
    item: Json = {
        "id": id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
        "status": status,
    }
    sign(item, detail)
    return item


def sign(item: Json, detail: Json) -> None:
    """What its maker needs to take a thought for its own again."""
    if type(detail.get("data")) is str:
        item["encrypted_content"] = REDACTED + detail["data"]
    elif detail.get("signature"):
        item["encrypted_content"] = detail["signature"]


def annotations_of(message: Json) -> list[Json]:
    """Chat annotations are nested, these are flat."""
    found = []
    given = message.get("annotations")
    for value in given if type(given) is list else ():
        cited = mapping(mapping(value).get("url_citation"))
        if cited:
            found.append({"type": "url_citation", **cited})
    return found


def image_part(image: object) -> Json:
    url = mapping(mapping(image).get("image_url")).get("url")
    return {"type": "output_image", "image_url": string(url)}


def call_item(reply_id: str, number: int, call: Json, status: str) -> Json:
    """The item has an id of its own beside the call's."""
    id, own = f"fn_{reply_id}_{number}", own_call_id(call, number, reply_id)
    if call.get("type") == "custom":
        custom = mapping(call.get("custom"))
        name, text = string(custom.get("name")), string(custom.get("input"))
        return {
            "id": id, "type": "custom_tool_call", "call_id": own, "name": name, "input": text,
        }  # fmt: skip
    function = mapping(call.get("function"))
    return {
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": own,
        "name": string(function.get("name")),
        "arguments": string(function.get("arguments")),
    }


def error_from_chat(status: int, body: Json) -> tuple[int, Json]:
    """Errors look the same in both of OpenAI's APIs."""
    return status, chat_error(status, parts_of(body))


def _items(choice: Json, id: str, status: str) -> list[Json]:
    message = mapping(choice.get("message"))
    details = reasoning_details(message)
    if not details:
        text = reasoning_text(message)
        details = [{"thinking": text}] if text else []
    items = [reasoning_item(f"rs_{id}_{at}", detail, status) for at, detail in enumerate(details)]
    content = _parts(choice, message)
    if content:
        items.append({
            "id": f"msg_{id}", "type": "message", "status": status, "role": "assistant",
            "content": content,
        })  # fmt: skip
    calls = message.get("tool_calls")
    for at, call in enumerate(calls if type(calls) is list else ()):
        items.append(call_item(id, at, mapping(call), status))
    return items


def _parts(choice: Json, message: Json) -> list[Json]:
    parts: list[Json] = []
    text = content_text(message.get("content"))
    if text:
        part: Json = {"type": "output_text", "text": text, "annotations": annotations_of(message)}
        logprobs = mapping(choice.get("logprobs")).get("content")
        if logprobs:
            part["logprobs"] = logprobs
        parts.append(part)
    refusal = string(message.get("refusal"))
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    images = message.get("images")
    parts += [image_part(image) for image in (images if type(images) is list else ())]
    return parts
