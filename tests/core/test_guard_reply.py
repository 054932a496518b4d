"""The words of the checks: refusals as the contract has them, and what two endpoints say."""

from __future__ import annotations

import json

import pytest

from appliance.core.facts import CHECKING_CALLS, THREAT_ERRORS
from appliance.core.guard_reply import (
    MODEL_CHARACTERS_MAX,
    flagged_refusal,
    is_flagged,
    is_unsafe,
    model_body,
    moderation_body,
    threat_refusal,
)
from appliance.features.guard import WHY_MODEL, WHY_MODERATION


@pytest.mark.parametrize(
    ("refusal", "code", "recorded"),
    [
        (threat_refusal("id-1"), "PROMPT_THREAT_DETECTED", b"{}"),
        (flagged_refusal("id-1"), "PROMPT_FLAGGED_FOR_MODERATION", None),
    ],
)
def test_refusals(refusal, code: str, recorded: bytes | None) -> None:
    body = json.loads(refusal.body)
    assert (refusal.status, refusal.code, refusal.recorded) == (400, code, recorded)
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["code"] == code
    assert "id-1" in body["error"]["details"]


def test_the_record_knows_these_words() -> None:
    assert threat_refusal("").code in THREAT_ERRORS
    assert flagged_refusal("").code not in THREAT_ERRORS
    for why in (WHY_MODEL, WHY_MODERATION):
        assert {why, f"{why}_failed"} <= CHECKING_CALLS


@pytest.mark.parametrize(
    ("reply", "flagged"),
    [
        (b'{"id":"m","results":[{"flagged":false,"categories":{}}]}', False),
        (b'{"results":[{"flagged":false},{"flagged":true}]}', True),
        (b'{"results":[]}', None),
        (b'{"results":[{}]}', None),
        (b'{"results":[{"flagged":"no"}]}', None),
        (b'{"error":{"message":"x"}}', None),
        (b"", None),
        (b"[" * 100_000, None),
    ],
)
def test_what_moderation_says(reply: bytes, flagged: bool | None) -> None:
    assert is_flagged(reply) is flagged


@pytest.mark.parametrize(
    ("content", "unsafe"),
    [
        ("safe", False), ("\n\nsafe", False), ("unsafe\nS2", True), ("Unsafe", True),
        ("unsafe S1,S2", True), ("I cannot say", None), ("", None), ("safety first", None),
    ],
)  # fmt: skip
def test_what_the_model_says(content: str, unsafe: bool | None) -> None:
    reply = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})
    assert is_unsafe(reply.encode()) is unsafe


@pytest.mark.parametrize(
    "reply",
    [b"", b"{}", b'{"choices":[]}', b'{"choices":[{"message":{"content":null}}]}', b"[" * 100_000],
)
def test_no_judgement(reply: bytes) -> None:
    assert is_unsafe(reply) is None


def test_requests() -> None:
    assert json.loads(moderation_body("A")) == {"input": "A"}
    body = json.loads(model_body("guard", "a" * MODEL_CHARACTERS_MAX + "b"))
    assert body["model"] == "guard"
    assert body["temperature"] == 0
    content = body["messages"][0]["content"]
    assert (len(content), content[0], content[-1]) == (MODEL_CHARACTERS_MAX + 1, "a", "b")
