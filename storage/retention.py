"""What the lake keeps: by age, by bytes of the whole root, and a day's files made into one.

Runs in the helper process. Drops whole files where it can and rewrites the one at the boundary
where it must; nothing is loaded beyond a row group.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from storage.lake import Lake
from storage.manifest import LakeFile, Step, no_step
from storage.parquet import from_position
from storage.rewrite import Edition

DAY_US = 86_400_000_000
# A file that is only a little too old is left until more of it is: rewriting costs its size.
SLACK_US = DAY_US // 4
# Once over the limit a little more is freed, so that not every hour rewrites a file.
KEEP_SHARE = 0.95
# A group of which this share would go is dropped whole.
WHOLE_SHARE = 0.75
DAY_FILE_BYTES_MAX = 2**30
# Of a day that is not over so many small groups in a row are joined: each costs whoever reads.
SOON_GROUPS = 16
SOON_BYTES_MAX = 64 * 2**20
ROW_OVERHEAD_BYTES = 300

Group = list[LakeFile]


@dataclass
class Retained:
    """What went. `short_bytes` could not be freed: it is not in the lake."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    short_bytes: int = 0


def retain(
    lake: Lake,
    *,
    now_us: int,
    days: float | None = None,
    bytes_max: int | None = None,
    slack_us: int = SLACK_US,
    step: Step = no_step,
) -> Retained:
    """Drop what was recorded more than `days` ago, then the oldest until the root fits."""
    result = Retained()
    if days is not None:
        _by_age(lake, int(now_us - days * DAY_US), slack_us, result, step)
    if bytes_max is not None:
        total = root_bytes(lake)
        if total > bytes_max:
            _by_bytes(lake, total - int(bytes_max * KEEP_SHARE), result, step)
            result.short_bytes = max(0, root_bytes(lake) - bytes_max)
    return result


def merge_days(
    lake: Lake,
    *,
    now_us: int,
    bytes_max: int = DAY_FILE_BYTES_MAX,
    runs_max: int | None = None,
    step: Step = no_step,
) -> int:
    """Make one group of files of each day that has passed, and of many small ones of today; how
    many groups were replaced. `runs_max`: of so many days or runs, then it is to be called again.
    """
    replaced = 0
    for groups in _mergeable(lake, now_us // DAY_US, bytes_max)[:runs_max]:
        edition = Edition(lake, step)
        for table in ("requests", "bodies", "edits", "deletions"):
            files = [file for group in groups for file in group if file.table == table]
            if len(files) > 1:
                edition.join(files)
        step("files complete")
        edition.commit()
        replaced += len(groups)
    return replaced


def root_bytes(lake: Lake) -> int:
    """Size of every file of the root, those of the lake only when they are in the manifest."""
    total = sum(file.bytes for file in lake.manifest.files)
    aside = {lake.directory, lake.root / "tmp"}
    for folder, _, names in os.walk(lake.root):
        path = Path(folder)
        if path in aside or lake.directory in path.parents:
            continue
        for name in names:
            try:
                total += (path / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def _groups(lake: Lake) -> list[Group]:
    """Files that hold rows of the same segments, oldest first. Their spans may differ: a table
    that had rows in one roll of a merged day only keeps the span of that roll."""
    groups: list[Group] = []
    last = -1
    for file in sorted(lake.manifest.files, key=lambda file: file.span):
        if file.segment_first > last:
            groups.append([])
        groups[-1].append(file)
        last = max(last, file.segment_last)
    return groups


def _by_age(lake: Lake, cutoff_us: int, slack_us: int, result: Retained, step: Step) -> None:
    edition = Edition(lake, step)
    for files in _groups(lake):
        old = [file for file in files if file.recorded_max_us < cutoff_us]
        for file in old:
            _drop(edition, file, result)
        requests = [file for file in files if file.table == "requests" and file not in old]
        if requests and requests[0].recorded_min_us < cutoff_us - slack_us:
            place = _first_recorded_since(edition, requests[0], cutoff_us)
            rest = [file for file in files if file not in old]
            _cut(edition, rest, place, result, since_us=cutoff_us)
    if edition.changed:
        edition.commit()


def _by_bytes(lake: Lake, excess: int, result: Retained, step: Step) -> None:
    edition = Edition(lake, step)
    partly: list[LakeFile] = []
    for files in _groups(lake):
        size = sum(file.bytes for file in files)
        if excess <= 0:
            break
        if excess < size * WHOLE_SHARE:
            partly = files
            break
        for file in files:
            _drop(edition, file, result)
        excess -= size
    # The whole files first: on a full disk they make room for rewriting the one at the boundary.
    if edition.changed:
        edition.commit()
    if partly and any(file.table == "requests" for file in partly):
        edition = Edition(lake, step)
        share = excess / sum(file.bytes for file in partly)
        requests = next(file for file in partly if file.table == "requests")
        _cut(edition, partly, _place_at_share(edition, requests, share), result)
        edition.commit()


def _drop(edition: Edition, file: LakeFile, result: Retained) -> None:
    edition.drop(file)
    result.files += 1
    result.bytes += file.bytes
    result.rows += file.rows if file.table == "requests" else 0


def _cut(
    edition: Edition,
    files: list[LakeFile],
    place: tuple[int, int],
    result: Retained,
    *,
    since_us: int = 0,
) -> None:
    """Keep what was journaled from `place` on: what is recorded never goes back in time."""
    for file in files:
        before = len(edition.come)
        dropped = edition.rewrite(file, from_position(*place), since_us=since_us)
        if dropped:
            result.bytes += file.bytes - sum(new.bytes for new in edition.come[before:])
            result.rows += dropped if file.table == "requests" else 0


def _first_recorded_since(edition: Edition, file: LakeFile, cutoff_us: int) -> tuple[int, int]:
    first = (file.segment_last + 1, 0)
    for group in _columns(edition, file, ["recorded_at", "segment", "frame_offset"]):
        recent = pc.greater_equal(group.column("recorded_at").cast(pa.int64()), cutoff_us)
        for row in _by_place(group.filter(recent)).slice(0, 1).to_pylist():
            first = min(first, (row["segment"], row["frame_offset"]))
    return first


def _place_at_share(edition: Edition, file: LakeFile, share: float) -> tuple[int, int]:
    """The place before which about that share of the group's bytes lies."""
    names = ["segment", "frame_offset", "request_bytes", "response_bytes"]
    rows = _by_place(pa.concat_tables(_columns(edition, file, names)))
    sizes = pc.add(
        pc.fill_null(rows.column("request_bytes"), 0),
        pc.add(pc.fill_null(rows.column("response_bytes"), 0), ROW_OVERHEAD_BYTES),
    )
    sums = pc.cumulative_sum(sizes.cast(pa.float64()))
    wanted = sums[-1].as_py() * share
    count = pc.sum(pc.less(sums, wanted)).as_py() + 1
    if count >= rows.num_rows:
        return file.segment_last + 1, 0
    row = rows.slice(count, 1).to_pylist()[0]
    return row["segment"], row["frame_offset"]


def _by_place(rows: pa.Table) -> pa.Table:
    return rows.sort_by([("segment", "ascending"), ("frame_offset", "ascending")])


def _columns(edition: Edition, file: LakeFile, names: list[str]) -> Iterator[pa.Table]:
    reader = edition.reader(file)
    try:
        yield from reader.groups(names)
    finally:
        reader.close()


def _mergeable(lake: Lake, today: int, bytes_max: int) -> list[list[Group]]:
    """Runs of neighbouring groups of one day that together stay below the limit."""
    runs: list[tuple[int, list[Group]]] = [(-1, [])]
    size = 0
    for files in _groups(lake):
        day = min(file.recorded_min_us for file in files) // DAY_US
        more = sum(file.bytes for file in files)
        large = day >= today and more > SOON_BYTES_MAX
        if day != runs[-1][0] or size + more > bytes_max or large:
            runs.append((day, []))
            size = 0
        if large:
            continue
        runs[-1][1].append(files)
        size += more
    return [run for day, run in runs if len(run) >= (SOON_GROUPS if day >= today else 2)]
