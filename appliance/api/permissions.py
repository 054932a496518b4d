"""One guard in front of every route: it asks the table in `paths.py` who may call it."""

from typing import Final

from fastapi import Request

from appliance.api.audited import actor_of, begin
from appliance.api.links import caller_of
from appliance.api.paths import PERMISSIONS
from appliance.api.services import Services
from appliance.api.signed_in import check_csrf, find_signed_in
from appliance.core.access import (
    AUTHENTICATE,
    Identity,
    require_configure,
    require_govern,
    require_manage,
    require_read,
    require_write,
)
from appliance.core.headers import SEC_FETCH_SITE
from appliance.errors import Refusal

REQUIRED: Final = {
    "read": require_read, "write": require_write, "manage": require_manage,
    "configure": require_configure, "govern": require_govern,
}  # fmt: skip
# Who did what is written down (api/audited.py).
PAGES: Final = ("/sign-in", "/docs", "/docs/manual", "/{path:path}")
AUDITED: Final = ("manage", "configure", "govern")
FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")


async def guard(request: Request) -> None:
    """Runs before every endpoint, and before a body is read. Raises Refusal."""
    services: Services = request.app.state.services
    permission = PERMISSIONS[request.method, request.scope["route"].path]
    headers = dict(reversed(request.headers.raw))
    host = headers.get(b"host", b"")
    if permission in ("public", "signed"):
        services.access.check(_of_visit(request, headers), host)
    elif permission == "admin":
        services.access.check(headers, host)
        peer = request.client.host if request.client else ""
        address = services.access.caller_address(peer, request.headers.raw)
        services.wallets.check_admin(headers.get(b"authorization"), address)
        if request.method != "GET":
            begin(request, None, "admin_key", address)
    elif permission in REQUIRED:
        identity = await _admitted(request, services, headers, host)
        REQUIRED[permission](identity)
        if permission in AUDITED and request.method != "GET":
            begin(request, identity, actor_of(identity), caller_of(request).address)
    elif permission == "session":
        await _admitted(request, services, headers, host, session_only=True)
    else:
        _guard_metrics(services, headers, host, request.client.host if request.client else "")


def _of_visit(request: Request, headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Somebody who follows a link from a mail or a chat to a page of ours comes from another site,
    and may: opening these pages changes nothing."""
    visits = headers.get(b"sec-fetch-mode") == b"navigate" and request.method == "GET"
    if not visits or request.scope["route"].path not in PAGES:
        return headers
    return {name: value for name, value in headers.items() if name != SEC_FETCH_SITE}


async def _admitted(
    request: Request,
    services: Services,
    headers: dict[bytes, bytes],
    host: bytes,
    *,
    session_only: bool = False,
) -> Identity:
    """By the cookie of a session that counts, else by a key."""
    services.access.check(headers, host)
    found = await find_signed_in(request, headers)
    if found is not None:
        check_csrf(request, headers, found.csrf)
        request.state.signed_in = found
        identity = found.identity
    elif session_only:
        raise Refusal(401, "sign_in_needed", "Sign in first.", headers=AUTHENTICATE)
    else:
        identity = services.access.admit(headers, host)
    request.state.identity = identity
    return identity


def _guard_metrics(
    services: Services, headers: dict[bytes, bytes], host: bytes, client_ip: str
) -> None:
    access = services.access
    access.check(headers, host)
    # Brought by a proxy, the address is the proxy's: whoever asks may be anywhere.
    if headers.keys().isdisjoint(FORWARDED) and access.is_near(client_ip, host):
        return
    require_read(access.admit(headers, host))


def sees_details(request: Request) -> bool:
    """Whether the caller is told paths and errors of this machine: who may read the metrics is."""
    services: Services = request.app.state.services
    headers = dict(reversed(request.headers.raw))
    client_ip = request.client.host if request.client else ""
    try:
        _guard_metrics(services, headers, headers.get(b"host", b""), client_ip)
    except Refusal:
        return False
    return True


def identity_of(request: Request) -> Identity:
    """Whom the guard let in."""
    identity: Identity = request.state.identity
    return identity
