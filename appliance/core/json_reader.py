"""JSON as strangers send it: fast when it is good, tolerant when it is nearly so, always bounded.

msgspec reads what is correct. NaN, 1e400, lone surrogates, a byte order mark, raw control
characters and broken UTF-8 go to the standard library; depth ends in a word, not in an exception
(field.md B16).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")
TOLERANT_BYTES_MAX = 32 * 1024 * 1024
INTEGER_DIGITS_MAX = 400
JSON_BEGINNINGS = b'{["-0123456789tfnNI'

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_decode_exact = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode
_raw = json.JSONDecoder(strict=False)


def read_json(data: bytes, *, exact: bool = False) -> tuple[Any, str]:
    """The value and "", or None and why not: `depth`, `syntax` or `size`.

    `exact` gives Decimal for fractions: sums of money keep their digits.
    """
    try:
        return (_decode_exact if exact else _decode)(data), ""
    except RecursionError:
        return None, "depth"
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        return _read_tolerant(data, exact=exact)


def write_json(value: object) -> bytes:
    """JSON. Half of a surrogate pair, which only an escape can spell, stays an escape."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


class LazyDocuments(Sequence[object]):
    """The values of a JSON list, each parsed when it is looked at: of a long stream only the first
    and the last event matter, as a rule. Built by `read_lazily`."""

    __slots__ = ("_exact", "_joined", "_raws", "_values")

    def __init__(self, joined: bytes, raws: list[msgspec.Raw], *, exact: bool) -> None:
        self._joined = joined
        self._raws = raws
        self._exact = exact
        self._values: list[object] | None = None

    def __len__(self) -> int:
        return len(self._raws)

    @overload
    def __getitem__(self, at: int) -> object: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[object]: ...
    def __getitem__(self, at: int | slice) -> object:
        if self._values is None and isinstance(at, int):
            return (_decode_exact if self._exact else _decode)(self._raws[at])
        return self._all()[at]

    def __iter__(self) -> Iterator[object]:
        return iter(self._all())

    def __reversed__(self) -> Iterator[object]:
        yield from map(self.__getitem__, range(-1, -1 - min(2, len(self)), -1))
        yield from self._all()[-3::-1]

    def read_as(self, decode: Callable[[bytes], T]) -> T | None:
        """All of them by a decoder that makes only what it wants; None where they do not fit."""
        try:
            return decode(self._joined)
        except msgspec.MsgspecError:
            return None

    def _all(self) -> list[object]:
        if self._values is None:
            values: list[object] = (_decode_exact if self._exact else _decode)(self._joined)
            self._values = values
        return self._values


def read_lazily(payloads: Iterable[bytes], *, exact: bool = False) -> LazyDocuments | None:
    """The documents of many payloads, checked in one call of the parser; None if one is not JSON
    as it should be."""
    joined = b"[" + b",".join(payloads) + b"]"
    try:
        return LazyDocuments(joined, _decode_raw(joined), exact=exact)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _read_tolerant(data: bytes, *, exact: bool) -> tuple[Any, str]:
    if len(data) > TOLERANT_BYTES_MAX:
        return None, "size"
    first = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if first and first not in JSON_BEGINNINGS:
        return None, "syntax"
    try:
        text = data.decode("utf-8-sig", "replace")
        fraction = _decimal if exact else float
        return json.loads(text, strict=False, parse_int=_integer, parse_float=fraction), ""
    except RecursionError:
        return None, "depth"
    except (ValueError, ArithmeticError):
        return None, "syntax"


def _integer(text: str) -> int | float:
    # Python refuses to read integers of thousands of digits, and nobody here counts that far.
    return int(text) if len(text) <= INTEGER_DIGITS_MAX else float(text)


def _decimal(text: str) -> Decimal | float:
    try:
        return Decimal(text)
    except ArithmeticError:
        return float(text)


def salvage_object(data: bytes, key: bytes) -> dict[str, Any] | None:
    """The last object named `key` in a body that cannot be parsed as a whole: its middle was not
    kept, or it was cut."""
    at = len(data)
    for _ in range(8):
        at = data.rfind(b'"' + key + b'"', 0, at)
        if at < 0:
            return None
        text = data[at + len(key) + 2 : at + 65536].decode("utf-8", "replace").lstrip(" \t\r\n:")
        if not text.startswith("{"):
            continue
        try:
            value, _ = _raw.raw_decode(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def salvage_string(data: bytes, key: bytes) -> str | None:
    """The first string named `key` in a body that cannot be parsed as a whole."""
    pattern = rb'"' + re.escape(key) + rb'"\s{0,8}:\s{0,8}"([^"\\]{1,256})"'
    found = re.search(pattern, data[:262144])
    return found[1].decode("utf-8", "replace") if found else None
