"""The bar of work that takes long: for a person, after a second, and gone when it is done."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from appliance import commands_backup, commands_doctor, commands_what_if, offline
from appliance import waiting as module
from appliance.waiting import waiting
from storage.backup import Entry

PATIENCE_S = 20.0


class Terminal:
    """A real one, read all the time; what is shown on it can be waited for."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stderr = open(theirs, "w", encoding="utf-8")  # noqa: SIM115 - closed by `rest`
        self._seen = b""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # so a terminal ends
            while data := os.read(self._ours, 4096):
                with self._more:
                    self._seen += data
                    self._more.notify_all()

    def wait_for(self, text: bytes) -> None:
        with self._more:
            assert self._more.wait_for(lambda: text in self._seen, PATIENCE_S)

    def rest(self) -> bytes:
        """Everything, once nobody writes any more."""
        self.stderr.close()
        self._reader.join(PATIENCE_S)
        os.close(self._ours)
        return self._seen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    found = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    return found


def test_it_shows_how_far_the_work_is(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal.stderr)
    with waiting("verify") as bar:
        terminal.wait_for(b"verify")
        bar.advance({"done": 7, "total": 41})
        terminal.wait_for(b"7/41")
    monkeypatch.undo()
    assert terminal.rest().endswith(b"\x1b[2K")  # the line is wiped


def test_who_is_done_sooner_sees_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stderr)
    with waiting("verify") as bar:
        bar.advance({"done": 1})
    bar.show()  # the timer was about to
    monkeypatch.undo()
    assert terminal.rest() == b""


def test_a_quick_command_loads_nothing_for_it() -> None:
    code = (
        "import sys; from appliance.waiting import waiting\n"
        "with waiting('query'): pass\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def at_once(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal.stderr)


def test_doctor_shows_that_it_is_at_work(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(terminal, monkeypatch)

    def examine(*_: object, **__: object) -> Iterator[Any]:
        terminal.wait_for(b"doctor")
        yield from ()

    monkeypatch.setattr(commands_doctor, "load_config", lambda _: None)
    monkeypatch.setattr(commands_doctor, "_live", lambda _: None)
    monkeypatch.setattr(commands_doctor, "examine", examine)
    assert commands_doctor.run_doctor({}, offline=True, as_json=True)
    terminal.rest()


def test_backup_shows_that_it_waits_for_the_server(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(terminal, monkeypatch)

    class Client(AbstractContextManager[None]):
        def __exit__(self, *_: object) -> None: ...

        def replies(self, command: str, _arguments: object) -> Iterator[dict[str, Any]]:
            terminal.wait_for(b"files of one moment")
            yield {"kind": "value", "value": [[command, "/there", 7]]}

    monkeypatch.setattr(commands_backup, "connect", lambda *_: Client())
    with commands_backup._held(cast(Any, None), "us") as entries:
        assert entries == [Entry("backup", Path("/there"), 7)]
        seen = terminal.rest()
    assert seen.endswith(b"\x1b[2K")  # gone before the next bar comes


def test_restore_shows_how_far_its_check_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(terminal, monkeypatch)

    class Root:
        def run(self, command: str, _given: object, advance: Callable[..., None]) -> Any:
            terminal.wait_for(b"verify")
            advance({"done": 3, "total": 4})
            terminal.wait_for(b"3/4")
            return {"ok": command == "verify"}

    monkeypatch.setattr(offline, "open_root", lambda *_: nullcontext(Root()))
    assert commands_backup._verified(cast(Any, None), "us") == {"ok": True, "findings": []}
    terminal.rest()


def test_what_if_shows_that_it_counts(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(terminal, monkeypatch)

    class Source:
        def query(self, _sql: str) -> Any:
            terminal.wait_for(b"what-if")
            raise LookupError

    with pytest.raises(LookupError):
        next(commands_what_if._calls(cast(Any, Source()), "", "", ""))
    terminal.rest()
