"""An Exchange without a door, for what looks at a few of its fields."""

from __future__ import annotations

from typing import Any

from appliance.exchange import Exchange, Head


def bare_exchange(**fields: Any) -> Exchange:
    """`fields` are set on it."""
    reply: Any = None
    x = Exchange(Head(b"POST", b"/", "1.1", [], {}), reply, None)
    for name, value in fields.items():
        setattr(x, name, value)
    return x
