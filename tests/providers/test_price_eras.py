"""Which price list a call is charged by: that of its place in the journal, and of when it came."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.providers.price_eras import DeriveByEra, derive_of_job

SINCE_US = 1_000
MODEL = "a-model-of-nobody"


def rows(dollars: int) -> list[dict[str, Any]]:
    return [{"provider": "openai", "model": MODEL, "input": str(dollars)}]


ERAS = [[0, 0, 0, rows(1)], [2, 100, SINCE_US, rows(2)], [2, 500, 2 * SINCE_US, rows(3)]]


@pytest.mark.parametrize(
    ("position", "meta", "era"),
    [
        ((1, 900), {"created_at_us": 9 * SINCE_US}, 0),  # the clock was ahead: its place counts
        ((2, 99), {"created_at_us": SINCE_US}, 0),
        ((2, 100), {"created_at_us": SINCE_US}, 1),
        ((2, 100), {"created_at_us": SINCE_US - 1}, 0),  # under way when prices were read again
        ((2, 500), {"created_at_us": 2 * SINCE_US}, 2),
        ((9, 0), {"created_at_us": 2 * SINCE_US - 1}, 1),
        ((9, 0), {"created_at_us": 0}, 0),
        ((9, 0), {}, 0),
        ((9, 0), {"created_at_us": 0, "source": "log"}, 2),  # logged: it came when it was recorded
        ((0, 0), {"created_at_us": 0}, 0),
    ],
)
def test_which_one(position: tuple[int, int], meta: dict[str, Any], era: int) -> None:
    assert DeriveByEra(ERAS).era_of(meta, position) == era


def cost(derive: DeriveByEra, position: tuple[int, int]) -> int | None:
    meta = {
        "exchange_id": bytes(16), "provider": "OPENAI", "created_at_us": 5 * SINCE_US,
        "request_type": "application/json", "response_type": "application/json",
        "http_status": 200, "outcome": "complete", "path": "/v1/chat/completions",
    }  # fmt: skip
    reply = b'{"model": "%s", "usage": {"prompt_tokens": 1000000, "completion_tokens": 0}}'
    row, _ = derive(
        meta, b'{"model": "%s"}' % MODEL.encode(), reply % MODEL.encode(), org=bytes(16),
        position=position,
    )  # fmt: skip
    return next((value for value in row if isinstance(value, int) and value >= 10**12), None)


def test_each_list_is_its_own() -> None:
    derive = derive_of_job({"eras": ERAS})
    assert [cost(derive, at) for at in ((1, 0), (2, 100), (3, 0))] == [
        10**12,
        2 * 10**12,
        3 * 10**12,
    ]


def test_a_list_that_is_not_understood_any_more_gives_way_to_the_next() -> None:
    odd = [[0, 0, 0, [{"provider": "openai", "odd": "1"}]], *ERAS[1:]]
    assert cost(DeriveByEra(odd), (1, 0)) == 2 * 10**12


def test_a_job_without_eras_has_one_list() -> None:
    assert cost(derive_of_job({"prices": rows(7)}), (1, 0)) == 7 * 10**12
    assert cost(derive_of_job({}), (1, 0)) is None
