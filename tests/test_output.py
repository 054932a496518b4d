"""Formats of results: exact digits, UTC times, nothing a terminal obeys or a spreadsheet runs."""

import csv
import io
import json
import os
import stat
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import pytest

from appliance.column_types import ColumnType, parse_type, visible, write_json
from appliance.control_wire import RowConverter, frame, unframe
from appliance.output import OutputError, all_rows, write_result
from storage.result_file import distinct_names, write_parquet

SQL = r"""
select 1::BIGINT as n, 12345678901234567890123456789::HUGEINT as h, 1.5::DECIMAL(38,12) as d,
  true as b, 0.1::DOUBLE as f, 'nan'::DOUBLE as nan, timestamp '2026-01-02 03:04:05.5' as t,
  timestamptz '2026-01-02 03:04:05+02' as tz, date '2026-01-02' as day, time '10:00' as clock,
  uuid '00000000-0000-0000-0000-000000000007' as id, '\x00\xFF'::BLOB as bin,
  map {'a': 1.25, 'b': null} as m, [{'x y': 1, 'z': ['q']}] as l, '{"a":1}'::JSON as j,
  null as nothing, 'häß' as s, interval 36 hour as i,
  {'e': 1.234567890123456789::DECIMAL(38,18), 't': timestamp '2026-01-01'} as st
"""


def ask(sql: str) -> tuple[list[tuple[str, str]], list[list]]:
    """A result as it travels: through the wire and back."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        result = connection.execute(sql)
        columns = [(column[0], str(column[1])) for column in result.description]
        rows = RowConverter(columns).convert(result.fetchall())
    return columns, unframe(frame({"rows": rows})[4:])["rows"]


def written(tmp_path: Path, sql: str, form: str) -> bytes:
    columns, rows = ask(sql)
    write_result(columns, iter(rows), form, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    return (tmp_path / "out").read_bytes()


JSON_ROW = (
    '{"n": 1, "h": 12345678901234567890123456789, "d": 1.500000000000, "b": true, "f": 0.1, '
    '"nan": null, "t": "2026-01-02T03:04:05.500000Z", "tz": "2026-01-02T01:04:05Z", '
    '"day": "2026-01-02", "clock": "10:00:00", "id": "00000000-0000-0000-0000-000000000007", '
    '"bin": "AP8=", "m": {"a": 1.25, "b": null}, "l": [{"x y": 1, "z": ["q"]}], "j": {"a":1}, '
    '"nothing": null, "s": "häß", "i": "1 days 43200.000000 seconds", '
    '"st": {"e": 1.234567890123456789, "t": "2026-01-01T00:00:00Z"}}'
)


def test_json_and_ndjson(tmp_path) -> None:
    assert written(tmp_path, SQL, "ndjson").decode() == JSON_ROW + "\n"
    assert written(tmp_path, SQL, "json").decode() == f"[\n{JSON_ROW}\n]\n"
    assert json.loads(written(tmp_path, SQL, "json"), parse_float=Decimal)[0]["d"] == Decimal("1.5")
    assert written(tmp_path, "select 1 where false", "json") == b"[]\n"
    assert len(json.loads(written(tmp_path, "select range from range(3)", "json"))) == 3


def test_csv(tmp_path) -> None:
    sql = """select * from (values ('=cmd()', -1, '+1', ['=x']), ('@a', 2, '-2', []),
             ('plain, "quoted"', 3, null, null)) as t(a, n, "=b", l)"""
    rows = list(csv.reader(io.StringIO(written(tmp_path, sql, "csv").decode())))
    assert rows == [
        ["a", "n", "'=b", "l"],
        ["'=cmd()", "-1", "'+1", '["=x"]'],
        ["'@a", "2", "'-2", "[]"],
        ['plain, "quoted"', "3", "", ""],
    ]


def test_plain_table_is_one_line_a_row(tmp_path) -> None:
    sql = r"select E'a\tb\nc\x1b[31m' as s, 1.50::DECIMAL(4,2) as d, null as x"
    assert written(tmp_path, sql, "table").decode() == "s\td\tx\na\\tb\\nc\\x1b[31m\t1.50\t\n"


def test_parquet_keeps_types_and_digits(tmp_path) -> None:
    written(tmp_path, SQL, "parquet")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        result = connection.execute(f"select * from read_parquet('{tmp_path}/out')")
        row = dict(zip([c[0] for c in result.description], result.fetchone(), strict=True))
    assert row["n"] == 1
    assert row["h"] == Decimal(12345678901234567890123456789)
    assert row["d"] == Decimal("1.5")
    assert row["t"] == datetime(2026, 1, 2, 3, 4, 5, 500_000)
    assert row["tz"] == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert row["day"] == date(2026, 1, 2)
    assert row["clock"] == time(10)
    assert row["id"] == UUID(int=7)
    assert row["bin"] == b"\x00\xff"
    assert row["m"] == {"a": Decimal("1.25"), "b": None}
    assert row["l"] == [{"x y": 1, "z": ["q"]}]
    assert row["st"]["e"] == Decimal("1.234567890123456789")
    assert row["b"] is True
    assert row["nothing"] is None


def test_parquet_of_many_rows_keeps_their_order(tmp_path) -> None:
    rows = ((str(n), "x" * 100) for n in range(20_000))
    count = write_parquet(tmp_path / "f", [("n", "BIGINT"), ("n", "VARCHAR")], rows)
    assert count == 20_000
    with duckdb.connect() as connection:
        found = connection.execute(f"select n, n_1 from read_parquet('{tmp_path}/f')").fetchall()
    assert [n for n, _ in found] == list(range(20_000))


def test_parquet_of_no_rows(tmp_path) -> None:
    written(tmp_path, "select 1 as n where false", "parquet")
    with duckdb.connect() as connection:
        assert connection.execute(f"select n from read_parquet('{tmp_path}/out')").fetchall() == []


@pytest.mark.parametrize("form", ["json", "csv", "table", "parquet"])
def test_a_result_that_breaks_leaves_no_file(tmp_path, form) -> None:
    def rows():
        yield [1]
        raise ZeroDivisionError

    (tmp_path / "out").write_text("old")
    with pytest.raises(Exception, match=r"division|ZeroDivision|^$"):
        write_result([("n", "BIGINT")], rows(), form, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "old"


def test_a_place_that_cannot_be_written(tmp_path) -> None:
    with pytest.raises(OutputError, match="cannot be written: No such file"):
        write_result([("n", "BIGINT")], iter([]), "json", tmp_path / "no" / "out")


NUMBERS = [("n", "BIGINT")]


def test_a_link_stays_one(tmp_path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_result(NUMBERS, iter([[1]]), "csv", tmp_path / "link")
    write_result(NUMBERS, iter([[2]]), "csv", tmp_path / "link")
    assert (tmp_path / "link").readlink() == Path("target")
    assert (tmp_path / "target").read_text() == "n\n2\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "target"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_fifo_stays_one(tmp_path, form) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_result(NUMBERS, iter([[1]]), form, fifo)
    assert os.read(reader, 1 << 16)[:4] == (b"n\n1\n" if form == "csv" else b"PAR1")
    os.close(reader)
    assert fifo.is_fifo()
    assert list(tmp_path.iterdir()) == [fifo]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_device_is_written_to(tmp_path, form) -> None:
    (tmp_path / "link").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="link cannot be written: No space left on device"):
        write_result(NUMBERS, iter([[1]]), form, tmp_path / "link")
    assert [file.name for file in tmp_path.iterdir()] == ["link"]
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_was_closed_to_others_stays_so(tmp_path, form) -> None:
    out = tmp_path / "out"
    out.touch(mode=0o600)
    write_result(NUMBERS, iter([[1]]), form, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.stat().st_size > 0


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("columns", "form"),
    [(1, "table"), (40, "table"), (1, "csv"), (1, "json"), (1, "ndjson")],
)
def test_a_terminal_is_never_given_orders(monkeypatch, columns, form) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", Terminal(raw, encoding="utf-8"))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    evil = "\x1b]0;title\x07[red]\u202e\x9b31m"
    names = [(f"c{index}{evil}", "VARCHAR") for index in range(columns)]
    write_result(names, iter([[evil] * columns]), form, None)
    import sys

    sys.stdout.flush()
    shown = raw.getvalue().decode()
    assert not set("\x1b\x07\u202e\x9b") & set(shown)
    assert "[red]" in shown


def test_only_so_many_rows_on_a_terminal(monkeypatch, capsys) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", Terminal(raw, encoding="utf-8"))
    monkeypatch.setenv("TERM", "dumb")
    write_result([("n", "BIGINT")], iter([[n] for n in range(1500)]), "table", None)
    assert "only the first 1000 rows" in capsys.readouterr().err


class Piped(io.BytesIO):
    """Stands for a stdout that is no terminal; `gone`: its reader has left."""

    gone = False

    @property
    def buffer(self) -> "Piped":
        return self

    def write(self, data) -> int:
        if self.gone:
            raise BrokenPipeError
        return super().write(data)


def test_parquet_to_a_pipe_needs_no_file(tmp_path, monkeypatch) -> None:
    stdout = Piped()
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    rows = iter([[str(n), "x" * 40] for n in range(50_000)])
    write_result([("n", "BIGINT"), ("s", "VARCHAR")], rows, "parquet", None)
    (tmp_path / "f").write_bytes(stdout.getvalue())
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select count(*), sum(n) from read_parquet('{tmp_path}/f')"
        ).fetchall()
    assert found == [(50_000, 50_000 * 49_999 // 2)]


def test_parquet_to_a_pipe_whose_reader_is_gone(monkeypatch) -> None:
    stdout = Piped()
    stdout.gone = True
    monkeypatch.setattr("sys.stdout", stdout)
    rows = iter([[str(n * n)] for n in range(400_000)])
    with pytest.raises(BrokenPipeError):
        write_result([("n", "BIGINT")], rows, "parquet", None)


def test_parquet_is_not_for_a_terminal(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal(io.BytesIO()))
    with pytest.raises(OutputError, match="give --output"):
        write_result([("n", "BIGINT")], iter([]), "parquet", None)


NUMBER, TEXT = ColumnType("integer"), ColumnType("text")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BIGINT", NUMBER),
        ("DECIMAL(38,12)", ColumnType("exact")),
        ("TIMESTAMP WITH TIME ZONE", ColumnType("time")),
        ("ENUM('a', 'b,''c(')", TEXT),
        ('"NULL"', ColumnType("any")),
        ("VARCHAR[][3]", ColumnType("list", (("", ColumnType("list", (("", TEXT),))),))),
        ("MAP(VARCHAR, BIGINT)", ColumnType("map", (("", TEXT), ("", NUMBER)))),
        (
            'STRUCT(a BIGINT, "b ""c, (" VARCHAR)',
            ColumnType("struct", (("a", NUMBER), ('b "c, (', TEXT))),
        ),
        ("UNION(num BIGINT)", ColumnType("any")),
        ("SOMETHING_NEW", ColumnType("any")),
        ("[" * 3, ColumnType("any")),
    ],
)
def test_parse_type(name, expected) -> None:
    assert parse_type(name) == expected


def test_a_type_too_deep_is_any_type() -> None:
    kind = parse_type("BIGINT" + "[]" * 1000)
    assert write_json(kind, [[1]]) == "[[1]]"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("UNION(d DECIMAL)", Decimal("1.50"), '"1.50"'),
        ("INTERVAL", timedelta(days=-1), '"-1 days 0.000000 seconds"'),
        ("MAP(INTEGER, VARCHAR)", {1: "a"}, '{"1": "a"}'),
        ("MAP(DATE, BOOLEAN)", {date(2026, 1, 1): True}, '{"2026-01-01": true}'),
        ("MAP(INTEGER[], INTEGER)", {"key": [[1]], "value": [2]}, '{"key": [[1]], "value": [2]}'),
        ("BIGNUM", "123", "123"),
        ("UBIGINT", 2**64 - 1, "18446744073709551615"),
        ("DOUBLE", float("inf"), "null"),
        ("JSON", '{"a":\n1.10}', '{"a": 1.10}'),
        ("INTEGER[3]", (1, 2, 3), "[1, 2, 3]"),
    ],
)
def test_values_as_json(name, value, expected) -> None:
    (row,) = RowConverter([("c", name)]).convert([(value,)])
    (value,) = unframe(frame({"row": row})[4:])["row"]
    assert write_json(parse_type(name), value) == expected


def test_visible() -> None:
    assert visible("a\x00\x1b\u2028\u202eé") == "a\\x00\\x1b\\u2028\\u202eé"


def test_distinct_names() -> None:
    assert distinct_names(["a", "A", "a", "a_1"]) == ["a", "A_1", "a_2", "a_1_1"]


def test_all_rows_fetches_until_none_are_left() -> None:
    class Result:
        columns = [("n", "BIGINT")]  # noqa: RUF012
        left = [[[1], [2]], [[3]], []]  # noqa: RUF012

        def fetch(self, rows_max: int) -> list[list]:
            return self.left.pop(0)

    assert list(all_rows(Result())) == [[1], [2], [3]]
