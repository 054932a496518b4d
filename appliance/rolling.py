"""The helper process of the lake: `python -m appliance.rolling`, started by `actors.roller`.

One JSON line in is a job, lines out are progress and the result. It holds PyArrow, so that the
server need not, and dies with its parent: a job may end at any point without harm.
"""

import base64
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

from appliance.pace import Pace, at_once
from storage.frames import Part, unpack
from storage.lake import Lake
from storage.roll import DeriveFrame
from storage.vault import SegmentKeys

# A frozen executable has no `-m`: it is started again with this first argument instead.
ARGUMENT = "lake-helper"
NICE = 10
IDS_PER_LINE = 1_000
SIGN_S = 1.0
# Nobody waits for these.
PATIENT = frozenset({"roll", "keep", "sweep"})

Job = dict[str, Any]
Paced = Callable[..., dict[str, Any]]
Say = Callable[[dict[str, Any]], None]
MakeDeriver = Callable[[Job, Lake], DeriveFrame]


def main() -> int:
    """Serves jobs from stdin until it ends."""
    os.nice(NICE)
    # Whatever a library prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return serve(sys.stdin.buffer, answers, make_deriver, paced=Pace().run)


def serve(
    jobs: IO[bytes], answers: IO[bytes], deriver: MakeDeriver, *, paced: Paced = at_once
) -> int:
    def say(message: dict[str, Any]) -> None:
        try:
            answers.write(json.dumps(message).encode() + b"\n")
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # as in `_lines`: nobody is there any more

    for line in _lines(jobs):
        try:
            job = json.loads(line)
            patient = job["command"] in PATIENT and not job.get("hurry")
            say({"done": paced(partial(run, job, say, deriver), hurry=not patient)})
        except Exception as error:
            code = getattr(error, "errno", None)
            say({"failed": f"{type(error).__name__}: {error}", "errno": code})
    return 0


def run(job: Job, say: Say, deriver: MakeDeriver) -> dict[str, Any]:
    """One job; what it returns is JSON."""
    keys = job.get("keys")
    lake = Lake.open(
        Path(job["root"]),
        keys=SegmentKeys(keys["current"], _unpacked(keys["epochs"])) if keys else None,
        deletion_key=_raw(job["deletion_key"]) if job.get("deletion_key") else None,
        recover=False,  # whoever gave the job has the manifest in memory
    )
    return _JOBS[job["command"]](lake, job, say, deriver)


def make_deriver(job: Job, lake: Lake) -> DeriveFrame:
    """The same derivation that ingest uses, with prices compiled here."""
    from appliance.actors.frame_rows import FrameDeriver
    from appliance.providers.price_eras import derive_of_job
    from storage.blobs import Blobs

    blobs = Blobs(lake.root, lake.keys)

    def read_parts(parts: list[Part]) -> bytes:
        return unpack(parts, blobs.read)

    return FrameDeriver(derive_of_job(job), read_parts)


def _roll(lake: Lake, job: Job, say: Say, deriver: MakeDeriver) -> dict[str, Any]:
    from storage import deletion
    from storage.roll import DeletionPending, roll

    def progress(frames: int) -> None:
        say({"progress": frames})

    derive = deriver(job, lake)
    deleted: set[bytes] = set()
    try:
        rolled = roll(lake, derive, upto=job["upto"], progress=progress)
    except DeletionPending:
        deleted = deletion.apply(lake).exchange_ids
        rolled = roll(lake, derive, upto=job["upto"], progress=progress)
    _say_ids(deleted, say)
    if rolled is None:
        return {}
    damages = [asdict(damage) for damage in rolled.damages[:100]]
    return {**asdict(rolled), "damages": damages}


def _keep(lake: Lake, job: Job, say: Say, _: MakeDeriver) -> dict[str, Any]:
    """Retention first: what goes need not be merged. One run of files at a time is."""
    from storage import retention
    from storage.sealing import seal_plain

    step = _signs_of_life(say)
    now_us = job["now_us"]
    kept = retention.retain(
        lake, now_us=now_us, days=job.get("days"), bytes_max=job.get("bytes_max"), step=step
    )
    sealed = seal_plain(lake, step)
    merged = retention.merge_days(lake, now_us=now_us, runs_max=1, step=step)
    return {**asdict(kept), "sealed": sealed, "merged": merged}


def _find(lake: Lake, job: Job, say: Say, _: MakeDeriver) -> dict[str, Any]:
    from storage import deletion

    ids = job.get("exchange_ids")
    selector = deletion.Selector(
        exchange_ids=frozenset(map(_raw, ids)) if ids is not None else None,
        organization=_raw(job["organization"]) if job.get("organization") else None,
        user_id=job.get("user_id"),
        session_id=job.get("session_id"),
        created_since_us=job.get("created_since_us"),
        created_until_us=job.get("created_until_us"),
    )
    found = deletion.find(lake, selector)
    for part in _parts(list(found.items())):
        say({"found": [[_text(exchange_id), _text(org)] for exchange_id, org in part]})
    return {"count": len(found)}


def _delete(lake: Lake, job: Job, say: Say, _: MakeDeriver) -> dict[str, Any]:
    from storage import deletion

    step = _signs_of_life(say)
    if "hashes" in job:
        deleted = deletion.reapply(lake, map(_raw, job["hashes"]), step)
    else:
        deleted = deletion.apply(lake, step)
    _say_ids(deleted.exchange_ids, say)
    return {**asdict(deleted), "exchange_ids": len(deleted.exchange_ids)}


def _pending(lake: Lake, _job: Job, _say: Say, _: MakeDeriver) -> dict[str, Any]:
    from storage import deletion

    return {"count": len(deletion.pending(lake)[0])}


def _sweep(lake: Lake, job: Job, _say: Say, _: MakeDeriver) -> dict[str, Any]:
    from storage.orphans import sweep_blobs

    return {"count": sweep_blobs(lake, job["blobs"])}


def _verify(lake: Lake, job: Job, say: Say, deriver: MakeDeriver) -> dict[str, Any]:
    from storage.verify import verify

    report = verify(lake.root, keys=lake.keys, progress=lambda frames: say({"progress": frames}))
    return {"ok": report.is_whole, **asdict(report)}


_JOBS = {
    "verify": _verify,
    "roll": _roll,
    "keep": _keep,
    "find": _find,
    "delete": _delete,
    "pending": _pending,
    "sweep": _sweep,
}


def _signs_of_life(say: Say) -> Callable[[str], None]:
    """For jobs without progress: a large lake takes long, and silence would end the helper."""
    said_s = 0.0

    def step(name: str) -> None:
        nonlocal said_s
        if time.monotonic() >= said_s + SIGN_S:
            said_s = time.monotonic()
            say({"step": name})

    return step


def _say_ids(exchange_ids: set[bytes], say: Say) -> None:
    for part in _parts(sorted(exchange_ids)):
        say({"deleted": [_text(exchange_id) for exchange_id in part]})


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), IDS_PER_LINE):
        yield items[start : start + IDS_PER_LINE]


def _lines(jobs: IO[bytes]) -> Iterator[bytes]:
    """Lines until the end. When the parent is gone the process ends at once, busy or not:
    otherwise a new server would find somebody else changing its lake."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    idle = threading.Event()

    def watch() -> None:
        for line in jobs:
            waiting.put(line)
        waiting.put(b"")
        if not idle.is_set():
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    while True:
        idle.set()
        line = waiting.get()
        if not line:
            return
        idle.clear()
        yield line


def _unpacked(epochs: dict[str, str]) -> dict[int, bytes]:
    return {int(epoch): _raw(key) for epoch, key in epochs.items()}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text)


if __name__ == "__main__":
    sys.exit(main())
