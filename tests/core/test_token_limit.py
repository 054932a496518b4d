"""Prompts that are too long for their model (proxy.md 7.4; internals.md 7, token-limit)."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.ask_types import TokenLimitHandler
from appliance.core.token_limit import (
    CHUNK_CHARACTERS_MAX,
    budget_tokens,
    estimated_tokens,
    fitted,
    plain,
)

CONTEXTS = {"small": 100, "large": 10_000, "gpt-3.5-turbo": 100, "openai/gpt-3.5-turbo-16k": 100}
ID = "3f1d1c7e-3b4a-4e7d-9c55-1a2b3c4d5e6f"


def fit(handler: TokenLimitHandler, document: Any, override: str = "") -> Any:
    before = copy.deepcopy(document)
    done = fitted(
        handler, document, override=override, context_of=lambda model: CONTEXTS.get(model, 0)
    )
    assert document == before
    return done.document


def chat(*contents: Any, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content} for content in contents]
    return {"model": "small", "messages": messages, **more}


def contents(document: Any) -> list[Any]:
    return [message["content"] for message in document["messages"]]


@pytest.mark.parametrize(
    ("document", "model", "tokens"),
    [
        (chat("abcd"), "m", 1),
        (chat("abcde"), "m", 2),
        (chat("a" * 10), "gpt-3.5-turbo-0125", 2),
        (chat("a" * 10), "gpt-3.5-turbo/openai", 2),
        (chat("a" * 10), "openai/gpt-3.5-turbo", 2),
        (chat("a" * 10), "gpt-4", 3),
        (chat("ab", "cd", [{"type": "text", "text": "x" * 99}], None), "m", 1),
        (chat("ab", tools=[{"a": 1}]), "m", 3),
        (chat(tools=[]), "m", 0),
        ({"input": "a" * 8, "instructions": "b" * 8}, "m", 4),
        ({"input": [{"content": "a" * 8}, {"type": "function_call"}, "x"]}, "m", 2),
        ({"prompt": "a" * 80}, "m", 0),
        ({}, "m", 0),
    ],
)
def test_estimates_count_strings_and_tools(document: Any, model: str, tokens: int) -> None:
    assert estimated_tokens(document, model) == tokens


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        ({}, 900),
        ({"max_tokens": 300}, 700),
        ({"max_completion_tokens": 1, "max_tokens": 300}, 999),
        ({"max_completion_tokens": 0, "max_tokens": 300}, 700),
        ({"max_tokens": -5, "max_output_tokens": 10}, 990),
        ({"maxOutputTokens": 10.5}, 989),
        ({"response": {"max_output_tokens": 20}}, 980),
        ({"generation_config": {"max_output_tokens": 30}}, 970),
        ({"generationConfig": {"maxOutputTokens": 40}}, 960),
        ({"max_tokens": "300"}, 900),
        ({"max_tokens": True}, 900),
        ({"max_tokens": None, "response": "x"}, 900),
        ({"max_tokens": 5000}, 0),
        ({"max_tokens": float("inf")}, 0),
    ],
)
def test_budgets(document: Any, tokens: int) -> None:
    assert budget_tokens(document, 1000) == tokens


@pytest.mark.parametrize("handler", ["", "truncate", "middle-out"])
@pytest.mark.parametrize(
    "document",
    [
        chat("a" * 360),
        chat("  a  <!-- fits -->  "),
        chat("a" * 4000, model="unknown"),
        chat("a" * 4000, model=None),
        chat("a" * 4000, max_tokens=100),
        {"model": "small"},
        {"model": "small", "messages": None},
        {"model": "small", "messages": "text"},
        {"model": 5, "messages": [1]},
    ],
)
def test_what_is_left_alone(handler: TokenLimitHandler, document: Any) -> None:
    assert fit(handler, document) is document


def test_truncate_makes_plain_first() -> None:
    wordy = f"Order {ID} ,  please !\n\n\n<!-- {'x' * 300} -->\tNow   "
    done = fit("truncate", chat(wordy, "a" * 40))
    assert contents(done) == ["Order 3f1d1c7e, please!\nNow", "a" * 40]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b\tc", "a b c"),
        ("a \r\n \r\n b", "a\nb"),
        (" a , b ; c !", "a, b; c!"),
        ("a<!-- b --><!---->c", "ac"),
        ("a <!-- not closed", "a <!-- not closed"),
        (f"{ID.upper()}.", "3F1D1C7E."),
        (f"x{ID}", f"x{ID}"),
        ("", ""),
    ],
)
def test_plain_text(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_truncate_cuts_every_message_by_its_share() -> None:
    done = fit("truncate", chat("a" * 300, "b" * 600, [{"type": "text", "text": "c" * 900}]))
    first, second, parts = contents(done)
    assert (len(first), len(second)) == (108, 216)  # 0.9 × 90 tokens are 324 characters
    assert first == "a" * 105 + "..."
    assert second.endswith("b...")
    assert parts == [{"type": "text", "text": "c" * 900}]
    assert estimated_tokens(done, "small") <= 90
    assert done["model"] == "small"


def test_truncate_knows_what_tools_take() -> None:
    tools = [{"name": "x" * 100}]
    done = fit("truncate", chat("a" * 800, tools=tools))
    assert estimated_tokens(done, "small") <= 90
    assert done["tools"] is tools


@pytest.mark.parametrize("handler", ["truncate", "middle-out"])
def test_nothing_is_cut_for_tools_that_do_not_fit_alone(handler: TokenLimitHandler) -> None:
    document = chat("a" * 800, tools=[{"name": "x" * 1000}])
    assert fit(handler, document) is document


def test_responses_bodies_are_cut_too() -> None:
    body = {"model": "small", "instructions": "a" * 400, "input": "b" * 400}
    done = fit("truncate", body)
    assert (len(done["instructions"]), len(done["input"])) == (162, 162)
    items = {"model": "small", "input": [{"role": "user", "content": "b" * 800}, {"type": "x"}]}
    cut = fit("middle-out", items)
    assert cut["input"][0]["content"] == "..."
    assert cut["input"][1] == {"type": "x"}


def test_the_middle_goes_and_both_ends_stay() -> None:
    numbered = [
        "".join(f"{number:04x}" for number in range(at, at + 250)) for at in range(0, 15_000, 250)
    ]
    document = chat("".join(numbered), model="large")
    done = fit("middle-out", document)
    (text,) = contents(done)
    assert len(text) == 36_000  # nine tenths of 10,000 tokens
    assert text.startswith(numbered[0])
    assert text.endswith(numbered[-1])
    assert text == "".join(numbered[:18] + numbered[-18:])


def test_messages_that_lose_everything_keep_a_mark() -> None:
    done = fit("middle-out", chat("a" * 50, "b" * 2000, "", "c" * 50))
    assert contents(done) == ["a" * 50, "...", "", "c" * 50]


def test_without_strings_only_the_ends_stay() -> None:
    many = chat([1], [2], [3], [4], tools=[{"name": "x" * 1000}])
    assert contents(fit("middle-out", many)) == [[1], [4]]
    two = chat([1], [4], tools=[{"name": "x" * 1000}])
    assert contents(fit("middle-out", two)) == [[1], [4]]


@pytest.mark.parametrize(
    ("model", "length", "chosen"),
    [
        ("small, large", 400, "large"),
        ("small, large", 360, "large"),  # at the budget already
        ("small, large", 356, "small"),
        ("unknown, small", 4, "small"),
        ("small", 4000, "small"),
        ("unknown", 4000, "unknown"),
        ("small,large,other", 4, "small"),
        ("!azure, small, large, !groq", 4000, "large,!azure,!groq"),
        ("!azure", 4000, "!azure"),
    ],
)
def test_fallback_brings_the_list_down_to_one(model: str, length: int, chosen: str) -> None:
    assert fit("fallback", chat("a" * length, model=model))["model"] == chosen


def test_the_bodys_model_comes_before_the_headers() -> None:
    assert fit("truncate", chat("a" * 800, model=None), "small")["model"] is None
    assert len(contents(fit("truncate", chat("a" * 800, model=""), "small"))[0]) == 324
    assert fit("truncate", chat("a" * 800, model="large"), "small")["messages"][0]["content"] == (
        "a" * 800
    )
    assert fit("fallback", {"messages": []}, "small,large")["model"] == "small"


TEXTS = st.lists(
    st.one_of(
        st.text(alphabet="ab ,\n<!->", max_size=200),
        st.integers(0, 4 * CHUNK_CHARACTERS_MAX).map("x".__mul__),
        st.none(),
    ),
    max_size=8,
)


@given(TEXTS, st.sampled_from(["truncate", "middle-out"]))
def test_nothing_grows_and_what_can_fit_fits(texts: list[Any], handler: TokenLimitHandler) -> None:
    document = chat(*texts)
    done = fit(handler, document)
    assert estimated_tokens(done, "small") <= estimated_tokens(document, "small")
    assert len(done["messages"]) == len(document["messages"])
    assert estimated_tokens(done, "small") <= 90


def test_long_text_is_not_read_over_for_nothing() -> None:
    hostile = "<!--" * 500_000 + " ," * 500_000
    started = time.process_time()
    done = fit("truncate", chat(hostile))
    fit("middle-out", chat(hostile))
    assert time.process_time() - started < 2
    assert len(contents(done)[0]) <= 360
