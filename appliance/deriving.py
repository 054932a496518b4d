"""The helper process that derives large records: `python -m appliance.deriving`, started by
`actors.derive_helper`. Reading 32 MiB of JSON takes seconds, and nobody else's request waits here.

After one line of JSON (the prices) each record is: four lengths, metadata, place, both bodies. It
ends with its parent, or when it has had nothing to do for a while.
"""

from __future__ import annotations

import io
import json
import os
import resource
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from appliance.actors.derive_wire import ANSWER, AS_SENT, LENGTHS, NONE, REQUEST, RESPONSE
from appliance.actors.frame_rows import Derive, Exchange, FrameDeriver
from storage.batch import Row
from storage.frames import KIND_EXCHANGE, Frame, Part, Position

NICE = 10
IDLE_S = 30.0
# What 32 MiB of the densest JSON takes stays below; what does not is a record that says so.
DATA_BYTES_MAX = 1536 * 2**20
BIGINT = range(-(2**63), 2**63)

MakeDerive = Callable[[dict[str, Any]], Derive]


def main() -> int:
    """Derives until stdin ends or rests."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES_MAX, DATA_BYTES_MAX))
    with suppress(OSError):  # where memory runs out after all, not the server is ended for it
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Whatever a library prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return serve(os.fdopen(0, "rb", buffering=0), answers, make_derive)


def make_derive(job: dict[str, Any]) -> Derive:
    """The derivation of the server, with prices compiled here."""
    from appliance.core.derive import derive
    from appliance.providers.price_data import open_book

    book = open_book(job.get("prices", ()), same_prices=job.get("same_prices"))
    return partial(derive, price=book.price)


def serve(
    records: io.RawIOBase, answers: IO[bytes], make: MakeDerive, *, idle_s: float = IDLE_S
) -> int:
    """`records` is raw: what a buffer held would not be seen as there."""
    deriver = FrameDeriver(make(json.loads(records.readline())), _no_parts)
    while select.select([records], [], [], idle_s)[0]:
        try:
            sizes = LENGTHS.unpack(_exactly(records, LENGTHS.size))
            meta, place, request, response = (_exactly(records, size) for size in sizes)
        except EOFError:
            break
        for data in answer(deriver, meta, place, request, response):
            answers.write(data)
        answers.flush()
    return 0


def _exactly(records: io.RawIOBase, size: int) -> bytes:
    gathered = io.BytesIO()
    while (left := size - gathered.tell()) > 0:
        data = records.read(left)
        if not data:
            raise EOFError
        gathered.write(data)
    return gathered.getvalue()


def _no_parts(parts: list[Part]) -> bytes:
    raise AssertionError("bodies are sent")


def answer(
    deriver: FrameDeriver, meta: bytes, place: bytes, request: bytes, response: bytes
) -> list[bytes]:
    """Length, row and body row without its texts, then the texts that are not as sent."""
    org, position = msgspec.msgpack.decode(place, type=tuple[bytes, tuple[int, int]])
    at = Position(*position)
    frame = Frame(at, at, KIND_EXCHANGE, 0, 0, org, b"")
    failed = deriver.counts.derive_errors
    rows = deriver.derived(Exchange(frame, msgspec.msgpack.decode(meta), [], []), request, response)
    assert rows.request is not None
    assert rows.body is not None
    texts = [
        _text(rows.body[place], sent) for place, sent in ((REQUEST, request), (RESPONSE, response))
    ]
    body = tuple(
        texts[(REQUEST, RESPONSE).index(number)][0] if number in (REQUEST, RESPONSE) else value
        for number, value in enumerate(rows.body)
    )
    packed = _packed((rows.request, body, deriver.counts.derive_errors - failed))
    return [ANSWER.pack(len(packed)), packed, *(data for _, data in texts)]


def _text(text: str | None, sent: bytes) -> tuple[int, bytes]:
    """Its length and bytes, or a word for it and none."""
    if text is None:
        return NONE, b""
    data = text.encode("utf-8", "replace")
    return (AS_SENT, b"") if data == sent else (len(data), data)


def _packed(answered: tuple[Row, Row, int]) -> bytes:
    try:
        return msgspec.msgpack.encode(answered)
    except (ValueError, OverflowError, TypeError):
        return msgspec.msgpack.encode(_plain(answered))


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a row may hold
    """What columns take in the end: no half of a character, no number beyond 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return value if value in BIGINT else None
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bytes | float | None) else str(value)


if __name__ == "__main__":
    sys.exit(main())
