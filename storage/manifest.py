"""The lake's manifest: which Parquet files count. A crash leaves the old one or the new one.

Knows names and numbers only; never opens a Parquet file and never imports PyArrow.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from storage.rows import ADDED_IN, ATTEMPT_TYPE, SCHEMA_VERSION, TABLES

FORMAT = 1
NAME = "manifest.json"
_FILE_NAME = re.compile(r"(\d{8,})-(\d{8,})-(\d{8,})(?:-(\d+))?\.parquet")

Step = Callable[[str], None]


def no_step(name: str) -> None:
    """Steps are named so that a test can fail at each of them; running ones do nothing here."""


class ManifestDamaged(Exception):  # noqa: N818 - names a state of the directory
    """The manifest exists and cannot be trusted; nothing of the lake may be deleted then."""


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One Parquet file. Times are microseconds since the epoch; `key_epoch` 0 is unencrypted."""

    name: str
    table: str
    segment_first: int
    segment_last: int
    rows: int
    bytes: int
    sha256: str
    created_min_us: int
    created_max_us: int
    recorded_min_us: int
    recorded_max_us: int
    key_epoch: int = 0
    schema_version: int = SCHEMA_VERSION

    @property
    def span(self) -> tuple[int, int]:
        return self.segment_first, self.segment_last


class Named(NamedTuple):
    """A file as its name tells, also when no manifest does."""

    generation: int
    edition: int
    first: int
    last: int
    table: str
    path: Path


class Applied(NamedTuple):
    """Deletions journaled before this place have been carried out everywhere."""

    segment: int
    offset: int


NOTHING_APPLIED = Applied(0, 0)


@dataclass(frozen=True, slots=True)
class Manifest:
    """`blobs` and `damaged` are left to do once readers use this generation: blob files whose
    bodies are in the lake now, and segments to keep in quarantine because frames were unreadable.
    """

    generation: int = 0
    upto_segment: int = 0
    files: tuple[LakeFile, ...] = ()
    applied: Applied = NOTHING_APPLIED
    blobs: tuple[str, ...] = ()
    damaged: tuple[int, ...] = ()

    def of(self, table: str) -> list[LakeFile]:
        """The table's files, oldest first."""
        return sorted((file for file in self.files if file.table == table), key=lambda f: f.span)

    def replaced(self, old: Iterable[LakeFile], new: Iterable[LakeFile]) -> "Manifest":
        """The next generation: without `old`, with `new`."""
        gone = {file.name for file in old}
        files = tuple(file for file in self.files if file.name not in gone) + tuple(new)
        return replace(self, generation=self.generation + 1, files=files)


# Tables of exchanges, and the first and the last µs of a time.
TIMED: Final = ("requests", "bodies")
Span = tuple[int, int]


@dataclass(frozen=True)
class LakeView:
    """What queries may read: the files of one generation, and the keys of the encrypted ones."""

    generation: int
    files: dict[str, list[Path]]
    upto_segment: int
    epochs: dict[Path, int] = field(default_factory=dict)
    keys: dict[int, bytes] = field(default_factory=dict, repr=False)
    versions: dict[Path, int] = field(default_factory=dict)
    # When the oldest and the newest exchange of a file were created, in µs. Not of all: who knows
    # nothing of a file reads it.
    created: dict[Path, Span] = field(default_factory=dict)

    def within(self, created: Span) -> "LakeView":
        """Without the files of which every exchange was created before or after this."""
        first, last = created

        def may_hold(path: Path) -> bool:
            span = self.created.get(path)
            return span is None or (span[0] <= last and span[1] >= first)

        few = {table: list(filter(may_hold, self.files.get(table, ()))) for table in TIMED}
        return replace(self, files={**self.files, **few})

    def key_statements(self) -> list[str]:
        """To run once on the connection before a view is read: DuckDB keeps the keys in memory."""
        used = sorted(set(self.epochs.values()) - {0})
        return [
            f"PRAGMA add_parquet_key('epoch_{epoch}', '{_base64(self.keys[epoch])}')"
            for epoch in used
        ]

    def source(self, table: str, *, oldest_first: bool = False) -> str:
        """A SELECT over the table's files with exactly the columns of `storage.rows`, in order.
        DuckDB reads files as they are listed, and passes over those whose rows come behind the
        best that it has found: a page of the newest should begin with the newest file."""
        files, step = self.files.get(table, []), 1 if oldest_first else -1
        alike: dict[tuple[int, int], list[Path]] = {}
        for path in files[::step]:
            kind = self.epochs.get(path, 0), self.versions.get(path, SCHEMA_VERSION)
            alike.setdefault(kind, []).append(path)
        if not alike:
            columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in TABLES[table])
            return f"SELECT {columns} WHERE false"
        return " UNION ALL ".join(
            f"({_select(table, paths, *kind)})" for kind, paths in sorted(alike.items())[::step]
        )


def view_of(directory: Path, manifest: Manifest, keys: dict[int, bytes]) -> LakeView:
    files: dict[str, list[Path]] = {table: [] for table in TABLES}
    epochs: dict[Path, int] = {}
    versions: dict[Path, int] = {}
    created: dict[Path, Span] = {}
    for table in TABLES:
        for file in manifest.of(table):
            path = directory / file.name
            files[table].append(path)
            epochs[path], versions[path] = file.key_epoch, file.schema_version
            if table in TIMED and file.created_max_us:  # 0: none of its exchanges has a time
                created[path] = file.created_min_us, file.created_max_us
    return LakeView(
        manifest.generation, files, manifest.upto_segment, epochs, keys, versions, created
    )


def is_nested(kind: str) -> bool:
    """Maps and lists: in encrypted files these are JSON text (see `storage.parquet`)."""
    return kind.startswith("MAP") or kind.endswith("[]")


def _select(table: str, paths: list[Path], epoch: int, version: int) -> str:
    """`version`: what these files have of the columns; the others are NULL."""
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    missing = {name for name, _ in TABLES[table] if ADDED_IN.get((table, name), 0) > version}
    columns = ", ".join(
        f"NULL::{kind} AS {name}" if name in missing else name for name, kind in TABLES[table]
    )
    if not epoch:
        return f"SELECT {columns} FROM read_parquet([{names}], union_by_name=true)"  # noqa: S608
    options = f"union_by_name=true, encryption_config={{footer_key: 'epoch_{epoch}'}}"
    shown = ", ".join(
        f"from_json({name}, '{_json_shape(kind)}') AS {name}" if is_nested(kind) else name
        for name, kind in TABLES[table]
    )
    # DuckDB 2.0 fails with "AES tag differs" when a filter reaches the scan of a file that PyArrow
    # encrypted; OFFSET 0 changes no row and keeps filters above it. JSON is parsed above that:
    # only of rows that a filter leaves, which halves the time of a search.
    source = f"SELECT {columns} FROM read_parquet([{names}], {options}) OFFSET 0"  # noqa: S608
    return f"SELECT {shown} FROM ({source})"  # noqa: S608 - names and paths are ours


def _json_shape(kind: str) -> str:
    """DuckDB's structure text for from_json: fields that a file lacks become NULL."""
    if kind == ATTEMPT_TYPE:
        fields = re.findall(r"(\w+) (\w+)", kind.removeprefix("STRUCT(").removesuffix(")[]"))
        return json.dumps([dict(fields)])
    if kind.endswith("[]"):
        return json.dumps([kind.removesuffix("[]")])
    return json.dumps(kind)


def _base64(key: bytes) -> str:
    # DuckDB takes a text of 16, 24 or 32 characters as the key itself: only 32 raw bytes
    # (44 characters) are unambiguous.
    assert len(key) == 32
    return base64.b64encode(key).decode()


def load(directory: Path) -> Manifest:
    """The manifest of `directory` (the lake's folder); an empty one when there is none yet.

    Files without a manifest are no empty lake: taken for one, they would be removed as orphans.
    """
    try:
        raw = (directory / NAME).read_bytes()
    except FileNotFoundError:
        if any(parquet_files(directory)):
            raise ManifestDamaged(f"{directory / NAME} is missing, and there are files") from None
        return Manifest()
    try:
        document = json.loads(raw)
        checksum = document.pop("checksum")
        if checksum != _checksum(document) or document.pop("format") != FORMAT:
            raise ValueError("checksum or format differs")
        document["files"] = tuple(LakeFile(**file) for file in document["files"])
        document["applied"] = Applied(*document["applied"])
        document["blobs"] = tuple(document["blobs"])
        document["damaged"] = tuple(document["damaged"])
        return Manifest(**document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestDamaged(f"{directory / NAME}: {error}") from error


def parquet_files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Every file of every table, whatever the manifest says of it."""
    for table in TABLES:
        for path in (directory / table).glob("*.parquet"):
            yield table, path


def file_name(table: str, span: tuple[int, int], generation: int, edition: int = 0) -> str:
    """`edition` counts files of the same segments within a generation."""
    suffix = f"-{edition}" if edition else ""
    return f"{table}/{span[0]:08d}-{span[1]:08d}-{generation:08d}{suffix}.parquet"


def named_files(directory: Path) -> Iterator[Named]:
    """Every file with what its name tells."""
    for table, path in parquet_files(directory):
        match = _FILE_NAME.fullmatch(path.name)
        if match:
            first, last, generation, edition = (int(part or 0) for part in match.groups())
            yield Named(generation, edition, first, last, table, path)


def store(directory: Path, manifest: Manifest, step: Step = no_step) -> None:
    """Temporary name, fsync, rename, fsync the folder."""
    document = {"format": FORMAT, **asdict(manifest)}
    # through JSON once, so that the checksum is of what a reader will see
    document = json.loads(json.dumps(document))
    document["checksum"] = _checksum(document)
    temporary = directory / (NAME + ".new")
    with open(temporary, "wb") as stream:
        stream.write(json.dumps(document, indent=1).encode())
        stream.flush()
        step("manifest written")
        os.fsync(stream.fileno())
    step("manifest synced")
    temporary.replace(directory / NAME)
    step("manifest renamed")
    sync_folder(directory)
    step("manifest in force")


def sync_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unlink_all(paths: Iterable[Path]) -> None:
    """Remove files, those already gone included, and make it last."""
    folders = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)


def _checksum(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
