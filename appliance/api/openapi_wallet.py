"""What the schema at /download/swagger.json says of the wallet's endpoints."""

from typing import Any, Final

_CENTS: Final = {"type": "number", "description": "cents of USD, exact to 10⁻¹⁰"}
_TEXT: Final = {"type": "string"}
_ERROR: Final = {
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": _TEXT}, "required": ["error"]}
        }
    }
}
_STATE: Final = {
    "type": "object",
    "title": "WalletState",
    "properties": {
        **dict.fromkeys(
            ("balance", "effectiveBalance", "totalEscrow", "totalDebits", "totalCredits",
             "creditLine"),
            _CENTS,
        ),
        "disallowList": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": dict.fromkeys(("helicone_request_id", "provider", "model"), _TEXT),
            },
        },
        "disputeStatus": {"type": "string", "enum": ["active", "suspended"]},
        "activeDisputes": {"type": "array", "items": {"type": "object"}},
        "applied": {
            "type": "boolean",
            "description": "of a change: false when it had been made before",
        },
    },
}  # fmt: skip
_PAGE: Final = {
    "type": "object",
    "properties": {
        "tableName": _TEXT,
        "orgId": {"type": "string", "format": "uuid"},
        "page": {"type": "integer"},
        "pageSize": {"type": "integer"},
        "data": {"type": "array", "items": {"type": "object"}},
        "total": {"type": "integer"},
    },
}
_ADMIN: Final = {
    401: {"description": "admin_key is missing or wrong", **_ERROR},
    404: {"description": "There is no such organisation", **_ERROR},
    429: {"description": "Too many calls, or wrong keys", **_ERROR},
    500: {"description": "No admin_key is configured", **_ERROR},
}


def _in_path(name: str, **schema: Any) -> dict[str, Any]:  # noqa: ANN401 - schema parts
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", **schema}}


def _in_query(name: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"name": name, "in": "query", "required": required, "schema": schema}


_ORG: Final = _in_path("org", format="uuid")
_REGION: Final = _in_query("region", type="string", enum=["us", "eu"])


def _route(
    schema: dict[str, Any],
    *parameters: dict[str, Any],
    body: dict[str, Any] | None = None,
    errors: dict[int, Any] | None = None,
) -> dict[str, Any]:
    extra: dict[str, Any] = {"parameters": list(parameters)}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return {
        "responses": {
            200: {"description": "OK", "content": {"application/json": {"schema": schema}}},
            400: {"description": "A field is not what it should be", **_ERROR},
            **(errors or {}),
            503: {"description": "The ledger cannot be relied upon now", **_ERROR},
        },
        "openapi_extra": extra,
    }


STATE: Final = _route(_STATE)
TOTAL: Final = _route(
    {"type": "object", "properties": {"totalCredits": _CENTS}},
    _in_query("orgId", required=True, type="string", format="uuid"), _REGION,
    errors=_ADMIN,
)  # fmt: skip
ADMIN_STATE: Final = _route(_STATE, _ORG, _REGION, errors=_ADMIN)
PAGE: Final = _route(
    _PAGE, _ORG,
    _in_path(
        "table",
        enum=["credit_purchases", "aggregated_debits", "escrows", "disallow_list",
              "processed_webhook_events", "disputes"],
    ),
    _in_query("page", type="integer", minimum=0, default=0),
    _in_query("pageSize", type="integer", minimum=1, maximum=1000, default=50), _REGION,
    errors=_ADMIN,
)  # fmt: skip
MODIFY: Final = _route(
    _STATE, _ORG, _REGION,
    errors={**_ADMIN, 409: {"description": "referenceId stands for another change", **_ERROR}},
    body={
        "type": "object",
        "required": ["amount", "type", "reason", "referenceId"],
        "properties": {
            "amount": {"oneOf": [{**_CENTS, "exclusiveMinimum": True, "minimum": 0}, _TEXT]},
            "type": {"type": "string", "enum": ["credit", "debit"]},
            "reason": _TEXT,
            "referenceId": {"type": "string", "description": "said again it counts once"},
            "adminUserId": _TEXT,
        },
    },
)  # fmt: skip
ALLOW: Final = _route(
    _STATE, _ORG, _REGION,
    errors=_ADMIN,
    body={
        "type": "object",
        "required": ["provider", "model"],
        "properties": {"provider": _TEXT, "model": _TEXT},
    },
)  # fmt: skip
WEBHOOK: Final = _route(
    {
        "type": "object",
        "properties": {
            "received": {"type": "boolean"},
            "applied": {"type": "boolean"},
            "reason": {"type": "string", "nullable": True},
        },
    },
    {"name": "stripe-signature", "in": "header", "required": True, "schema": _TEXT},
    errors={500: {"description": "No stripe_webhook_secret is configured", **_ERROR}},
    body={"type": "object", "description": "an event, as Stripe signs it"},
)
