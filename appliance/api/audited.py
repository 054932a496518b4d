"""Who changed what is written down before the change is answered: for every route whose permission
says so (`permissions.AUDITED`), whether its endpoint thinks of it or not.

An endpoint may name the act and its target with `note`; no value that is secret goes there.
"""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.services import Services
from appliance.core.access import Identity
from appliance.errors import Refusal
from storage.audit import Act, add_act

KEY: Final = "audited"
CHANGED_BELOW: Final = 400


class Pending:
    """What is written down if the call succeeds."""

    def __init__(self, region: str, act: Act) -> None:
        self.region = region
        self.act = act


def begin(request: Request, identity: Identity | None, actor: str, address: str) -> None:
    """Of the guard: this call is to be written down."""
    params = request.path_params
    org = str(UUID(bytes=identity.org)) if identity is not None and identity.org else ""
    act = Act(
        org,
        actor,
        f"{request.method} {request.scope['route'].path}",
        " ".join(f"{name}={value}" for name, value in params.items()),
        address=address,
    )
    region = identity.region if identity is not None else ""
    request.scope["state"][KEY] = Pending(region, act)


def note(request: Request, action: str, target: str = "", **detail: Any) -> None:  # noqa: ANN401
    """What the act is called, what it was done to, and what else tells of it."""
    pending: Pending | None = request.scope["state"].get(KEY)
    if pending is not None:
        act = pending.act
        pending.act = Act(act.organization_id, act.actor, action, target, detail, act.address)


def note_of(request: Request, region: str, org: bytes, action: str, **detail: Any) -> None:  # noqa: ANN401
    """The same of an administrator's act, which is written down where the organisation is."""
    note(request, action, **detail)
    pending: Pending | None = request.scope["state"].get(KEY)
    if pending is not None:
        pending.region = region
        pending.act = replace(pending.act, organization_id=str(UUID(bytes=org)))


def actor_of(identity: Identity) -> str:
    """Who acts."""
    if identity.user:
        return f"user:{identity.user}"
    return f"key:{identity.key_id}" if identity.key_id else "open"


class Audited:
    """Middleware, inside all others."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})  # one for the route as well, however it is copied

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < CHANGED_BELOW:
                pending: Pending | None = state.pop(KEY, None)
                if pending is not None:
                    await self._write(pending)
            await send(message)

        await self._app(scope, receive, sending)

    async def _write(self, pending: Pending) -> None:
        """Open: the change was made, and is answered; that it was not written down is logged."""
        tables, act = self._services.tables, pending.act
        region = pending.region
        if region not in tables:  # nothing that an organisation of another region has is named
            region, act = next(iter(tables)), replace(act, target="", detail={})
        try:
            await tables[region].write(lambda connection: add_act(connection, act))
        except Refusal as refusal:
            self._services.operations.refused(refusal)
