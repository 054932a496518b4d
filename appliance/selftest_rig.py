"""What `selftest` checks with: the server as a process of its own in a directory of its own, calls
to it, and what is asked of it. Blocking; every wait has an end.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from appliance.control_client import ControlClient, ControlError
from appliance.ourselves import own_command
from appliance.selftest_provider import MODEL

CHAT: Final = "/v1/gateway/oai/v1/chat/completions"
START_S: Final = 60.0
STOP_S: Final = 30.0
CALL_S: Final = 30.0
COMMAND_S: Final = 120.0
POLL_S: Final = 0.02
LOG_LINES: Final = 20

Row = dict[str, Any]


class Failed(Exception):  # noqa: N818 - what a check found
    """Something is not as it has to be; the text says what."""


def must(holds: object, otherwise: str) -> None:
    """Raises Failed."""
    if not holds:
        raise Failed(otherwise)


def until(found: Callable[[], object], otherwise: str, wait_s: float = CALL_S) -> None:
    """Waits for what comes within the time. Raises Failed."""
    until_s = time.monotonic() + wait_s
    while not found():
        must(time.monotonic() < until_s, f"{otherwise} within {wait_s:g} s")
        time.sleep(POLL_S)


def own_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Without options and keys of whoever asks: this server is to be like any other."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("HELICONE") and not name.upper().endswith(("_KEY", "_PROXY"))
    }
    return {**kept, **more}


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a call; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """The body. Raises ValueError."""
        return json.loads(self.body)


class Server:
    """One data directory and the server on it. `config` is TOML; where there are `roots` to trust
    it speaks TLS; `command` starts another program than this one."""

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        environ: Mapping[str, str] | None = None,
        roots: Path | None = None,
        command: Sequence[str] = (),
    ) -> None:
        folder.mkdir()
        self.data = folder / "data"
        self.texts: dict[str, str] = {}  # by request id: what was asked, of all calls
        self._ready, self._log = folder / "ready.json", folder / "log.txt"
        self._config = folder / "config.toml"
        self._config.write_text(config, encoding="utf-8")
        self._environ = own_environment(environ or {})
        self._command = list(command) or own_command("appliance.cli")
        self.trusted = ssl.create_default_context(cafile=str(roots)) if roots else None
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ("127.0.0.1", 0)
        self.serving = 0  # the process that says so; the single file's is another than was started

    def start(self) -> float:
        """Seconds until it takes calls. Raises Failed."""
        began_s = time.monotonic()
        self._ready.unlink(missing_ok=True)  # of a start before this one
        command = [*self._command, "serve", "--host", "127.0.0.1", "--port", "0"]
        command += ["--ready-file", str(self._ready), *self._place()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env=self._environ,
            )  # fmt: skip
        process = self._process
        until(lambda: self._ready.exists() or process.poll() is not None, "not ready", START_S)
        must(process.poll() is None, f"the server ended with {process.poll()}")
        told = json.loads(self._ready.read_text())
        url, self.serving = urlsplit(told["url"]), told["pid"]
        self.address = (url.hostname or "", url.port or 0)
        return time.monotonic() - began_s

    @property
    def pid(self) -> int:
        """Raises Failed where none runs."""
        if self._process is None:
            raise Failed("no server runs")
        return self._process.pid

    def kill(self) -> None:
        """End it without a word, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_S)

    def stop(self) -> None:
        """End it the usual way. Raises Failed."""
        os.kill(self.pid, 15)
        process, self._process = self._process, None
        assert process is not None, "it has a pid"
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failed(f"it did not end within {STOP_S:g} s") from None
        must(code == 0, f"it ended with {code}")

    def log_lines(self) -> list[str]:
        """The last ones that it wrote."""
        if not self._log.exists():
            return []
        return self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]

    # -- calls

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. Raises Failed, OSError."""
        must(self._process is not None, "no server runs")
        host, port = self.address
        made = (
            HTTPConnection(host, port, timeout=CALL_S)
            if self.trusted is None
            else HTTPSConnection(host, port, timeout=CALL_S, context=self.trusted)
        )
        data = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            made.request(method, path, data, {**kind, **(headers or {})})
            reply = made.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, found, reply.read())
        finally:
            made.close()

    def chat(self, text: str, headers: Mapping[str, str] | None = None, **more: object) -> Answer:
        """One call to the provider, remembered."""
        asked = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
        answer = self.call("POST", CHAT, asked, headers)
        request_id = answer.headers.get("helicone-id")
        if request_id is None:
            raise Failed(f"status {answer.status}, and no Helicone-Id")
        self.texts[request_id] = text
        return answer

    # -- what it kept

    def value(self, command: str) -> Row:
        """What a command on the control socket says. Raises Failed, ControlError."""
        with self._control() as client:
            found = client.value(command, {"region": "us"})
        must(isinstance(found, dict), f"{command} said {found!r}")
        return dict(found)  # type: ignore[call-overload, no-any-return]

    def rows(self, sql: str) -> list[Row]:
        """Of a query to the running server. Raises Failed, ControlError."""
        with self._control() as client:
            result = client.rows("query", {"sql": sql, "region": "us"})
            found = []
            while page := result.fetch(1000):
                found += page
            names = [name for name, _ in result.columns]
        return [dict(zip(names, row, strict=True)) for row in found]

    def all_rows(self, table: str) -> dict[str, Row]:
        """By request id, once each call has one: it takes about a second."""
        found: list[Row] = []

        def complete() -> bool:
            nonlocal found
            try:
                found = self.rows(f"SELECT * FROM {table}")  # noqa: S608 - one of two names
            except ControlError as error:
                if error.code != "analytics_closed":  # it is being opened
                    raise
            return len(found) >= len(self.texts)

        until(complete, f"{len(self.texts)} calls, and not as many rows in {table}")
        by_id = {str(row["request_id"]): row for row in found}
        must(len(found) == len(by_id), f"{len(found) - len(by_id)} calls are in {table} twice")
        must(by_id.keys() == self.texts.keys(), f"{table} has other calls than were made")
        return by_id

    def _control(self) -> ControlClient:
        client = ControlClient.connect(self.data)
        if client is None:
            raise Failed("the control socket does not answer")
        return client

    def run(self, *arguments: str) -> str:
        """Another command on the same directory; what it printed. Raises Failed."""
        command = [*self._command, *arguments, *self._place()]
        done = subprocess.run(
            command, env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=COMMAND_S,
        )  # fmt: skip
        must(done.returncode == 0, f"{arguments[0]}: {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _place(self) -> list[str]:
        return ["--config", str(self._config), "--data-dir", str(self.data)]
