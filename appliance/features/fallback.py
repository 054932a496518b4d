"""`Helicone-Fallbacks`: targets tried in order, under one id and on one record (proxy.md 6.2).

Every entry is checked before the first is called. Which results go on is in `core/fallbacks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from appliance.core.fallbacks import FallbackTarget, goes_on, targets_of, with_override
from appliance.core.urls import Target
from appliance.errors import Refusal
from appliance.exchange import Body, Exchange, Headers

REPLY_INDEX = b"helicone-fallback-index"
BODY_BYTES_MAX = 32 * 1024 * 1024

# Gives the door's Route, which lies above.
RouteTo = Callable[[Target, bytes], Any]


@dataclass(slots=True)
class Entry:
    """One target with the way to it, a Route."""

    targets: Sequence[FallbackTarget]
    index: int
    way: Any

    @property
    def fields(self) -> Headers:
        """The header lines that go there in place of the client's."""
        return self.targets[self.index].headers

    def given_up(self, status: int) -> bool:
        """Whether the next entry is tried after this result."""
        return goes_on(self.targets, self.index, status)


def fallback_entries(x: Exchange, route_to: RouteTo) -> list[Entry]:
    """All entries, checked. Raises Refusal: 400 for a header that cannot be, 403 for a target that
    may not be reached."""
    targets = targets_of(x.asks, x.head.first)
    if not targets:
        raise Refusal(400, "helicone_fallbacks_invalid", "Helicone-Fallbacks names no target.")
    if x.body.length > BODY_BYTES_MAX and any(target.body_override for target in targets):
        raise Refusal(
            413, "body_too_large",
            "bodyKeyOverride works on bodies up to 32 MiB. Leave it out of Helicone-Fallbacks, or "
            "send a smaller body.",
        )  # fmt: skip
    return [Entry(targets, target.index, _way(x, target, route_to)) for target in targets]


def _way(x: Exchange, target: FallbackTarget, route_to: RouteTo) -> Any:  # noqa: ANN401
    way = route_to(target.target, x.route.path)
    way.record_path, way.region = x.route.record_path, x.route.region
    return way


class Fallbacks:
    """The exchange on its way along the entries. The client's own body is kept for all of them."""

    def __init__(self, x: Exchange) -> None:
        self._x = x
        self._original = x.body

    async def enter(self, entry: Entry) -> None:
        """Turn the exchange to this entry: route, asks and body. Raises Refusal 400."""
        x, target = self._x, entry.targets[entry.index]
        x.route = entry.way
        x.asks = target.asks
        x.dialect = entry.way.provider.dialect
        x.body = await _body_for(self._original, target)
        index = REPLY_INDEX, b"%d" % entry.index
        x.reply_headers = [field for field in x.reply_headers if field[0] != REPLY_INDEX]
        x.reply_headers.append(index)

    def close(self) -> None:
        """Give back what only the client's own body needed."""
        spill = self._original.spill
        if spill is not None and self._x.body is not self._original:
            spill.close()


async def _body_for(body: Body, target: FallbackTarget) -> Body:
    override = target.body_override
    if not override:
        return body
    if body.spill is None:
        edited = with_override(body.data, override)
    else:
        spill = body.spill
        edited = await trio.to_thread.run_sync(
            lambda: with_override(spill.begin(body.length), override)
        )
    return Body(edited, None, len(edited), body.trailers)
