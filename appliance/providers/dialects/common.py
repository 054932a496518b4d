"""What the dialects share: refusals that name a field, values that ask for nothing, ids, data URIs.

The form between dialects is a Chat Completions body as a dict, with the gateway's extra fields:
`cache_control` on messages, parts and tools, `reasoning` and `reasoning_details` on messages,
`document` parts, `reasoning_options`, `context_editing`, `plugins` (`proxy.md 6.9, 11`).
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from appliance.core.json_reader import read_json, write_json
from appliance.errors import Refusal

Json = dict[str, Any]

# The word of the gateway's aggregate error for a body that an attempt cannot use (proxy.md 6.6).
INVALID_FORMAT = "invalid_format"
NESTING_NEEDS = "an object is needed here"
CALL_ID_CHARACTERS_MAX = 40

# Values that ask for nothing beyond what every service does: they need not be expressed. None is
# always one of them.
NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "background": (False,),
    "disable_reasoning": (False,),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": ([],),
    "image_generation": ({},),
    "logit_bias": ({},),
    "logprobs": (False,),
    "mcp_servers": ([],),
    "metadata": ({},),
    "modalities": (["text"], []),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "plugins": ([],),
    "presence_penalty": (0,),
    "prompt_cache_retention": ("in_memory",),
    "service_tier": ("auto", "default"),
    "speed": ("standard",),
    "store": (False,),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
    "verbosity": ("medium",),
}

encode = write_json


class ModelFacts(Protocol):
    """What a translation needs to know of a model: the columns of the model registry."""

    @property
    def provider_model_id(self) -> str: ...

    @property
    def max_output_tokens(self) -> int:
        """0 where it is not known."""
        ...


def refused(field: str, why: str) -> Refusal:
    """What a client sees of a body that cannot be translated: the field, and what to do."""
    return Refusal(400, INVALID_FORMAT, f"{field}: {why}")


def check_fields(body: Mapping[str, Any], known: frozenset[str], service: str) -> None:
    """Refuse what is neither translated nor neutral: nothing is dropped in silence."""
    for name, value in body.items():
        if name not in known and value is not None and value not in NEUTRAL.get(name, ()):
            raise refused(name, f"{service} cannot express this; leave it out for this model")


def check_part(part: Json, known: frozenset[str], where: str, service: str) -> None:
    """The same for a message, a part, a tool: there nothing but None is neutral."""
    if not known.issuperset(part):
        for name, value in part.items():
            if name not in known and value is not None:
                raise refused(f"{where}.{name}", f"{service} cannot express this; leave it out")


def object_at(value: object, where: str) -> Json:
    if type(value) is dict:
        return value
    raise refused(where, NESTING_NEEDS)


def list_at(value: object, where: str) -> list[Any]:
    if type(value) is list:
        return value
    raise refused(where, "a list is needed here")


def text_at(raw: Json, name: str, where: str) -> str:
    value = raw.get(name)
    if type(value) is str:
        return value
    raise refused(f"{where}.{name}" if where else name, "a string is needed here")


def mapping(value: object) -> Json:
    """An object as a provider sent it; an empty one where it is something else."""
    return value if type(value) is dict else {}


def string(value: object) -> str:
    """A string as a provider sent it; nothing where it is something else."""
    return value if type(value) is str else ""


def to_json(value: object) -> str:
    """JSON text, as arguments of tool calls are."""
    return encode(value).decode()


def arguments_text(function: Json, where: str) -> str:
    """The arguments of a tool call, which are JSON text; some clients leave them out."""
    if function.get("arguments") is None:
        return ""
    return text_at(function, "arguments", where)


def arguments_object(text: str, where: str) -> Json:
    """The same as the object they mean."""
    if not text or text == "{}":
        return {}
    value, problem = read_json(text.encode("utf-8", "replace"))
    if problem or type(value) is not dict:
        raise refused(where, "the text of a JSON object is needed here")
    return value


def call_id(text: str) -> str:
    """An id of a tool call that services with a limit of 40 characters take: longer ones become
    another, always the same (`proxy.md 11.6`)."""
    if len(text) <= CALL_ID_CHARACTERS_MAX:
        return text
    return "call_" + digest(text)


def own_call_id(call: Json, number: int, reply_id: str) -> str:
    """The id of a call, made of the reply's where a service gives none: results name it."""
    return string(call.get("id")) or f"call_{digest(reply_id)[:16]}_{number}"


def digest(text: str) -> str:
    """32 hexadecimal digits that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def data_uri(url: str, where: str) -> tuple[str, str] | None:
    """Media type and base64 text of a data URI; None for any other URL."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    kind, _, rest = head.partition(";")
    if not comma or "base64" not in rest.lower():
        raise refused(where, "a data URI looks like data:image/png;base64,...")
    return kind.strip().lower(), data


def failed_result(text: str) -> str:
    """What a tool said when it failed, for services that have no field to say that it did."""
    return text if text[:5].lower() == "error" else f"Error: {text}"


def content_text(content: object) -> str:
    """The text of a message, of which some services send parts."""
    if type(content) is list:
        return "".join(string(mapping(part).get("text")) for part in content)
    return string(content)


def reasoning_text(message: Json) -> str:
    """What a message says of the thoughts before it, under the names that services use."""
    return string(message.get("reasoning")) or string(message.get("reasoning_content"))


def reasoning_details(message: Json) -> list[Json]:
    """The signed thoughts of a message: `{thinking, signature}`, or `{data}` where the provider
    shows nothing of them."""
    details = message.get("reasoning_details")
    if type(details) is not list:
        return []
    return [detail for detail in details if type(detail) is dict]
