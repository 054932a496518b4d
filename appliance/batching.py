"""The helper process of ingest: `python -m appliance.batching`, started by `actors.batch_helper`.

It reads the journal, derives rows and builds their columns while the server's loop serves: a large
backlog, or records of many megabytes. One line in asks for a batch; out come its description and
its columns. It ends with its parent, or when it has had nothing to do for a while.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import resource
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from appliance.actors.batch_wire import ANSWER, Ask, Damaged, Gathered
from appliance.actors.frame_rows import Exchange, FrameDeriver, weight_of
from appliance.pace import Pace, at_once
from storage.batch import Batch
from storage.frames import Position
from storage.packed import describe, joined
from storage.reader import Damage, read_frames
from storage.vault import SegmentKeys

NICE = 15
IDLE_S = 30.0
# What 32 MiB of the densest JSON takes stays below; what does not is a record that says so.
DATA_BYTES_MAX = 1536 * 2**20

Job = dict[str, Any]
Paced = Callable[..., Gathered]
MakeDeriver = Callable[[Job, SegmentKeys | None], FrameDeriver]


def main() -> int:
    """Serves until stdin ends or rests."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES_MAX, DATA_BYTES_MAX))
    with suppress(OSError):  # where memory runs out after all, not the server is ended for it
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Whatever a library prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return serve(os.fdopen(0, "rb", buffering=0), answers, make_deriver, paced=Pace().run)


def make_deriver(job: Job, keys: SegmentKeys | None) -> FrameDeriver:
    """The derivation of the server, with prices compiled here."""
    from appliance.providers.price_eras import derive_of_job
    from storage.blobs import Blobs
    from storage.frames import unpack

    blobs = Blobs(Path(job["root"]), keys)
    return FrameDeriver(derive_of_job(job), lambda parts: unpack(parts, blobs.read))


def serve(
    asks: IO[bytes],
    answers: IO[bytes],
    make: MakeDeriver,
    *,
    idle_s: float = IDLE_S,
    paced: Paced = at_once,
) -> int:
    """`asks` is raw: what a buffer held would not be seen as there."""
    told = asks.readline()
    if not told.endswith(b"\n"):
        return 0  # whoever started this is gone already
    job = json.loads(told)
    keys = _keys(job.get("keys"))
    deriver = make(job, keys)
    # A batch is a hundred thousand objects without a cycle: collected while it grows they are
    # looked at again and again, for a fifth of the time. What is left between batches stays.
    gc.disable()
    while select.select([asks], [], [], idle_s)[0]:
        line = asks.readline()
        if not line.endswith(b"\n"):
            break
        ask = msgspec.json.decode(line, type=Ask)
        buffers: list[memoryview] = []
        try:
            work = partial(gather, Path(job["root"]), keys, deriver, ask, buffers)
            gathered = paced(work, hurry=ask.hurry)
        except Exception as error:
            gathered, buffers = Gathered(failed=f"{type(error).__name__}: {error}"), []
        try:
            _say(answers, gathered, buffers)
        except BrokenPipeError:
            break
        del gathered, buffers
        gc.collect()
        gc.freeze()
    return 0


def gather(
    root: Path,
    keys: SegmentKeys | None,
    deriver: FrameDeriver,
    ask: Ask,
    buffers: list[memoryview],
) -> Gathered:
    """One batch, from `ask.start` on and before `ask.goal`. Raises OSError, VaultError."""
    batch, found = Batch(ask.row_bytes_max), Gathered(end=ask.goal)
    before = asdict(deriver.counts)

    def note(damage: Damage) -> None:
        found.damages.append(Damaged(damage.segment, damage.offset, damage.bytes, damage.reason))

    frames = read_frames(
        root, Position(*ask.start), upto=Position(*ask.goal), keys=keys, on_damage=note
    )
    for frame in frames:
        if len(batch) >= ask.rows_max or batch.text_bytes >= ask.text_bytes_max:
            found.end = frame.position
            break
        opened = deriver.opened(frame)
        weight = weight_of(opened)
        if len(batch) and weight >= ask.text_bytes_max:
            # For a batch of its own: joined with others its text would be copied.
            deriver.counts.frames -= 1
            found.end = frame.position
            break
        if isinstance(opened, Exchange):
            found.recorded_at_us = opened.meta.get("recorded_at_us") or found.recorded_at_us
            try:
                rows = deriver.derived(opened, *deriver.bodies(opened))
            except Exception as error:
                rows = deriver.derived(opened, failed=error)
            if ask.bare and weight >= ask.large_bytes:
                rows = deriver.without_bodies(rows, MemoryError("too large for the database"))
        else:
            rows = opened
        batch.add(rows, frame.flags)
        found.counted += frame.position.segment >= ask.first_segment
    for _ in batch.pack():
        pass
    found.counts = {name: count - before[name] for name, count in asdict(deriver.counts).items()}
    found.description = describe(batch, buffers)
    return found


def _say(answers: IO[bytes], gathered: Gathered, buffers: list[memoryview]) -> None:
    header = msgspec.msgpack.encode(gathered)
    size = sum(len(buffer) for buffer in buffers)
    _write(answers, ANSWER.pack(len(header), size) + header)
    for piece in joined(buffers):
        _write(answers, piece)


def _write(answers: IO[bytes], data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[answers.write(rest) :]


def _keys(packed: dict[str, Any] | None) -> SegmentKeys | None:
    if packed is None:
        return None
    epochs = {int(epoch): base64.b64decode(key) for epoch, key in packed["epochs"].items()}
    return SegmentKeys(packed["current"], epochs)


if __name__ == "__main__":
    sys.exit(main())
