"""One guard in front of every route: it asks the table in `paths.py` who may call it."""

from typing import Final

from fastapi import Request

from appliance.api.paths import PERMISSIONS
from appliance.api.services import Services
from appliance.core.access import Identity, require_manage, require_read, require_write
from appliance.errors import Refusal

REQUIRED: Final = {"read": require_read, "write": require_write, "manage": require_manage}
FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")


async def guard(request: Request) -> None:
    """Runs before every endpoint, and before a body is read. Raises Refusal."""
    services: Services = request.app.state.services
    permission = PERMISSIONS[request.method, request.scope["route"].path]
    headers = dict(reversed(request.headers.raw))
    host = headers.get(b"host", b"")
    if permission in ("public", "signed"):
        services.access.check(headers, host)
    elif permission == "admin":
        services.access.check(headers, host)
        address = request.client.host if request.client else ""
        services.wallets.check_admin(headers.get(b"authorization"), address)
    elif permission in REQUIRED:
        identity = services.access.admit(headers, host)
        REQUIRED[permission](identity)
        request.state.identity = identity
    else:
        _guard_metrics(services, headers, host, request.client.host if request.client else "")


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
