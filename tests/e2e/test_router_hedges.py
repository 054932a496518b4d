"""A second call beside a slow first one: who answers, who is closed, and the record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.router_kit import ASK, Two, running
from tests.fakes.appliance import Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with running(tmp_path_factory.mktemp("routers")) as two:
        yield two


@pytest.fixture
def two(shared: Two) -> Two:
    return shared.fresh()


def test_a_quick_first_call_is_the_only_one(two: Two) -> None:
    reply = two.call("calm")
    assert (reply.status, reply.first("helicone-router-target")) == (200, b"a")
    assert not two.b.received
    assert len(two.row(reply)["attempts"]) == 1
    two.steps["a"] = 500  # a failure ends the wait for it
    assert two.call("calm").first("helicone-router-target") == b"b"


@pytest.mark.parametrize("streams", [False, True])
def test_a_second_call_answers_for_a_slow_first(two: Two, streams: bool) -> None:
    won = 'router_hedges_total{result="won",router="hedge",target="b/spare"}'
    before = two.metric(won)
    two.steps["a"] = "stall"
    reply = two.call("hedge", {**ASK, "stream": True} if streams else ASK)
    assert (reply.status, reply.end) == (200, "clean")
    assert reply.values("helicone-router-target") == [b"b/spare"]
    assert two.a.received[-1].closed.wait(PATIENCE_S)
    assert two.a.received[-1].json["model"] == "gpt-4o"
    assert two.b.received[-1].json["model"] == "spare"
    row = two.row(reply)
    assert [(one["provider"], one["status"], one["why_next"]) for one in row["attempts"]] == [
        ("A", None, "hedge_lost"), ("B", 200, ""),
    ]  # fmt: skip
    assert (row["gateway_provider"], row["http_status"]) == ("b", 200)
    assert row["request_model"] == "spare"
    assert row["properties"]["Helicone-Router-Target"] == "b/spare"
    assert two.metric(won) == before + 1


@pytest.mark.parametrize(("first", "status"), [(200, 200), (500, 500)])
def test_a_second_call_that_fails_leaves_it_to_the_first(two: Two, first: int, status: int) -> None:
    gate = f"hedge-{first}"
    two.steps.update(a=f"{gate} {first}", b=503)
    with two.appliance.client() as client:
        client.request("/router/hedge/v1/chat/completions", ASK, {"x-fake": "set"})
        assert two.b.find("/v1/chat/completions").closed.wait(PATIENCE_S)
        two.a.open_gate(gate)
        reply = client.reply()
    assert reply.status == status
    assert reply.values("helicone-router-target") == [b"a"]
    row = two.row(reply)
    assert [(one["status"], one["why_next"]) for one in row["attempts"]] == [
        (503, "status_503"), (first, ""),
    ]  # fmt: skip
    assert json.loads(two.appliance.body(reply.id)["request"]) == ASK


def test_a_client_who_leaves_ends_both(two: Two) -> None:
    two.steps.update(a="stall", b="stall")
    with two.appliance.client() as client:
        client.request("/router/hedge/v1/chat/completions", ASK, {"x-fake": "set"})
        sent = [one.find("/v1/chat/completions") for one in (two.a, two.b)]
    assert all(one.closed.wait(PATIENCE_S) for one in sent)


def test_a_body_that_lies_in_a_file_is_sent_once(two: Two) -> None:
    two.steps["a"] = "late"
    body = {**ASK, "messages": [{"role": "user", "content": "x" * 3_000_000}]}
    reply = two.call("hedge", body)
    assert (reply.status, reply.first("helicone-router-target")) == (200, b"a")
    assert not two.b.received


def test_both_too_slow_is_one_504(provider: Provider, tmp_path: Path) -> None:
    config = '[deadlines]\nconnect = "0.1s"\nfirst_byte = "0.2s"\n[routers.h]\n'
    config += 'hedge_after = "50ms"\n'
    config += '[[routers.h.targets]]\nprovider = "openai"\n'
    config += '[[routers.h.targets]]\nprovider = "openai"\nname = "other"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        reply = appliance.call("/router/h/v1/chat/completions", ASK, {"x-fake": "fake-stall"})
        assert (reply.status, reply.json["error"]["code"]) == (504, "timeout_first_byte")
        lost, last = appliance.row(reply.id)["attempts"]
    assert (lost["status"], lost["why_next"]) == (None, "hedge_lost")
    assert last["status"] is None


def test_a_strict_budget_pays_for_one_call_at_a_time(provider: Provider, tmp_path: Path) -> None:
    config = 'budget_mode = "strict"\n[deadlines]\nfirst_byte = "0.3s"\n[routers.h]\n'
    config += 'hedge_after = "50ms"\n'
    config += '[[routers.h.targets]]\nprovider = "openai"\n'
    config += '[[routers.h.targets]]\nprovider = "openai"\nname = "other"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        appliance.command("budgets.set", scope="user", limit="1000", period="day")
        headers = {"x-fake": "fake-stall", "Helicone-User-Id": "ann"}
        reply = appliance.call("/router/h/v1/chat/completions", ASK, headers)
        assert (reply.status, reply.json["error"]["code"]) == (504, "timeout_first_byte")
        assert reply.values("helicone-not-applied") == [b"hedging;reason=budget-strict"]
        row = appliance.row(reply.id)
        assert row["not_applied"] == ["hedging;reason=budget-strict"]
        # one after the other: the second was not made while the first was out
        assert [one["why_next"] for one in row["attempts"]] == ["timeout_first_byte", "Woken"]
