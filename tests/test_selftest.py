"""`selftest`: that it fails on what does not work; tests/e2e has one that passes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance import cli, selftest, selftest_checks
from appliance.selftest_provider import EVENTS, REPLY
from appliance.selftest_rig import Answer, Failed, Server, own_environment


def broken(_: Server) -> str:
    raise KeyError("what was\nsought")


def fine(_: Server) -> str:
    return "well"


def test_what_fails_is_told_and_the_rest_is_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(selftest, "PLAIN", (("first", broken), ("second", fine)))
    monkeypatch.setattr(selftest, "SEALED", ())
    monkeypatch.setattr(selftest_checks, "modules", lambda: "none")
    assert cli.main(["selftest"]) == 1
    assert [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()] == [
        ["failed", "first", r"KeyError: 'what was\nsought'"],
        ["ok", "second", "well"],
        ["ok", "modules", "none"],
    ]
    assert cli.main(["selftest", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], [check["ok"] for check in told["checks"]]) == (False, [False, True, True])


def test_every_module_is_there_where_the_tools_of_tests_are_not() -> None:
    """As users have it; the plugin for pytest is pytest's to load."""
    code = (
        "import sys; sys.modules['pytest'] = None; from appliance import selftest_checks as checks;"
        "print(checks.modules())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("all "), done.stderr


def test_without_checks_nothing_is_well() -> None:
    assert not selftest.Outcome().ok


class Faulty:
    """Stands in for a server with something wrong."""

    def __init__(self, data: Path | None = None, *, body: bytes = b"", status: int = 200) -> None:
        self.data = data
        self.texts = {"a": "selftest said this"}
        self._body, self._status = body, status
        self.table: dict[str, dict[str, Any]] = {}

    def chat(self, text: str, headers: object = None, **more: object) -> Answer:
        return Answer(self._status, {}, self._body)

    def call(self, *asked: object, **more: object) -> Answer:
        return Answer(self._status, {}, self._body)

    def all_rows(self, table: str) -> dict[str, dict[str, Any]]:
        return self.table

    def value(self, command: str) -> dict[str, Any]:
        return {"ok": False, "findings": ["a torn page"]}

    def run(self, *arguments: str) -> str:
        return '[{"n": 0, "ids": 0}]'


def row(**more: object) -> dict[str, Any]:
    tokens = {"prompt_tokens": 19, "completion_tokens": 4}
    return {"derive_error": None, "http_status": 200, "cost_usd": 1, "model": "m"} | tokens | more


@pytest.mark.parametrize(
    ("check", "server", "says"),
    [
        (selftest_checks.reply, Faulty(body=REPLY + b" "), "not what the provider sent"),
        (selftest_checks.reply, Faulty(body=REPLY, status=502), "status 502"),
        (selftest_checks.stream, Faulty(body=b"".join(EVENTS[:-1])), "not what the provider sent"),
        (selftest_checks.limits, Faulty(), "three ended with"),
        (selftest_checks.parquet, Faulty(), "nothing was moved"),
        (selftest_checks.verify, Faulty(), "a torn page"),
        (selftest_checks.offline, Faulty(), "it sees"),
        (selftest_checks.pages, Faulty(body=b"<html>"), "names no files"),
        (selftest_checks.sandbox, Faulty(status=500), "status 500"),
    ],
    ids=lambda item: getattr(item, "__name__", None),
)
def test_a_check_can_fail(check: Any, server: Faulty, says: str) -> None:
    with pytest.raises(Failed, match=says):
        check(server)


@pytest.mark.parametrize(
    "wrong", [{"derive_error": "KeyError"}, {"prompt_tokens": 0}, {"cost_usd": None}]
)
def test_rows_that_are_not_right(wrong: dict[str, Any]) -> None:
    server = Faulty()
    server.table = {"a": row()}
    assert selftest_checks.rows(server).startswith("1 rows")  # type: ignore[arg-type]
    server.table = {"a": row(**wrong)}
    with pytest.raises(Failed):
        selftest_checks.rows(server)  # type: ignore[arg-type]


def test_text_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "1.seg").write_bytes(b"\0sealed")
    server = Faulty(tmp_path)
    assert selftest_checks.unreadable(server) == "1 files"  # type: ignore[arg-type]
    (tmp_path / "2.seg").write_bytes(b"\0... selftest said this ...")
    with pytest.raises(Failed, match=r"2\.seg"):
        selftest_checks.unreadable(server)  # type: ignore[arg-type]


def test_options_and_keys_of_whoever_asks_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HELICONE_APPLIANCE_PORT", "ANTHROPIC_API_KEY", "https_proxy"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LANG", "C")
    found = own_environment({"HELICONE_APPLIANCE_MASTER_KEY": "k"})
    assert found["LANG"] == "C"
    assert found["HELICONE_APPLIANCE_MASTER_KEY"] == "k"
    assert not {"HELICONE_APPLIANCE_PORT", "ANTHROPIC_API_KEY", "https_proxy"} & found.keys()


def test_the_licences_are_the_binarys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["version", "--licences"]) == 1
    assert "no binary" in capsys.readouterr().err
    for name in ("b/LICENSE", "contents.txt"):
        path = tmp_path / "licences" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}\n")
    monkeypatch.setattr("sys._MEIPASS", str(tmp_path), raising=False)
    assert cli.main(["version", "--licences"]) == 0
    out = capsys.readouterr().out
    assert out.index("text of contents.txt") < out.index("== b/LICENSE") < out.index("text of b/L")
    assert cli.main(["version", "--licences", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["b/LICENSE"] == "text of b/LICENSE"
