"""The key under which a reply is cached (`proxy.md 4.1`); organisation and region are part of it.

Pure. What depends on the head alone is hashed once; a request adds its body.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

import msgspec

from appliance.core import headers as names

KEY_BYTES: Final = 16
CACHE_PREFIX: Final = b"helicone-cache"
# Who asks: with a provider's credential of their own, two callers may not be given one answer.
# Organisation, `x-api-key` and `api-key` were missing in the original (`proxy.md 12`).
CALLER_HEADERS: Final = frozenset(
    {names.AUTH, names.AUTHORIZATION, names.X_API_KEY, names.API_KEY, names.X_GOOG_API_KEY}
)
# They say what is to be done with an answer, not which one it is. Part of the key, what one half
# saved the other half could never read.
SWITCHES: Final = frozenset({names.CACHE_ENABLED, names.CACHE_SAVE, names.CACHE_READ})
# Google's OAuth tokens change by the hour.
ROTATING: Final = b"ya29."

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class KeyHead:
    """The part of keys that requests with one head to one target share.

    `url` is the one that is called, with its query; `variant` is whatever else decides which bytes
    are kept (a translation on the way, for instance). `secret` is the region's: on disk a key tells
    nobody which request it is of.
    """

    __slots__ = ("_state", "ignored")

    def __init__(
        self,
        *,
        secret: bytes,
        region: str,
        org: bytes,
        method: bytes,
        url: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        seed: str = "",
        ignored: tuple[str, ...] = (),
        variant: bytes = b"",
    ) -> None:
        assert len(org) == 16, "no organisation, no cache"
        parts = [secret, region.encode(), org, method, url, seed.encode(), variant]
        for name, value in keyed_headers(headers):
            parts += (name, value)
        # Each with its length: no two lists of parts run together to the same bytes.
        self._state = sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts]))
        self.ignored = ignored

    def key(self, body: bytes) -> bytes:
        """The key of a request with this body."""
        state = self._state.copy()
        state.update(without_ignored(body, self.ignored) if self.ignored else body)
        return state.digest()[:KEY_BYTES]

    def growing(self) -> "GrowingKey":
        """For a body that comes in pieces, and of which nothing is ignored."""
        assert not self.ignored, "what is ignored is sought in the whole"
        return GrowingKey(self._state.copy())


class GrowingKey:
    """A key whose body is still coming."""

    __slots__ = ("_state",)

    def __init__(self, state: Any) -> None:  # noqa: ANN401 - hashlib names no type for it
        self._state = state

    def add(self, piece: bytes) -> None:
        """The next piece."""
        self._state.update(piece)

    def key(self) -> bytes:
        """The key of the body so far."""
        digest: bytes = self._state.digest()
        return digest[:KEY_BYTES]


def slot_of(key: bytes, bucket: int) -> bytes:
    """Where one of a key's answers lies: its number is part of the name, but for the first's."""
    return key + bytes((bucket,)) if bucket else key


def keyed_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The header lines that belong to the key, names in lower case, sorted."""
    kept = []
    for name, value in headers:
        name = name.lower()
        if name in CALLER_HEADERS:
            if name == names.AUTHORIZATION and ROTATING in value and _rotates(value):
                continue
        elif not name.startswith(CACHE_PREFIX) or name in SWITCHES:
            continue
        kept.append((name, value))
    kept.sort()
    return kept


def _rotates(authorization: bytes) -> bool:
    return any(part.startswith(ROTATING) for part in authorization.split(b" "))


def without_ignored(body: bytes, ignored: tuple[str, ...]) -> bytes:
    """The body without these top-level keys, written anew; what is no JSON object as it is."""
    try:
        document: Any = _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body
    if type(document) is not dict:
        return body
    for key in ignored:
        document.pop(key, None)
    return _encode(document)
