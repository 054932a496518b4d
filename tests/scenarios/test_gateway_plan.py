"""Runs the tables of `gateway_plan` through what the pipeline asks of the plan, in its order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.core import attempt_errors as errors
from appliance.core.asks import parse_asks
from appliance.core.attempt_errors import AttemptError
from appliance.core.attempts import Candidate, StoredKey, candidates_of, chat_for, providers_wanted
from appliance.core.credit_body import check_chat
from appliance.core.model_grammar import parse_models, requested_model
from appliance.core.retry import next_wait_s, policy_of
from appliance.core.token_limit import fitted
from appliance.errors import Refusal
from appliance.providers.registry import ModelRegistry
from appliance.providers.table import ProviderTable
from tests.scenarios.gateway_plan import ASK, RETRIES, SCENARIOS, Retries, Scenario

REGISTRY = ModelRegistry(ProviderTable.built_in())
NOW_US = 1_800_000_000_000_000


def context_of(name: str) -> int:
    try:
        (item,) = parse_models(name, REGISTRY).items
    except Refusal:
        return 0
    return REGISTRY.context_tokens(item)


def planned(scenario: Scenario) -> tuple[list[Candidate], dict[str, Any], list[AttemptError]]:
    """Attempts in order, the body, and why there are none."""
    asks = parse_asks({name.encode(): value.encode() for name, value in scenario.headers.items()})
    body: dict[str, Any] = {"model": scenario.model, "messages": ASK, **scenario.body}
    body = fitted(asks.token_limit_handler, body, override="", context_of=context_of).document
    plan = parse_models(requested_model(body), REGISTRY)
    without = ("helicone",) if asks.stripe_customer_id else ()
    found = candidates_of(
        plan, REGISTRY.offers, without=without,
        own_keys={name: [StoredKey(name)] for name in scenario.own},
        platform_keys={name: [StoredKey(name)] for name in scenario.platform},
    )  # fmt: skip
    wanted = providers_wanted(plan, REGISTRY.offers, without)
    return found, body, [] if found else errors.of_no_candidates(plan, wanted)


def forbidden(scenario: Scenario, candidate: Candidate, body: dict[str, Any]) -> Refusal | None:
    """What stands in an attempt's way before its provider is called."""
    if candidate.kind == "ptb":
        try:
            check_chat(body)
        except Refusal as refusal:
            return refusal
        if candidate.endpoint.provider in scenario.disallowed:
            return Refusal(400, "disallowed", "its cost could not be told")
        if scenario.disputed:
            return Refusal(403, "wallet_suspended", "a payment is disputed")
        if not scenario.funds:
            return Refusal(429, "insufficient_credit_limit", "Insufficient credits: $0 available")
    if scenario.limited:
        return Refusal(429, "rate_limited", "100 requests in 60 seconds")
    return None


def run(scenario: Scenario) -> tuple[int, list[str], dict[str, Any]]:
    """Status, the sources of calls that reached a provider, and the error's body."""
    found, body, failed = planned(scenario)
    called: list[str] = []
    for candidate in found:
        refusal = forbidden(scenario, candidate, body)
        if refusal is not None:
            failed.append(errors.of_refusal(candidate, refusal))
            if errors.ends_loop(failed[-1]):
                break
            continue
        sent, _ = chat_for(candidate, body, str(body["model"]))
        assert sent["model"] == candidate.endpoint.provider_model_id
        called.append(candidate.source)
        replies = scenario.replies
        status = replies.get(candidate.source, replies.get(candidate.endpoint.provider, 200))
        if errors.is_success(status):
            return status, called, {}
        failed.append(errors.of_reply(candidate, status, b'{"error":{"message":"theirs"}}'))
    reply = errors.aggregate(failed)
    return reply.status, called, json.loads(reply.body())["error"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_gateway_plans(scenario: Scenario) -> None:
    try:
        status, called, error = run(scenario)
    except Refusal as refusal:
        status, called, error = refusal.status, [], {"message": refusal.message, "details": []}
    assert (status, tuple(called)) == (scenario.status, scenario.called)
    assert bool(error) is (status != 200)
    if error:
        assert scenario.says in error["message"]
        if scenario.types:
            assert tuple(detail["type"] for detail in error["details"]) == scenario.types


@pytest.mark.parametrize("case", RETRIES, ids=lambda case: case.name)
def test_retries(case: Retries) -> None:
    asks = parse_asks({name.encode(): value.encode() for name, value in case.headers.items()})
    policy = policy_of(asks)
    waits: list[float] = []
    for attempt, status in enumerate(case.ends, 1):
        wait_s = None
        if policy is not None:
            wait_s = next_wait_s(
                policy, attempt, status, dice=0.0, now_us=NOW_US, retry_after=case.retry_after
            )
        if wait_s is None:
            break
        waits.append(wait_s)
    assert tuple(waits) == case.waits_s
    # Every end but the last was tried again, and the last one was not.
    assert attempt == len(waits) + 1
    assert len(case.ends) == attempt or policy is None
