"""The manifest made anew from the Parquet files themselves, when it was lost or damaged.

A file's name says its table, the segments it holds and the generation that it came with; DuckDB
counts its rows. What was left of a change that never counted lies in the journal still.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import duckdb

from storage.manifest import LakeFile, Manifest, Named, named_files, view_of
from storage.rows import SCHEMA_VERSION, TIMES
from storage.segment import segment_numbers
from storage.vault import VaultError

_SEALED = b"PARE"  # instead of PAR1: the footer of the file is encrypted


class Recovered(NamedTuple):
    """`unreadable` are files that could not be opened: to be kept aside, not swept."""

    manifest: Manifest
    unreadable: list[Path]


def recovered(root: Path, keys: Mapping[int, bytes]) -> Recovered:
    """`keys` are those of Parquet files by epoch. Blocking: every file is read through.

    Nothing says which deletions were carried out: they are to be applied again. Raises VaultError
    when there is no key at all for an encrypted file, OSError.
    """
    named = sorted(named_files(root / "lake"), reverse=True)
    lowest = min(segment_numbers(root), default=None)
    # All of its frames are in the journal: rolled again, whether it counted or not.
    rolled = [file for file in named if lowest is None or file.first < lowest]
    chosen: list[LakeFile] = []
    unreadable = []
    with duckdb.connect(":memory:", config={"autoload_known_extensions": "false"}) as connection:
        for file in rolled:
            if any(_overlap(file, other) for other in chosen):
                continue  # replaced by a later generation
            found = _described(connection, root / "lake", file, keys)
            if found is None:
                unreadable.append(file.path)
            else:
                chosen.append(found)
    manifest = Manifest(
        generation=max((file.generation for file in named), default=0),
        upto_segment=max((file.segment_last for file in chosen), default=0),
        files=tuple(_with_times(chosen)),
    )
    return Recovered(manifest, unreadable)


def _overlap(file: Named, other: LakeFile) -> bool:
    return (
        file.table == other.table
        and file.first <= other.segment_last
        and other.segment_first <= file.last
    )


def _described(
    connection: duckdb.DuckDBPyConnection, directory: Path, file: Named, keys: Mapping[int, bytes]
) -> LakeFile | None:
    with file.path.open("rb") as stream:
        epochs = sorted(keys, reverse=True) if stream.read(len(_SEALED)) == _SEALED else [0]
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    if not epochs:
        raise VaultError(f"{file.path} is encrypted: master_key is needed")
    name = str(file.path.relative_to(directory))
    # The newest version that fits: an older file has not all of the columns.
    for epoch, version in itertools.product(epochs, range(SCHEMA_VERSION, 0, -1)):
        candidate = LakeFile(
            name, file.table, file.first, file.last, 0, size, digest, 0, 0, 0, 0, epoch, version
        )
        counted = _counted(connection, directory, candidate, keys)
        if counted is not None:
            return counted
    return None


def _counted(
    connection: duckdb.DuckDBPyConnection,
    directory: Path,
    file: LakeFile,
    keys: Mapping[int, bytes],
) -> LakeFile | None:
    """With rows and times; None where DuckDB cannot read it (with this key)."""
    view = view_of(directory, Manifest(files=(file,)), dict(keys))
    times = [
        f"coalesce(epoch_us({which}({column})), 0)"
        for column in TIMES.get(file.table, ())
        for which in ("min", "max")
    ]
    columns = ", ".join(["count(*)", *times])
    sql = f"SELECT {columns} FROM ({view.source(file.table)})"  # noqa: S608 - names are ours
    try:
        for statement in view.key_statements():
            connection.execute(statement)
        row = connection.execute(sql).fetchone()
    except duckdb.Error:
        return None
    assert row is not None
    rows, *spans = row
    names = ("created_min_us", "created_max_us", "recorded_min_us", "recorded_max_us")
    return replace(file, rows=rows, **dict(zip(names, spans, strict=False)))


def _with_times(files: list[LakeFile]) -> Iterable[LakeFile]:
    """A table without times of its own has those of the requests of the same segments."""
    requests = [file for file in files if file.table == "requests"]
    for file in files:
        same = [r for r in requests if r.segment_first <= file.segment_last
                and file.segment_first <= r.segment_last]  # fmt: skip
        if file.table in TIMES or not same:
            yield file
            continue
        yield replace(
            file,
            created_min_us=min(r.created_min_us for r in same),
            created_max_us=max(r.created_max_us for r in same),
            recorded_min_us=min(r.recorded_min_us for r in same),
            recorded_max_us=max(r.recorded_max_us for r in same),
        )
