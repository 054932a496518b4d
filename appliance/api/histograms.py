"""How values are spread: ten ranges of equal width, the far ends cut off if that is asked for.

Pure. The SQL is over a relation of one column for each figure.
"""
# ruff: noqa: S608 - text is put together from constants of ours

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from appliance.api.fields import choice
from appliance.api.incoming import flag
from appliance.api.services import Row

RANGES: Final = 10
QUANTILES: Final = {"p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
QUARTILE_REACH: Final = 1.5


def histogram_sql(body: dict[str, Any], relation: str, columns: Sequence[str]) -> str:
    """Rows (figure, range, count, low, high, average): `pSize` names the percentile above which
    values are left out (p75 where it is not said), `useInterquartile` leaves out what lies further
    from the middle half than one and a half times its width."""
    share = QUANTILES[choice(body.get("pSize") or "p75", "pSize", tuple(QUANTILES))]
    if flag(body, "useInterquartile"):
        low = f"greatest(least, q1 - (q3 - q1) * {QUARTILE_REACH})"
        high = f"q3 + (q3 - q1) * {QUARTILE_REACH}"
    else:
        low, high = "least", "top"
    parts = " UNION ALL ".join(
        f"SELECT '{column}' AS figure, CAST({column} AS DOUBLE) AS v FROM groups"
        for column in columns
    )
    return (
        f"WITH groups AS MATERIALIZED ({relation}), values_of AS ({parts}),"
        " spread AS (SELECT figure, avg(v) AS average, min(v) AS least,"
        " quantile_cont(v, 0.25) AS q1, quantile_cont(v, 0.75) AS q3,"
        f" quantile_cont(v, {share}) AS top FROM values_of WHERE v IS NOT NULL GROUP BY 1),"
        f" bounds AS (SELECT figure, average, {low} AS low, {high} AS high FROM spread)"
        " SELECT figure, least(CASE WHEN high > low"
        f" THEN CAST(floor((v - low) / (high - low) * {RANGES}) AS INTEGER) ELSE 0 END,"
        f" {RANGES - 1}) AS part, count(*), any_value(low), any_value(high), any_value(average)"
        " FROM values_of JOIN bounds USING (figure) WHERE v BETWEEN low AND high"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    )


def histograms(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Any]:
    """`{figure: [{range_start, range_end, value}], average: {figure: [{average}]}}`."""
    found: dict[str, Any] = {column: [] for column in columns}
    averages: dict[str, list[dict[str, float]]] = {column: [] for column in columns}
    counts = {(row[0], row[1]): row[2] for row in rows}
    for column, (low, high, average) in {row[0]: row[3:] for row in rows}.items():
        width = (high - low) / RANGES
        for part in range(RANGES if width else 1):
            found[column].append({
                "range_start": low + part * width,
                "range_end": low + (part + 1) * width,
                "value": counts.get((column, part), 0),
            })  # fmt: skip
        averages[column].append({"average": average})
    return {**found, "average": averages}
