"""Errors of attempts, and the one reply for all (proxy.md 6.6, with the changes of the issue)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import attempt_errors as errors
from appliance.core.attempt_errors import AttemptError, aggregate, ends_loop, provider_message
from appliance.core.attempts import Candidate, Endpoint, StoredKey
from appliance.core.model_grammar import ModelItem, ModelPlan
from appliance.errors import Refusal, UpstreamFailed

CANDIDATE = Candidate(
    Endpoint("gpt-4o", "azure", "dep-1", "openai"),
    "byok",
    StoredKey("azure", "k7"),
    ModelItem("gpt-4o", "gpt-4o"),
)


def provider(status: int, message: str = "theirs") -> AttemptError:
    return AttemptError("request_failed", message, status, "m/p/byok")


BROKE = AttemptError("insufficient_credit_limit", "1 USD is missing", 429, "m/p/ptb")
DISPUTE = AttemptError("request_failed", "a payment is disputed", 403, "m/p/ptb")
LIMITED = AttemptError("rate_limited", "100 per hour", 429, "m/p/byok")
UNFIT = AttemptError("invalid_format", "messages: is empty", 400, "m/p/ptb")
BARRED = AttemptError("disallowed", "not for credits", 400, "m/p/ptb")
NO_KEY = AttemptError("missing_provider_key", "no key", 400, "m")


@pytest.mark.parametrize(
    ("found", "status", "code", "says"),
    [
        ([provider(500), DISPUTE, provider(401)], 403, "request_failed", "a payment is disputed"),
        ([provider(500), provider(401)], 401, "request_failed", "Authentication failed: theirs"),
        ([provider(429), provider(401), BROKE], 401, "request_failed", "Authentication failed"),
        # An error that is none of ours keeps its own status, and the first one counts.
        ([provider(500)], 500, "request_failed", "theirs"),
        ([provider(400)], 400, "request_failed", "theirs"),
        ([provider(404)], 404, "request_failed", "theirs"),
        ([provider(503), provider(500)], 503, "request_failed", "theirs"),
        ([provider(429), provider(529), provider(400)], 529, "request_failed", "theirs"),
        ([provider(504), UNFIT, BARRED], 504, "request_failed", "theirs"),
        ([UNFIT, provider(408)], 408, "request_failed", "theirs"),
        ([provider(302)], 502, "request_failed", "theirs"),
        ([provider(999)], 502, "request_failed", "theirs"),
        ([NO_KEY], 400, "request_failed", "no key"),
        ([UNFIT], 400, "request_failed", "messages: is empty"),
        ([BARRED, UNFIT, provider(429)], 400, "request_failed", "messages: is empty"),
        ([BARRED, BARRED], 400, "request_failed", "none of them is allowed"),
        ([BROKE], 429, "request_failed", "Insufficient credits: 1 USD is missing"),
        ([provider(429), BROKE], 429, "request_failed", "Insufficient credits"),
        ([provider(429)], 429, "rate_limited", "Rate limited: theirs"),
        ([LIMITED], 429, "rate_limited", "Rate limited: 100 per hour"),
        ([provider(429), BARRED], 500, "all_attempts_failed", "All attempts failed"),
    ],
)
def test_the_reply_for_all(found: list[AttemptError], status: int, code: str, says: str) -> None:
    reply = aggregate(found)
    assert (reply.status, reply.code) == (status, code)
    assert says in reply.message
    assert reply.details == tuple(found)


def test_words_that_clients_look_for_are_not_said_twice() -> None:
    poor = AttemptError("insufficient_credit_limit", "Insufficient credits: $1 available", 429)
    assert aggregate([poor]).message == poor.message


def test_the_body_has_the_originals_shape() -> None:
    assert json.loads(aggregate([provider(404), NO_KEY]).body()) == {
        "success": False,
        "error": {
            "code": "request_failed",
            "message": "theirs",
            "details": [
                {
                    "type": "request_failed",
                    "message": "theirs",
                    "statusCode": 404,
                    "source": "m/p/byok",
                },
                {
                    "type": "missing_provider_key",
                    "message": "no key",
                    "statusCode": 400,
                    "source": "m",
                },
            ],
            "param": None,
        },
    }
    sourceless = aggregate([AttemptError("request_failed", "x", 500)]).body()
    assert "source" not in json.loads(sourceless)["error"]["details"][0]


def test_a_limited_reply_says_the_shortest_wait() -> None:
    waits = [AttemptError("request_failed", "x", 429, "s", wait_s) for wait_s in (None, 7.2, 30.0)]
    assert aggregate(waits).retry_after_s == 8
    assert aggregate(waits[:1]).retry_after_s is None
    assert aggregate([*waits, provider(500)]).retry_after_s is None


def test_only_our_own_limit_ends_the_loop() -> None:
    ending = [ends_loop(e) for e in (LIMITED, BROKE, DISPUTE, BARRED, UNFIT, provider(429))]
    assert ending == [True, False, False, False, False, False]


@given(
    st.lists(
        st.sampled_from(
            [*map(provider, (302, 400, 401, 403, 404, 429, 500, 529)),
             BROKE, DISPUTE, LIMITED, UNFIT, BARRED, NO_KEY]
        ),
        min_size=1,
        max_size=6,
    )
)  # fmt: skip
def test_every_mix_has_an_error_status(found: list[AttemptError]) -> None:
    reply = aggregate(found)
    assert 400 <= reply.status <= 599
    assert reply.message
    # A 500 is never made of errors that are none: SDKs would retry it.
    if reply.status == 500 and reply.code != "all_attempts_failed":
        assert any(error.status == 500 for error in found)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "Bad model", "type": "x"}}, "Bad model"),
        ({"error": "Bad model"}, "Bad model"),
        ({"message": "The security token is invalid"}, "The security token is invalid"),
        ({"detail": {"message": "No such chute"}}, "No such chute"),
        ({"detail": "Not found"}, "Not found"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ([{"error": {"code": 400, "message": "Invalid argument"}}], "Invalid argument"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
         "Overloaded"),
        ({"error": {"code": 5}, "message": "outer"}, "outer"),
        ({"errors": [{"code": 10000, "message": "No account"}], "result": None}, "No account"),
        ({"tpe": "BadRequest", "errors": [{"description": "Empty", "key": "k"}]}, "Empty"),
        ({"errors": [{"code": "x", "title": "Invalid", "detail": "Not both"}]}, "Not both"),
        ({"errors": [{"title": "Invalid"}]}, "Invalid"),
        ({"errors": ["Busy"]}, "Busy"),
        ({"errors": [{"message": " "}]}, ""),
        ({"errors": [7]}, ""),
        ({"errors": {"message": "not a list"}}, ""),
        ({"errors": []}, ""),
        ({"error": {"message": 7}}, ""),
        ({"error": []}, ""),
        ({"error": ["One.", "Two."]}, "One."),
        ({"error": [7]}, ""),
        ({"detail": {"error": "Gone."}}, "Gone."),
        ({"detail": {"error": {"message": "Gone."}}}, "Gone."),
        ({"detail": {"error": {"message": {"message": "Too deep."}}}}, ""),
        ({"detail": {"error": ["x"]}}, ""),
        ({"error": None}, ""),
        ({}, ""),
        ([], ""),
        ([[["x"]]], ""),
        ("plain", "plain"),
        (5, ""),
    ],
)  # fmt: skip
def test_where_providers_keep_their_words(body: Any, message: str) -> None:
    assert provider_message(json.dumps(body).encode()) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"upstream connect error", "upstream connect error"),
        (b"  busy\n", "busy"),
        (b"<html><body>502</body></html>", ""),
        (b'{"error": {"mess', ""),
        (b"", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_errors_that_are_not_json(body: bytes, message: str) -> None:
    assert provider_message(body) == message


def test_words_are_bounded_and_keys_are_hidden() -> None:
    said = provider_message(json.dumps({"error": {"message": "x" * 9000}}).encode())
    assert said == "x" * errors.MESSAGE_CHARACTERS_MAX + "…"
    body = {"error": {"message": "Incorrect API key provided: sk-proj-abcdefghijkl."}}
    assert provider_message(json.dumps(body).encode()) == "Incorrect API key provided: ***."
    across = "y" * (errors.MESSAGE_CHARACTERS_MAX - 5) + " sk-proj-abcdefghijkl"
    assert "sk-" not in provider_message(json.dumps({"message": across}).encode())


def test_errors_of_each_kind_of_end() -> None:
    source = "gpt-4o/azure/byok/k7"
    replied = errors.of_reply(CANDIDATE, 429, b'{"error":{"message":"slow down"}}', 3.0)
    assert replied == AttemptError("request_failed", "slow down", 429, source, 3.0)
    silent = errors.of_reply(CANDIDATE, 503, b"")
    assert silent.message == "The provider answered with status 503."
    failed = errors.of_failure(CANDIDATE, UpstreamFailed("connect", "refused"), 502)
    assert failed == AttemptError("request_failed", "refused", 502, source)
    broke = errors.of_refusal(CANDIDATE, Refusal(429, "insufficient_credit_limit", "no credit"))
    assert broke == AttemptError("insufficient_credit_limit", "no credit", 429, source)
    other = errors.of_refusal(CANDIDATE, Refusal(403, "dispute_open", "disputed"))
    assert other == AttemptError("request_failed", "disputed", 403, source)
    assert [errors.is_success(status) for status in (199, 200, 299, 300)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_nothing_to_try_says_what_is_missing() -> None:
    items = (
        ModelItem("gpt-4o", "gpt-4o"),
        ModelItem("x", "", "groq", "k1"),
        ModelItem("y", "", "azure"),
    )
    plan = ModelPlan(items, frozenset({"azure"}))
    found = errors.of_no_candidates(plan, ["openai", "azure", "openrouter"])
    assert [(error.type, error.status, error.source) for error in found] == [
        ("missing_provider_key", 400, "gpt-4o"),
        ("missing_provider_key", 400, "x/groq"),
        ("model_not_supported", 400, "y/azure"),
    ]
    assert "there is no key for openai, openrouter" in found[0].message
    assert "there is no key k1 for groq" in found[1].message
    assert "all that have it are excluded" in found[2].message
    reply = aggregate(found)
    assert (reply.status, reply.code) == (400, "request_failed")


def test_no_two_kinds_share_a_word() -> None:
    assert len(errors.TYPES) == 8
