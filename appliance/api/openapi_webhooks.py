"""What the schema says of webhooks."""

from typing import Final

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

_TEXT_1000: Final[Schema] = {"type": "string", "maxLength": 1000}
_CONFIG: Final[Schema] = {
    "type": "object",
    "properties": {
        "sampleRate": {"type": "number", "minimum": 0, "maximum": 100, "default": 100},
        "propertyFilters": {
            **listed(titled("PropertyFilter", {"key": _TEXT_1000, "value": _TEXT_1000})),
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
_WEBHOOK: Final = titled("Webhook", _SHOWN)
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
_STATES: Final = one_of("waiting", "delivered", "failed", "dropped")
_DELIVERY: Final = titled(
    "WebhookDelivery",
    {
        "id": UUID,
        "request_id": UUID,
        "state": _STATES,
        "attempts": {"type": "integer"},
        "created_at": TIME,
        "next_attempt_at": TIME_OR_NULL,
        "last_attempt_at": TIME_OR_NULL,
        "status": maybe({"type": "integer"}),
        "error": TEXT_OR_NULL,
        "duration_ms": maybe({"type": "number"}),
    },
)
_TRIED: Final = titled(
    "WebhookTest",
    {
        "success": FLAG,
        "message": TEXT,
        "status": maybe({"type": "integer"}),
        "duration_ms": {"type": "number"},
    },
)
_ID: Final = {"webhook_id": UUID}
_ROTATE: Final[Schema] = {"rotateHmacKey": {"type": "boolean", "default": False}}

LIST: Final = usual(listed(_WEBHOOK))
CREATE: Final = usual(_NEW, 409, body=obj(_FIELDS, ("destination",)))
CHANGE: Final = usual(_NEW, 404, path=_ID, body=obj({**_FIELDS, **_ROTATE}))
REMOVE: Final = usual(NOTHING, 404, path=_ID)
TEST: Final = usual(_TRIED, 404, path=_ID)
DELIVERIES: Final = usual(
    titled(
        "WebhookDeliveries",
        {"deliveries": listed(_DELIVERY), "next_cursor": TEXT_OR_NULL},
    ),
    404,
    path=_ID,
    query={"limit": whole(1, 500, 50), "state": _STATES, "cursor": TEXT},
)
REPLAY: Final = usual(_DELIVERY, 404, 409, path={**_ID, "delivery_id": UUID})
