"""A backup: one file that holds a whole root as it was at one moment, and the way back.

Its pieces (backup_pieces.py) make a stream of zstd, and that a tar. The last member names every
other one with its length and SHA-256. Everything blocks.
"""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, NamedTuple, Self

import msgspec
import zstandard

from storage import price_eras
from storage.backup_pieces import PIECE_BYTES, BackupRefused, Joined, Pieces
from storage.directory import FORMAT_VERSION, RESERVE_BYTES
from storage.frames import Position
from storage.segment import segment_numbers, segment_path

CONTENTS: Final = "CONTENTS.json"
CONTENTS_BYTES_MAX: Final = 256 << 20
CALM_BYTES: Final = 8 << 20
TAR_HEADER_BYTES_MAX: Final = 64 << 10  # of names longer than tar's own field, and sizes
# Of the root itself; further ones can be made anew, or are of the running process.
FILES: Final = ("FORMAT", "vault.key", "vault.epochs", "rate_limits", price_eras.NAME)
STATE: Final = "state.sqlite"
FOLDERS: Final = ("lake", "blobs", "quarantine")
_NAME: Final = re.compile(
    "|".join(map(re.escape, (*FILES, STATE)))
    + r"|(journal|lake|blobs|quarantine)(/[A-Za-z0-9_][A-Za-z0-9_.=-]*){1,4}"
)
Advanced = Callable[[int], object]


class Entry(NamedTuple):
    """A file of the backup: its name in the root, where it lies now, how much of it counts."""

    name: str
    path: Path
    bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a backup says of itself. `format` is that of the root."""

    region: str
    made_at: str
    version: str
    format: int
    files: int
    bytes: int


class _Item(msgspec.Struct, frozen=True):
    name: str
    bytes: int
    sha256: str


class _Contents(msgspec.Struct, frozen=True):
    contents: list[_Item]


# -- what belongs to it


def hold(root: Path, folder: Path, written: Callable[[], Position | None]) -> list[Entry]:
    """Make a copy of `root` as it is now in `folder`, on the same file system: links where nothing
    is ever changed in place, copies of the journal, whose frames may be erased. For the time of the
    call nobody may roll, delete or put retention into effect; calls may go on. `written` says how
    far the journal is, None for to its end. Raises OSError, BackupRefused.

    The state comes first: what the journal tells beyond it is settled by the next start, as after
    a crash; a state that knows of frames that are not there would not be. The keys come last: they
    are only added to, and one that was begun meanwhile may have sealed what was copied."""
    _refuse_without_room(root)
    folder.mkdir(mode=0o700)
    found = []
    if (root / STATE).exists():
        found.append(_state_copy(root / STATE, folder / STATE))
    found += _segments(root, folder / "journal", written())
    for name in FOLDERS:
        found += _linked(root / name, folder / name, name)
    for name in FILES:
        with suppress(FileNotFoundError):
            shutil.copyfile(root / name, folder / name)
            found.append(_entry(name, folder / name))
    return found


def _refuse_without_room(root: Path) -> None:
    """What is copied lies on the disk that a server writes its records to."""
    copied = (root / STATE, root / f"{STATE}-wal", *(root / "journal").glob("*.seg"))
    needed = RESERVE_BYTES + sum(path.stat().st_size for path in copied if path.exists())
    free = shutil.disk_usage(root).free
    if free < needed:
        raise BackupRefused(
            f"a copy of journal and state is held beside them meanwhile: {needed >> 20} MiB are "
            f"needed on the disk of {root}, {free >> 20} MiB are free"
        )


def _segments(root: Path, target: Path, upto: Position | None) -> Iterator[Entry]:
    target.mkdir(mode=0o700)
    for number in segment_numbers(root):
        if upto is not None and number > upto.segment:
            continue
        source = segment_path(root, number)
        size = source.stat().st_size
        if upto is not None and number == upto.segment:  # it grows while it is copied
            size = min(size, upto.offset)
        _copy_calmly(source, target / source.name, size)
        entry = _entry(f"journal/{source.name}", target / source.name)
        if upto is not None and number == upto.segment:
            entry = entry._replace(bytes=min(entry.bytes, upto.offset))
        yield entry


def _linked(source: Path, target: Path, name: str) -> Iterator[Entry]:
    target.mkdir(mode=0o700, exist_ok=True)
    for item in sorted(source.iterdir()) if source.is_dir() else ():
        inner = f"{name}/{item.name}"
        if item.is_dir() and not item.is_symlink():
            yield from _linked(item, target / item.name, inner)
        elif item.is_file() and not item.is_symlink():
            with suppress(FileNotFoundError):  # a body that was dropped at this moment
                _link(item, target / item.name)
                yield _entry(inner, target / item.name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links: it takes the room twice for a while
        _copy_calmly(source, target, source.stat().st_size)


def _copy_calmly(source: Path, target: Path, size: int) -> None:
    """The first `size` bytes. Never much of it unwritten: what the disk has to catch up with, a
    journal's fsync waits for. Where the file system can share blocks it does."""
    with source.open("rb") as old, target.open("xb") as new:
        while size > 0 and (copied := _piece_copied(old, new, min(size, CALM_BYTES))):
            size -= copied
            os.fdatasync(new.fileno())


def _piece_copied(old: BinaryIO, new: BinaryIO, size: int) -> int:
    try:
        return os.copy_file_range(old.fileno(), new.fileno(), size)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP):
            raise
    piece = old.read(size)
    new.write(piece)
    new.flush()
    return len(piece)


def _entry(name: str, path: Path) -> Entry:
    return Entry(name, path, path.stat().st_size)


def _state_copy(source: Path, target: Path) -> Entry:
    """As of one moment, whoever writes meanwhile."""
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise BackupRefused(f"{source}: {error}") from None
    target.chmod(0o600)
    return _entry(STATE, target)


# -- into one file


def write(
    entries: Iterable[Entry],
    stream: BinaryIO,
    *,
    passphrase: bytes | None,
    told: Mapping[str, str],
    advanced: Advanced = lambda _bytes: None,
) -> Facts:
    """`told`: region, made_at and version. `advanced` hears of every piece of a file. Raises
    OSError, and BackupRefused for a file that has become shorter."""
    contents: list[dict[str, Any]] = []
    sink = Pieces(stream, passphrase)
    with (
        zstandard.ZstdCompressor(level=3).stream_writer(sink, closefd=False) as packed,  # type: ignore[arg-type]
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in entries:
            contents.append(_add(tar, entry, advanced))
        facts = Facts(
            told["region"], told["made_at"], told["version"], FORMAT_VERSION,
            len(contents), sum(item["bytes"] for item in contents),
        )  # fmt: skip
        last = json.dumps({**_as_map(facts), "contents": contents}).encode()
        tar.addfile(_member(CONTENTS, len(last)), io.BytesIO(last))
    sink.end()
    return facts


def _add(tar: tarfile.TarFile, entry: Entry, advanced: Advanced) -> dict[str, Any]:
    try:
        file = entry.path.open("rb")
    except OSError as error:
        raise BackupRefused(
            f"{entry.name} cannot be read: {error.strerror}; a server that ends takes with it what "
            "it held for this"
        ) from None
    with file:
        source = _Measured(file, entry, advanced)
        tar.addfile(_member(entry.name, entry.bytes), source)  # type: ignore[arg-type]
    return {"name": entry.name, "bytes": entry.bytes, "sha256": source.digest.hexdigest()}


def _member(name: str, size: int) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.mode = size, 0o600
    return found


class _Measured:
    """A file that is read once."""

    def __init__(self, file: BinaryIO, entry: Entry, advanced: Advanced) -> None:
        self._file, self._entry, self._advanced = file, entry, advanced
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        if len(piece) < size:
            raise BackupRefused(f"{self._entry.name} has become shorter while it was read")
        self.digest.update(piece)
        self._advanced(len(piece))
        return piece


# -- and back


def read(
    stream: BinaryIO,
    target: Path,
    *,
    passphrase: bytes | None,
    advanced: Advanced = lambda _bytes: None,
) -> Facts:
    """Unpack into `target`, which must not be there, and check all of it. Raises BackupRefused,
    OSError; what was unpacked by then stays for the caller to remove."""
    target.mkdir(mode=0o700)
    found: dict[str, tuple[int, str]] = {}
    contents: bytes | None = None
    joined = io.BufferedReader(Joined(stream, passphrase), PIECE_BYTES)
    try:
        with (
            zstandard.ZstdDecompressor().stream_reader(joined, closefd=False) as packed,
            tarfile.open(fileobj=packed, mode="r|", tarinfo=_Plain) as tar,
        ):
            for member in tar:
                source = tar.extractfile(member) if member.isreg() else None
                if source is None or contents is not None:
                    raise BackupRefused("this backup is damaged: it holds what no backup does")
                if member.name == CONTENTS and member.size <= CONTENTS_BYTES_MAX:
                    contents = source.read()
                else:
                    found[member.name] = _take(member, source, target, found, advanced)
            while packed.read(PIECE_BYTES):  # to the end, whose seal is checked too
                pass
    except (tarfile.TarError, zstandard.ZstdError, ValueError, EOFError, RecursionError) as error:
        raise BackupRefused(f"this backup is damaged: {error}") from None
    _sync_folders(target)
    return _checked(found, contents)


class _Plain(tarfile.TarInfo):
    """A header of tar that asks for no more memory than one of a backup may."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As of any other. Raises BackupRefused."""
        found = super().frombuf(buf, encoding, errors)
        if found.type != tarfile.REGTYPE and not (
            found.type == tarfile.XHDTYPE and found.size <= TAR_HEADER_BYTES_MAX
        ):
            raise BackupRefused("this backup is damaged: it holds what no backup does")
        return found


def _take(
    member: tarfile.TarInfo,
    source: IO[bytes],
    target: Path,
    known: Mapping[str, object],
    advanced: Advanced,
) -> tuple[int, str]:
    if not _NAME.fullmatch(member.name) or member.name in known:
        raise BackupRefused(f"this backup holds {member.name!r}, which no backup does")
    path = target / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, length = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while piece := source.read(PIECE_BYTES):
            digest.update(piece)
            length += len(piece)
            file.write(piece)
            advanced(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return length, digest.hexdigest()


def _sync_folders(target: Path) -> None:
    for folder, _, _ in os.walk(target):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _checked(found: Mapping[str, tuple[int, str]], contents: bytes | None) -> Facts:
    if contents is None:
        raise BackupRefused("this backup is cut short: its list of contents is missing")
    try:
        facts = msgspec.json.decode(contents, type=Facts)
        items = msgspec.json.decode(contents, type=_Contents).contents
    except (msgspec.MsgspecError, RecursionError):
        raise BackupRefused("this backup is damaged: its list of contents is none") from None
    if facts.format > FORMAT_VERSION:
        raise BackupRefused(
            f"version {facts.version} made this backup, of a directory of format {facts.format}; "
            f"this one knows {FORMAT_VERSION}"
        )
    listed = {item.name: (item.bytes, item.sha256) for item in items}
    wrong = [name for name in {**listed, **found} if listed.get(name) != found.get(name)]
    if wrong:
        raise BackupRefused(f"this backup is damaged: {', '.join(sorted(wrong)[:5])}")
    return facts


def _as_map(facts: Facts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in Facts.__slots__}
