"""The gateway's order between equals, by load and health, with a clock of the test's own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from appliance.actors import gateway_load as module
from appliance.actors.gateway_load import LIMITED_S, RULES, GatewayLoad
from appliance.actors.metrics import Metrics
from appliance.core.attempts import Candidate, Endpoint, Kind, StoredKey, equals_among
from appliance.core.model_grammar import ModelItem

ORG, OTHER = b"o" * 16, b"p" * 16
ITEM, SECOND = ModelItem("kimi", "kimi"), ModelItem("glm", "glm")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def one(provider: str, item: ModelItem = ITEM, kind: Kind = "byok", **facts: Any) -> Candidate:
    given = {"priority": 4, "price_order": 7, **facts}
    return Candidate(
        Endpoint(item.name, provider, f"{provider}:{item.name}", "openai", **given),
        kind, StoredKey(provider), item,
    )  # fmt: skip


A, B, C = one("a"), one("b"), one("c")
ALL = (A, B, C)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def load(clock: Clock) -> GatewayLoad:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return GatewayLoad(Metrics().count, clock, random.Random(seed).random)


def order(load: GatewayLoad, candidates: Sequence[Candidate] = ALL, org: bytes = ORG) -> str:
    found = load.order("us", org, candidates)
    return "".join(candidate.endpoint.provider for candidate in found)


def told(
    load: GatewayLoad, candidate: Candidate, verdict: str, value: float = 0.1, times: int = 1,
    org: bytes = ORG,
) -> None:  # fmt: skip
    for _ in range(times):
        turn = load.begin("us", org, candidate)
        getattr(turn, verdict)(value)
        turn.end()


def test_which_are_equals() -> None:
    own, dear = one("d", priority=3), one("e", price_order=8)
    credit = [one(name, kind="ptb") for name in "ab"]
    other = [one(name, SECOND) for name in "ab"]
    assert equals_among([own, A, dear, B, *credit, *other]) == [[1, 3], [4, 5], [6, 7]]
    assert equals_among([own, A, dear]) == []
    assert equals_among([]) == []


def test_only_equals_trade_places(load: GatewayLoad) -> None:
    own, dear = one("d", priority=3), one("e", price_order=8)
    seen = {order(load, (own, A, dear, B)) for _ in range(50)}
    assert seen == {"daeb", "dbea"}


def test_unknown_equals_share_alike(load: GatewayLoad) -> None:
    counts = Counter(order(load)[0] for _ in range(3000))
    assert all(count / 3000 == pytest.approx(1 / 3, abs=0.05) for count in counts.values())
    assert len(counts) == 3


def test_one_that_was_never_called_is_called(load: GatewayLoad) -> None:
    told(load, A, "good", 0.001)
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}
    told(load, B, "good", 0.9)
    assert {order(load, (A, B)) for _ in range(20)} == {"ab"}


def test_the_quicker_of_two_comes_first(load: GatewayLoad) -> None:
    told(load, A, "good", 0.9)
    told(load, B, "good", 0.1)
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}
    turns = [load.begin("us", ORG, B) for _ in range(9)]  # the crowd at b outweighs it
    assert {order(load, (A, B)) for _ in range(20)} == {"ab"}
    for turn in turns:
        turn.end()
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}


def test_one_that_fails_goes_behind_until_its_probe(load: GatewayLoad, clock: Clock) -> None:
    told(load, B, "good", 5.0)
    told(load, A, "bad", 0.01, times=RULES.failures_max)
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}
    clock.now_s += RULES.open_s
    told(load, B, "good", 5.0)
    assert order(load, (A, B)) == "ab"  # half open: it is tried again
    probe = load.begin("us", ORG, A)
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}  # by one call
    probe.bad(0.01)
    probe.end()
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}
    clock.now_s += RULES.open_s
    told(load, A, "good", 0.01)
    told(load, B, "good", 5.0)
    assert {order(load, (A, B)) for _ in range(20)} == {"ab"}


def test_a_limited_one_goes_behind_for_as_long_as_it_says(load: GatewayLoad, clock: Clock) -> None:
    told(load, B, "good", 5.0)
    told(load, A, "limited", LIMITED_S)
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}
    assert load.gauges() == [("gateway_endpoint_out", {"provider": "a", "why": "limited"}, 1)]
    clock.now_s += LIMITED_S + 0.1
    assert {order(load, (A, B)) for _ in range(20)} == {"ab"}
    assert load.gauges() == []


def test_all_out_come_as_they_are_back(load: GatewayLoad) -> None:
    for candidate, wait_s in ((A, 30.0), (B, 10.0), (C, 20.0)):
        told(load, candidate, "limited", wait_s)
    assert {order(load) for _ in range(20)} == {"bca"}


def test_keys_of_others_regions_and_credits_have_standings_of_their_own(load: GatewayLoad) -> None:
    told(load, A, "limited", 60.0)
    told(load, B, "good", 0.01)
    assert {order(load, (A, B)) for _ in range(20)} == {"ba"}
    assert {order(load, (A, B), OTHER) for _ in range(50)} == {"ab", "ba"}
    seen = {
        "".join(found.endpoint.provider for found in load.order("eu", ORG, (A, B)))
        for _ in range(50)
    }
    assert seen == {"ab", "ba"}
    credit = [one(name, kind="ptb") for name in "ab"]
    assert {order(load, credit) for _ in range(50)} == {"ab", "ba"}
    told(load, credit[0], "limited", 60.0)  # with the platform's key: for all who use it
    assert {order(load, credit, OTHER) for _ in range(20)} == {"ba"}


def test_it_is_bounded(load: GatewayLoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDPOINTS_MAX", 3)
    told(load, A, "limited", 60.0)
    turn = load.begin("us", ORG, B)
    for name in "wxy":
        told(load, one(name), "good")
    turn.good(0.1)  # forgotten meanwhile
    turn.end()
    assert load.gauges() == []
    assert len(load._standings) == 3


def test_whoever_seeks_a_kept_answer_asks_in_one_order(load: GatewayLoad) -> None:
    told(load, A, "good", 0.9)
    for _ in range(20):
        found = load.order("us", ORG, ALL, by_load=False)
        assert found == list(ALL)
    told(load, A, "limited", 60.0)
    assert load.order("us", ORG, ALL, by_load=False) == [B, C, A]
