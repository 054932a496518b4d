"""The wire format of protocol buffers, read: the fields of a message one after the other, nothing
copied that is not asked for. Knows no message; bounded by the bytes it is given."""

from collections.abc import Iterator
from struct import Struct
from typing import Final

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
VARINT_BYTES_MAX: Final = 10

_fixed64 = Struct("<Q").unpack_from
_fixed32 = Struct("<I").unpack_from
_double = Struct("<d").unpack_from


class ProtobufError(Exception):
    """These bytes are no message."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where the next field begins. Raises ProtobufError."""
    value = shift = 0
    for place in range(at, at + VARINT_BYTES_MAX):
        try:
            byte = data[place]
        except IndexError:
            break
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + 1
        shift += 7
    raise ProtobufError("a number has no end")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each field its number and kind; of text, bytes and messages where they begin and end, of
    anything else the value as it stands there (`BYTES` aside: value, 0). Raises ProtobufError."""
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = varint(data, at - 1)
        kind = tag & 7
        if kind == BYTES:
            size = data[at] if at < end else 0x80
            if size < 0x80:
                at += 1
            else:
                size, at = varint(data, at)
            stop = at + size
            if stop > end:
                raise ProtobufError("a field goes on behind the end of its message")
            yield tag >> 3, kind, at, stop
            at = stop
        elif kind == VARINT:
            value, at = varint(data, at)
            yield tag >> 3, kind, value, 0
        elif kind == FIXED64:
            if at + 8 > end:
                raise ProtobufError("a field goes on behind the end of its message")
            yield tag >> 3, kind, _fixed64(data, at)[0], 0
            at += 8
        elif kind == FIXED32:
            if at + 4 > end:
                raise ProtobufError("a field goes on behind the end of its message")
            yield tag >> 3, kind, _fixed32(data, at)[0], 0
            at += 4
        else:
            raise ProtobufError(f"a field of kind {kind}")
    if at != end:
        raise ProtobufError("a field goes on behind the end of its message")


def signed(value: int) -> int:
    """An int64 as it was meant."""
    return value - (1 << 64) if value >= 1 << 63 else value


def double(value: int) -> float:
    """A FIXED64 that is a double."""
    number: float = _double(value.to_bytes(8, "little"))[0]
    return number
