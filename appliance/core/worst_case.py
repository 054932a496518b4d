"""How much to hold for a call before it is made: what it may cost at worst, what it is expected to
cost, and what its input alone costs. From the request, the model's limits and its price card.

Pure. A text has at most one token per byte; what cannot be counted (images, files, earlier turns,
rounds of the provider's own tools) is taken for all that the model can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from appliance.core.money import RATE_UNITS_PER_PICO
from appliance.core.price_card import Card, Rates

# Where the model's limits are not known: no model reads or writes more.
CONTEXT_TOKENS_UNKNOWN: Final = 2_000_000
OUTPUT_TOKENS_UNKNOWN: Final = 131_072
# What providers add: marks around messages, and the prompts that come with tools.
INPUT_TOKENS_ADDED: Final = 1_024
BYTES_PER_TOKEN: Final = 3
MEDIA_TOKENS: Final = 1_500
# Of a call whose tools run at the provider, when it names no number of its own.
TOOL_USES_UNKNOWN: Final = 10
TOOL_USES_MAX: Final = 1_000
PARTS_MAX: Final = 10_000
DEPTH_MAX: Final = 16

OUTPUT_LIMITS: Final = (
    "max_completion_tokens", "max_tokens", "max_output_tokens", "max_tokens_to_sample",
    "max_new_tokens",
)  # fmt: skip
NESTED_LIMITS: Final = (
    ("generationConfig", "maxOutputTokens"),
    ("generation_config", "max_output_tokens"),
    ("inferenceConfig", "maxTokens"),
    ("options", "num_predict"),
)
PROMPTS: Final = ("messages", "input", "system", "contents", "prompt", "content", "parts")
# A part with one of these keys is media, or points at something that is not in the request.
MEDIA_KEYS: Final = frozenset(
    {"image_url", "image", "input_audio", "audio", "video", "file", "file_id", "file_url",
     "file_data", "source", "document", "inlineData", "inline_data", "fileData", "url"}
)  # fmt: skip
TEXT_TYPES: Final = frozenset(
    {"text", "input_text", "output_text", "refusal", "thinking", "redacted_thinking", "tool_use",
     "tool_result", "tool_call", "function", "function_call", "function_call_output", "message",
     "reasoning", "reasoning_text", "summary_text"}
)  # fmt: skip
# The request goes on from what the provider has kept.
ELSEWHERE: Final = (
    "previous_response_id", "conversation", "cachedContent", "cached_content", "container",
    "mcp_servers", "context_management", "assistant_id", "thread_id", "prediction",
)  # fmt: skip
CACHE_KEYS: Final = ("cache_control", "cachePoint")
OWN_TOOLS: Final = frozenset({"function", "custom"})
GEMINI_TOOLS: Final = ("googleSearch", "google_search", "googleSearchRetrieval", "urlContext",
                       "codeExecution", "code_execution", "url_context")  # fmt: skip


class Asked(NamedTuple):
    """What a request says of its own price. `input_tokens_max` None: as much as the model reads."""

    input_tokens: int
    input_tokens_max: int | None
    output_tokens_max: int | None
    answers: int = 1
    tool_uses: int = 0
    has_media: bool = False
    writes_cache: bool = False
    makes_media: bool = False


class HoldSize(NamedTuple):
    """In pico-USD: `input_pico` ≤ `expected_pico` ≤ `worst_pico`."""

    worst_pico: int
    expected_pico: int
    input_pico: int

    def at_most(self, pico: int) -> HoldSize:
        """The same, none of it above this."""
        if self.worst_pico <= pico:
            return self
        return HoldSize(pico, min(self.expected_pico, pico), min(self.input_pico, pico))


class _Seen:
    """What a walk through the prompt has met."""

    __slots__ = ("is_open", "media", "media_bytes", "parts", "writes_cache")

    def __init__(self) -> None:
        self.parts = 0
        self.media = 0
        self.media_bytes = 0
        self.is_open = False
        self.writes_cache = False


def read_asked(request: Mapping[str, object], body_bytes: int) -> Asked:
    """Read a request of any dialect. `body_bytes` is the length of what is sent, uncompressed."""
    seen = _Seen()
    for key in PROMPTS:
        value = request.get(key)
        if value.__class__ is not str and value is not None:
            _walk(value, seen, 0)
    uses = _tool_uses(request, seen)
    for key in CACHE_KEYS:
        if key in request:
            seen.writes_cache = True
    elsewhere = any(request.get(key) for key in ELSEWHERE) or type(request.get("prompt")) is dict
    is_open = bool(seen.is_open or seen.media or uses or elsewhere)
    text = max(0, body_bytes - seen.media_bytes)
    return Asked(
        input_tokens=-(-text // BYTES_PER_TOKEN) + seen.media * MEDIA_TOKENS,
        input_tokens_max=None if is_open else body_bytes + INPUT_TOKENS_ADDED,
        output_tokens_max=_output_limit(request),
        answers=_answers(request),
        tool_uses=uses,
        has_media=bool(seen.media or is_open),
        writes_cache=seen.writes_cache,
        makes_media=_makes_media(request),
    )


def size_hold(
    asked: Asked,
    card: Card,
    *,
    context_tokens: int | None = None,
    output_tokens_max: int | None = None,
    output_tokens_expected: int | None = None,
) -> HoldSize:
    """The size of a hold. `output_tokens_expected` None: nothing is known of this model's answers,
    so the worst is expected."""
    context = context_tokens or CONTEXT_TOKENS_UNKNOWN
    most_in = context
    if asked.input_tokens_max is not None and asked.input_tokens_max < context:
        most_in = asked.input_tokens_max
    likely_in = min(asked.input_tokens, most_in)
    most_out = output_tokens_max or OUTPUT_TOKENS_UNKNOWN
    if asked.output_tokens_max is not None and asked.output_tokens_max < most_out:
        most_out = asked.output_tokens_max
    likely_out = most_out
    if output_tokens_expected is not None and output_tokens_expected < most_out:
        likely_out = output_tokens_expected
    in_rate, out_rate, each = _dearest(card, asked, most_in)
    rounds = asked.tool_uses + 1
    worst = most_in * rounds * in_rate + most_out * asked.answers * out_rate + each
    base = card.base
    likely_rate = _reached(card, likely_in).input if card.tiers else base.input
    given = likely_in * likely_rate + base.request_each
    expected = given + likely_out * asked.answers * out_rate
    worst_pico = _pico(worst)
    expected_pico = min(_pico(expected), worst_pico)
    return HoldSize(worst_pico, expected_pico, min(_pico(given), expected_pico))


def _dearest(card: Card, asked: Asked, most_in: int) -> tuple[int, int, int]:
    """The highest rates that any token of the call can be charged at, in any tier within reach."""
    in_rate, out_rate = _side_rates(card.base, asked)
    web_search, request = card.base.web_search_each, card.base.request_each
    for tier in card.tiers:
        if tier.threshold <= most_in * (asked.tool_uses + 1):
            in_more, out_more = _side_rates(tier.rates, asked)
            in_rate, out_rate = max(in_rate, in_more), max(out_rate, out_more)
            web_search = max(web_search, tier.rates.web_search_each)
            request = max(request, tier.rates.request_each)
    return in_rate, out_rate, request + asked.tool_uses * web_search


def _side_rates(rates: Rates, asked: Asked) -> tuple[int, int]:
    into, out = rates.input, rates.output
    if rates.cached_input > into:
        into = rates.cached_input
    if rates.thinking > out:
        out = rates.thinking
    if asked.writes_cache:
        into = max(into, rates.write_5m, rates.write_1h)
    if asked.has_media:
        into = max(
            into, rates.audio_input, rates.image_input, rates.video_input, rates.file_input,
            rates.audio_cached_input, rates.image_cached_input, rates.video_cached_input,
            rates.file_cached_input,
        )  # fmt: skip
    if asked.makes_media:
        out = max(
            out, rates.audio_output, rates.image_output, rates.video_output, rates.file_output
        )
    return into, out


def _reached(card: Card, tokens: int) -> Rates:
    for tier in card.tiers:
        if tokens >= tier.threshold:
            return tier.rates
    return card.base


def _pico(units: int) -> int:
    """Rounded up: a hold is never smaller than what it is for."""
    return -(-units // RATE_UNITS_PER_PICO)


def _walk(value: object, seen: _Seen, depth: int) -> None:
    """Messages and their parts, in all dialects. What is not known to be text counts as media."""
    if depth > DEPTH_MAX or seen.parts > PARTS_MAX:
        seen.is_open = True
        return
    if type(value) is list:
        for item in value:
            kind = item.__class__
            if kind is dict or kind is list:
                _walk(item, seen, depth + 1)
                if seen.is_open:
                    return
        return
    if type(value) is not dict:
        return
    seen.parts += 1
    kind = value.get("type")
    is_text = kind is None or (type(kind) is str and kind in TEXT_TYPES)
    if not is_text or not MEDIA_KEYS.isdisjoint(value):
        seen.media += 1
        seen.media_bytes += _string_bytes(value, 0)
    if "cache_control" in value or "cachePoint" in value:
        seen.writes_cache = True
    for key in ("content", "parts", "toolResult", "tool_result", "output"):
        nested = value.get(key)
        if nested.__class__ is list or nested.__class__ is dict:
            _walk(nested, seen, depth + 1)


def _string_bytes(value: object, depth: int) -> int:
    """Bytes of the texts within a media part: its data, which is not read as text."""
    if type(value) is str:
        return len(value)
    if type(value) is dict and depth < DEPTH_MAX:
        return sum(_string_bytes(item, depth + 1) for item in value.values())
    return 0


def _tool_uses(request: Mapping[str, object], seen: _Seen) -> int:
    """How often tools that run at the provider may be used: each time the prompt is read again."""
    uses = TOOL_USES_UNKNOWN if request.get("web_search_options") is not None else 0
    tools = request.get("tools")
    if type(tools) is not list:
        return uses
    for tool in tools[:PARTS_MAX]:
        if type(tool) is not dict:
            continue
        if "cache_control" in tool or "cachePoint" in tool:
            seen.writes_cache = True
        kind = tool.get("type")
        is_own = kind is None or (type(kind) is str and kind in OWN_TOOLS)
        if not is_own or any(name in tool for name in GEMINI_TOOLS):
            most = tool.get("max_uses")
            uses += most if type(most) is int and 0 < most <= TOOL_USES_MAX else TOOL_USES_UNKNOWN
    most = request.get("max_tool_calls")
    return min(uses, most) if type(most) is int and most > 0 else uses


def _output_limit(request: Mapping[str, object]) -> int | None:
    """The lowest limit that the request sets itself would be wrong where a provider knows only one
    of two names: the highest is taken."""
    found = [request.get(name) for name in OUTPUT_LIMITS]
    for outer, inner in NESTED_LIMITS:
        nested = request.get(outer)
        if type(nested) is dict:
            found.append(nested.get(inner))
    limits = [limit for limit in found if type(limit) is int and limit > 0]
    return max(limits) if limits else None


def _answers(request: Mapping[str, object]) -> int:
    most = 1
    config = request.get("generationConfig")
    nested = config.get("candidateCount") if type(config) is dict else None
    for number in (request.get("n"), request.get("best_of"), nested):
        if type(number) is int and most < number:
            most = number
    return most


def _makes_media(request: Mapping[str, object]) -> bool:
    """Whether the answer may hold more than text."""
    modalities = request.get("modalities")
    if type(modalities) is list and any(item != "text" for item in modalities):
        return True
    config = request.get("generationConfig")
    if type(config) is dict and config.get("responseModalities"):
        return True
    return bool(request.get("image_generation") or request.get("audio"))
