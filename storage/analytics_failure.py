"""What can go wrong with the analytics database, whose fault it is, and setting its file aside."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

# Troubles of the machine, not of the file: the same file may well open later.
_ENVIRONMENT = (
    "could not set lock", "permission denied", "no space left", "input/output error",
    "read-only file system", "too many open files", "out of memory", "cannot allocate",
    "could not allocate", "failed to pin block", "file handle conflict",
)  # fmt: skip

# A part of them: DuckDB's limit was too low for what it was to do.
_MEMORY = ("out of memory", "could not allocate block", "failed to pin block")


class AnalyticsFailed(Exception):  # noqa: N818 - says whose fault it is in `damaged`
    """A DuckDB error. `damaged`: the file is to blame, it should be set aside and rebuilt."""

    def __init__(self, message: str, *, damaged: bool) -> None:
        super().__init__(message)
        self.damaged = damaged

    @property
    def wants_memory(self) -> bool:
        """Whether DuckDB's memory limit was too low."""
        lowered = str(self).lower()
        return any(words in lowered for words in _MEMORY)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """DuckDB's exceptions become ours; the only place where the writer meets them."""
    try:
        yield
    except duckdb.Error as error:
        message = str(error)
        environment = any(word in message.lower() for word in _ENVIRONMENT)
        raise AnalyticsFailed(message, damaged=not environment) from error


def is_damage(error: BaseException, path: Path | None) -> bool:
    """Whether a reader's error proves that blocks of the file are missing or are not what was
    written. Errors about any other file are the asker's."""
    if path is None:
        return False
    cut = f'IO Error: Could not read enough bytes from file "{path}"'
    return str(error).startswith(("Corrupt database file", cut))


def remove(path: Path) -> None:
    """Takes a database and its log of writes away for good."""
    # The log first: one that belongs to another file is worse than no database at all.
    for name in (path.name + ".wal", path.name):
        path.with_name(name).unlink(missing_ok=True)


def set_aside(path: Path, quarantine: Path) -> list[Path]:
    """Moves a damaged database and its log of writes to `quarantine`; where they are now."""
    moved = []
    for source in (path, path.with_name(path.name + ".wal")):
        if source.exists():
            number = sum(1 for _ in quarantine.glob(f"{source.name}.*"))
            target = quarantine / f"{source.name}.{number}"
            source.rename(target)
            moved.append(target)
    return moved
