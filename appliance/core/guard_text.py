"""What a user says in a request, whatever dialect it is in: the text that is checked.

Pure. It is the last run of messages from the user: what stands before was checked when it came,
and an answer or a tool's result behind it does not hide it. Text only: pictures, files and what
tools returned are not read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

TEXT_CHARACTERS_MAX: Final = 1024 * 1024
PARTS_MAX: Final = 10_000
# Lists of messages: of chats and Anthropic, of Responses, of Gemini.
LISTS: Final = ("messages", "input", "contents")
# Where a prompt is one text: completions, Responses, Cohere, Titan, Hugging Face.
TEXTS: Final = ("prompt", "input", "message", "inputText", "inputs")
PART_TYPES: Final = (None, "text", "input_text")
# There `input` is no prompt of anybody's.
NO_PROMPTS: Final = re.compile(
    r"/(embeddings?|moderations|rerank|audio|files|batch(es)?|fine[_-]tuning|uploads"
    r"|vector_stores)(/|$)|:(batchEmbedContents|embedContent|countTokens)"
)
# What the moderation endpoint reads.
PICTURES: Final = ("text", "image_url")


class Prompt(NamedTuple):
    """The text, and whether that is all of it. "": nothing is said by a user."""

    text: str
    whole: bool


def has_prompt(path: str) -> bool:
    """Whether requests to this path ask a model something."""
    return not NO_PROMPTS.search(path.partition("?")[0])


def prompt_of(document: object) -> Prompt:
    """What the user says. The middle of what is too long is left out."""
    if not isinstance(document, dict):
        return Prompt("", whole=True)
    parts: list[str] = []
    for count, part in enumerate(_parts(document)):
        if count >= PARTS_MAX:
            return Prompt(_shortened("\n".join(parts)), whole=False)
        parts.append(part)
    text = "\n".join(parts)
    return Prompt(_shortened(text), len(text) <= TEXT_CHARACTERS_MAX)


def with_inputs(prompt: Prompt, inputs: Mapping[str, object]) -> Prompt:
    """The same with what was put into a stored prompt: it is the user's, also where the template
    has it in a system message."""
    texts = [text for text in _strings(inputs) if text not in prompt.text]
    if not texts:
        return prompt
    text = "\n".join([prompt.text, *texts] if prompt.text else texts)
    return Prompt(_shortened(text), prompt.whole and len(text) <= TEXT_CHARACTERS_MAX)


def _strings(value: object) -> list[str]:
    """All of them within a value, in order."""
    found: list[str] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, Mapping):
            left += reversed(list(one.values()))
        elif isinstance(one, list):
            left += reversed(one)
    return found


def moderation_input(document: object, prompt: Prompt) -> Any:  # noqa: ANN401 - JSON
    """What is asked of the moderation endpoint: a chat's content as it came (proxy.md 7.1), with
    its pictures, else the text."""
    messages = document.get("messages") if isinstance(document, dict) else None
    last = messages[-1] if isinstance(messages, list) and messages else None
    content = last.get("content") if isinstance(last, dict) and last.get("role") == "user" else None
    if isinstance(content, list) and all(
        isinstance(part, dict) and part.get("type") in PICTURES for part in content
    ):
        return content
    return prompt.text


def _parts(document: dict[str, Any]) -> Iterator[str]:
    for name in LISTS:
        messages = document.get(name)
        if isinstance(messages, dict):
            messages = [messages]
        if isinstance(messages, list):
            if name == "input" and all(isinstance(item, str) for item in messages):
                yield from messages
            else:
                for message in _last_of_user(messages):
                    yield from _texts(message.get("content", message.get("parts")))
            return
    for name in TEXTS:
        if document.get(name):
            yield from _texts(document[name])
            return


def _last_of_user(messages: list[Any]) -> list[dict[str, Any]]:
    """The last run of the user's messages, in order."""
    found: list[dict[str, Any]] = []
    for message in reversed(messages):
        if _is_users(message):
            found.append(message)
        elif isinstance(message, dict) and message.get("role") in ("system", "developer"):
            continue  # it ends nobody's turn
        elif any(map(_says_something, found)):
            break
        else:
            found.clear()  # results of tools alone
    return found[::-1]


def _is_users(message: object) -> bool:
    """Gemini leaves the role out where it is the user's; items of Responses without a role are
    calls, results and thoughts."""
    if not isinstance(message, dict):
        return False
    role = message.get("role")
    return role == "user" or (role is None and "parts" in message)


def _says_something(message: dict[str, Any]) -> bool:
    return any(True for _ in _texts(message.get("content", message.get("parts"))))


def _texts(content: object) -> Iterator[str]:
    """The texts in a string, a part or a list of them."""
    parts: Iterable[object] = content if isinstance(content, list) else (content,)
    for part in parts:
        if isinstance(part, str):
            text: object = part
        elif isinstance(part, dict) and part.get("type") in PART_TYPES:
            text = part.get("text")
        else:
            continue
        if isinstance(text, str) and text:
            yield text


def _shortened(text: str) -> str:
    if len(text) <= TEXT_CHARACTERS_MAX:
        return text
    half = TEXT_CHARACTERS_MAX // 2
    return f"{text[:half]}\n{text[-half:]}"
