"""What a request head says, once for all requests of a connection that send the same head.

A client's program sends the same header lines with every call, but for Content-Length and a few
that name the call (its user, its session, its trace). Everything here follows from those bytes and
the configuration alone; what can change between two calls (is the key still on file?) is asked each
time.
"""

from __future__ import annotations

from appliance.core import headers as names
from appliance.core.credentials import holds_key
from appliance.core.framing import LENGTH_DIGITS_MAX, Framing, value_fault
from appliance.door.route_types import Route
from appliance.exchange import Facts, Head

NAMES = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
LENGTH = b"content-length"
# Lines whose values programs change from call to call, and which say nothing of where a request
# goes, who sent it or how it is framed: ours go on the record, the others to the provider.
OUR_VARYING = frozenset({
    names.USER_ID, names.SESSION_ID, names.SESSION_PATH, names.SESSION_NAME, names.REQUEST_ID,
})  # fmt: skip
VARYING = frozenset({
    b"traceparent", b"tracestate", b"baggage", b"b3", b"sentry-trace", b"x-amzn-trace-id",
    b"x-cloud-trace-context", b"x-datadog-trace-id", b"x-datadog-parent-id", b"x-request-id",
    b"x-correlation-id", b"x-client-request-id", b"idempotency-key", b"x-stainless-retry-count",
})  # fmt: skip


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


class Changed:
    """A field at its place in the head: its old value, and its new one."""

    __slots__ = ("at", "lowered", "name", "old", "value")

    def __init__(self, at: int, name: bytes, lowered: bytes, old: bytes, value: bytes) -> None:
        self.at = at
        self.name = name
        self.lowered = lowered
        self.old = old
        self.value = value


class Visit:
    """A head that was parsed and routed, and how to recognise it."""

    __slots__ = (
        "_after", "_before", "_has_length", "_lines", "_raw", "facts", "framing", "head", "keep",
        "route",
    )  # fmt: skip

    def __init__(self, raw: bytes, head: Head, framing: Framing, keep: bool, route: Route) -> None:
        self._before, digits, self._after = split_length(raw)
        self._has_length = bool(digits)
        self._raw = raw
        self._lines: list[bytes] = []
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

    def like(self, raw: bytes) -> Visit | None:
        """What `raw` says if it differs from this head only in the values of some lines of VARYING,
        or in its length: the same but for those lines. Else None."""
        lines = raw.split(b"\r\n")
        head = self.head
        was = self._lines or self._raw.split(b"\r\n")
        if (
            len(lines) != len(was)
            or len(was) != len(head.headers) + 3  # every line is a field, and nothing was left out
            or len(head.first) != len(head.headers)  # no name twice
        ):
            return None
        self._lines = was
        changed: list[Changed] = []
        framing = self.framing
        for at, line in enumerate(lines):
            if line != was[at]:
                change = self._change(at - 1, line) if at else None
                if change is None:
                    return None
                changed.append(change)
                if change.lowered == LENGTH:
                    framing = Framing("length", int(change.value), framing.reuse)
        fields = head.headers.copy()
        first = head.first.copy()
        for change in changed:
            fields[change.at] = (fields[change.at][0], change.value)
            first[change.lowered] = change.value
        visit = Visit(
            raw,
            Head(
                head.method, head.target, head.version, fields, first, head.scheme,
                head.client_address,
            ),
            framing, self.keep, self.route,
        )  # fmt: skip
        visit._lines = lines
        visit.facts = self._facts_after(changed)
        return visit

    def _change(self, at: int, line: bytes) -> Changed | None:
        """What `line` makes of the field at this place, if it may be taken as it is."""
        name, old = self.head.headers[at]
        size = len(name)
        if line[:size] != name or line[size : size + 1] != b":":
            return None
        begin = size + 2 if line[size + 1 : size + 2] == b" " else size + 1
        value = line[begin:]
        lowered = name.lower()
        if lowered == LENGTH:
            usual = self.framing.kind == "length" and value.isdigit()
            if not usual or len(value) > LENGTH_DIGITS_MAX:
                return None
        elif lowered[:9] == names.PREFIX:
            if lowered not in OUR_VARYING and lowered[:18] != names.PROPERTY_PREFIX:
                return None
        elif lowered not in VARYING or holds_key(value, self.facts.found_key):
            return None
        if not value or value.strip() != value or value_fault(value):
            return None
        return Changed(at, name, lowered, old, value)

    def _facts_after(self, changed: list[Changed]) -> Facts:
        """The facts of this head with some of its lines changed."""
        facts = self.facts.copy()
        if facts.lent is not None:  # header lines of its own, in which nothing was changed
            facts.aim = facts.lent = None
        for change in changed:
            if change.lowered[:9] == names.PREFIX:
                facts.asks = None
            elif facts.aim is not None and change.lowered != LENGTH:
                facts.aim = facts.aim.with_field(change.name, change.old, change.value)
        return facts
