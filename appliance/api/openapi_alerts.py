"""What the schema says of alerts."""

from typing import Any, Final

from appliance.api.openapi_parts import (
    FLAG,
    NOTHING,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Schema,
    listed,
    maybe,
    obj,
    one_of,
    titled,
    usual,
    whole,
)
from appliance.core.alerts import AGGREGATIONS, METRICS

CHANNELS: Final[Schema] = {
    "emails": {**listed(TEXT), "maxItems": 20},
    "slack_channels": {
        **listed(TEXT), "maxItems": 10, "description": "URLs of Slack's incoming webhooks",
    },
    "webhooks": {**listed(TEXT), "maxItems": 10, "description": "URLs that get the news as JSON"},
}  # fmt: skip
_NUMBER: Final[Schema] = {"type": "number"}
_FILTER: Final[dict[str, Any]] = {
    "description": 'the filter of the UI: {type: "all"}, {type: "and" | "or", expressions: […]}, '
    '{type: "condition", field, operator, value}; or a tree as queries take it',
}
_FIELDS: Final[Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "metric": one_of(*METRICS),
    "threshold": {
        **_NUMBER,
        "description": "per cent of response.status, USD of cost, ms of latency",
    },
    "aggregation": {**maybe(one_of(*AGGREGATIONS)), "enum": [*AGGREGATIONS, None]},
    "percentile": maybe(_NUMBER),
    "grouping": {**TEXT_OR_NULL, "description": "user, model, provider, or a property's name"},
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
_ALERT: Final = titled(
    "Alert",
    {
        "id": UUID,
        "created_at": TIME,
        "updated_at": TIME,
        **_FIELDS,
        "status": one_of("resolved", "triggered"),
        **CHANNELS,
        "warnings": listed(TEXT),
    },
)
_INCIDENT: Final = titled(
    "AlertHistory",
    {
        "id": UUID,
        "alert_id": UUID,
        "alert_name": TEXT,
        "alert_metric": TEXT,
        "org_id": UUID,
        "status": one_of("resolved", "triggered"),
        "triggered_value": {**TEXT, "description": "two decimals; empty for alerts with groups"},
        "alert_start_time": TIME,
        "alert_end_time": TIME_OR_NULL,
        "groups": listed(
            titled("AlertGroup", {"name": TEXT, "value": TEXT, "requests": {"type": "integer"}})
        ),
    },
)
_ID: Final = {"alert_id": UUID}
_BODY: Final[Schema] = {**_FIELDS, **CHANNELS}

LIST: Final = usual(
    titled(
        "Alerts",
        {
            "alerts": listed(_ALERT),
            "history": listed(_INCIDENT),
            "historyTotalCount": {"type": "integer"},
        },
    ),
    query={
        "historyPage": whole(0, 1_000_000, 0),
        "historyPageSize": whole(1, 1000, 100),
    },
)
CREATE: Final = usual(
    UUID,
    409,
    body=obj(_BODY, ("name", "metric", "threshold", "time_window")),
)
CHANGE: Final = usual(_ALERT, 404, path=_ID, body=obj(_BODY))
REMOVE: Final = usual(NOTHING, 404, path=_ID)
