"""What the schema says of sessions, users and properties."""

from typing import Any, Final

from appliance.api.openapi_metrics import CHART, PAGE, PARTS, ZONE
from appliance.api.openapi_parts import (
    FILTER,
    FLAG,
    INTEGER,
    NOTHING,
    NUMBER,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    listed,
    obj,
    route,
    rows,
)

_UNIX_MS: Final = {"type": "integer", "minimum": 0}
_SESSIONS: Final[dict[str, Any]] = {
    "search": TEXT,
    "timeFilter": obj({"startTimeUnixMs": _UNIX_MS, "endTimeUnixMs": _UNIX_MS}),
    "nameEquals": TEXT,
    "timezoneDifference": ZONE,
    "filter": FILTER,
    **PAGE,
}
_SPREAD: Final = rows({"range_start": NUMBER, "range_end": NUMBER, "value": INTEGER})
_HISTOGRAM: Final[dict[str, Any]] = {
    "pSize": {"type": "string", "enum": ["p50", "p75", "p95", "p99", "p99.9"]},
    "useInterquartile": FLAG,
}
_ID: Final = {"session_id": {**TEXT, "minLength": 1}}
_RATING: Final = obj({"rating": FLAG}, ["rating"])

LIST: Final = route(
    rows(
        {
            "session_id": TEXT,
            "session_name": TEXT,
            "created_at": TIME,
            "latest_request_created_at": TIME,
            "avg_latency": NUMBER,
            "total_cost": NUMBER,
            "total_requests": INTEGER,
            "prompt_tokens": INTEGER,
            "completion_tokens": INTEGER,
            "total_tokens": INTEGER,
            "duration_ms": NUMBER,
            "errors": INTEGER,
            "user_ids": listed(TEXT),
        }
    ),
    body=obj(_SESSIONS),
)
COUNT: Final = route(
    obj(
        {
            "count": INTEGER,
            "total_cost": NUMBER,
            "avg_cost": NUMBER,
            "avg_latency": NUMBER,
            "avg_requests": NUMBER,
        }
    ),
    body=obj(_SESSIONS),
)
_NAMES: Final = {**_SESSIONS, "nameContains": TEXT, **_HISTOGRAM}
NAMES: Final = route(
    rows(
        {
            "name": TEXT,
            "created_at": TIME,
            "last_used": TIME,
            "first_used": TIME,
            "session_count": INTEGER,
            "avg_latency": NUMBER,
        }
    ),
    body=obj(_NAMES),
)
METRICS: Final = route(
    obj(
        {
            "session_count": _SPREAD,
            "session_duration": _SPREAD,
            "session_cost": _SPREAD,
            "average": obj({}, open_=True),
        }
    ),
    body=obj(_NAMES),
)
TREE: Final = route(
    obj(
        {
            "session_id": TEXT,
            "session_name": TEXT,
            "created_at": TIME,
            "ended_at": TIME,
            "duration_ms": NUMBER,
            "total_cost": NUMBER,
            "total_requests": INTEGER,
            "errors": INTEGER,
            "truncated": FLAG,
            "tree": obj({"name": TEXT, "path": TEXT}, open_=True),
        }
    ),
    path=_ID,
)
FEEDBACK: Final = route(NOTHING, body=_RATING, path=_ID)
TAG: Final = route(TEXT_OR_NULL, path=_ID)
SET_TAG: Final = route(NOTHING, body=obj({"tag": TEXT}, ["tag"]), path=_ID)

_SECONDS: Final = obj({"startTimeUnixSeconds": _UNIX_MS, "endTimeUnixSeconds": _UNIX_MS})
_USERS: Final[dict[str, Any]] = {
    "filter": FILTER,
    "timeFilter": _SECONDS,
    "timeZoneDifferenceMinutes": ZONE,
    "sort": {"type": "object", "description": "one figure with asc or desc"},
    **PAGE,
}
USERS: Final = route(
    obj(
        {
            "users": rows(
                {
                    "user_id": TEXT,
                    "active_for": INTEGER,
                    "first_active": TIME,
                    "last_active": TIME,
                    "total_requests": INTEGER,
                    "average_requests_per_day_active": NUMBER,
                    "average_tokens_per_request": NUMBER,
                    "total_completion_tokens": INTEGER,
                    "total_prompt_tokens": INTEGER,
                    "cost": NUMBER,
                    "rate_limited_count": INTEGER,
                    "errors": INTEGER,
                }
            ),
            "count": INTEGER,
            "hasUsers": FLAG,
        }
    ),
    body=obj(_USERS),
)
USER_HISTOGRAMS: Final = route(
    obj({"request_count": _SPREAD, "user_cost": _SPREAD, "average": obj({}, open_=True)}),
    body=obj({**_USERS, **_HISTOGRAM}),
)
SPENT: Final = route(
    rows(
        {
            "user_id": TEXT,
            "prompt_tokens": INTEGER,
            "completion_tokens": INTEGER,
            "count": INTEGER,
            "cost": NUMBER,
        }
    ),
    body=obj({"userIds": listed(TEXT), "timeFilter": _SECONDS}),
)

_KEY: Final = {"key": {**TEXT, "minLength": 1}}
PROPERTIES: Final = route(rows({"property": TEXT}), body=obj(PARTS))
HIDE: Final = route(TEXT, body=obj(_KEY, ["key"]))
SEARCH: Final = route(listed(TEXT), body=obj({"searchTerm": TEXT}), path=_KEY)
TOP_COSTS: Final = route(rows({"value": TEXT, "cost": NUMBER}), body=obj(PARTS), path=_KEY)
TOP_REQUESTS: Final = route(rows({"value": TEXT, "count": INTEGER}), body=obj(PARTS), path=_KEY)
PROPERTY_SERIES: Final = route(
    rows({"time": TIME, "value": TEXT, "count": INTEGER, "cost": NUMBER}),
    body=obj({**CHART, "propertyKey": {**TEXT, "minLength": 1}}, ["timeFilter", "propertyKey"]),
)
