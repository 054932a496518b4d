"""What the schema says of sign-in, organisations and the log of administrative acts."""

from typing import Final

from appliance.api.openapi_parts import (
    FLAG,
    NOTHING,
    REGION,
    TEXT,
    TIME,
    TIME_OR_NULL,
    UUID,
    WHOLE,
    Schema,
    in_path,
    in_query,
    listing,
    one_of,
    thing,
)
from appliance.api.openapi_parts import (
    settings_route as route,
)
from appliance.core.passwords import CHARACTERS_MAX, CHARACTERS_MIN
from appliance.core.roles import ROLES

_ROLE: Final = one_of(*ROLES)
_PASSWORD: Final[Schema] = {
    "type": "string", "format": "password", "minLength": CHARACTERS_MIN,
    "maxLength": CHARACTERS_MAX,
}  # fmt: skip
_EMAIL: Final[Schema] = {"type": "string", "format": "email", "maxLength": 254}
_NAME: Final[Schema] = {"type": "string", "maxLength": 200}
_ORGANIZATION: Final = {
    **thing(
        {"id": UUID, "name": TEXT, "region": REGION, "role": TEXT, "created_at": TIME},
    ),
    "title": "Organization",
}
_SESSION: Final = thing(
    {
        "signed_in": FLAG,
        "open": {"type": "boolean", "description": "whether calls without a key are answered"},
        "user": {**thing({"id": UUID, "email": TEXT, "name": TEXT}), "nullable": True},
        "organization": {**_ORGANIZATION, "nullable": True},
        "permission": {"type": "string", "enum": ["rw", "r", "w", ""]},
        "csrf_token": {"type": "string", "description": "for X-CSRF-Token of every change"},
    }
)
_MEMBER: Final = thing(
    {"id": UUID, "email": TEXT, "name": TEXT, "role": _ROLE, "created_at": TIME,
     "signed_in_at": TIME_OR_NULL}
)  # fmt: skip
_LINK_TOKEN: Final[Schema] = {"type": "string", "description": "what is behind token= in the link"}

SESSION: Final = route(_SESSION)
SIGN_IN: Final = route(
    _SESSION,
    request=thing(
        {"email": _EMAIL, "password": {"type": "string"}, "region": REGION,
         "key": {"type": "string", "description": "a Helicone key, instead of the others"}},
        required=(),
    ),
)  # fmt: skip
LINK: Final = route(
    _SESSION,
    request=thing(
        {"token": _LINK_TOKEN, "email": _EMAIL, "password": _PASSWORD, "name": _NAME},
        required=("token", "password"),
    ),
)
CHECK_LINK: Final = route(
    thing({"kind": one_of("first", "reset", "invite"), "email": TEXT, "role": TEXT,
           "expires_at": TIME}),
    request=thing({"token": _LINK_TOKEN}),
)  # fmt: skip
NULL: Final = route(NOTHING)
PASSWORD: Final = route(
    NOTHING, request=thing({"current_password": {"type": "string"}, "password": _PASSWORD})
)
MOVE: Final = route(_SESSION, request=thing({"organization_id": UUID}))
SESSIONS: Final = route(
    listing(
        thing({"id": UUID, "created_at": TIME, "seen_at": TIME, "expires_at": TIME,
               "address": TEXT, "user_agent": TEXT, "current": FLAG})
    )
)  # fmt: skip
DROP_SESSION: Final = route(NOTHING, parameters=[in_path("session_id")])

_ORG: Final = in_path("org_id")
ORGANIZATIONS: Final = route(listing(_ORGANIZATION))
ORGANIZATION: Final = route(_ORGANIZATION, parameters=[_ORG])
CREATE: Final = route(_ORGANIZATION, request=thing({"name": _NAME}))
RENAME: Final = route(_ORGANIZATION, request=thing({"name": _NAME}), parameters=[_ORG])
MEMBERS: Final = route(listing(_MEMBER), parameters=[_ORG])
INVITE: Final = route(
    thing({"id": UUID, "email": TEXT, "role": _ROLE, "expires_at": TIME,
           "url": {"type": "string", "description": "to hand over; it works once"}}),
    request=thing({"email": _EMAIL, "role": _ROLE}),
    parameters=[_ORG],
)  # fmt: skip
ROLE: Final = route(NOTHING, request=thing({"role": _ROLE}), parameters=[_ORG, in_path("user_id")])
REMOVE: Final = route(NOTHING, parameters=[_ORG, in_path("user_id")])
INVITES: Final = route(
    listing(thing({"id": UUID, "email": TEXT, "role": _ROLE, "created_at": TIME,
                   "expires_at": TIME})),
    parameters=[_ORG],
)  # fmt: skip
DROP_INVITE: Final = route(NOTHING, parameters=[_ORG, in_path("invite_id")])

AUDIT: Final = route(
    listing(
        thing({"id": WHOLE, "at": TIME, "organization_id": TEXT, "actor": TEXT, "action": TEXT,
               "target": TEXT, "detail": {"type": "object"}, "address": TEXT})
    ),
    parameters=[
        in_query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
        in_query("before", {"type": "integer", "minimum": 1}, "an id: what is older comes"),
        in_query("action", {"type": "string", "maxLength": 200}, "how the action begins"),
    ],
)  # fmt: skip
STATUS: Final = route(
    thing({
        "version": TEXT, "status": one_of("healthy", "degraded"), "ready": FLAG,
        "region": TEXT,
        "reasons": listing(thing({"part": TEXT, "since": TIME, "detail": TEXT})), "members": WHOLE,
    })
)  # fmt: skip
RETENTION: Final = route(
    thing({
        "region": TEXT,
        "retention_days": {"type": "integer", "nullable": True,
                           "description": "records older than that go; null: none do"},
        "retention_bytes": {"type": "integer", "nullable": True,
                            "description": "the oldest go when there is more; null: none do"},
    })
)  # fmt: skip

_DELETION: Final = thing(
    {"id": UUID, "kind": one_of("request", "session", "user", "organization"),
     "state": one_of("waiting", "done"),
     "exchanges": {"type": "integer", "description": "that were found and deleted"},
     "created_at": TIME, "done_at": TIME_OR_NULL}
)  # fmt: skip
DELETIONS: Final = route(listing(_DELETION))
DELETE: Final = route(
    _DELETION,
    request=thing(
        {"kind": one_of("request", "session", "user", "organization"),
         "id": {"type": "string", "minLength": 1, "maxLength": 4096}}
    ),
    status=202,
)  # fmt: skip
