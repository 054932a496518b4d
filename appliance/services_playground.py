"""Calls of the playground: exchanges of this process's own making, through the same pipeline as a
client's. No listener is called and no credential is made for it: whose call it is was decided when
the caller was let in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core.access import Identity
from appliance.door.route_types import Kind, Route
from appliance.exchange import Exchange, Head, Headers, ReplySide
from appliance.features.admit import admitted_before

if TYPE_CHECKING:
    from appliance.process import Server

CHAT = b"/v1/chat/completions"
JSON_LINE = (b"content-type", b"application/json")


class PlaygroundOf:
    """The gateway of one server, from inside."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def call(
        self, identity: Identity, body: bytes, headers: Headers, address: str, reply: ReplySide
    ) -> None:
        """One chat completion. Its deadlines are kept by the door's sweeper, as of every other."""
        lines = [JSON_LINE, (b"content-length", b"%d" % len(body)), *headers]
        head = Head(b"POST", CHAT, "1.1", lines, dict(lines), client_address=address)
        route = Route(Kind.GATEWAY, 9, path=CHAT, record_path=CHAT, region=identity.region)
        facts = admitted_before(identity, self._server.house.gate)
        x = Exchange(head, reply, route, facts)
        exchanges = self._server.door.sweeper.exchanges
        exchanges.add(reply.watch)
        reply.watch.in_flight = True
        try:
            await self._server.handle(x)
        finally:
            reply.watch.in_flight = False
            exchanges.discard(reply.watch)
