"""The server that a program's calls go through: the one of the data directory where one runs, else
one of our own on loopback, for as long as the program runs. Blocking.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.commands import connect
from appliance.config import Config
from appliance.control_client import ControlClient
from appliance.core.base_urls import elsewhere
from appliance.core.urls import scrub
from appliance.errors import Refusal
from appliance.ourselves import own_command
from appliance.output import OutputError
from appliance.output_lines import print_note
from appliance.program_child import ENDING

START_S = 60.0
STOP_S = 45.0  # more than `grace_s`, which open replies may take
POLL_S = 0.02
LOG_LINES_SHOWN = 3
PR_SET_PDEATHSIG = 1
OLLAMA_URL = "http://127.0.0.1:11434"  # its own API, which the row's /v1 would hide
PROVIDER_VARIABLE = "HELICONE_APPLIANCE_PROVIDERS__{}__BASE_URL"


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that calls may go through. `own`: it is there for this program alone."""

    url: str
    root: Path
    own: bool

    def client(self) -> ControlClient:
        """Raises OutputError where it has ended meanwhile."""
        client = ControlClient.connect(self.root)
        if client is None:
            raise OutputError("the server has ended: what the program called is not known")
        return client

    def value(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - as it travels
        """A command's value. Raises ControlError, OutputError."""
        with self.client() as client:
            return client.value(command, {"region": "us", **arguments})

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """A query's rows by name. Raises ControlError, OutputError."""
        with self.client() as client:
            found = client.rows("query", {"sql": sql, "region": "us"})
            names = [name for name, _ in found.columns]
            rows = []
            while page := found.fetch(1000):
                rows += [dict(zip(names, row, strict=True)) for row in page]
            return rows


@contextmanager
def reach(
    config: Config, flags: Mapping[str, str], extra: Mapping[str, str], *, strict: bool
) -> Iterator[Reached]:
    """A server for this configuration. `extra`: further options of `serve`, which no server that
    runs already can be asked for. Raises OutputError, Refusal."""
    running = connect(config, "us")
    options = {**extra, "budget_mode": "strict"} if strict else extra
    if extra and "data_dir" not in config.sources:
        # What is recorded, or only replayed, does not belong among the calls of every day.
        with tempfile.TemporaryDirectory(prefix="helicone-run-") as directory:
            flags = {**flags, "data_dir": directory}
            with own_server(config, flags, options, Path(directory)) as found:
                yield found
    elif running is None:
        with own_server(config, flags, options, config.data_dir) as found:
            yield found
    elif extra:
        raise OutputError(
            f"a server runs on {config.data_dir}, and it neither records nor replays: leave "
            "--data-dir out, or name an empty directory"
        )
    else:
        with running:
            told = running.value("status", {"region": "us"})
        assert isinstance(told, dict), "status is a map"
        yield _running(config, told, strict=strict)


def _running(config: Config, told: Mapping[str, Any], *, strict: bool) -> Reached:
    """The server that runs already, if it does what is asked."""
    url = str(told.get("url", ""))
    if strict and told.get("budget_mode") != "strict":
        raise Refusal(
            409, "budgets_not_strict",
            f"the server on {config.data_dir} lets one call pass a budget: start it with "
            "--budget-mode strict, or name another --data-dir",
        )  # fmt: skip
    for provider, base_url in elsewhere(os.environ).items():
        if not base_url.startswith(url):
            raise Refusal(
                409, "base_url_elsewhere",
                f"the environment sends calls of {provider} to {scrub(base_url)}, which the "
                "running server does not know: unset it, or set base_url in "
                f"[providers.{provider}]",
            )  # fmt: skip
    return Reached(url, config.data_dir, own=False)


@contextmanager
def own_server(
    config: Config, flags: Mapping[str, str], extra: Mapping[str, str], root: Path
) -> Iterator[Reached]:
    """Start one on a free port of loopback, and end it. Raises OutputError with its last words."""
    with tempfile.TemporaryDirectory(prefix="helicone-start-") as place:
        ready, log = Path(place, "ready.json"), Path(place, "log.txt")
        options = {**flags, "host": "127.0.0.1", "port": "0", "ready_file": str(ready), **extra}
        command = [*own_command("appliance.cli"), "serve"]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            command += [flag] if value == "true" else [flag, value]
        if config.tls_cert is not None:
            given = config.sources.get("tls_cert", "the configuration")
            print_note(
                "speaks TLS with the certificate of tls_cert "
                f"(from {given}): programs have to trust it for 127.0.0.1"
            )
        with _running_process(command, _environment(config), log) as process:
            yield Reached(_wait(process, ready, log), root, own=True)


@contextmanager
def _running_process(
    command: list[str], environ: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """It is ended behind this. A signal that ends us waits until there is somebody to do so."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *ENDING})
    process = None

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def begin() -> None:
        _end_with_us()
        unblock()

    try:
        with log.open("wb") as told:
            process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=told,
                start_new_session=True,  # Ctrl-C is for the program
                preexec_fn=begin,
            )
        unblock()
        yield process
    finally:
        unblock()
        if process is not None:
            _stop(process)


def _wait(process: "subprocess.Popen[bytes]", ready: Path, log: Path) -> str:
    until_s = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until_s:
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            said = " ".join(line.removeprefix("error: ") for line in lines) or "it said nothing"
            raise OutputError(f"the server did not start: {said}")
        time.sleep(POLL_S)
    url: str = json.loads(ready.read_text())["url"]
    return url


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment(config: Config) -> dict[str, str]:
    """Calls that the environment sends elsewhere go there still, by way of us; what the
    configuration says of a provider beats it."""
    found = dict(os.environ)
    for provider, base_url in {"ollama": OLLAMA_URL, **elsewhere(os.environ)}.items():
        if provider not in config.providers:
            found[PROVIDER_VARIABLE.format(provider.upper())] = base_url
    return found


def _end_with_us() -> None:
    """Between fork and exec: where we are killed without a word nobody else would end it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
