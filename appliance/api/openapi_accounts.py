"""What the schema says of sign-in, organisations and the log of administrative acts."""

from typing import Final

from appliance.api.openapi_parts import (
    FLAG,
    INTEGER,
    NOTHING,
    REGION,
    TEXT,
    TIME,
    TIME_OR_NULL,
    UUID,
    Schema,
    listed,
    one_of,
    route,
    thing,
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
    body=thing(
        {"email": _EMAIL, "password": {"type": "string"}, "region": REGION,
         "key": {"type": "string", "description": "a Helicone key, instead of the others"}},
        required=(),
    ),
)  # fmt: skip
LINK: Final = route(
    _SESSION,
    body=thing(
        {"token": _LINK_TOKEN, "email": _EMAIL, "password": _PASSWORD, "name": _NAME},
        required=("token", "password"),
    ),
)
CHECK_LINK: Final = route(
    thing({"kind": one_of("first", "reset", "invite"), "email": TEXT, "role": TEXT,
           "expires_at": TIME}),
    body=thing({"token": _LINK_TOKEN}),
)  # fmt: skip
NULL: Final = route(NOTHING)
PASSWORD: Final = route(
    NOTHING, body=thing({"current_password": {"type": "string"}, "password": _PASSWORD})
)
MOVE: Final = route(_SESSION, body=thing({"organization_id": UUID}))
SESSIONS: Final = route(
    listed(
        thing({"id": UUID, "created_at": TIME, "seen_at": TIME, "expires_at": TIME,
               "address": TEXT, "user_agent": TEXT, "current": FLAG})
    )
)  # fmt: skip
DROP_SESSION: Final = route(NOTHING, path={"session_id": UUID})

_ORG: Final = {"org_id": UUID}
ORGANIZATIONS: Final = route(listed(_ORGANIZATION))
ORGANIZATION: Final = route(_ORGANIZATION, path=_ORG)
CREATE: Final = route(_ORGANIZATION, body=thing({"name": _NAME}))
RENAME: Final = route(_ORGANIZATION, body=thing({"name": _NAME}), path=_ORG)
MEMBERS: Final = route(listed(_MEMBER), path=_ORG)
INVITE: Final = route(
    thing({"id": UUID, "email": TEXT, "role": _ROLE, "expires_at": TIME,
           "url": {"type": "string", "description": "to hand over; it works once"}}),
    body=thing({"email": _EMAIL, "role": _ROLE}),
    path=_ORG,
)  # fmt: skip
ROLE: Final = route(NOTHING, body=thing({"role": _ROLE}), path={**_ORG, "user_id": UUID})
REMOVE: Final = route(NOTHING, path={**_ORG, "user_id": UUID})
INVITES: Final = route(
    listed(thing({"id": UUID, "email": TEXT, "role": _ROLE, "created_at": TIME,
                   "expires_at": TIME})),
    path=_ORG,
)  # fmt: skip
DROP_INVITE: Final = route(NOTHING, path={**_ORG, "invite_id": UUID})

AUDIT: Final = route(
    listed(
        thing({"id": INTEGER, "at": TIME, "organization_id": TEXT, "actor": TEXT, "action": TEXT,
               "target": TEXT, "detail": {"type": "object"}, "address": TEXT})
    ),
    query={
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        "before": {"type": "integer", "minimum": 1, "description": "an id: what is older comes"},
        "action": {"type": "string", "maxLength": 200, "description": "how the action begins"},
    },
)  # fmt: skip
STATUS: Final = route(
    thing({
        "version": TEXT, "status": one_of("healthy", "degraded"), "ready": FLAG,
        "region": TEXT,
        "reasons": listed(thing({"part": TEXT, "since": TIME, "detail": TEXT})), "members": INTEGER,
    })
)  # fmt: skip
RETENTION: Final = route(
    thing({
        "region": TEXT,
        "retention_days": {"type": "integer", "nullable": True,
                           "description": "records older than that go; null: none do"},
        "retention_bytes": {"type": "integer", "nullable": True,
                            "description": "the oldest go when there is more; null: none do"},
        "retention_datasets": {"type": "boolean",
                               "description": "whether rows of datasets are too old by then, too"},
    })
)  # fmt: skip

_ERASED: Final = one_of("request", "session", "user", "organization", "span")
_DELETION: Final = thing(
    {"id": UUID, "kind": _ERASED,
     "state": one_of("waiting", "done"),
     "exchanges": {"type": "integer", "description": "that were found and deleted"},
     "created_at": TIME, "done_at": TIME_OR_NULL}
)  # fmt: skip
DELETIONS: Final = route(listed(_DELETION))
DELETE: Final = route(
    _DELETION,
    body=thing(
        {"kind": _ERASED,
         "id": {"type": "string", "minLength": 1, "maxLength": 4096}}
    ),
    status=202,
)  # fmt: skip
