"""Content codings taken off a body, bounded: a bomb or a wrong label is a word, not an exception.

Output is at most 64 MiB and 200 times the input (never less than 1 MiB), so that a body cannot cost
more memory or time than its size justifies (field.md B15).
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

import brotli
import zstandard

BYTES_MAX = 64 * 1024 * 1024
RATIO_MAX = 200
RATIO_FLOOR_BYTES = 1024 * 1024
CODINGS_MAX = 4
MEMBERS_MAX = 4096
ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Decoded(NamedTuple):
    """The body and "", or as much of it as could be read and why it ended there:
    `cut`, `wrong` (not that coding), `bomb`, `unknown` (a coding we do not have)."""

    data: bytes
    problem: str


class _Decoder(Protocol):
    slice_bytes: int
    magic: bytes | None  # how a further member begins; None: the coding has one member only

    def feed(self, piece: bytes, room: int) -> bytes: ...
    def more(self) -> bool: ...
    def rest(self) -> bytes | None: ...


class _Zlib:
    slice_bytes = 65536

    def __init__(self, window_bits: int, magic: bytes | None) -> None:
        self._decoder = zlib.decompressobj(window_bits)
        self._tail = b""
        self.magic: bytes | None = magic

    def feed(self, piece: bytes, room: int) -> bytes:
        output = self._decoder.decompress(self._tail + piece, room)
        self._tail = self._decoder.unconsumed_tail
        return output

    def more(self) -> bool:
        return bool(self._tail)

    def rest(self) -> bytes | None:
        return self._decoder.unused_data if self._decoder.eof else None


class _Brotli:
    slice_bytes = 65536
    magic: bytes | None = None

    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()

    def feed(self, piece: bytes, room: int) -> bytes:
        output: bytes = self._decoder.process(piece, output_buffer_limit=room)
        return output

    def more(self) -> bool:
        return not self._decoder.can_accept_more_data()

    def rest(self) -> bytes | None:
        return b"" if self._decoder.is_finished() else None


class _Zstd:
    # No output bound in its API: 512 bytes of input can hold 170 run-length blocks, 22 MiB.
    slice_bytes = 512
    magic: bytes | None = ZSTD_MAGIC

    def __init__(self) -> None:
        options = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
        self._decoder = options.decompressobj()

    def feed(self, piece: bytes, room: int) -> bytes:
        return self._decoder.decompress(piece)

    def more(self) -> bool:
        return False

    def rest(self) -> bytes | None:
        return self._decoder.unused_data if self._decoder.eof else None


def decode_body(
    data: bytes, codings: str | None, *, bytes_max: int = BYTES_MAX, ratio_max: int = RATIO_MAX
) -> Decoded:
    """Takes off every coding of a Content-Encoding value, the last applied first."""
    if not codings or not data:
        return Decoded(data, "")
    names = [name.strip().lower() for name in codings.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > CODINGS_MAX:
        return Decoded(b"", "unknown")
    limit = min(bytes_max, max(RATIO_FLOOR_BYTES, ratio_max * len(data)))
    problem = ""
    for name in reversed(names):
        decoded = _decode_one(data, name, limit)
        data, problem = decoded.data, problem or decoded.problem
        if decoded.problem and decoded.problem != "cut":
            break
    return Decoded(data, problem)


def _decode_one(data: bytes, name: str, limit: int) -> Decoded:
    if name in ("gzip", "x-gzip"):
        return _run(lambda: _Zlib(31, GZIP_MAGIC), data, limit)
    if name == "deflate":
        # The name means zlib, but servers send the bare stream too: the header tells them apart.
        is_zlib = len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
        return _run(lambda: _Zlib(15 if is_zlib else -15, None), data, limit)
    if name == "br":
        return _run(_Brotli, data, limit)
    if name == "zstd":
        return _run(_Zstd, data, limit)
    return Decoded(b"", "unknown")


def _run(make: Callable[[], _Decoder], data: bytes, limit: int) -> Decoded:
    output = bytearray()
    decoder = make()
    at = members = 0
    try:
        while at < len(data):
            piece = data[at : at + decoder.slice_bytes]
            at += len(piece)
            output += decoder.feed(piece, limit + 1 - len(output))
            while len(output) <= limit and decoder.more():
                output += decoder.feed(b"", limit + 1 - len(output))
            if len(output) > limit:
                return Decoded(b"", "bomb")
            rest = decoder.rest()
            if rest is None:
                continue
            at -= len(rest)
            members += 1
            magic = decoder.magic
            if magic is None or not data.startswith(magic, at) or members >= MEMBERS_MAX:
                return Decoded(bytes(output), "")
            decoder = make()
    except (zlib.error, brotli.error, zstandard.ZstdError, MemoryError):
        return Decoded(bytes(output), "wrong")
    return Decoded(bytes(output), "cut")
