"""What a user says, in every dialect; where that is looked for, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.core.guard_text import (
    PARTS_MAX,
    TEXT_CHARACTERS_MAX,
    Prompt,
    has_prompt,
    moderation_input,
    prompt_of,
    with_inputs,
)

USER, REPLY = {"role": "user", "content": "A"}, {"role": "assistant", "content": "no"}
WORDS = {"type": "text", "text": "A"}
PICTURE = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        # OpenAI's chats
        ({"messages": [{"role": "system", "content": "no"}, USER]}, "A"),
        ({"messages": [{"role": "user", "content": "old"}, REPLY, USER]}, "A"),
        ({"messages": [USER, {"role": "user", "content": "B"}]}, "A\nB"),
        ({"messages": [USER, {"role": "developer", "content": "no"}, USER]}, "A\nA"),
        ({"messages": [USER, REPLY, {"role": "tool", "content": "no"}]}, "A"),
        ({"messages": [{"role": "user", "content": [WORDS, PICTURE]}]}, "A"),
        # Anthropic: a result of a tool is a user's message without a word of the user
        (
            {"messages": [USER, REPLY, {"role": "user", "content": [
                {"type": "tool_result", "content": "no"}]}]},
            "A",
        ),
        (
            {"messages": [{"role": "user", "content": [
                {"type": "tool_result", "content": "no"}, {"type": "text", "text": "A"}]}]},
            "A",
        ),
        # Responses
        ({"input": "A", "instructions": "no"}, "A"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "A"}]}]}, "A"),
        (
            {"input": [{"type": "message", "role": "user", "content": "A"},
                       {"type": "function_call_output", "output": "no"}]},
            "A",
        ),
        # Gemini, with and without a role
        ({"contents": [{"parts": [{"text": "A"}, {"inlineData": {}}, {"text": "B"}]}]}, "A\nB"),
        ({"contents": [{"role": "model", "parts": [{"text": "no"}]},
                       {"role": "user", "parts": [{"text": "A"}]}]}, "A"),
        ({"contents": {"parts": {"text": "A"}}}, "A"),
        # Bedrock's Converse
        ({"messages": [{"role": "user", "content": [{"text": "A"}, {"image": {}}]}]}, "A"),
        # one text
        ({"prompt": "A"}, "A"),
        ({"prompt": ["A", "B"]}, "A\nB"),
        ({"message": "A", "chat_history": []}, "A"),
        ({"inputText": "A"}, "A"),
        ({"inputs": "A"}, "A"),
    ],
)  # fmt: skip
def test_every_dialect(body: dict[str, Any], text: str) -> None:
    assert prompt_of(body) == (text, True)


@pytest.mark.parametrize(
    "body",
    [
        None, [], "A", 7, {}, {"messages": []}, {"messages": [REPLY]}, {"messages": "A"},
        {"messages": [None, 7, {"role": "user"}, {"role": "user", "content": 7}]},
        {"messages": [{"role": "user", "content": [None, {"type": "text", "text": 7}]}]},
        {"contents": [7, {"role": "user", "parts": 7}]}, {"prompt": {"a": 1}}, {"input": [1, 2]},
    ],
)  # fmt: skip
def test_nothing_that_a_user_says(body: object) -> None:
    assert prompt_of(body).text == ""


def test_the_middle_of_what_is_too_long_is_left_out() -> None:
    half = TEXT_CHARACTERS_MAX // 2
    whole = prompt_of({"prompt": "a" * half + "b" * half})
    assert (whole.whole, len(whole.text)) == (True, TEXT_CHARACTERS_MAX)
    cut = prompt_of({"prompt": "a" * half + "b" + "c" * half})
    assert cut == ("a" * half + "\n" + "c" * half, False)


def test_parts_are_bounded() -> None:
    parts = [{"type": "text", "text": "a"}] * (PARTS_MAX + 1)
    assert prompt_of({"messages": [{"role": "user", "content": parts[1:]}]}).whole
    assert not prompt_of({"messages": [{"role": "user", "content": parts}]}).whole


@pytest.mark.parametrize(
    ("path", "has"),
    [
        ("/v1/chat/completions", True), ("/v1/messages?beta=true", True), ("/v1/responses", True),
        ("/v1/images/generations", True), ("/v1beta/models/gemini-pro:generateContent", True),
        ("/v1/models/gemini-pro:streamGenerateContent?alt=sse", True),
        ("/v1/chat/completions?next=/files/1&a=:countTokens", True),
        ("/v1/embeddings", False), ("/v1/moderations", False), ("/v1/files?x=1", False),
        ("/v1/batches/b_1", False), ("/v1/audio/speech", False),
        ("/v1beta/models/e:embedContent", False), ("/v1/messages/batches", False),
    ],
)  # fmt: skip
def test_paths_that_ask_a_model_something(path: str, has: bool) -> None:
    assert has_prompt(path) is has


def test_what_moderation_is_asked() -> None:
    chat = {"messages": [{"role": "user", "content": [{"type": "text", "text": "A"}, PICTURE]}]}
    assert moderation_input(chat, prompt_of(chat)) == chat["messages"][0]["content"]
    for body in (
        {"messages": [USER]},
        {"messages": [USER, REPLY]},
        {"input": "A"},
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "A"}]}]},
    ):
        assert moderation_input(body, prompt_of(body)) == "A"


@pytest.mark.parametrize(
    ("text", "inputs", "found"),
    [
        ("hello Ada", {"name": "Ada"}, "hello Ada"),
        ("hello", {"name": "Ada"}, "hello\nAda"),
        ("", {"a": "x", "n": 7, "on": True, "none": None}, "x"),
        ("", {"list": ["x", {"deep": ["y"]}], "z": "z"}, "x\ny\nz"),
        ("hello", {}, "hello"),
    ],
)
def test_what_is_put_into_a_stored_prompt_is_the_users(text: str, inputs: Any, found: str) -> None:
    assert with_inputs(Prompt(text, whole=True), inputs) == Prompt(found, whole=True)


def test_inputs_are_looked_at_up_to_a_size() -> None:
    found = with_inputs(Prompt("a", whole=True), {"x": "y" * (TEXT_CHARACTERS_MAX + 1)})
    assert (len(found.text) <= TEXT_CHARACTERS_MAX + 1, found.whole) == (True, False)
    assert not with_inputs(Prompt("a", whole=False), {"x": "y"}).whole
