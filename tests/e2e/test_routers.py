"""Routers over real sockets: who answers, who is left out, who comes back, and the record."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.e2e.router_kit import ASK, Two, running
from tests.e2e.test_retries import CUT_HEAD, CUT_STREAM, GOOD
from tests.fakes.appliance import Appliance
from tests.fakes.patience import PATIENCE_S


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with running(tmp_path_factory.mktemp("routers")) as two:
        yield two


@pytest.fixture
def two(shared: Two) -> Two:
    return shared.fresh()


def test_weights(two: Two) -> None:
    with two.appliance.client() as client:
        calls = [
            client.call("/router/even/v1/chat/completions", ASK, {"x-fake": "set"})
            for _ in range(400)
        ]
    assert {reply.status for reply in calls} == {200}
    counts = Counter(reply.first("helicone-router-target") for reply in calls)
    # 280 of 400 with a deviation of 9.2: outside of 6 of them once in 500 million runs
    assert abs(counts[b"a"] - 280) < 55
    assert (len(two.a.received), len(two.b.received)) == (counts[b"a"], counts[b"b"])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_what_a_target_is_sent(two: Two, path: str) -> None:
    reply = two.call("spare", path=path, authorization="Bearer sk-clients-own")
    assert (reply.status, reply.body) == (200, GOOD)
    sent = two.a.received[-1]
    assert sent.target == b"/v1/chat/completions"
    assert sent.first(b"authorization") == b"Bearer sk-env-a"  # the client's was for somebody else
    assert sent.json == ASK
    assert b"client-key;reason=several-providers" in reply.values("helicone-not-applied")
    row = two.row(reply)
    assert row["gateway_provider"] == "a"
    assert row["request_path"] == f"/router/spare{path}"
    assert row["properties"]["Helicone-Router"] == "spare"
    assert row["properties"]["Helicone-Router-Target"] == "a"
    assert row["prompt_tokens"] == 3


def test_a_clients_own_key_goes_where_all_targets_are_one_provider(two: Two) -> None:
    reply = two.call("lone", authorization="Bearer sk-clients-own")
    assert reply.status == 200
    assert two.a.received[-1].first(b"authorization") == b"Bearer sk-clients-own"
    assert not reply.values("helicone-not-applied")
    assert two.call("lone").status == 200
    assert two.a.received[-1].first(b"authorization") == b"Bearer sk-env-a"


def test_a_key_in_the_query_is_not_shown_to_several(two: Two) -> None:
    reply = two.call("spare", path="/v1/chat/completions?key=AIza-clients-own")
    assert (reply.status, reply.json["error"]["code"]) == (400, "key_misplaced")
    assert not two.a.received + two.b.received


@pytest.mark.parametrize(
    ("step", "status", "attempts"),
    [
        (500, 200, [(500, "status_500"), (200, "")]),
        (503, 200, [(503, "status_503"), (200, "")]),
        (401, 200, [(401, "status_401"), (200, "")]),
        (404, 200, [(404, "status_404"), (200, "")]),
        (400, 400, [(400, "")]),
        (CUT_HEAD, 200, [(None, "cut"), (200, "")]),
    ],
)
def test_the_next_target_answers(two: Two, step: int, status: int, attempts: list[Any]) -> None:
    two.steps["a"] = step
    reply = two.call("spare")
    assert reply.status == status
    row = two.row(reply)
    assert [(one["status"], one["why_next"]) for one in row["attempts"]] == attempts
    answered = "ab"[len(attempts) - 1]
    assert reply.values("helicone-router-target") == [answered.encode()]
    assert row["gateway_provider"] == answered
    assert row["properties"]["Helicone-Router-Target"] == answered


def test_the_last_ones_reply_is_final(two: Two) -> None:
    two.steps.update(a=500, b=503)
    reply = two.call("spare")
    assert (reply.status, reply.body) == (503, b'{"error":{"message":"step 503"}}')
    assert len(two.row(reply)["attempts"]) == 2


def test_nothing_is_begun_again_once_a_byte_was_sent(two: Two) -> None:
    two.steps["a"] = CUT_STREAM
    reply = two.call("spare")
    assert (reply.status, reply.end) == (200, "cut")
    assert not two.b.received
    assert two.row(reply)["outcome"] == "cut"


def test_retries_come_before_the_next_target(two: Two) -> None:
    two.steps["a"] = 500
    reply = two.call(
        "spare", helicone_retry_enabled="true", helicone_retry_num="2",
        helicone_retry_min_timeout="1",
    )  # fmt: skip
    assert reply.status == 200
    assert len(two.a.received) == 3
    assert [one["status"] for one in two.row(reply)["attempts"]] == [500, 500, 500, 200]


def test_a_limited_target_is_left_alone_for_as_long_as_it_says(two: Two) -> None:
    # of an own organisation's book: a client's key is none of the others' business
    mine = {"authorization": "Bearer sk-limited"}
    switched = 'router_switches_total{router="lone",target="%s",why="limited"}'
    before = [two.metric(switched % name) for name in ("one", "two")]
    two.steps["a"] = (429, (b"Retry-After: 3600",))
    assert two.call("lone", **mine).status == 429  # one said so, then the other
    assert len(two.a.received) == 2
    assert sum(two.metric(switched % name) for name in ("one", "two")) == sum(before) + 1
    two.steps["a"] = 200
    assert two.call("lone", authorization="Bearer sk-other").status == 200
    # with all out the one that is back soonest is asked, and its answer is given
    assert two.call("lone", **mine).status == 200
    out = [two.metric(f'router_target_out{{router="lone",target="{name}",why="limited"}}')
           for name in ("one", "two")]  # fmt: skip
    assert out == [1, 1]


def test_a_share_of_errors_takes_a_target_out(two: Two) -> None:
    two.steps["a"] = 500
    for _ in range(10):
        assert two.call("share").status == 200
    assert len(two.a.received) == 10
    for _ in range(10):
        reply = two.call("share")
        assert reply.first("helicone-router-target") == b"b"
    assert len(two.a.received) == 10
    assert two.metric('router_target_out{router="share",target="a",why="errors"}') == 1


def test_a_breaker_opens(two: Two) -> None:
    two.steps["a"] = CUT_HEAD
    targets = [two.call("breaking").first("helicone-router-target") for _ in range(6)]
    assert targets == [b"b"] * 6
    assert len(two.a.received) == 2
    assert two.metric('router_target_out{router="breaking",target="a",why="open"}') == 1


def test_a_breaker_closes_by_a_probe(two: Two) -> None:
    two.steps["a"] = CUT_HEAD
    assert [two.call("closing").status for _ in range(2)] == [200, 200]
    two.steps["a"] = 200
    until_s = time.monotonic() + PATIENCE_S
    while two.call("closing").first("helicone-router-target") != b"a":
        assert time.monotonic() < until_s
    assert two.metric('router_target_out{router="closing",target="a",why="open"}') == 0
    for _ in range(3):
        assert two.call("closing").first("helicone-router-target") == b"a"


def test_the_only_target_is_asked_though_it_is_out(two: Two) -> None:
    two.steps["a"] = CUT_HEAD
    assert [two.call("sole").status for _ in range(3)] == [502, 502, 502]
    assert len(two.a.received) == 3
    two.steps["a"] = 200
    assert two.call("sole").status == 200
    assert two.metric('router_target_out{router="sole",target="a",why="open"}') == 0


def test_the_cheapest_and_its_name_for_the_model(two: Two) -> None:
    reply = two.call("cheap")
    assert reply.first("helicone-router-target") == b"b"
    assert two.b.received[-1].json == {**ASK, "model": "small"}
    row = two.row(reply)
    assert row["request_model"] == "small"
    assert row["properties"]["Helicone-Router-Model"] == "gpt-4o"
    assert row["attempts"][0]["model"] == "small"
    two.steps["b"] = 500
    assert two.call("cheap").first("helicone-router-target") == b"dear"
    assert two.a.received[-1].json == {**ASK, "model": "dear"}
    # b serves no other model
    assert two.call("cheap", {**ASK, "model": "other"}).first("helicone-router-target") == b"dear"


def test_a_large_body_is_mapped_too(two: Two) -> None:
    body = {**ASK, "messages": [{"role": "user", "content": "x" * 3_000_000}]}
    assert two.call("cheap", body).status == 200
    assert two.b.received[-1].json == {**body, "model": "small"}
    two.steps["a"] = 500
    assert two.call("spare", body).status == 200
    assert two.a.received[-1].json == two.b.received[-1].json == body


@pytest.mark.parametrize("strategy", ["quick", "spare"])
def test_streams_with_the_official_sdk(two: Two, strategy: str) -> None:
    url = f"{two.appliance.url}/router/{strategy}"
    with openai.OpenAI(api_key="sk-x", base_url=url, max_retries=0) as client:
        stream = client.chat.completions.create(
            model="gpt-4o", messages=ASK["messages"], stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text


def test_a_base_url(two: Two) -> None:
    reply = two.call("url")
    assert reply.status == 200
    assert two.a.received[-1].target == b"/deep/v1/chat/completions"


def test_a_target_without_a_key_is_passed_over(two: Two) -> None:
    reply = two.call("keyless")
    assert (reply.status, reply.first("helicone-router-target")) == (200, b"b")
    first, second = two.row(reply)["attempts"]
    assert (first["provider"], first["status"]) == ("groq", None)
    assert first["why_next"] == "provider_key_missing"
    assert second["status"] == 200


def test_caches_and_limits_work_around_it(two: Two) -> None:
    cached = {"helicone_cache_enabled": "true", "helicone_cache_seed": "routers"}
    hits = [two.call("spare", **cached).first("helicone-cache") for _ in range(2)]
    assert hits == [b"MISS", b"HIT"]
    two.steps["a"] = 500
    limited = {"helicone_ratelimit_policy": "2;w=3600;s=routers", "helicone_property_routers": "x"}
    assert [two.call("spare", **limited).status for _ in range(3)] == [200, 200, 429]


def test_a_mocked_reply(two: Two) -> None:
    headers = {"__helicone-mock-response": json.dumps({"a": 1})}
    reply = two.appliance.call("/router/spare/v1/chat/completions", ASK, headers)
    assert (reply.status, reply.json) == (200, {"a": 1})
    assert not two.a.received + two.b.received


@pytest.mark.parametrize(
    ("router", "body", "status", "code"),
    [
        ("nosuch", ASK, 404, "router_unknown"),
        ("cheap", b"[1]", 400, "body_invalid"),
    ],
)
def test_what_cannot_be_is_refused(
    two: Two, router: str, body: Any, status: int, code: str
) -> None:
    reply = two.call(router, body)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert not two.a.received + two.b.received


def test_a_client_who_leaves_says_nothing_about_the_target(two: Two) -> None:
    request_id = "0c7c3a52-93a1-4bb0-b55f-60a9c6f4bd71"
    two.steps["a"] = "stall"
    with two.appliance.client() as client:
        headers = {"x-fake": "set", "helicone-request-id": request_id}
        client.request("/router/spare/v1/chat/completions", ASK, headers)
        sent = two.a.find("/v1/chat/completions")
    assert sent.closed.wait(PATIENCE_S)
    assert two.appliance.row(request_id)["outcome"] == "client_gone"
    two.steps["a"] = 200
    assert two.call("spare").first("helicone-router-target") == b"a"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('[[routers.x.targets]]\nprovider = "nobody"', "routers.x.targets[1].provider"),
        ('[[routers.x.targets]]\nprovider = "azure"', "set base_url in [providers.azure]"),
        ('[[routers.x.targets]]\nprovider = "openai"\n[[routers.x.targets]]\n'
         'provider = "anthropic"', "speak one dialect"),
        ("[routers.x]", "routers.x.targets is missing"),
        ('[[routers.x.targets]]\nprovider = "google-ai-studio"\nmodel = "m"', "in the path"),
    ],
)  # fmt: skip
def test_a_router_that_cannot_be_stops_the_start(tmp_path: Path, config: str, says: str) -> None:
    appliance = Appliance(tmp_path, config=config)
    with pytest.raises(AssertionError):
        appliance.start()
    appliance.wait()
    last = appliance.log.strip().splitlines()[-1]
    assert says in last
