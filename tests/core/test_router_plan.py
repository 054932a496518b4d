"""`[routers.<name>]`: what is read, what is refused, and which model a target is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.core.router_plan import (
    TARGETS_MAX,
    RouterPlan,
    RouterPlanError,
    RouterTarget,
    parse_targets,
)

WHERE = "routers.a.targets"


def test_targets() -> None:
    rows: list[dict[str, Any]] = [
        {"provider": "openai", "weight": 3},
        {"provider": "openai", "model": "gpt-4o"},
        {"base_url": "http://10.0.0.1:8000/v1", "weight": 0},
        {"base_url": "http://10.0.0.1:8000/v1", "name": "spare", "models": {"a": "b"}},
    ]
    assert parse_targets(rows, WHERE) == (
        RouterTarget("openai", "openai", weight=3),
        RouterTarget("openai/gpt-4o", "openai", model="gpt-4o"),
        RouterTarget("10.0.0.1:8000", "", "http://10.0.0.1:8000/v1", weight=0),
        RouterTarget("spare", "", "http://10.0.0.1:8000/v1", models={"a": "b"}),
    )


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "routers.a.targets is missing"),
        ([{}], "routers.a.targets[1]: give provider or base_url"),
        ([{"provider": "a", "base_url": "http://b"}], "one of the two"),
        ([{"provider": "a"}, {"base_url": "ftp://b"}], "routers.a.targets[2].base_url"),
        ([{"provider": 7}], "routers.a.targets[1].provider: allowed is text"),
        ([{"provider": " "}], "routers.a.targets[1].provider: allowed is text"),
        ([{"provider": "a\n"}], "routers.a.targets[1].provider: allowed is text"),
        ([{"provider": "a", "weight": -1}], "routers.a.targets[1].weight: allowed is a whole"),
        ([{"provider": "a", "weight": True}], "weight"),
        ([{"provider": "a", "weight": 0.5}], "weight"),
        ([{"provider": "a", "weight": 0}], "all have the weight 0"),
        ([{"provider": "a", "models": ["x"]}], "routers.a.targets[1].models: allowed is a table"),
        ([{"provider": "a", "models": {"x": 1}}], "models"),
        ([{"provider": "a", "models": {"x": ""}}], "models"),
        ([{"provider": "a"}, {"provider": "a"}], "targets[2]: another target is called a"),
        ([{"provider": "a", "zone": 1}], 'unknown option "routers.a.targets[1].zone": there are'),
        ([{"provider": str(n)} for n in range(TARGETS_MAX + 1)], "17 are given, at most 16"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_that_names_it(rows: list[Any], says: str) -> None:
    with pytest.raises(RouterPlanError) as caught:
        parse_targets(rows, WHERE)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "asked", "sent"),
    [
        (RouterTarget("t"), "gpt-4o", "gpt-4o"),
        (RouterTarget("t"), "", ""),
        (RouterTarget("t", model="mini"), "gpt-4o", "mini"),
        (RouterTarget("t", model="mini"), "", ""),
        (RouterTarget("t", models={"gpt-4o": "big"}), "gpt-4o", "big"),
        (RouterTarget("t", models={"gpt-4o": "big"}), "other", None),
        (RouterTarget("t", models={"gpt-4o": "big"}), "", ""),
        (RouterTarget("t", model="mini", models={"gpt-4o": "big"}), "other", "mini"),
    ],
)
def test_which_model_a_target_is_asked_for(
    target: RouterTarget, asked: str, sent: str | None
) -> None:
    assert target.model_for(asked) == sent


def test_a_body_is_read_only_where_it_must_be() -> None:
    plain, mapped = RouterTarget("a"), RouterTarget("b", model="x")
    assert not RouterPlan("r", (plain,)).reads_model
    assert not RouterPlan("r", (plain,), "latency").reads_model
    assert RouterPlan("r", (plain,), "cost").reads_model
    assert RouterPlan("r", (plain, mapped)).reads_model
    assert RouterPlan("r", (plain, mapped)).maps_models
