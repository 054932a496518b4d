"""Recorded wire shapes of every provider's usage, whole and streamed, and what they come to."""

import json

import pytest

from appliance.core.usage import read_usage, usage_from_map, usage_to_map
from appliance.core.usage.counts import cost_pico, count
from tests.core.usage_shapes import ANTHROPIC_START
from tests.core.usage_shapes_more import TABLES

ROWS = [
    pytest.param(provider, documents, expected, id=f"{provider}: {name}")
    for provider, rows in TABLES.items()
    for name, documents, expected in rows
]


@pytest.mark.parametrize(("provider", "documents", "expected"), ROWS)
def test_recorded_shapes(provider, documents, expected):
    reading = read_usage(provider, "openai", documents)
    if expected == 0:
        assert reading is None
    else:
        assert reading is not None
        assert reading.usage == expected
        assert reading.complete


def test_an_anthropic_stream_without_its_end_is_incomplete():
    reading = read_usage("anthropic", "anthropic", [ANTHROPIC_START])
    assert reading is not None
    assert not reading.complete
    assert (reading.usage.input, reading.usage.cached_input) == (25, 1000)


@pytest.mark.parametrize(
    ("value", "pico"),
    [
        (0.00014, 140_000_000),
        ("0.000000000001", 1),
        ("0.0000000000005", 0),
        ("0.0000000000015", 2),
        (123.456789012345, 123_456_789_012_345),
        (3, 3 * 10**12),
        (0.0, 0),
        (1e-45, 0),
        (1e400, None),
        (float("nan"), None),
        (-0.5, None),
        (10**30, None),
        ("x", None),
        ("1E+999999", None),
        ("1" * 100, None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_declared_costs_are_exact_or_refused(value, pico):
    assert cost_pico(value) == pico


def test_counts():
    assert [count(v) for v in (5, 5.0, 5.9, 0, -1, True, None, "5", 1e300, 10**13)] == [
        5, 5, 5, 0, 0, 0, 0, 0, 0, 0,
    ]  # fmt: skip


def test_usage_survives_its_map():
    for _, provider_rows in TABLES.items():
        for _, _, usage in provider_rows:
            if usage:
                packed = json.loads(json.dumps(usage_to_map(usage)))
                assert usage_from_map(packed) == usage
