"""`Helicone-Token-Limit-Exception-Handler`: what is done with a prompt too long for its model
(proxy.md 7.4): cut every message, take out the middle, or ask another model. Pure.

Works on chat bodies (`messages`) and on those of the Responses API (`input`, `instructions`).
Only contents that are strings count and change. A body that fits is left as it is.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from appliance.core.ask_types import TokenLimitHandler
from appliance.core.json_reader import write_json

Json = dict[str, Any]

TOKENS_PER_CHARACTER: Final = 0.25
TOKENS_PER_CHARACTER_GPT35: Final = 0.20
GPT35: Final = "gpt-3.5-turbo"
# Of the context, for the answer, where the request does not say how long it may be.
ANSWER_SHARE: Final = 0.1
# Of the budget, what cutting aims at: the estimate is no more than that.
CUT_SHARE: Final = 0.9
CHUNK_CHARACTERS_MAX: Final = 1000
MESSAGES_KEPT_MIN: Final = 2
ELLIPSIS: Final = "..."

OUTPUT_LIMITS: Final = (
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "maxOutputTokens",
)
OUTPUT_PLACES: Final = ("response", "generation_config", "generationConfig")

COMMENT_BEGIN: Final = "<!--"
COMMENT_END: Final = "-->"
UUID_TAIL: Final = re.compile(r"\b([0-9a-fA-F]{8})(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
BLANKS: Final = re.compile(r"[ \t\f\v\u00a0]+")
LINE_ENDS: Final = re.compile(r" ?(?:\r\n?|\n)[ \r\n]*")
BLANK_BEFORE_SIGN: Final = re.compile(r" (?=[,.;:!?])")


class Fitted(NamedTuple):
    """A body, and whether it is too long all the same."""

    document: Json
    too_long: bool = False


def fitted(
    handler: TokenLimitHandler,
    document: Json,
    *,
    override: str,
    context_of: Callable[[str], int],
) -> Fitted:
    """The body as the handler would have it; the same object where nothing is to change.

    `override` is the model of the header, for a body without one. `context_of` gives a model's
    context in tokens, 0 for an unknown one.
    """
    if not handler:
        return Fitted(document)
    items, excluded = _models(document, override)
    model = items[0] if items else ""
    context_tokens = context_of(model) if model else 0
    if handler == "fallback":
        return Fitted(_fallen_back(document, items, excluded, context_tokens))
    if context_tokens <= 0:
        return Fitted(document)
    prompt = _Prompt(document, model)
    budget = budget_tokens(document, context_tokens)
    if prompt.tokens() <= budget:
        return Fitted(document)
    if budget <= 0 or (prompt.slots and not prompt.characters(budget * CUT_SHARE)):
        # The answer or the tools alone are too much: without its words it would not fit either.
        return Fitted(document, too_long=True)
    made = prompt.truncated(budget) if handler == "truncate" else prompt.without_middle(budget)
    return Fitted(made, too_long=prompt.tokens() > budget)


def estimated_tokens(document: Json, model: str) -> int:
    """How long the prompt is, by the characters of its strings and tools."""
    return _Prompt(document, model).tokens()


def budget_tokens(document: Json, context_tokens: int) -> int:
    """What is left of the context for the prompt."""
    for place in (document, *(document.get(name) for name in OUTPUT_PLACES)):
        if not isinstance(place, dict):
            continue
        for name in OUTPUT_LIMITS:
            limit = place.get(name)
            if isinstance(limit, int | float) and not isinstance(limit, bool) and limit > 0:
                return context_tokens - math.ceil(min(limit, context_tokens))
    return context_tokens - math.ceil(context_tokens * ANSWER_SHARE)


def plain(text: str) -> str:
    """A text without what costs tokens and says little: comments, runs of blanks and empty lines,
    blanks before signs, all but the first group of a UUID."""
    text = UUID_TAIL.sub(r"\1", _without_comments(text))
    text = LINE_ENDS.sub("\n", BLANKS.sub(" ", text))
    return BLANK_BEFORE_SIGN.sub("", text).strip()


def _models(document: Json, override: str) -> tuple[list[str], list[str]]:
    """The models that the body lists, and the providers that it excludes."""
    text = document.get("model")
    if not isinstance(text, str) or not text.strip():
        text = override
    items = [item for item in map(str.strip, text.split(",")) if item]
    return [item for item in items if item[0] != "!"], [item for item in items if item[0] == "!"]


def _fallen_back(
    document: Json, items: list[str], excluded: list[str], context_tokens: int
) -> Json:
    """The list comes down to one model: the second where the first is too small or unknown."""
    if not items:
        return document
    chosen = items[0]
    if len(items) > 1:
        budget = budget_tokens(document, context_tokens)
        if context_tokens <= 0 or estimated_tokens(document, chosen) >= budget:
            chosen = items[1]
    model = ",".join([chosen, *excluded])
    return document if document.get("model") == model else {**document, "model": model}


class _Prompt:
    """A copy of a body whose strings can be replaced."""

    def __init__(self, document: Json, model: str) -> None:
        small = model.rpartition("/")[2].startswith(GPT35) or model.startswith(GPT35)
        self.rate = TOKENS_PER_CHARACTER_GPT35 if small else TOKENS_PER_CHARACTER
        self.document = dict(document)
        self.slots: list[tuple[Json, str]] = []
        for name in ("instructions", "input"):
            if isinstance(document.get(name), str):
                self.slots.append((self.document, name))
        self.list_name = next(
            (name for name in ("messages", "input") if isinstance(document.get(name), list)), ""
        )
        if self.list_name:
            copied = [_copied(message) for message in document[self.list_name]]
            self.document[self.list_name] = copied
            for message in copied:
                if isinstance(message, dict) and isinstance(message.get("content"), str):
                    self.slots.append((message, "content"))
        self.tools = len(write_json(tools)) if (tools := document.get("tools")) else 0

    def tokens(self) -> int:
        return math.ceil(self.rate * (self.tools + sum(map(len, self.texts()))))

    def texts(self) -> list[str]:
        return [place[name] for place, name in self.slots]

    def put(self, texts: list[str]) -> None:
        for (place, name), text in zip(self.slots, texts, strict=True):
            place[name] = text

    def characters(self, tokens: float) -> int:
        """How long all strings together may be."""
        return max(0, math.floor(tokens / self.rate) - self.tools)

    def truncated(self, budget: int) -> Json:
        """Each string made plain, and where that is not enough, cut by the same share."""
        goal = self.characters(budget * CUT_SHARE)
        # Text is read over no further than it could be needed.
        self.put([plain(text) for text in _cut(self.texts(), 4 * goal, "")])
        if self.tokens() > budget:
            self.put(_cut(self.texts(), goal, ELLIPSIS))
        return self.document

    def without_middle(self, budget: int) -> Json:
        """Chunks taken out from the middle to both sides until the rest fits."""
        if not self.slots:
            self.drop_middle_messages()
            return self.document
        texts = self.texts()
        chunks = [
            (slot, text[at : at + CHUNK_CHARACTERS_MAX])
            for slot, text in enumerate(texts)
            for at in range(0, len(text), CHUNK_CHARACTERS_MAX)
        ]
        first, last = _middle_run(chunks, sum(map(len, texts)) - self.characters(budget))
        kept: list[list[str]] = [[] for _ in texts]
        for position, (slot, chunk) in enumerate(chunks):
            if not first <= position < last:
                kept[slot].append(chunk)
        self.put(
            ["".join(parts) if parts or not was else ELLIPSIS
             for parts, was in zip(kept, texts, strict=True)]
        )  # fmt: skip
        return self.document

    def drop_middle_messages(self) -> None:
        """Nothing of it can be counted, so only the ends stay."""
        if self.list_name:
            messages = self.document[self.list_name]
            if len(messages) > MESSAGES_KEPT_MIN:
                self.document[self.list_name] = [messages[0], messages[-1]]


def _middle_run(chunks: list[tuple[int, str]], too_many: int) -> tuple[int, int]:
    """The run around the middle that frees `too_many` characters, as first and one past last. A
    string that loses all of its chunks is left with an ellipsis."""
    left: dict[int, int] = {}
    for slot, _ in chunks:
        left[slot] = left.get(slot, 0) + 1
    first = last = len(chunks) // 2
    freed = 0
    while freed < too_many and last - first < len(chunks):
        # The side that has more left gives the next one, so that the run stays in the middle.
        if first > len(chunks) - last - 1 or last == len(chunks):
            first -= 1
            slot, chunk = chunks[first]
        else:
            slot, chunk = chunks[last]
            last += 1
        freed += len(chunk)
        left[slot] -= 1
        if not left[slot]:
            freed -= len(ELLIPSIS)
    return first, last


def _cut(texts: list[str], goal: int, mark: str) -> list[str]:
    """Every text to its share of `goal` characters, the mark of the cut included."""
    total = sum(map(len, texts))
    if total <= goal:
        return texts
    cut = []
    for text in texts:
        share = len(text) * goal // total
        kept = text[: max(0, share - len(mark))]
        cut.append(kept + mark if len(kept) + len(mark) < len(text) else text)
    return cut


def _copied(message: object) -> object:
    return dict(message) if isinstance(message, dict) else message


def _without_comments(text: str) -> str:
    if COMMENT_BEGIN not in text:
        return text
    kept: list[str] = []
    at = 0
    while (begin := text.find(COMMENT_BEGIN, at)) >= 0:
        end = text.find(COMMENT_END, begin + len(COMMENT_BEGIN))
        if end < 0:
            break
        kept.append(text[at:begin])
        at = end + len(COMMENT_END)
    return "".join([*kept, text[at:]])
