"""The size of a hold: never below what the call can cost, whatever the provider then counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.money import RATE_PER_USD_EACH
from appliance.core.price_card import Card, Rates, Tier, cost_pico, full_rates, tier_rates
from appliance.core.usage_types import Modality, Usage
from appliance.core.worst_case import (
    CONTEXT_TOKENS_UNKNOWN,
    INPUT_TOKENS_ADDED,
    OUTPUT_TOKENS_UNKNOWN,
    TOOL_USES_UNKNOWN,
    Asked,
    read_asked,
    size_hold,
)

USD_PER_MILLION = 10**18  # a rate's unit (`core/money.py`)
PICO = 10**12


def card(into: int, out: int, **more: int) -> Card:
    rates = {"input": into, "output": out, **more}
    return Card(full_rates({name: rate * USD_PER_MILLION for name, rate in rates.items()}))


def asked(request: dict[str, Any]) -> Asked:
    return read_asked(request, len(json.dumps(request)))


def chat(*content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": c} for c in content], **more}


PLAIN = chat("Hello")
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}

# request → output limit, answers
LIMITS = [
    ({}, None, 1),
    ({"max_tokens": 5}, 5, 1),
    ({"max_completion_tokens": 7}, 7, 1),
    ({"max_tokens": 5, "max_completion_tokens": 7}, 7, 1),
    ({"max_output_tokens": 9}, 9, 1),
    ({"generationConfig": {"maxOutputTokens": 11, "candidateCount": 3}}, 11, 3),
    ({"inferenceConfig": {"maxTokens": 12}}, 12, 1),
    ({"max_tokens": 0}, None, 1),
    ({"max_tokens": -4}, None, 1),
    ({"max_tokens": True}, None, 1),
    ({"max_tokens": "12"}, None, 1),
    ({"max_tokens": 1.5}, None, 1),
    ({"n": 4}, None, 4),
    ({"n": 2, "best_of": 5}, None, 5),
    ({"n": 10**9}, None, 10**9),
    ({"n": "3"}, None, 1),
]


@pytest.mark.parametrize(("more", "limit", "answers"), LIMITS)
def test_limits_of_the_request(more: dict[str, Any], limit: int | None, answers: int) -> None:
    read = asked(chat("Hello", **more))
    assert (read.output_tokens_max, read.answers) == (limit, answers)


# request → can its input be bounded by its bytes?
BOUNDED = [
    (PLAIN, True),
    (chat([{"type": "text", "text": "Hi"}]), True),
    (chat([{"type": "tool_result", "content": [{"type": "text", "text": "x"}]}]), True),
    ({"input": "Hello"}, True),
    ({"input": [{"type": "message", "content": [{"type": "input_text", "text": "a"}]}]}, True),
    ({"contents": [{"role": "user", "parts": [{"text": "a"}]}]}, True),
    ({"prompt": ["a", "b"]}, True),
    ({"prompt": [1, 2, 3]}, True),
    (chat("a", tools=[{"type": "function", "function": {"name": "f"}}]), True),
    (chat("a", tools=[{"name": "f", "input_schema": {}}]), True),
    (chat([IMAGE]), False),
    (chat([{"type": "document", "source": {"type": "file", "file_id": "f"}}]), False),
    (chat([{"type": "tool_result", "content": [{"type": "image", "source": {}}]}]), False),
    (chat([{"type": "from_the_future"}]), False),
    (chat([{"type": ["odd"]}]), False),
    ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://a"}}]}]}, False),
    ({"messages": [{"role": "user", "content": [{"video": {"s3Location": {}}}]}]}, False),
    ({"input": "a", "previous_response_id": "resp_1"}, False),
    ({"input": "a", "prompt": {"id": "pmpt_1"}}, False),
    ({"contents": [{"parts": [{"text": "a"}]}], "cachedContent": "c"}, False),
    (chat("a", tools=[{"type": "web_search_20250305", "name": "web_search"}]), False),
    (chat("a", tools=[{"googleSearch": {}}]), False),
    (chat("a", web_search_options={}), False),
]


@pytest.mark.parametrize(("request_", "bounded"), BOUNDED)
def test_what_cannot_be_counted_is_all_that_the_model_reads(
    request_: dict[str, Any], bounded: bool
) -> None:
    read = asked(request_)
    length = len(json.dumps(request_))
    assert read.input_tokens_max == (length + INPUT_TOKENS_ADDED if bounded else None)
    size = size_hold(read, card(1, 0), context_tokens=1_000_000)
    rounds = read.tool_uses + 1
    expected = (length + INPUT_TOKENS_ADDED if bounded else 1_000_000) * rounds
    assert size.worst_pico == expected * PICO // 1_000_000


TOOL_USES = [
    ([{"type": "web_search_20250305", "max_uses": 3}], {}, 3),
    ([{"type": "web_search"}], {}, TOOL_USES_UNKNOWN),
    ([{"type": "web_search"}, {"type": "code_interpreter"}], {}, 2 * TOOL_USES_UNKNOWN),
    ([{"type": "web_search"}], {"max_tool_calls": 2}, 2),
    ([{"type": "web_search", "max_uses": True}], {}, TOOL_USES_UNKNOWN),
    (["odd", {"type": "custom"}], {}, 0),
    ("odd", {}, 0),
]


@pytest.mark.parametrize(("tools", "more", "uses"), TOOL_USES)
def test_tools_at_the_provider_read_the_prompt_again(
    tools: Any, more: dict[str, Any], uses: int
) -> None:
    read = asked(chat("a", tools=tools, max_tokens=1, **more))
    assert read.tool_uses == uses
    priced = Card(full_rates({"web_search_each": RATE_PER_USD_EACH // 100}))
    assert size_hold(read, priced).worst_pico == uses * PICO // 100


# request → which dear rates are reckoned with
DEAR = [
    (PLAIN, {"write_1h": 9}, 1),
    (chat([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]),
     {"write_1h": 9}, 9),
    (chat([{"cachePoint": {"type": "default"}}]), {"write_5m": 9}, 9),
    ({**PLAIN, "cache_control": {}}, {"write_5m": 9}, 9),
    ({**PLAIN, "tools": [{"name": "f", "cache_control": {}}]}, {"write_5m": 9}, 9),
    (PLAIN, {"image_input": 9}, 1),
    (chat([IMAGE]), {"image_input": 9}, 9),
    (chat([{"type": "input_audio", "input_audio": {"data": "AA"}}]), {"audio_input": 9}, 9),
    (PLAIN, {"cached_input": 9}, 9),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "rates", "rate"), DEAR)
def test_the_dearest_rate_of_what_is_asked(
    request_: dict[str, Any], rates: dict[str, int], rate: int
) -> None:
    read = asked(request_)._replace(input_tokens_max=1_000_000)
    assert size_hold(read, card(1, 0, **rates)).worst_pico == rate * PICO


@pytest.mark.parametrize(
    ("more", "rates", "rate"),
    [
        ({}, {"thinking": 9}, 9),
        ({}, {"audio_output": 9}, 1),
        ({"modalities": ["text", "audio"]}, {"audio_output": 9}, 9),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, {"image_output": 9}, 9),
    ],
)
def test_the_dearest_rate_of_the_answer(
    more: dict[str, Any], rates: dict[str, int], rate: int
) -> None:
    read = asked(chat("a", max_tokens=1_000_000, **more))
    assert size_hold(read, card(0, 1, **rates), output_tokens_max=10**7).worst_pico == rate * PICO


OUTPUTS = [
    (None, None, None, OUTPUT_TOKENS_UNKNOWN, OUTPUT_TOKENS_UNKNOWN),
    (None, 4096, None, 4096, 4096),
    (500, 4096, None, 500, 500),
    (9999, 4096, None, 4096, 4096),
    (500, 4096, 100, 500, 100),
    (500, 4096, 900, 500, 500),
]


@pytest.mark.parametrize(("asks", "model", "seen", "worst", "expected"), OUTPUTS)
def test_the_answer_is_bounded_by_the_lower_limit(
    asks: int | None, model: int | None, seen: int | None, worst: int, expected: int
) -> None:
    read = Asked(100, 200, asks)
    size = size_hold(read, card(1, 1000), output_tokens_max=model, output_tokens_expected=seen)
    assert size.input_pico == 100 * 10**6
    assert size.expected_pico == 100 * 10**6 + expected * 10**9
    assert size.worst_pico == 200 * 10**6 + worst * 10**9


def test_without_a_known_context_the_most_is_taken() -> None:
    assert size_hold(asked(chat([IMAGE], max_tokens=1)), card(1, 0)).worst_pico == (
        CONTEXT_TOKENS_UNKNOWN * 10**6
    )


def test_a_tier_counts_where_the_input_can_reach_it() -> None:
    base = full_rates({"input": USD_PER_MILLION, "output": USD_PER_MILLION})
    dear = tier_rates(base, {"input": 2 * USD_PER_MILLION, "output": 4 * USD_PER_MILLION})
    tiered = Card(base, (Tier(1000, dear),))
    below = size_hold(Asked(10, 999, 100), tiered)
    reach = size_hold(Asked(10, 1000, 100), tiered)
    assert (below.worst_pico, reach.worst_pico) == ((999 + 100) * 10**6, (2000 + 400) * 10**6)
    assert below.input_pico == reach.input_pico == 10 * 10**6


def test_nests_and_crowds_end_the_walk() -> None:
    deep: Any = {"content": "x"}
    for _ in range(2000):
        deep = {"content": [deep]}
    assert read_asked({"messages": [deep]}, 10).input_tokens_max is None
    lists: Any = []
    for _ in range(2000):
        lists = [lists]
    assert read_asked({"messages": lists}, 10).input_tokens_max is None
    crowd = [{"role": "user", "content": "x"}] * 20_000
    assert read_asked({"messages": crowd}, 10).input_tokens_max is None


@pytest.mark.parametrize("odd", [{"messages": 3}, {"messages": {"a": 1}}, {"input": None}, {}])
def test_odd_requests_are_read(odd: dict[str, Any]) -> None:
    assert size_hold(read_asked(odd, 50), card(1, 1)).worst_pico > 0


def test_media_is_not_read_as_text() -> None:
    data = "A" * 300_000
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}}
    assert asked(chat([part])).input_tokens < 3_000


RATES = st.integers(0, 10**20)
TOKENS = st.integers(0, 2_000)


@st.composite
def cards(draw: st.DrawFn) -> Card:
    names = st.sampled_from(
        ["input", "output", "cached_input", "write_5m", "write_1h", "thinking", "image_input",
         "image_output", "audio_input", "web_search_each", "request_each"]
    )  # fmt: skip
    rates = st.dictionaries(names, RATES)
    base: Rates = full_rates(draw(rates))
    tiers: list[Tier] = []
    lower = base
    for threshold in sorted(draw(st.sets(st.integers(1, 6_000), max_size=2))):
        lower = tier_rates(lower, draw(rates))
        tiers.insert(0, Tier(threshold, lower))
    return Card(base, tuple(tiers), draw(st.sampled_from(["prompt", "input_and_cached", "own"])))


@st.composite
def calls(draw: st.DrawFn) -> tuple[Asked, Usage]:
    """A request, and a usage that it allows."""
    into = [draw(TOKENS) for _ in range(3)]
    out = [draw(TOKENS) for _ in range(2)]
    image = Modality(draw(TOKENS), 0, draw(TOKENS)) if draw(st.booleans()) else None
    writes = (draw(TOKENS), draw(TOKENS)) if draw(st.booleans()) else (0, 0)
    searches = draw(st.integers(0, 3))
    usage = Usage(
        input=into[0], cached_input=into[1], write_5m=writes[0], write_1h=writes[1], output=out[0],
        thinking=out[1], image=image, web_search=searches,
    )  # fmt: skip
    read = sum(into[:2]) + sum(writes) + (image.input if image else 0)
    written = sum(out) + (image.output if image else 0)
    request = Asked(
        draw(TOKENS), read, written, tool_uses=searches, has_media=image is not None,
        writes_cache=any(writes), makes_media=image is not None,
    )  # fmt: skip
    return request, usage


@given(cards(), calls(), st.integers(0, 5_000))
def test_no_call_costs_more_than_its_worst_case(
    priced: Card, call: tuple[Asked, Usage], seen: int
) -> None:
    request, usage = call
    size = size_hold(
        request, priced, context_tokens=10_000, output_tokens_max=100_000,
        output_tokens_expected=seen,
    )  # fmt: skip
    assert cost_pico(priced, usage) <= size.worst_pico
    assert 0 <= size.input_pico <= size.expected_pico <= size.worst_pico
