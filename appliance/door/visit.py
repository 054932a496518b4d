"""What a request head says, once for all requests of a connection that send the same head.

A client's program sends the same header lines with every call, but for Content-Length. Everything
here follows from those bytes and the configuration alone; what can change between two calls (is the
key still on file?) is asked each time.
"""

from __future__ import annotations

from appliance.core.framing import LENGTH_DIGITS_MAX, Framing
from appliance.door.route_types import Route
from appliance.exchange import Facts, Head

NAMES = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")


def split_length(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """A raw head before, in and behind the digits of its Content-Length, as the usual clients
    write it; digits b"" when there are none."""
    for name in NAMES:
        at = raw.find(name)
        if at >= 0:
            begin = at + 18
            end = raw.find(b"\r", begin)
            return raw[:begin], raw[begin:end], raw[end:]
    return raw, b"", b""


class Visit:
    """A head that was parsed and routed, and how to recognise it."""

    __slots__ = ("_after", "_before", "_has_length", "facts", "framing", "head", "keep", "route")

    def __init__(self, raw: bytes, head: Head, framing: Framing, keep: bool, route: Route) -> None:
        self._before, digits, self._after = split_length(raw)
        self._has_length = bool(digits)
        self.head = head
        self.framing = framing
        self.keep = keep
        self.route = route
        self.facts = Facts()

    def again(self, raw: bytes) -> Framing | None:
        """The framing of `raw` if it is the same head with another length, else None.

        Only digits differ from a head that passed every check, so it passes them too.
        """
        before, digits, after = split_length(raw)
        if before != self._before or after != self._after:
            return None
        if not self._has_length:
            return self.framing
        if not digits.isdigit() or len(digits) > LENGTH_DIGITS_MAX:
            return None
        return Framing("length", int(digits), self.framing.reuse)
