"""Each planted corruption is found and named; a database made anew says what the old one said."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from storage import verify_rows
from storage.analytics import Analytics
from storage.batch import Batch
from storage.blobs import Blobs
from storage.lake import Lake
from storage.ledger import LedgerBatch, LedgerStore
from storage.roll import roll
from storage.segment import segment_path
from storage.vault import SegmentKeys, Vault
from storage.verify import Report, rebuild, verify
from tests.storage.lake_kit import (
    KEYS,
    Derive,
    exchange,
    journal,
    make_blob,
    open_lake,
    write_segment,
)
from tests.storage.ledger_kit import ORG as LEDGER_ORG
from tests.storage.ledger_kit import account, hold, id_at, topped_up, transfer

MEMORY = 64 * 2**20


def open_database(path: Path | None, lake: Lake) -> Analytics:
    return Analytics.open(path, memory_bytes_max=MEMORY, threads=1, lake=lake.view)


def ingest(root: Path, analytics: Analytics, keys: SegmentKeys | None = None) -> int:
    batch, derive, end = Batch(), Derive(root, keys), analytics.position
    for frame in journal(root, keys):
        if frame.position >= analytics.position:
            batch.add(derive(frame), frame.flags)
            end = frame.end
    analytics.ingest(batch, end)
    return len(batch)


def a_root(root: Path, keys: SegmentKeys | None = None) -> Path:
    """Two segments in the lake, two in the journal, one blob, all databases."""
    Vault.open(root)
    (root / "FORMAT").write_text("1\n")
    with sqlite3.connect(root / "state.sqlite") as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(f"row {n}" * 50,) for n in range(200)])
    connection.close()
    for part in (range(1, 30), range(30, 60)):
        write_segment(root, [exchange(n) for n in part], keys=keys)
    lake = open_lake(root, keys)
    roll(lake, Derive(root, keys), upto=2)
    lake.tidy(1)
    blob = make_blob(root, "from a blob", keys)
    write_segment(root, [*(exchange(n) for n in range(60, 90))], keys=keys)
    last = exchange(90, response="from a blob", blob=blob)
    write_segment(root, [last, exchange(91)], keys=keys, closed=False)
    path = None if keys else root / "analytics.duckdb"
    analytics = open_database(path, lake)
    ingest(root, analytics, keys)
    analytics.close()
    return root


@contextmanager
def databases(root: Path, keys: SegmentKeys | None = None) -> Iterator[Callable[[Lake], Analytics]]:
    opened: list[Analytics] = []

    def open_one(lake: Lake) -> Analytics:
        analytics = open_database(None if keys else root / "analytics.duckdb", lake)
        opened.append(analytics)
        if keys:
            ingest(root, analytics, keys)
        return analytics

    try:
        yield open_one
    finally:
        for analytics in opened:
            analytics.close()


def verified(root: Path, keys: SegmentKeys | None = None) -> Report:
    with databases(root, keys) as open_analytics:
        derive = Derive(root, keys)
        return verify(root, keys=keys, open_analytics=open_analytics, derive=derive)


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_a_whole_root_is_whole(tmp_path: Path, keys: SegmentKeys | None):
    report = verified(a_root(tmp_path, keys), keys)
    assert report.findings == []
    assert report.is_whole
    counts = (report.segments, report.frames, report.exchanges, report.blobs, report.hot_rows)
    assert counts == (2, 32, 32, 1, 32)
    assert (report.parquet_files, report.parquet_rows) == (2, 118)


def test_the_lake_is_not_read_for_each_handful_of_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it takes the number of frames times the size of the lake: hours for a million."""
    root, asked = a_root(tmp_path), []
    query = Analytics.query

    def heard(self: Analytics, sql: str, *given: Any, **named: Any) -> Any:
        asked.append(sql)
        return query(self, sql, *given, **named)

    monkeypatch.setattr(Analytics, "query", heard)
    monkeypatch.setattr(verify_rows, "COMPARED_AT_ONCE", 3)
    report = verified(root)
    assert (report.findings, report.exchanges) == ([], 32)
    assert asked.count(verify_rows.IN_PLACE) > 10
    assert verify_rows.ANYWHERE not in asked


def _flip(path: Path, at: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 0x55
    path.write_bytes(data)


def _blob(root: Path) -> Path:
    (name,) = Blobs(root).names()
    return Blobs(root).path(name)


def _lake_file(root: Path, table: str) -> Path:
    (path,) = (root / "lake" / table).glob("*.parquet")
    return path


CORRUPTIONS: list[tuple[str, Callable[[Path], Path]]] = [
    ("segment", lambda root: segment_path(root, 3)),
    ("newest segment", lambda root: segment_path(root, 4)),
    ("requests", lambda root: _lake_file(root, "requests")),
    ("bodies", lambda root: _lake_file(root, "bodies")),
    ("manifest", lambda root: root / "lake" / "manifest.json"),
    ("blob", _blob),
    ("sqlite", lambda root: root / "state.sqlite"),
    ("epochs", lambda root: root / "vault.epochs"),
]


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
@pytest.mark.parametrize(("name", "file"), CORRUPTIONS, ids=[name for name, _ in CORRUPTIONS])
def test_a_changed_byte_is_found_and_the_file_named(tmp_path: Path, keys, name, file):
    path = file(a_root(tmp_path, keys))
    _flip(path, {"sqlite": 4100, "epochs": 0, "newest segment": 200}.get(name))
    report = verified(tmp_path, keys)
    assert str(path.relative_to(tmp_path)) in {finding.file for finding in report.findings}
    assert not report.is_whole


def test_a_segment_that_a_full_disk_left_is_no_damage(tmp_path: Path):
    """It was never closed, ends in half a frame, and another one goes on."""
    a_root(tmp_path)
    path = segment_path(tmp_path, 4)
    path.write_bytes(path.read_bytes() + path.read_bytes()[-40:-20])
    assert verified(tmp_path).torn_tails == 0  # the newest may just be growing
    write_segment(tmp_path, [exchange(92)])
    report = verified(tmp_path)
    assert (report.findings, report.torn_tails) == ([], 1)


def test_a_segment_that_was_cut_off_is_found_by_its_rows(tmp_path: Path):
    a_root(tmp_path)
    path = segment_path(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-300])
    (finding,) = verified(tmp_path).findings
    assert finding.file == "analytics.duckdb"
    assert "without a frame" in finding.what


@pytest.mark.parametrize("name", ["FORMAT", "vault.key"])
def test_a_small_file_without_sense_is_named(tmp_path: Path, name: str):
    (a_root(tmp_path) / name).write_text("?\n")
    assert [finding.file for finding in verified(tmp_path).findings] == [name]


LOST = ["requests", "bodies", "segment", "blob"]


@pytest.mark.parametrize("what", LOST)
def test_a_lost_file_is_named(tmp_path: Path, what: str):
    a_root(tmp_path)
    files = {"segment": lambda root: segment_path(root, 3), "blob": _blob}
    path = files[what](tmp_path) if what in files else _lake_file(tmp_path, what)
    path.unlink()
    report = verified(tmp_path)
    assert str(path.relative_to(tmp_path)) in {finding.file for finding in report.findings}


def test_a_damaged_database_is_named(tmp_path: Path):
    path = a_root(tmp_path) / "analytics.duckdb"
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 1000):
        data[at] ^= 0x55
    path.write_bytes(data)
    assert {finding.file for finding in verified(tmp_path).findings} == {"analytics.duckdb"}


CHANGES = [
    ("UPDATE hot_bodies SET response = 'something else' WHERE segment = 3", "in response"),
    ("UPDATE hot_requests SET user_id = 'nobody' WHERE segment = 3", "in user_id"),
    ("DELETE FROM hot_requests WHERE segment = 3", "no row"),
    ("DELETE FROM hot_bodies WHERE segment = 3", "in request, response"),
]


@pytest.mark.parametrize(("change", "complaint"), CHANGES)
def test_rows_that_are_not_their_frames_are_found(tmp_path: Path, change: str, complaint: str):
    import duckdb

    with duckdb.connect(a_root(tmp_path) / "analytics.duckdb") as connection:
        connection.execute(change)
    findings = verified(tmp_path).findings
    assert {finding.file for finding in findings} == {"analytics.duckdb"}
    assert all(complaint in finding.what for finding in findings)
    assert len(findings) == 30


SUPERFLUOUS = [
    (
        "INSERT INTO hot_requests FROM hot_requests WHERE segment = 4",
        "2 exchanges have more than one row",
    ),
    (
        "INSERT INTO hot_requests BY NAME SELECT gen_random_uuid() AS exchange_id,"
        " * EXCLUDE (exchange_id) FROM hot_requests WHERE segment = 4",
        "2 rows without a frame",
    ),
]


@pytest.mark.parametrize(("change", "complaint"), SUPERFLUOUS)
def test_rows_that_are_too_many_are_found(tmp_path: Path, change: str, complaint: str):
    import duckdb

    with duckdb.connect(a_root(tmp_path) / "analytics.duckdb") as connection:
        connection.execute(change)
    assert [(finding.file, finding.what) for finding in verified(tmp_path).findings] == [
        ("analytics.duckdb", complaint)
    ]


def test_an_exchange_that_is_hot_and_cold_is_found(tmp_path: Path):
    import duckdb

    root = a_root(tmp_path)
    cold = open_lake(root).view.source("requests")
    with duckdb.connect(root / "analytics.duckdb") as connection:
        connection.execute(
            f"INSERT INTO hot_requests BY NAME SELECT * REPLACE (4 AS segment) FROM ({cold})"
            " WHERE user_id = 'user 1'"
        )
    (finding,) = verified(root).findings
    assert finding.what == "20 exchanges have more than one row"


def test_frames_that_say_nothing_have_rows_of_their_own(tmp_path: Path):
    """Their ids are made of their places: no row too many."""
    from appliance.actors.frame_rows import FrameDeriver

    write_segment(tmp_path, [exchange(1), exchange(2, exchange_id=None), (1, 0, b"\xc1")])
    lake = open_lake(tmp_path)
    analytics = open_database(None, lake)

    def derive(meta: dict[str, Any], request: bytes, response: bytes, **_: Any) -> Any:
        raise ValueError("not today")

    deriver = FrameDeriver(derive, lambda parts: b"")
    batch, end = Batch(), analytics.position
    for frame in journal(tmp_path):
        batch.add(deriver(frame), frame.flags)
        end = frame.end
    analytics.ingest(batch, end)
    report = verify(tmp_path, open_analytics=lambda _: analytics)
    analytics.close()
    assert (report.findings, report.hot_rows) == ([], 3)


def test_requests_without_bodies_are_found(tmp_path: Path):
    from dataclasses import replace

    from storage.parquet import without_ids
    from storage.rewrite import Edition
    from tests.storage.lake_kit import exchange_id

    a_root(tmp_path)
    lake = open_lake(tmp_path)
    edition = Edition(lake)
    gone = exchange_id(5, 1_772_323_205_000_000)
    assert edition.rewrite(lake.manifest.of("bodies")[0], without_ids([gone])) == 1
    edition.commit()
    (finding,) = verify(tmp_path).findings
    assert finding.what == "1 requests without bodies, 0 bodies without a request"
    wrong = [replace(file, rows=file.rows + 1) for file in lake.manifest.files]
    lake.adopt(replace(lake.manifest, files=tuple(wrong)))
    assert sum("in the manifest" in finding.what for finding in verify(tmp_path).findings) == 2


ALL = (
    "SELECT * EXCLUDE (properties, attempts, not_applied, scores), properties::VARCHAR,"
    " attempts::VARCHAR FROM requests ORDER BY exchange_id"
)


def _answers(analytics: Analytics) -> list[tuple]:
    rows = []
    for sql in (ALL, "SELECT * FROM bodies ORDER BY exchange_id"):
        with analytics.query(sql) as query:
            while page := query.fetch():
                rows += page
    return rows


def test_a_rebuilt_database_answers_as_before_and_after_a_roll(tmp_path: Path):
    root = a_root(tmp_path)
    lake = open_lake(root)
    with databases(root) as open_analytics:
        before = _answers(open_analytics(lake))
    assert len(before) == 2 * 91
    count = rebuild(root, lambda path: open_database(path, lake), lambda a: ingest(root, a))
    assert count == 32
    assert verified(root).is_whole
    with databases(root) as open_analytics:
        analytics = open_analytics(lake)
        assert _answers(analytics) == before
        roll(lake, Derive(root), upto=3)
        analytics.swap_lake(lake.view, drop_upto_segment=3)
        lake.tidy(analytics.oldest_generation)
        assert _answers(analytics) == before
    rebuild(root, lambda path: open_database(path, lake), lambda a: ingest(root, a))
    with databases(root) as open_analytics:
        assert _answers(open_analytics(lake)) == before
    assert verified(root).is_whole


HOLDS = [id_at(10_000_000 * number, number) for number in range(5)]


def a_root_with_a_ledger(root: Path, *changes: str) -> Report:
    """Holds 1 to 3 were charged 4 pico-USD each and have frames, 4 is open and has one too, 2 was
    told twice; `changes` are made to the state before it is verified."""
    with closing(LedgerStore.open(root / "state.sqlite")) as store:
        store.commit(topped_up())
        store.commit(LedgerBatch(holds=[hold(one, 10) for one in HOLDS[1:]]))
        store.commit(
            LedgerBatch(
                accounts=[
                    account(1, "credits/" + LEDGER_ORG.hex(), (10, 12, 0, 1000)),
                    account(2, "spent/" + LEDGER_ORG.hex(), (0, 0, 10, 12)),
                ],
                resolved=HOLDS[1:4],
                transfers=[transfer(one, 4, held=10) for one in HOLDS[1:4]],
            )
        )
    with closing(sqlite3.connect(root / "state.sqlite")) as connection, connection:
        for change in changes:
            connection.execute(change)
    told = [(HOLDS[1], 4), (HOLDS[2], 4), (HOLDS[2], 4), (HOLDS[3], None), (HOLDS[4], 9)]
    newer = id_at(10_000_000 * 9, 9)  # of a backup: its state is older than its journal
    write_segment(
        root, [exchange(n, holds=[[*pair]]) for n, pair in enumerate([*told, (newer, 1)])]
    )
    return verify(root)


def test_frames_and_ledger_that_agree_are_whole(tmp_path: Path):
    report = a_root_with_a_ledger(tmp_path)
    assert (report.findings, report.holds) == ([], 5)


LEDGER_CHANGES = [
    ("UPDATE ledger_accounts SET debits_posted = '8' WHERE number = 1", "stated"),
    (f"DELETE FROM ledger_transfers WHERE id = x'{HOLDS[2].hex()}'", "neither held nor charged"),
    (f"UPDATE ledger_transfers SET posted_pico = 5 WHERE id = x'{HOLDS[1].hex()}'", "5 charged"),
    ("DELETE FROM ledger_holds", "stated"),
]


@pytest.mark.parametrize(("change", "complaint"), LEDGER_CHANGES)
def test_a_ledger_that_differs_from_its_frames_is_found(
    tmp_path: Path, change: str, complaint: str
):
    findings = a_root_with_a_ledger(tmp_path, change).findings
    assert {finding.file for finding in findings} == {"state.sqlite"}
    assert any(complaint in finding.what for finding in findings)


def test_transfers_that_were_folded_are_not_missed(tmp_path: Path):
    folded = (
        f"DELETE FROM ledger_transfers WHERE id = x'{HOLDS[1].hex()}'",
        "UPDATE ledger_accounts SET base_debits = '4' WHERE number = 1",
        "UPDATE ledger_accounts SET base_credits = '4' WHERE number = 2",
        "DELETE FROM ledger_transfers WHERE kind = 4",
        "UPDATE ledger_accounts SET base_credits = '1000' WHERE number = 1",
        "UPDATE ledger_accounts SET base_debits = '1000' WHERE number = 3",
    )
    assert a_root_with_a_ledger(tmp_path, *folded).findings == []
