"""How the program starts itself again, wherever it was started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from appliance import ourselves
from appliance.ourselves import own_command


def test_the_current_directory_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert own_command("storage.sandbox") == [sys.executable, "-P", "-m", "storage.sandbox"]
    tmp_path.rmdir()
    assert own_command("storage.sandbox") == [sys.executable, "-P", "-m", "storage.sandbox"]


def test_but_where_we_lie_there_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(ourselves.__file__).parents[1])
    assert own_command("storage.sandbox") == [sys.executable, "-m", "storage.sandbox"]


def test_a_frozen_executable_knows_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert own_command("appliance.cli") == [sys.executable]
    assert own_command("storage.sandbox", "sql-sandbox") == [sys.executable, "sql-sandbox"]
