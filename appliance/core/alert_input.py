"""What a user enters as an alert, read and checked (`backend.md 7.2`), and stricter than the
original: aggregation, percentile, grouping and the filter are checked too.

Pure. Raises Refusal 422 that names the field.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeVar

from appliance.core.alerts import AGGREGATIONS, COOLDOWN_MS, GROUPINGS, METRICS, Alert, statement
from appliance.core.filters import Tables
from appliance.errors import Refusal

NAME_CHARACTERS_MAX: Final = 200
GROUPING_CHARACTERS_MAX: Final = 200
FILTER_BYTES_MAX: Final = 100_000
WINDOW_MS_MIN: Final = 30_000
WINDOW_MS_MAX: Final = 30 * 86_400_000
COOLDOWN_MS_MAX: Final = 86_400_000
THRESHOLD_MAX: Final = Decimal(10) ** 15
COST_MIN: Final = Decimal("0.01")
REQUESTS_MAX: Final = 1_000_000_000
PICO: Final = Decimal("0.000000000001")

T = TypeVar("T")


def read_name(body: Mapping[str, Any], before: str) -> str:
    """The name, of one line: it becomes the subject of mails."""
    name = body.get("name", before)
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_CHARACTERS_MAX:
        invalid("name", f"expected a text of 1 to {NAME_CHARACTERS_MAX} characters")
    if not name.isprintable():
        invalid("name", "expected one line without control characters")
    return name.strip()


def read_alert(body: Mapping[str, Any], before: Alert, tables: Tables) -> Alert:
    """`before` with what the body gives; a field that is null is taken back to its default."""
    metric = _given(body, "metric", before.metric, _metric)
    found = replace(
        before,
        metric=metric,
        threshold=_given(body, "threshold", before.threshold, _threshold),
        window_ms=_given(body, "time_window", before.window_ms, _window),
        aggregation=_given(body, "aggregation", before.aggregation, _aggregation),
        percentile=_given(body, "percentile", before.percentile, _percentile),
        grouping=_given(body, "grouping", before.grouping, _grouping),
        grouping_is_property=_given(
            body, "grouping_is_property", before.grouping_is_property, _by_property
        ),
        requests_min=_given(body, "minimum_request_count", before.requests_min, _requests_min),
        filter=_given(body, "filter", before.filter, _filter),
        cooldown_ms=_given(body, "cooldown", before.cooldown_ms, _cooldown),
    )
    _together(found)
    statement(found, tables, 0)  # a filter that cannot be asked is refused here
    return found


def _together(alert: Alert) -> None:
    if alert.metric == "response.status" and alert.threshold > 100:
        invalid("threshold", "the share of errors is in per cent: at most 100")
    if alert.metric == "cost" and alert.threshold < COST_MIN:
        invalid("threshold", f"of cost at least {COST_MIN} (USD)")
    if alert.aggregation == "percentile" and alert.percentile is None:
        invalid("percentile", "is required where aggregation is percentile, as 95")
    if alert.percentile is not None and alert.aggregation != "percentile":
        invalid("percentile", "only goes with aggregation percentile")
    if METRICS[alert.metric][0] is None and alert.aggregation not in (None, "sum"):
        invalid("aggregation", f"{alert.metric} has none: leave it out")
    if alert.grouping_is_property and alert.grouping is None:
        invalid("grouping", "is required where grouping_is_property is true")
    if not alert.grouping_is_property and alert.grouping not in (None, *GROUPINGS):
        invalid(
            "grouping",
            f"expected one of {', '.join(GROUPINGS)}, or a property with grouping_is_property",
        )


def _given(body: Mapping[str, Any], field: str, before: T, read: Callable[[Any], T]) -> T:
    return read(body[field]) if field in body else before


def _metric(value: object) -> str:
    if not isinstance(value, str) or value not in METRICS:
        invalid("metric", f"expected one of {', '.join(METRICS)}")
    return value


def _threshold(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        invalid("threshold", "expected a number")
    number = Decimal(value)
    if not PICO <= number <= THRESHOLD_MAX:
        invalid("threshold", "expected a number above 0")
    return number


def _window(value: object) -> int:
    return _milliseconds(
        value,
        "time_window",
        WINDOW_MS_MIN,
        WINDOW_MS_MAX,
        "30000 (30 seconds) to 2592000000 (30 days)",
    )


def _cooldown(value: object) -> int:
    if value is None:
        return COOLDOWN_MS
    return _milliseconds(
        value, "cooldown", 0, COOLDOWN_MS_MAX, "0 (over at once) to 86400000 (a day)"
    )


def _milliseconds(value: object, field: str, least: int, most: int, told: str) -> int:
    """As text or as a number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > 12:
        invalid(field, "expected milliseconds, as a text of digits")
    if not least <= int(text) <= most:
        invalid(field, f"expected {told}, milliseconds")
    return int(text)


def _aggregation(value: object) -> str | None:
    if value is not None and value not in AGGREGATIONS:
        invalid("aggregation", f"expected null or one of {', '.join(AGGREGATIONS)}")
    return str(value) if value is not None else None


def _percentile(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value < 100:
        invalid("percentile", "expected a number between 0 and 100, as 95")
    return Decimal(value)


def _grouping(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= GROUPING_CHARACTERS_MAX:
        invalid("grouping", f"expected a text of 1 to {GROUPING_CHARACTERS_MAX} characters")
    return value


def _by_property(value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        invalid("grouping_is_property", "expected true or false")
    return value


def _requests_min(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= REQUESTS_MAX:
        invalid("minimum_request_count", f"expected a whole number from 0 to {REQUESTS_MAX}")
    return value


def _filter(value: object) -> Any:  # noqa: ANN401 - JSON
    if value is None:
        return "all"
    if len(filter_text(value)) > FILTER_BYTES_MAX:
        invalid("filter", f"longer than {FILTER_BYTES_MAX} characters")
    return value


def filter_text(value: object) -> str:
    """A filter as it is stored. Decimal numbers become text, which filters read as numbers."""
    return json.dumps(value, default=str, ensure_ascii=False)


def invalid(field: str, why: str) -> NoReturn:
    raise Refusal(422, "field_invalid", f"{field}: {why}")
