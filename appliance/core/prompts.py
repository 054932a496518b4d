"""Stored prompts made into a request's body: merged, partials put in, variables filled
(proxy.md 6.7). Pure.

Tags: `{{hc:NAME:type}}` for an input, `{{hcp:PROMPTID:index[:environment]}}` for the text of a
message of another prompt.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Json = dict[str, Any]

FIELDS: Final = ("prompt_id", "version_id", "environment", "inputs")
PRODUCTION: Final = "production"
PARTIALS_MAX: Final = 100
TEXT_CHARACTERS_MAX: Final = 4_000_000
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_-]{0,99}"
_VARIABLE = re.compile(rf"\{{\{{\s*hc\s*:\s*({_NAME})\s*:\s*({_NAME})\s*\}}\}}")
_PARTIAL = re.compile(
    r"\{\{\s*hcp\s*:\s*([A-Za-z0-9]{6})\s*:\s*(\d{1,4})\s*(?::\s*([A-Za-z0-9_-]{1,64})\s*)?\}\}"
)
_TRUE, _FALSE = ("true", "yes"), ("false", "no")

Partial = tuple[str, int, str]  # prompt, index of the message, environment


class PromptInvalid(ValueError):  # noqa: N818 - whoever asked is told
    """Why a prompt cannot be filled: one line for each fault."""


def merged(stored: Json, asked: Json) -> Json:
    """Stored messages first, then those of the request; tools of both; else the request's."""
    found = {**stored, **{name: value for name, value in asked.items() if name not in FIELDS}}
    for name in ("messages", "tools"):
        both = (stored.get(name), asked.get(name))
        parts = [part for part in both if isinstance(part, list)]
        if parts:
            found[name] = [item for part in parts for item in part]
    return found


def partials_in(document: object) -> Iterator[Partial]:
    """The messages of other prompts that it names."""
    for text in _texts(document):
        for prompt_id, index, environment in _PARTIAL.findall(text):
            yield prompt_id, int(index), environment or PRODUCTION


def with_partials(document: Json, texts: Mapping[Partial, str]) -> Json:
    """Their texts in place of the tags; those that are not known stay."""

    def put(match: re.Match[str]) -> str:
        prompt_id, index, environment = match.groups()
        return texts.get((prompt_id, int(index), environment or PRODUCTION), match.group())

    changed = _changed(document, lambda text: _PARTIAL.sub(put, text))
    assert isinstance(changed, dict)
    return changed


def message_text(body: Json, index: int) -> str | None:
    """The text of a prompt's message."""
    messages = body.get("messages")
    if not isinstance(messages, list) or index >= len(messages):
        return None
    content = messages[index].get("content") if isinstance(messages[index], dict) else None
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def filled(document: Json, inputs: Mapping[str, Any]) -> Json:
    """With values for the tags in messages, tools and response_format. Raises PromptInvalid that
    names each input that is missing or of another type."""
    faults: list[str] = []
    size = 0

    def value_of(name: str, kind: str) -> Any:  # noqa: ANN401 - JSON
        if name not in inputs:
            faults.append(f"inputs.{name} is missing")
            return ""
        value = inputs[name]
        if not _fits(value, kind):
            faults.append(f"inputs.{name}: expected a {kind}")
        return value

    def put(text: str) -> str:
        nonlocal size
        done = _VARIABLE.sub(lambda match: _shown(value_of(*match.groups())), text)
        size += len(done)
        if size > TEXT_CHARACTERS_MAX:
            raise PromptInvalid(f"with its inputs it has over {TEXT_CHARACTERS_MAX} characters")
        return done

    def put_whole(text: str) -> Any:  # noqa: ANN401 - JSON
        whole = _VARIABLE.fullmatch(text.strip())
        return value_of(*whole.groups()) if whole else put(text)

    found = dict(document)
    for name, change in (("messages", put), ("tools", put_whole), ("response_format", put_whole)):
        if name in found:
            found[name] = _changed(found[name], change)
    if faults:
        raise PromptInvalid("; ".join(dict.fromkeys(faults)))
    return found


def variables_in(document: object) -> dict[str, str]:
    """Name and type of each input."""
    return {name: kind for text in _texts(document) for name, kind in _VARIABLE.findall(text)}


def _fits(value: object, kind: str) -> bool:
    if kind == "number":
        if isinstance(value, str):
            return re.fullmatch(r"\s*-?\d+(\.\d+)?([eE][+-]?\d+)?\s*", value) is not None
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "boolean":
        text = value.lower() if isinstance(value, str) else ""
        return isinstance(value, bool) or text in _TRUE or text in _FALSE
    if kind == "string":
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    return True


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _changed(value: object, change: Callable[[str], Any]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_shown(change(name)): _changed(item, change) for name, item in value.items()}
    return [_changed(item, change) for item in value] if isinstance(value, list) else value
