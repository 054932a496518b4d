"""What the schema says of webhooks."""

from typing import Final

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

_TEXT_1000: Final[Schema] = {"type": "string", "maxLength": 1000}
_CONFIG: Final[Schema] = {
    "type": "object",
    "properties": {
        "sampleRate": {"type": "number", "minimum": 0, "maximum": 100, "default": 100},
        "propertyFilters": {
            **rows(thing("PropertyFilter", {"key": _TEXT_1000, "value": _TEXT_1000})),
            "maxItems": 50,
        },
        "includeData": {"type": "boolean", "default": True},
    },
}
_FIELDS: Final[Schema] = {
    "destination": {
        "type": "string",
        "maxLength": 2000,
        "description": "https, public; private hosts and http where webhook_allow lists them",
    },
    "config": _CONFIG,
    "includeData": FLAG,
    "isActive": FLAG,
}
_SHOWN: Final[Schema] = {
    "id": UUID,
    "created_at": TIME,
    "updated_at": TIME,
    "destination": TEXT,
    "version": TEXT,
    "config": _CONFIG,
    "is_active": FLAG,
    "hmac_key_hint": {**TEXT, "description": "the last characters of the key"},
}
_WEBHOOK: Final = thing("Webhook", _SHOWN)
_NEW: Final[Schema] = {
    **_WEBHOOK,
    "title": "NewWebhook",
    "properties": {
        **_SHOWN,
        "hmac_key": {
            **TEXT,
            "description": "signs each body with HMAC-SHA256; only the answer that made it has it",
        },
    },
}
_STATES: Final = words("waiting", "delivered", "failed", "dropped")
_DELIVERY: Final = thing(
    "WebhookDelivery",
    {
        "id": UUID,
        "request_id": UUID,
        "state": _STATES,
        "attempts": {"type": "integer"},
        "created_at": TIME,
        "next_attempt_at": MAYBE_TIME,
        "last_attempt_at": MAYBE_TIME,
        "status": maybe({"type": "integer"}),
        "error": MAYBE_TEXT,
        "duration_ms": maybe({"type": "number"}),
    },
)
_TRIED: Final = thing(
    "WebhookTest",
    {
        "success": FLAG,
        "message": TEXT,
        "status": maybe({"type": "integer"}),
        "duration_ms": {"type": "number"},
    },
)
_ID: Final = in_path("webhook_id")
_ROTATE: Final[Schema] = {"rotateHmacKey": {"type": "boolean", "default": False}}

LIST: Final = route(rows(_WEBHOOK))
CREATE: Final = route(_NEW, 409, requestBody=json_body(_FIELDS, "destination"))
CHANGE: Final = route(_NEW, 404, parameters=[_ID], requestBody=json_body({**_FIELDS, **_ROTATE}))
REMOVE: Final = route(NOTHING, 404, parameters=[_ID])
TEST: Final = route(_TRIED, 404, parameters=[_ID])
DELIVERIES: Final = route(
    thing(
        "WebhookDeliveries",
        {"deliveries": rows(_DELIVERY), "next_cursor": MAYBE_TEXT},
    ),
    404,
    parameters=[
        _ID,
        in_query("limit", count(1, 500, 50)),
        in_query("state", _STATES),
        in_query("cursor", TEXT),
    ],
)
REPLAY: Final = route(_DELIVERY, 404, 409, parameters=[_ID, in_path("delivery_id")])
