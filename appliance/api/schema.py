"""The document at /download/swagger.json, completed: what every endpoint may answer beside what it
says itself, and how a caller says who it is. From the routes and from `paths.py`, so that neither
has to be said twice.
"""

from typing import Any, Final

from fastapi import FastAPI

from appliance.api.paths import PERMISSIONS

BY_KEY: Final = ("read", "write", "manage", "configure")
BY_PERSON: Final = ("govern", "session")
SCHEMES: Final = {
    "key": {"type": "http", "scheme": "bearer", "description": "a Helicone key"},
    "session": {
        "type": "apiKey", "in": "cookie", "name": "helicone_session",
        "description": "of POST /v1/auth/sign-in; changes need X-CSRF-Token as well",
    },
    "admin_key": {"type": "http", "scheme": "bearer", "description": "admin_key"},
}  # fmt: skip
ERROR: Final = {
    "description": "A refusal: `error` names the field and what to do",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    # A call that is refused before it reaches an endpoint hears a provider's form.
                    "error": {"anyOf": [{"type": "string"}, {"type": "object"}]},
                    "data": {"nullable": True},
                },
            }
        }
    },
}


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document; made once."""
    known = app.openapi_schema is not None
    found = app.openapi()
    if known:
        return found
    # The schemas are written in the words of this version: `nullable` means nothing in 3.1.
    found["openapi"] = "3.0.3"
    found.setdefault("components", {})["securitySchemes"] = SCHEMES
    for path, operations in found["paths"].items():
        for verb, operation in operations.items():
            answers = operation["responses"]
            for status in [known for known in answers if known[:1] in ("4", "5")]:
                answers[status] = {**ERROR, "description": answers[status]["description"]}
            answers.setdefault("default", ERROR)
            operation["security"] = _security(PERMISSIONS[verb.upper(), path])
            operation["x-permission"] = PERMISSIONS[verb.upper(), path]
    return found


def _security(permission: str) -> list[dict[str, list[str]]]:
    """Any of these. Without a key open access answers as well where no session is asked for."""
    if permission in BY_KEY:
        return [{"key": []}, {"session": []}]
    if permission in BY_PERSON:
        return [{"session": []}]
    return [{"admin_key": []}] if permission == "admin" else []
