"""The real program in a process of its own, with a data directory of its own, ready to be asked.

`with Appliance(directory, provider) as appliance:`; it can be killed, stopped and started again.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from appliance.config import load_config
from appliance.control_client import ControlClient, ControlError
from tests import PROGRAM_PATH
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider
from tests.fakes.raw_client import RawClient, Reply

START_S = STOP_S = 60.0
# The program but for taking no disk for slow: what is held up here is the machine's doing.
PATIENT = "tests.fakes.patient_program"
IMPATIENT = "appliance.cli"
FRESH_S = PATIENCE_S
POLL_S = 0.01
ROOT = Path(__file__).parents[2]
OAI = "/v1/gateway/oai"
ANTHROPIC = "/v1/gateway/anthropic"
CHAT = OAI + "/v1/chat/completions"
MESSAGES = ANTHROPIC + "/v1/messages"

Row = dict[str, Any]


class Appliance:
    """One server process. `config` is TOML that goes before the providers' tables."""

    def __init__(
        self,
        directory: Path,
        provider: Provider | None = None,
        *,
        config: str = "",
        environ: dict[str, str] | None = None,
        program: str = PATIENT,
        lends: bool = False,
        data: Path | None = None,
        flags: tuple[str, ...] = (),
    ) -> None:
        self._flags = flags
        self.directory = directory
        self.data = data or directory / "data"
        self.config = directory / "appliance.toml"
        self.log_file = directory / "log.txt"
        self._ready = directory / "ready.json"
        self._program = program
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONSAFEPATH": "1",
            **(environ or {}),
        }
        paths = [self.environ.get("PYTHONPATH"), PROGRAM_PATH, str(ROOT)]
        self.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.pid = 0
        self.provider = provider
        directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config + providers_toml(provider, lends=lends))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        if kind is None:
            assert self.stop() == 0, self.log
        else:
            self.kill()

    def start(self, *arguments: str) -> None:
        """Start, and return when it accepts connections."""
        assert self._process is None
        self._ready.unlink(missing_ok=True)
        command = [sys.executable, "-X", "faulthandler", "-m", self._program, "serve"]
        command += ["--port", "0", "--ready-file", str(self._ready)]
        command += [
            "--config",
            str(self.config),
            "--data-dir",
            str(self.data),
            *self._flags,
            *arguments,
        ]
        with self.log_file.open("ab") as log:
            self._process = self._spawn(command, log)
        until_s = time.monotonic() + START_S
        while not self._ready.exists():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < until_s, self.log
            time.sleep(POLL_S)
        told = json.loads(self._ready.read_text())
        self.url, self.pid = told["url"], told["pid"]
        if PROGRAM_PATH:
            assert f"{PROGRAM_PATH}/" in Path(f"/proc/{self.pid}/maps").read_text()

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environ, stdout=subprocess.DEVNULL, stderr=log
        )

    def stop(self) -> int:
        """End it the usual way; its exit code."""
        self.terminate()
        return self.wait()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        assert self._process is not None
        code = self._process.wait(STOP_S)
        self._process = None
        return code

    def kill(self) -> None:
        """End it without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self.log_file.read_text(errors="replace")

    # -- calls ---------------------------------------------------------------------------------

    def client(self, **options: Any) -> RawClient:
        return RawClient(self.url, **options)

    def call(self, *arguments: Any, **options: Any) -> Reply:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.call(*arguments, **options)

    # -- what it kept --------------------------------------------------------------------------

    def query(self, sql: str) -> list[Row]:
        """Rows as maps: from the server when it runs, else straight from the directory. Of all
        that had ended before."""
        if not self.running:
            return self.query_offline(sql)
        until_s = time.monotonic() + FRESH_S
        while True:
            try:
                rows, stale = self._query_once(sql)
            except ControlError as error:  # as it says: try again
                if error.code != "analytics_closed" or time.monotonic() > until_s:
                    raise
                continue
            if not stale:
                return rows
            assert time.monotonic() < until_s, f"stale for {FRESH_S} s: {sql}"

    def _query_once(self, sql: str) -> tuple[list[Row], bool]:
        client = ControlClient.connect(self.data)
        assert client is not None
        with client:
            rows = client.rows("query", {"sql": sql, "region": "us"})
            found = []
            while page := rows.fetch(1000):
                found += page
            names = [name for name, _ in rows.columns]
        return [dict(zip(names, row, strict=True)) for row in found], "stale_by_ms" in rows.ending

    def query_offline(self, sql: str) -> list[Row]:
        from appliance.offline import open_root

        config = load_config({"config": str(self.config), "data_dir": str(self.data)}, self.environ)
        with open_root(config, "us") as root:
            query = root.query(sql)
            try:
                names = [str(name) for name, _ in query.columns]
                rows = []
                while page := query.fetch(10_000):
                    rows += page
            finally:
                query.close()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def command(self, command: str, /, **arguments: Any) -> Any:
        """A command's value, through the control socket."""
        client = ControlClient.connect(self.data)
        assert client is not None
        with client:
            return client.value(command, {"region": "us", **arguments})

    def rows(self, request_id: str) -> list[Row]:
        return self.query(f"SELECT * FROM requests WHERE request_id = '{request_id}'")

    def row(self, request_id: str, *, wait_s: float = PATIENCE_S) -> Row:
        """The one row of an exchange; waits for one that is still being ended."""
        until_s = time.monotonic() + wait_s
        while not (found := self.rows(request_id)):
            assert time.monotonic() < until_s, f"no row of {request_id}"
            time.sleep(POLL_S)
        assert len(found) == 1, found
        return found[0]

    def body(self, request_id: str) -> Row:
        """The row of `bodies`."""
        found = self.query(f"SELECT * FROM bodies WHERE request_id = '{request_id}'")
        assert len(found) == 1, found
        return found[0]


def providers_toml(provider: Provider | None, *, lends: bool = False) -> str:
    """The fake in place of two providers. Without `lends` it asks for no credential, so that a
    request without one goes to it as it came."""
    if provider is None:
        return ""
    auth = "" if lends else 'auth = "none"\n'
    return "".join(
        f'\n[providers.{name}]\nbase_url = "{provider.url}"\n{auth}'
        for name in ("openai", "anthropic")
    )


def ids_in(text: str) -> list[str]:
    """UUIDs in a text."""
    return re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
