"""CSV files that people hand in: whatever is odd about them is said with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance import cli
from appliance.commands_import_run import file_rows
from appliance.commands_report import _lines
from appliance.output import OutputError

ONE = [{"model": "gpt-4o", "cost_usd": "0.5"}]


def imported(file: Path) -> list[dict[str, str]]:
    return list(file_rows(file, 0, lambda _: None))


def billed(file: Path) -> list[dict[str, str | None]]:
    return list(_lines(file))


@pytest.mark.parametrize("read", [imported, billed])
def test_a_mark_before_the_heading(tmp_path: Path, read) -> None:
    file = tmp_path / "x.csv"
    file.write_text("\ufeffmodel,cost_usd\ngpt-4o,0.5\n")
    assert read(file) == ONE


@pytest.mark.parametrize("read", [imported, billed])
@pytest.mark.parametrize("heading", ["model,cost_usd", "model;cost_usd"])
def test_more_cells_than_the_heading(tmp_path: Path, read, heading) -> None:
    file = tmp_path / "x.csv"
    first = heading.replace("model", "a").replace("cost_usd", "1")
    file.write_text(f"{heading}\n{first}\ngpt-4o,0,5;1;2\n")
    with pytest.raises(OutputError, match=r"x\.csv, line 3"):
        read(file)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_marks_between_the_cells(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text(f"model{mark}cost_usd\r\ngpt-4o{mark}0.5\r\n")
    assert billed(file) == ONE


def test_too_few_cells_hide_no_money(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("model,cost_usd\ngpt-4o\n")
    with pytest.raises(OutputError, match="line 2: not as many cells as the heading has"):
        billed(tmp_path / "x.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.csv").write_text("model,cost_usd\nmüller,1\n", encoding=encoding)
    with pytest.raises(OutputError, match="is not UTF-8 text: save it as CSV in UTF-8"):
        billed(tmp_path / "x.csv")


class Nothing:
    """A server that is asked nothing."""

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def test_no_row_was_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is nothing to go on from."""
    monkeypatch.setattr("appliance.commands_import_run.open_source", lambda *_: Nothing())
    assert cli.main(["import", str(tmp_path / "none.jsonl")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("none.jsonl cannot be read: No such file or directory")
