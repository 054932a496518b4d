"""The language of the control socket, both sides: frames of a 4-byte big-endian length and a
MessagePack map. Knows no socket; `door/control.py` serves it, `control_client.py` speaks it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from appliance.column_types import parse_type, wire_converter
from appliance.errors import Refusal

SOCKET_NAME = "control.sock"
LENGTH_BYTES = 4
REQUEST_BYTES_MAX = 16 << 20
REPLY_BYTES_MAX = 512 << 20  # one row may hold two bodies
VALUES_PER_REPLY_MAX = 4096  # keeps one slice of conversion near a millisecond
PATH_BYTES_MAX = 100  # sun_path holds 108 on Linux, 104 elsewhere

Columns = list[tuple[str, str]]
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


class FrameError(ValueError):
    """The other side does not speak this language, or says too much at once."""


def encoded(message: dict[str, Any]) -> bytes:
    """Raises Refusal 400 for bytes that were typed or read and are no text."""
    try:
        return encode(message)
    except UnicodeEncodeError as error:
        # The text itself may be a secret.
        words = f"character {error.start + 1} of what was given is no UTF-8 text"
        raise Refusal(400, "bad_text", words) from None


def frame(message: dict[str, Any], bytes_max: int = REPLY_BYTES_MAX) -> bytes:
    data = encoded(message)
    if len(data) > bytes_max:
        raise FrameError(f"a message of {len(data)} bytes, at most {bytes_max}")
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def frame_length(head: bytes, bytes_max: int) -> int:
    length = int.from_bytes(head, "big")
    if not 0 < length <= bytes_max:
        raise FrameError(f"a message of {length} bytes, at most {bytes_max}")
    return length


def unframe(data: bytes) -> dict[str, Any]:
    try:
        message = decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FrameError(str(error)) from None
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise FrameError("a message that is no map of names")
    return message


class RowConverter:
    """Rows as a store gives them, made fit to travel."""

    def __init__(self, columns: Iterable[tuple[str, str]]) -> None:
        converters = [wire_converter(parse_type(str(kind))) for _, kind in columns]
        self._some = [(index, made) for index, made in enumerate(converters) if made is not None]

    def convert(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        converted = [list(row) for row in rows]
        for index, convert in self._some:
            for row in converted:
                row[index] = convert(row[index])
        return converted


def slices(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    step = max(1, VALUES_PER_REPLY_MAX // max(1, len(rows[0]))) if rows else 1
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


@contextmanager
def socket_address(root: Path, name: str = SOCKET_NAME) -> Iterator[str]:
    """An address of the socket that fits into sun_path, valid within the block: where the path is
    too long, it leads through a descriptor of the directory."""
    import os

    whole = str(root / name)
    if len(os.fsencode(whole)) <= PATH_BYTES_MAX:
        yield whole
        return
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
