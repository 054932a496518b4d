"""Names to addresses, asked of the system in a thread and remembered for a short while.

What the answers are good for is judged by whoever connects, each time (field.md B8: rebinding).
"""

import socket
import time
from collections.abc import Callable
from ipaddress import ip_address

import trio

from appliance.upstream.address import is_localhost

RESOLVED_TTL_S = 30.0
RESOLVED_NAMES_MAX = 1024
ADDRESSES_MAX = 8  # tried for one name


class Resolver:
    """Names to addresses, with a bounded memory of good answers. One look-up per name at a time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[str, trio.Event] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Addresses of a normalised host, best first. Raises OSError (socket.gaierror)."""
        if is_localhost(host):
            return ("127.0.0.1", "::1")
        if _is_address(host):
            return (host,)
        while True:
            known = self._known.get(host)
            if known is not None and self._clock() < known[0]:
                return known[1]
            asking = self._asking.get(host)
            if asking is None:
                return await self._ask(host)
            await asking.wait()
            # It may have failed or been cancelled: then this task is the next to ask.

    async def _ask(self, host: str) -> tuple[str, ...]:
        answered = self._asking[host] = trio.Event()
        try:
            rows = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        finally:
            del self._asking[host]
            answered.set()
        addresses = tuple(dict.fromkeys(str(row[4][0]) for row in rows))[:ADDRESSES_MAX]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        self._known.pop(host, None)
        if len(self._known) >= RESOLVED_NAMES_MAX:
            del self._known[next(iter(self._known))]
        self._known[host] = (self._clock() + RESOLVED_TTL_S, addresses)
        return addresses


RESOLVER = Resolver()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
