"""Rolling closed segments: everything arrives once, whatever step the roll dies at."""

import itertools
from pathlib import Path

import pytest

from storage import frames
from storage.batch import FrameRows
from storage.blobs import Blobs
from storage.frames import (
    FLAG_REWRITTEN,
    FLAG_SUPERSEDES,
    KIND_EXCHANGE,
    KIND_SCORE,
    Frame,
    Position,
)
from storage.lake import Lake
from storage.reader import read_frame
from storage.roll import Rolled, roll
from storage.rows import REQUEST_COLUMNS
from storage.segment import segment_numbers, segment_path
from storage.vault import SegmentKeys
from tests.storage.lake_kit import (
    KEYS,
    Derive,
    all_bytes,
    exchange,
    exchange_id,
    journal,
    lake_rows,
    make_blob,
    open_lake,
    score,
    write_segment,
)


class Died(Exception):  # noqa: N818
    """Stands for the process ending at that step."""


def dying_at(number: int):
    """A step counter that raises at step `number`."""
    count = itertools.count()

    def step(name: str) -> None:
        if next(count) == number:
            raise Died(name)

    return step


def rolled(root: Path, upto: int, keys: SegmentKeys | None = None) -> tuple[Lake, Rolled]:
    lake = open_lake(root, keys)
    result = roll(lake, Derive(root, keys), upto=upto)
    assert result is not None
    return lake, result


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_every_frame_of_every_kind_arrives(tmp_path: Path, keys: SegmentKeys | None):
    blob = make_blob(tmp_path, "from a blob", keys)
    write_segment(tmp_path, [exchange(n) for n in range(1, 40)], keys=keys)
    payloads = [exchange(40, response="from a blob", blob=blob), (KIND_SCORE, 0, score(7, 0.5))]
    write_segment(tmp_path, payloads, keys=keys)

    lake, result = rolled(tmp_path, 2, keys)

    assert result.rows == {"requests": 40, "bodies": 40, "edits": 1, "deletions": 0}
    assert lake_rows(lake, "requests", "count(*), sum(request_bytes)") == [(40, 9 * 9 + 31 * 10)]
    rows = lake_rows(lake, "bodies", "response")
    assert len(rows) == 40
    assert ("from a blob",) in rows
    assert lake_rows(lake, "edits", "kind, name, number") == [("score", "quality", 0.5)]
    nested = lake_rows(lake, "requests", "properties['number'], attempts[1].status, segment")
    assert ("40", 200, 2) in nested
    assert lake.tidy(lake.manifest.generation).segments == 2
    assert segment_numbers(tmp_path) == []
    assert list(Blobs(tmp_path).names()) == []
    if keys is not None:
        assert b"response 3" not in all_bytes(tmp_path / "lake")
        assert {file.key_epoch for file in lake.manifest.files} == {2}


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(tmp_path: Path, keys: SegmentKeys | None):
    wanted = sorted(exchange_id(n, at_us) for n, at_us in TIMES.items())
    for number in itertools.count():
        root = tmp_path / str(number)
        blobs = {3: make_blob(root, "response 3", keys)}
        for part in (range(1, 3), range(3, 5), range(5, 7)):
            payloads = [exchange(n, TIMES[n], blob=blobs.get(n)) for n in part]
            write_segment(root, payloads, keys=keys)
        step = dying_at(number)
        try:
            lake = open_lake(root, keys)
            roll(lake, Derive(root, keys), upto=2, step=step)
            lake.tidy(lake.manifest.generation, step)
            finished = True
        except Died:
            finished = False

        lake = open_lake(root, keys)
        lake.sweep_orphans()
        assert _everything(lake, keys) == wanted
        lake.tidy(lake.manifest.generation)
        roll(lake, Derive(root, keys), upto=3)
        lake.tidy(lake.manifest.generation)
        assert _everything(lake, keys) == wanted
        assert segment_numbers(root) == []
        assert list(Blobs(root).names()) == []
        assert list((root / "tmp").iterdir()) == []
        if finished:
            break
    assert number > 15


TIMES = {n: 1_772_000_000_000_000 + n * 1_000_000 for n in range(1, 7)}


def _everything(lake: Lake, keys: SegmentKeys | None) -> list[bytes]:
    """Ids in the lake and in the segments that are not in it yet."""
    cold = [row[0].bytes for row in lake_rows(lake, "requests", "exchange_id")]
    bodies = [row[0].bytes for row in lake_rows(lake, "bodies", "exchange_id")]
    assert cold == bodies
    derive = Derive(lake.root, keys)
    hot = []
    for frame in journal(lake.root, keys):
        if frame.position.segment > lake.manifest.upto_segment:
            request = derive(frame).request
            assert request is not None
            hot.append(request[0])
    return sorted(cold + hot)


@pytest.mark.parametrize("same_roll", [True, False])
def test_doubles_leave_one_row(tmp_path: Path, same_roll: bool):
    first = [exchange(1, response="first"), exchange(2, response="kept"), exchange(3)]
    again = [
        (KIND_EXCHANGE, FLAG_SUPERSEDES, exchange(1, response="replaced")),
        (KIND_EXCHANGE, FLAG_REWRITTEN, exchange(2, response="written twice")),
        (KIND_EXCHANGE, FLAG_REWRITTEN, exchange(4, response="late")),
    ]
    write_segment(tmp_path, first)
    if not same_roll:
        lake, _ = rolled(tmp_path, 1)
        lake.tidy(lake.manifest.generation)
    write_segment(tmp_path, again)
    lake, result = rolled(tmp_path, 2)

    bodies = lake_rows(lake, "bodies", "response")
    assert bodies == [("kept",), ("late",), ("replaced",), ("response 3",)]
    assert lake_rows(lake, "requests", "count(*), count(DISTINCT exchange_id)") == [(4, 4)]
    assert result.doubles == 2


def test_rows_are_in_the_order_of_exchange_ids(tmp_path: Path):
    write_segment(tmp_path, [exchange(n) for n in (5, 2, 9, 1, 7)])
    lake, _ = rolled(tmp_path, 1)
    (file,) = lake.manifest.of("bodies")
    from storage.rewrite import Edition

    ids = [str(i) for group in Edition(lake).reader(file).groups() for i in group["exchange_id"]]
    assert ids == sorted(ids)
    assert len(ids) == 5


def test_row_groups_hold_a_bounded_amount_of_text(tmp_path: Path):
    import pyarrow.parquet as pq

    large = [exchange(n, request="x" * 3_000_000) for n in range(1, 12)]
    write_segment(tmp_path, [*large, exchange(12, request="y" * 20_000_000), exchange(13)])
    lake, _ = rolled(tmp_path, 1)
    (file,) = lake.manifest.of("bodies")
    metadata = pq.ParquetFile(lake.path(file)).metadata
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    assert sum(group.num_rows for group in groups) == 13
    assert all(group.num_rows == 1 or group.total_byte_size < 16 * 2**20 for group in groups)
    assert len(groups) >= 4


def test_erased_frames_are_skipped_and_metadata_is_kept(tmp_path: Path):
    write_segment(tmp_path, [exchange(1), (frames.KIND_ERASED, 0, b"\0" * 40), exchange(2)])
    lake, _ = rolled(tmp_path, 1)
    from storage.rewrite import Edition

    (file,) = lake.manifest.of("bodies")
    metas = [m.as_py() for group in Edition(lake).reader(file).groups() for m in group["meta"]]
    assert exchange(1)[1:].startswith(metas[0])
    assert len(metas) == 2


def test_a_damaged_segment_goes_to_quarantine(tmp_path: Path):
    write_segment(tmp_path, [exchange(1), exchange(2), exchange(3)])
    path = segment_path(tmp_path, 1)
    second = list(journal(tmp_path))[1].position.offset
    data = bytearray(path.read_bytes())
    data[second + 60] ^= 1
    path.write_bytes(data)
    lake, result = rolled(tmp_path, 1)
    assert [damage.reason for damage in result.damages] == ["frame"]
    lake.tidy(lake.manifest.generation)
    assert not path.exists()
    assert (tmp_path / "quarantine" / path.name).exists()
    assert lake_rows(lake, "requests", "count(*)") == [(2,)]
    assert open_lake(tmp_path).manifest.damaged == ()


class Failing(Derive):
    """As ingest's deriver does it: what cannot be derived keeps its metadata and says why."""

    def __call__(self, frame: Frame) -> FrameRows:
        rows = super().__call__(frame)
        if frame.kind != KIND_EXCHANGE or rows.request is None or rows.body is None:
            return rows
        if not any("poison" in str(text) for text in rows.body) and rows.body[3:5] != ("", ""):
            return rows
        names = [name for name, _ in REQUEST_COLUMNS]
        error = names.index("derive_error")
        request = (*rows.request[:error], "KeyError: it", *rows.request[error + 1 :])
        return FrameRows(request, (*rows.body[:3], "", "", "text/a", None, *rows.body[7:]))


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_what_cannot_be_derived_keeps_its_bodies(tmp_path: Path, keys: SegmentKeys | None):
    blob = make_blob(tmp_path, "poison in a blob", keys)
    packer = frames.BodyPacker()
    meta, _, _ = frames.decode_exchange(exchange(3))
    odd = frames.encode_exchange(meta, packer.pack(b"poison"), packer.pack(b"\xff\x00"))
    write_segment(
        tmp_path, [exchange(1, response="poison in a blob", blob=blob), exchange(2), odd], keys=keys
    )
    lake = open_lake(tmp_path, keys)
    result = roll(lake, Failing(tmp_path, keys), upto=1)
    assert result is not None
    assert result.damages == []
    assert lake_rows(lake, "bodies", "request, response, request_type, response_type") == [
        ("poison", "/wA=", "text/a", ";base64"),
        ("request 1", "poison in a blob", "text/a", None),
        ("request 2", "response 2", "text/plain", None),
    ]
    lake.tidy(1)
    assert list(Blobs(tmp_path).names()) == []


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_body_that_cannot_be_read_is_not_dropped(tmp_path: Path, harm: str):
    """The disk may give it another time; one that is gone takes nothing else with it."""
    blob = make_blob(tmp_path, "poison in a blob")
    path = Blobs(tmp_path).path(blob)
    path.unlink() if harm == "gone" else path.write_bytes(b"short")
    write_segment(tmp_path, [exchange(1, request="", response="poison in a blob", blob=blob)])
    write_segment(tmp_path, [exchange(2)])
    lake = open_lake(tmp_path)
    result = roll(lake, Failing(tmp_path), upto=2)
    assert result is not None
    lake.tidy(1)
    kept = harm == "changed"
    assert [d.reason for d in result.damages] == ["unreadable"] * kept
    assert path.exists() is kept
    assert (tmp_path / "quarantine" / "00000001.seg").exists() is kept
    assert lake_rows(lake, "requests", "count(*)") == [(2,)]
    assert segment_numbers(tmp_path) == []


def test_a_replacement_without_its_body_replaces_nothing(tmp_path: Path):
    """Its blob was the first one's too, and went with the roll of that."""
    blob = make_blob(tmp_path, "a long reply")
    first = exchange(1, request="", response="a long reply", blob=blob)
    write_segment(tmp_path, [first])
    lake = open_lake(tmp_path)
    roll(lake, Failing(tmp_path), upto=1)
    lake.tidy(1)
    write_segment(tmp_path, [(KIND_EXCHANGE, FLAG_SUPERSEDES, first)])
    roll(lake, Failing(tmp_path), upto=2)
    assert lake_rows(lake, "bodies", "response, segment") == [("a long reply", 1)]
    assert lake_rows(lake, "requests", "segment") == [(1,)]


def test_an_edit_that_says_nothing_keeps_its_segment(tmp_path: Path):
    write_segment(tmp_path, [exchange(1), (KIND_SCORE, 0, b"\x80")])
    lake, result = rolled(tmp_path, 1)
    assert [damage.reason for damage in result.damages] == ["unreadable"]
    assert lake.manifest.damaged == (1,)


def test_a_value_that_fits_no_column_becomes_null(tmp_path: Path):
    odd = exchange(2, user_id=7, http_status="teapot", request_id="no")
    write_segment(tmp_path, [exchange(1, http_status=200), odd])
    lake, _ = rolled(tmp_path, 1)
    assert lake_rows(lake, "requests", "user_id, http_status, request_id IS NULL") == [
        ("7", None, True),
        ("user 1", 200, False),
    ]


def test_replaced_files_stay_until_no_reader_began_before(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    lake, _ = rolled(tmp_path, 1)
    lake.tidy(1)
    old = lake.path(lake.manifest.of("bodies")[0])
    write_segment(tmp_path, [(KIND_EXCHANGE, FLAG_SUPERSEDES, exchange(1, response="new"))])
    server = open_lake(tmp_path)
    roll(open_lake(tmp_path), Derive(tmp_path), upto=2)
    assert server.reload().generation == 2
    server.tidy(1)
    assert old.exists()
    server.tidy(2)
    assert not old.exists()


def test_nothing_to_roll_and_nothing_beyond_the_limit(tmp_path: Path):
    assert roll(open_lake(tmp_path), Derive(tmp_path), upto=9) is None
    write_segment(tmp_path, [exchange(1)])
    write_segment(tmp_path, [exchange(2)])
    lake, _ = rolled(tmp_path, 1)
    assert lake.manifest.upto_segment == 1
    assert read_frame(tmp_path, Position(2, list(journal(tmp_path))[-1].position.offset))


def test_orphans_are_swept(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    lake, _ = rolled(tmp_path, 1)
    (tmp_path / "lake" / "bodies" / "x.parquet").write_bytes(b"")
    (tmp_path / "tmp" / "lake-bodies-0.parquet").write_bytes(b"")
    assert open_lake(tmp_path).sweep_orphans() == 2
    assert lake_rows(lake, "requests", "count(*)") == [(1,)]
