"""Rows of other programs: whatever is in them, a record or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.imported import exchange_id_of, imported, kind_of
from appliance.errors import Refusal

HELICONE = {"request_id": "r", "request_created_at": "2026-08-29T10:40:00Z"}
LITELLM = {"request_id": "r", "startTime": "2026-08-29T10:40:00Z"}
LANGFUSE = {"id": "r", "traceId": "t", "startTime": "2026-08-29T10:40:00Z"}
FIELDS = [
    "request_body", "response_status", "delay_ms", "properties", "request_properties", "cost",
    "provider", "usage", "usageDetails", "metadata", "input", "output", "messages", "request_tags",
    "endTime", "response_created_at", "prompt_tokens", "totalCost", "costDetails", "type", "model",
    "modelParameters", "user", "sessionId", "time_to_first_token", "spend", "target_url",
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("row", "kind"), [(HELICONE, "helicone"), (LITELLM, "litellm"), (LANGFUSE, "langfuse")]
)
def test_kinds(row: dict[str, Any], kind: str) -> None:
    assert kind_of(row) == kind
    facts, _, _ = imported(row)
    assert (facts["import_id"], facts["source"]) == (f"{kind}:r", "import")


def test_what_is_no_row() -> None:
    for row in ({}, {"id": "x"}, {**HELICONE, "request_created_at": "soon"},
                {**HELICONE, "request_id": ""}):  # fmt: skip
        with pytest.raises(Refusal):
            imported(row)


def test_ids_follow_from_the_row_alone() -> None:
    one = exchange_id_of(bytes(16), "helicone:r", 1_788_000_000_120_000)
    assert one == exchange_id_of(bytes(16), "helicone:r", 1_788_000_000_120_000)
    assert len(one) == 16
    assert (one[6] >> 4, one[8] >> 6) == (7, 2)
    assert int.from_bytes(one[:6], "big") == 1_788_000_000_120
    others = {
        exchange_id_of(bytes(15) + b"1", "helicone:r", 1_788_000_000_120_000),
        exchange_id_of(bytes(16), "helicone:s", 1_788_000_000_120_000),
        exchange_id_of(bytes(16), "litellm:r", 1_788_000_000_120_000),
    }
    assert len(others | {one}) == 4


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([HELICONE, LITELLM, LANGFUSE]),
       st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))  # fmt: skip
def test_whatever_is_in_a_row(base: dict[str, Any], more: dict[str, Any]) -> None:
    try:
        facts, request, response = imported({**base, **more})
    except Refusal as refusal:
        status = refusal.status
        facts, request, response = {"created_at_us": 0}, b"", b""
    else:
        status = 400
    assert status == 400
    assert isinstance(facts["created_at_us"], int)
    assert isinstance(request + response, bytes)
