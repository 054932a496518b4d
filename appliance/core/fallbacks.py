"""`Helicone-Fallbacks`: targets tried in order, each with headers of its own (proxy.md 6.2).

The list itself is read in asks.py. Here it is checked before anything is called, and turned into
what is sent to each target. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from appliance.core import headers as names
from appliance.core.ask_types import Asks, CodeRange, Fallback
from appliance.core.asks import parse_asks
from appliance.core.credentials import Credentials, Headers, find_credentials, forward_headers
from appliance.core.framing import field_fault
from appliance.core.urls import Target, parse_target
from appliance.errors import Refusal

ENTRIES_MAX: Final = 16
OVERRIDE_DEPTH_MAX: Final = 32
# Keys by which a program in JavaScript could be made to change its own objects.
UNSAFE_KEYS: Final = frozenset({"__proto__", "prototype", "constructor"})
# What describes the body goes with the body, unless the entry says otherwise.
BODY_HEADERS: Final = (b"content-type", b"content-encoding")
CACHE_PREFIX: Final = b"helicone-cache"
CACHE_FIELDS: Final = tuple(name for name in Asks.__struct_fields__ if name.startswith("cache_"))

_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class FallbackTarget:
    """One entry, checked. `headers` go to the provider in place of the client's own, without a
    Helicone key, which is in `credentials` where one stands in for the provider's; `asks` are the
    client's, with the entry's own caching where it names any."""

    index: int
    target: Target
    headers: Headers
    credentials: Credentials
    on_codes: tuple[int | CodeRange, ...]
    body_override: Mapping[str, Any]
    asks: Asks


def targets_of(asks: Asks, client_headers: Mapping[bytes, bytes]) -> tuple[FallbackTarget, ...]:
    """The targets in order. `client_headers`: lower-case name → first value, for what describes
    the body. Raises Refusal 400 that names the entry and the field."""
    if len(asks.fallbacks) > ENTRIES_MAX:
        raise _refused(f"has {len(asks.fallbacks)} entries, at most {ENTRIES_MAX} are tried.")
    return tuple(
        _target(asks, client_headers, index, entry) for index, entry in enumerate(asks.fallbacks)
    )


def goes_on(targets: Sequence[FallbackTarget], index: int, status: int) -> bool:
    """Whether the entry after `index` is tried, given the status that this one's reply has, or
    would have where the provider failed. The last one's reply is returned whatever it is."""
    if index + 1 >= len(targets):
        return False
    return any(
        code.first <= status <= code.last if isinstance(code, CodeRange) else code == status
        for code in targets[index].on_codes
    )


def with_override(body: bytes, override: Mapping[str, Any]) -> bytes:
    """The client's body with an entry's `bodyKeyOverride` over it: scalars and lists replace,
    objects are merged. Always over what the client sent: nothing persists from entry to entry.

    Values that are not overridden keep their bytes. Raises Refusal for a body that is no object.
    """
    wanted = {key: value for key, value in override.items() if key not in UNSAFE_KEYS}
    if not wanted:
        return body
    try:
        found = _fields_of(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise _refused("has a bodyKeyOverride, but the body is not a JSON object.") from None
    for key, value in wanted.items():
        if isinstance(value, dict):
            value = _merged(_object(found.get(key)), value)
        found[key] = msgspec.Raw(msgspec.json.encode(value))
    return msgspec.json.encode(found)


def _target(
    asks: Asks, client_headers: Mapping[bytes, bytes], index: int, entry: Fallback
) -> FallbackTarget:
    try:
        target = parse_target(entry.target_url)
    except ValueError as error:
        raise _refused(f"[{index}].target-url {error}.") from None
    if _depth_left(entry.body_override, OVERRIDE_DEPTH_MAX) < 0:
        raise _refused(f"[{index}].bodyKeyOverride is nested too deep.")
    given: Headers = []
    for name, value in entry.headers.items():
        field = name.encode("utf-8", "replace"), value.encode("utf-8", "replace")
        fault = field_fault(*field)
        if fault is not None:
            raise _refused(f"[{index}].headers: {fault}.")
        given.append(field)
    named = {name.lower() for name, _ in given}
    kept = [(name, client_headers[name]) for name in BODY_HEADERS if name in client_headers]
    headers = forward_headers([*(field for field in kept if field[0] not in named), *given])
    return FallbackTarget(
        index,
        target,
        headers,
        find_credentials({name.lower(): value for name, value in given}),
        tuple(entry.on_codes),
        entry.body_override,
        _asks_of(asks, given),
    )


def _asks_of(asks: Asks, given: Headers) -> Asks:
    """The client's asks hold for every entry; caching that an entry names is its own."""
    own = {
        name.lower(): value
        for name, value in given
        if name.lower().startswith(CACHE_PREFIX) or name.lower() == names.CACHE_CONTROL_HTTP
    }
    if not any(name.startswith(CACHE_PREFIX) for name in own):
        return asks
    caching = parse_asks(own)
    return msgspec.structs.replace(asks, **{name: getattr(caching, name) for name in CACHE_FIELDS})


def _object(raw: msgspec.Raw | None) -> dict[str, Any]:
    """A value as an object; anything else is replaced by one."""
    if raw is None:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if key in UNSAFE_KEYS:
            continue
        if isinstance(value, dict):
            under = merged.get(key)
            value = _merged(under if isinstance(under, dict) else {}, value)
        merged[key] = value
    return merged


def _depth_left(value: object, left: int) -> int:
    """How many levels fit under the deepest part of `value`; below zero: it is too deep."""
    if not isinstance(value, dict | list) or left < 0:
        return left
    below = value.values() if isinstance(value, dict) else value
    return min((_depth_left(part, left - 1) for part in below), default=left)


def _refused(what: str) -> Refusal:
    header = names.FALLBACKS.decode("ascii")
    space = "" if what.startswith("[") else " "
    return Refusal(400, "helicone_fallbacks_invalid", header + space + what)
