"""What the schema says of keys, rate limits, saved filters and credits."""

from typing import Final

from appliance.api.openapi_parts import (
    FLAG,
    INTEGER,
    NOTHING,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Schema,
    listed,
    one_of,
    route,
    thing,
)

_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}
_SECRET: Final[Schema] = {"type": "string", "format": "password", "maxLength": 8192}
_NULL: Final[Schema] = {"type": "string", "nullable": True, "description": "always null"}
_PERMISSIONS: Final = one_of("rw", "r", "w")

# -- keys of the organisation

_KEY: Final = thing(
    {"id": UUID, "api_key_name": TEXT, "key_permissions": _PERMISSIONS, "organization_id": UUID,
     "rate_limited": {"type": "boolean", "nullable": True}, "created_at": TIME,
     "soft_delete": FLAG}
)  # fmt: skip
_HASHED: Final = thing({"id": UUID, "hashedKey": TEXT})
KEYS: Final = route(listed(_KEY))
KEY_USAGE: Final = route(
    listed(thing({"id": UUID, "last_used_at": TIME_OR_NULL, "calls_30d": INTEGER}))
)
CREATE_KEY: Final = route(
    thing({"id": UUID, "apiKey": {"type": "string", "description": "told this once"},
           "hashedKey": TEXT}),
    body=thing(
        {"api_key_name": _NAME, "key_permissions": {**_PERMISSIONS, "default": "rw"},
         "rate_limited": {"type": "boolean", "default": False,
                          "description": "under the stored rate limits of the organisation"}},
        required=("api_key_name",),
    ),
    bare=True,
)  # fmt: skip
_BY_KEY: Final = {"key_id": UUID}
CHANGE_KEY: Final = route(_HASHED, body=thing({"api_key_name": _NAME}), path=_BY_KEY, bare=True)
DROP_KEY: Final = route(_HASHED, path=_BY_KEY, bare=True)

# -- providers' keys

PROVIDER_KEY_FIELDS: Final = (
    "providerKey", "providerSecretKey", "providerKeyName", "base_url", "config", "byokEnabled",
)  # fmt: skip
_PROVIDER_KEY: Final = thing(
    {"id": UUID, "org_id": UUID, "provider_name": TEXT, "provider_key_name": TEXT,
     "provider_key": _NULL, "provider_secret_key": _NULL, "auth_type": TEXT,
     "byok_enabled": FLAG, "base_url": TEXT, "config": {"type": "object"},
     "needs_key": {"type": "boolean", "description": "out of use until it is entered again"},
     "created_at": TIME, "entered_at": TIME}
)  # fmt: skip
_CHANGES: Final = {
    "providerKey": _SECRET, "providerSecretKey": _SECRET,
    "providerKeyName": {"type": "string", "maxLength": 200}, "base_url": TEXT,
    "config": {"type": "object", "additionalProperties": {"type": "string"}}, "byokEnabled": FLAG,
}  # fmt: skip
_BY_PROVIDER_KEY: Final = {"provider_key_id": UUID}
PROVIDER_KEYS: Final = route(listed(_PROVIDER_KEY), bare=True)
STORABLE: Final = route(
    listed(
        thing(
            {"id": TEXT, "aliases": listed(TEXT), "base_url": TEXT,
             "secret": one_of("key", "pair", "service_account"), "settings": listed(TEXT),
             "needs_address": FLAG}
        )
    )
)  # fmt: skip
ADD_PROVIDER_KEY: Final = route(
    _PROVIDER_KEY,
    body=thing(
        {"providerName": TEXT, "authType": one_of("key", "session_token"), **_CHANGES},
        required=("providerName", "providerKey"),
    ),
    bare=True,
)
PROVIDER_KEY: Final = route(_PROVIDER_KEY, path=_BY_PROVIDER_KEY, bare=True)
CHANGE_PROVIDER_KEY: Final = route(
    _PROVIDER_KEY,
    body=thing(_CHANGES, required=()),
    path=_BY_PROVIDER_KEY,
    bare=True,
)
_PROXY_KEY: Final = thing(
    {"id": UUID, "name": TEXT, "provider_key_id": UUID, "limits": listed(TEXT),
     "created_at": TIME}
)  # fmt: skip
PROXY_KEYS: Final = route(listed(_PROXY_KEY), bare=True)
ADD_PROXY_KEY: Final = route(
    thing({"proxyKeyId": UUID, "proxyKey": {"type": "string", "description": "told this once"}}),
    body=thing(
        {"providerKeyId": UUID, "proxyKeyName": _NAME,
         "limits": {"type": "array", "items": TEXT, "maxItems": 20}},
        required=("providerKeyId", "proxyKeyName"),
    ),
    bare=True,
)  # fmt: skip
DROP_PROXY_KEY: Final = route(_PROXY_KEY, path={"proxy_key_id": UUID}, bare=True)

_VAULT_KEY: Final = thing(
    {"id": UUID, "provider_key": _NULL, "provider_name": TEXT, "provider_key_name": TEXT}
)
VAULT_ADD: Final = route(
    thing({"id": UUID}),
    body=thing(
        {"provider": TEXT, "key": _SECRET, "name": {"type": "string", "maxLength": 200}},
        required=("provider", "key"),
    ),
)
VAULT_KEYS: Final = route(listed(_VAULT_KEY))
VAULT_KEY: Final = route(_VAULT_KEY, path=_BY_PROVIDER_KEY)
VAULT_UPDATE: Final = route(
    NOTHING,
    body=thing(
        {"key": _SECRET, "name": {"type": "string", "maxLength": 200}, "active": FLAG},
        required=(),
    ),
    path=_BY_PROVIDER_KEY,
)

# -- rate limits

_RULE: Final = {
    "name": _NAME,
    "quota": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 10**12},
    "window_seconds": {"type": "integer", "minimum": 60, "maximum": 31_536_000},
    "unit": one_of("requests", "cents"),
    "segment": {"type": "string", "description": "global, user, or a property's name"},
}
_SHOWN_RULE: Final = thing(
    {"id": UUID, **_RULE, "name": TEXT, "quota": {"type": "number"}, "window_seconds": INTEGER,
     "policy": TEXT, "created_at": TIME, "updated_at": TIME}
)  # fmt: skip
_BY_RULE: Final = {"rule_id": UUID}
LIMITS: Final = route(listed(_SHOWN_RULE))
LIMIT: Final = route(_SHOWN_RULE, path=_BY_RULE)
ADD_LIMIT: Final = route(
    _SHOWN_RULE,
    body=thing(_RULE, required=("name", "quota", "window_seconds", "unit")),
    status=201,
)
CHANGE_LIMIT: Final = route(_SHOWN_RULE, body=thing(_RULE, required=()), path=_BY_RULE)
DROP_LIMIT: Final = route(NOTHING, path=_BY_RULE)

# -- budgets

_BUDGET: Final = {
    "id": UUID,
    "scope": {"type": "string", "description": "key, user, or property:NAME"},
    "value": {"type": "string", "description": "a key's id, a user, a value; * is each for itself"},
    "period": one_of("day", "week", "month"),
    "limit_usd": {"type": "string", "description": "decimal text, exact to 10⁻¹²"},
}  # fmt: skip
BUDGETS: Final = route(
    listed(
        thing(
            {
                **_BUDGET,
                "spent_usd": TEXT,
                "held_usd": TEXT,
                "each": FLAG,
                "values": INTEGER,
                "begins_anew": TEXT,
            }
        )
    )
)
SET_BUDGET: Final = route(
    thing(_BUDGET),
    body=thing(
        {"scope": {**_BUDGET["scope"], "pattern": "^(key|user|property:.+)$"},
         "value": {"type": "string", "maxLength": 256, "default": "*"},
         "period": {**_BUDGET["period"], "default": "month"},
         "limit_usd": {"oneOf": [{"type": "number", "minimum": 0}, TEXT]}},
        required=("scope", "limit_usd"),
    ),
)  # fmt: skip
DROP_BUDGET: Final = route(NOTHING, path={"budget_id": UUID})

# -- saved filters

_ANY: Final[Schema] = {"description": "any JSON of at most 64 KiB"}
_FILTER: Final = thing({"id": UUID, "name": TEXT, "filter": _ANY, "createdAt": TIME})
_BY_FILTER: Final = {"filter_id": UUID}
FILTERS: Final = route(listed(_FILTER))
FILTER: Final = route(_FILTER, path=_BY_FILTER)
ADD_FILTER: Final = route(
    thing({"id": UUID}), body=thing({"name": _NAME, "filter": _ANY}), status=201
)
CHANGE_FILTER: Final = route(
    NOTHING,
    body=thing(
        {"name": _NAME, "filter": _ANY,
         "filters": thing({"name": _NAME, "filter": _ANY}, required=())},
        required=(),
    ),
    path=_BY_FILTER,
)  # fmt: skip
DROP_FILTER: Final = route(NOTHING, path=_BY_FILTER)

# -- credits

_CENTS: Final[Schema] = {"type": "number", "description": "cents of USD"}
BALANCE: Final = route(thing({"totalCreditsPurchased": _CENTS, "balance": _CENTS}))
PAYMENTS: Final = route(
    thing(
        {"purchases": listed(
            thing({"id": UUID, "createdAt": INTEGER, "credits": _CENTS,
                   "referenceId": TEXT_OR_NULL})
        ), "total": INTEGER, "page": INTEGER, "pageSize": INTEGER}
    ),
    query={
        "page": {"type": "integer", "minimum": 0, "maximum": 10**9, "default": 0},
        "pageSize": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
    },
)  # fmt: skip
TOTAL_SPEND: Final = route(thing({"totalSpend": _CENTS}))
BREAKDOWN: Final = route(
    thing({"models": listed({"type": "object"}), "totalCost": {"type": "number"},
           "timeRange": thing({"start": TIME, "end": TIME})}),
    query={"timeRange": {**one_of("7d", "30d", "90d", "all"), "default": "30d"}},
)  # fmt: skip
INVOICES: Final = route(listed({"type": "object"}))
