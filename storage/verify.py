"""Recomputes what can be recomputed and names every file that does not agree; makes DuckDB anew.

Blocking; not while a roll is under way. Deriving is a callable that it is given. PyArrow is not
needed: Parquet files are compared with their hashes and counted by DuckDB.
"""

import base64
import binascii
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import duckdb

from storage import price_eras
from storage.analytics import Analytics, AnalyticsFailed
from storage.analytics_failure import remove
from storage.lake import Lake
from storage.manifest import LakeFile, ManifestDamaged, sync_folder, view_of
from storage.query import QueryFailed
from storage.reader import check_segment
from storage.segment import segment_numbers, segment_path
from storage.vault import SegmentKeys
from storage.verify_ledger import FILE as LEDGER
from storage.verify_ledger import LedgerCheck
from storage.verify_rows import DeriveFrame, Finding, FrameCheck, Progress, Report, name_of

T = TypeVar("T")
__all__ = ["Finding", "Report", "rebuild", "verify"]


def verify(
    root: Path,
    *,
    keys: SegmentKeys | None = None,
    open_analytics: Callable[[Lake], Analytics] | None = None,
    derive: DeriveFrame | None = None,
    progress: Progress = lambda frames: None,
) -> Report:
    """Journal = rows = bodies = ledger, each against its own sums and against each other.

    `open_analytics` gives the database; it is closed by whoever made it. `derive` makes the rows
    anew to compare them. Raises VaultError when a key is missing, OSError.
    """
    report = Report()
    _check_small_files(root, report)
    state_is_sound = all(finding.file != LEDGER for finding in report.findings)
    lake = _check_manifest(root, keys, report)
    _check_segments(root, report)
    if lake is None:
        return report
    _check_parquet(lake, report)
    analytics = _opened(lake, open_analytics, report)
    with contextlib.closing(LedgerCheck(root if state_is_sound else None)) as ledger:
        FrameCheck(lake, derive, analytics, report, progress, ledger).check()
    return report


def rebuild(
    root: Path, open_at: Callable[[Path], Analytics], ingest: Callable[[Analytics], T]
) -> T:
    """A new analytics database from lake and journal. `open_at` opens one over the lake's view,
    `ingest` brings it up to the journal's end. The root's database must not be open."""
    fresh = root / "tmp" / "rebuilt.duckdb"
    remove(fresh)
    analytics = open_at(fresh)
    try:
        result = ingest(analytics)
    finally:
        analytics.close()
    # Without a database the next start simply makes it again: so the old one goes first.
    target = root / "analytics.duckdb"
    remove(target)
    fresh.rename(target)
    sync_folder(root)
    return result


def _check_small_files(root: Path, report: Report) -> None:
    checks: dict[str, Callable[[Path], None]] = {
        "FORMAT": lambda path: _require(path.read_text().strip().isdigit(), "no version number"),
        "vault.key": _check_key,
        "vault.epochs": lambda path: _require("epochs" in json.loads(path.read_bytes()), "no keys"),
        price_eras.NAME: lambda path: _require(bool(price_eras.read(path.parent)), "no prices"),
        "state.sqlite": _check_sqlite,
    }
    for name, check in checks.items():
        path = root / name
        if not path.exists():
            continue
        try:
            check(path)
        except (ValueError, sqlite3.DatabaseError, price_eras.ErasUnreadable) as error:
            report.add(name, str(error))


def _check_key(path: Path) -> None:
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no key: {error}") from None
    _require(len(key) == 32, "no key of 32 bytes")


def _check_sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("PRAGMA integrity_check(5)").fetchall()
        _require(rows == [("ok",)], "; ".join(str(row[0]) for row in rows))


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise ValueError(complaint)


def _check_manifest(root: Path, keys: SegmentKeys | None, report: Report) -> Lake | None:
    try:
        return Lake.open(root, keys=keys, read_only=True, recover=False)
    except ManifestDamaged as error:
        report.add("lake/manifest.json", str(error))
        return None


def _check_segments(root: Path, report: Report) -> None:
    numbers = segment_numbers(root)
    for number in numbers:
        report.segments += 1
        check = check_segment(root, number)
        report.frames += check.frames
        name = name_of(root, segment_path(root, number))
        # The newest may be growing while we read. An older one without a footer was left after a
        # write that failed or fell short: what it could not take is in the next one, or was told
        # as degraded. If frames with rows were cut off, those rows have none any more: see there.
        damages = [d for d in check.damages if check.footer is not None or d.reason != "tail"]
        report.torn_tails += number != numbers[-1] and len(damages) < len(check.damages)
        for damage in damages:
            report.add(name, f"{damage.reason}: {damage.bytes} bytes at {damage.offset}")
        if check.footer is not None and not check.whole and not damages:
            wanted = check.footer.frames
            report.add(name, f"footer counts {wanted} frames, {check.frames} are there, or differ")


def _check_parquet(lake: Lake, report: Report) -> None:
    sound = [file for file in lake.manifest.files if _is_sound(lake, file, report)]
    with duckdb.connect(":memory:", config={"autoload_known_extensions": "false"}) as connection:
        for statement in lake.view.key_statements():
            connection.execute(statement)
        for file in sound:
            rows = _counted(connection, lake, file, report)
            report.parquet_rows += rows
            if rows != file.rows:
                what = f"{file.rows} rows in the manifest, {rows} in the file"
                report.add(f"lake/{file.name}", what)
        for span in sorted({file.span for file in sound}):
            pair = [f for f in sound if f.span == span and f.table in ("requests", "bodies")]
            _check_pair(connection, lake, pair, report)


def _is_sound(lake: Lake, file: LakeFile, report: Report) -> bool:
    report.parquet_files += 1
    name = f"lake/{file.name}"
    try:
        with lake.path(file).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        report.add(name, "missing")
        return False
    if digest != file.sha256:
        report.add(name, "its bytes are not those that were written")
    return digest == file.sha256


def _select(lake: Lake, files: Iterable[LakeFile], table: str, columns: str) -> str:
    chosen = tuple(file for file in files if file.table == table)
    source = view_of(lake.directory, type(lake.manifest)(files=chosen), {}).source(table)
    return f"SELECT {columns} FROM ({source})"  # noqa: S608 - names are ours


def _counted(
    connection: duckdb.DuckDBPyConnection, lake: Lake, file: LakeFile, report: Report
) -> int:
    try:
        row = connection.execute(_select(lake, [file], file.table, "count(*)")).fetchone()
    except duckdb.Error as error:
        report.add(f"lake/{file.name}", f"DuckDB cannot read it: {error}")
        return file.rows
    return int(row[0]) if row else 0


def _check_pair(
    connection: duckdb.DuckDBPyConnection, lake: Lake, pair: list[LakeFile], report: Report
) -> None:
    """Each request of the span has its bodies, and the other way round."""
    if not pair:
        return
    requests, bodies = (
        _select(lake, pair, table, "exchange_id") for table in ("requests", "bodies")
    )
    sql = (  # names are ours
        f"SELECT (SELECT count(*) FROM ({requests} EXCEPT {bodies})),"  # noqa: S608
        f" (SELECT count(*) FROM ({bodies} EXCEPT {requests}))"
    )
    row = connection.execute(sql).fetchone()
    if row is not None and row != (0, 0):
        what = f"{row[0]} requests without bodies, {row[1]} bodies without a request"
        report.add(f"lake/{pair[-1].name}", what)


def _opened(
    lake: Lake, open_analytics: Callable[[Lake], Analytics] | None, report: Report
) -> Analytics | None:
    """The database, read through once: each of its blocks has a checksum."""
    if open_analytics is None:
        return None
    try:
        analytics = open_analytics(lake)
        hot = f"segment > {lake.manifest.upto_segment:d}"
        with analytics.query(f"SELECT count(*) FROM frames WHERE {hot}") as query:  # noqa: S608
            report.hot_rows = query.fetch()[0][0]
        for view in ("requests", "bodies"):
            with analytics.query(f"SELECT bit_xor(hash(r)) FROM {view} AS r") as query:  # noqa: S608
                query.fetch()
    except (AnalyticsFailed, QueryFailed) as error:
        # A damaged Parquet file was named already; what is left is the database's own.
        if not any(f.file.startswith("lake/") for f in report.findings):
            report.add("analytics.duckdb", str(error))
        return None
    return analytics
