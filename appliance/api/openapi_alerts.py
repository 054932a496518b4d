"""What the schema says of alerts."""

from typing import Any, Final

from appliance.api.openapi_hooks import (
    FLAG,
    MAYBE_TEXT,
    MAYBE_TIME,
    NOTHING,
    TEXT,
    TIME,
    UUID,
    Schema,
    count,
    in_path,
    in_query,
    json_body,
    maybe,
    route,
    rows,
    thing,
    words,
)
from appliance.core.alerts import AGGREGATIONS, METRICS

CHANNELS: Final[Schema] = {
    "emails": {**rows(TEXT), "maxItems": 20},
    "slack_channels": {
        **rows(TEXT), "maxItems": 10, "description": "URLs of Slack's incoming webhooks",
    },
    "webhooks": {**rows(TEXT), "maxItems": 10, "description": "URLs that get the news as JSON"},
}  # fmt: skip
_NUMBER: Final[Schema] = {"type": "number"}
_FILTER: Final[dict[str, Any]] = {
    "description": 'the filter of the UI: {type: "all"}, {type: "and" | "or", expressions: […]}, '
    '{type: "condition", field, operator, value}; or a tree as queries take it',
}
_FIELDS: Final[Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "metric": words(*METRICS),
    "threshold": {
        **_NUMBER,
        "description": "per cent of response.status, USD of cost, ms of latency",
    },
    "aggregation": {**maybe(words(*AGGREGATIONS)), "enum": [*AGGREGATIONS, None]},
    "percentile": maybe(_NUMBER),
    "grouping": {**MAYBE_TEXT, "description": "user, model, provider, or a property's name"},
    "grouping_is_property": maybe(FLAG),
    "time_window": {"description": "milliseconds as text, 30000 to 2592000000", "type": "string"},
    "cooldown": {
        "description": "milliseconds as text, 0 to 86400000: so long below, and it is over",
        "type": "string",
        "default": "300000",
        "nullable": True,
    },
    "minimum_request_count": maybe({"type": "integer", "minimum": 0}),
    "filter": _FILTER,
    "is_active": {**FLAG, "default": True, "description": "false: paused, it is not looked at"},
}
_ALERT: Final = thing(
    "Alert",
    {
        "id": UUID,
        "created_at": TIME,
        "updated_at": TIME,
        **_FIELDS,
        "status": words("resolved", "triggered"),
        **CHANNELS,
        "warnings": rows(TEXT),
    },
)
_INCIDENT: Final = thing(
    "AlertHistory",
    {
        "id": UUID,
        "alert_id": UUID,
        "alert_name": TEXT,
        "alert_metric": TEXT,
        "org_id": UUID,
        "status": words("resolved", "triggered"),
        "triggered_value": {**TEXT, "description": "two decimals; empty for alerts with groups"},
        "alert_start_time": TIME,
        "alert_end_time": MAYBE_TIME,
        "groups": rows(
            thing("AlertGroup", {"name": TEXT, "value": TEXT, "requests": {"type": "integer"}})
        ),
    },
)
_ID: Final = in_path("alert_id")
_BODY: Final[Schema] = {**_FIELDS, **CHANNELS}

LIST: Final = route(
    thing(
        "Alerts",
        {
            "alerts": rows(_ALERT),
            "history": rows(_INCIDENT),
            "historyTotalCount": {"type": "integer"},
        },
    ),
    parameters=[
        in_query("historyPage", count(0, 1_000_000, 0)),
        in_query("historyPageSize", count(1, 1000, 100)),
    ],
)
CREATE: Final = route(
    UUID, 409, requestBody=json_body(_BODY, "name", "metric", "threshold", "time_window")
)
CHANGE: Final = route(_ALERT, 404, parameters=[_ID], requestBody=json_body(_BODY))
REMOVE: Final = route(NOTHING, 404, parameters=[_ID])
