"""The server that a program's calls go through: the one of the data directory where one runs, else
one that is started on loopback and ends with the last program that uses it. Blocking.
"""

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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
from appliance.program_child import ENDING, outside
from appliance.run_lease import VARIABLE as LEASE_VARIABLE
from appliance.run_lease import Lease, in_use
from storage.directory import lock_holder

START_S = 60.0
STOP_S = 45.0  # more than `grace_s`, which open replies may take
POLL_S = 0.02
LOG_LINES_SHOWN = 3
PR_SET_PDEATHSIG = 1
OLLAMA_URL = "http://127.0.0.1:11434"  # its own API, which the row's /v1 would hide
PROVIDER_VARIABLE = "HELICONE_APPLIANCE_PROVIDERS__{}__BASE_URL"


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that calls may go through. `shared`: it is there for `run`s, and ends with the
    last of them."""

    url: str
    root: Path
    shared: bool = False

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
    options = {**extra, "budget_mode": "strict"} if strict else dict(extra)
    if extra and "data_dir" not in config.sources:
        # What is recorded, or only replayed, does not belong among the calls of every day.
        with tempfile.TemporaryDirectory(prefix="helicone-run-") as directory:
            flags = {**flags, "data_dir": directory}
            with own_server(config, flags, options, Path(directory)) as found:
                yield found
        return
    with Lease(config.data_dir) as lease:
        try:
            with lease.turn(START_S):
                lease.take(START_S)
                found = _found_or_started(config, flags, options, lease)
        except TimeoutError:
            raise OutputError(
                f"another `run` has been starting or ending the server on {config.data_dir} for "
                f"{START_S:g} s"
            ) from None
        try:
            yield found
        finally:
            if found.shared:
                _leave(lease, config.data_dir)


def _found_or_started(
    config: Config, flags: Mapping[str, str], options: Mapping[str, str], lease: Lease
) -> Reached:
    """Whoever holds the directory may be a server that answers in a moment, or a command that is
    done in one."""
    until_s = time.monotonic() + START_S
    while True:
        running = connect(config, "us")
        if running is not None:
            with running:
                told = running.value("status", {"region": "us"})
            assert isinstance(told, dict), "status is a map"
            return _running(config, told, options, lease)
        try:
            if not in_use(config.data_dir):
                return _started(config, flags, options, lease)
        except OutputError:
            if not in_use(config.data_dir):
                raise  # else somebody was there before it
        if time.monotonic() > until_s:
            holder = lock_holder(config.data_dir) or "unknown"
            raise OutputError(
                f"{config.data_dir} is in use by process {holder}, which does not answer"
            )
        time.sleep(POLL_S)


def _running(
    config: Config, told: Mapping[str, Any], options: Mapping[str, str], lease: Lease
) -> Reached:
    """The server that runs already, if it does what is asked."""
    url, place = str(told.get("url", "")), config.data_dir
    if {"record", "replay"} & options.keys():
        raise OutputError(
            f"a server runs on {place}, and it neither records nor replays: leave "
            "--data-dir out, or name an empty directory"
        )
    if options.get("budget_mode") == "strict" != told.get("budget_mode"):
        raise Refusal(
            409, "budgets_not_strict",
            f"the server on {place} lets one call pass a budget: start it with "
            "--budget-mode strict, or name another --data-dir",
        )  # fmt: skip
    facts = lease.noted()
    if facts.get("pid") == told.get("pid"):  # another `run` has started it
        if facts.get("elsewhere") != _digest():
            raise Refusal(
                409, "base_url_elsewhere",
                f"another `run` has started the server on {place}, and its environment sends calls "
                "elsewhere than this one does: wait for its end, or name another --data-dir",
            )  # fmt: skip
        return Reached(url, place, shared=True)
    for provider, base_url in elsewhere(os.environ).items():
        if not base_url.startswith(url):
            raise Refusal(
                409, "base_url_elsewhere",
                f"the environment sends calls of {provider} to {scrub(base_url)}, which the "
                "running server does not know: unset it, or set base_url in "
                f"[providers.{provider}]",
            )  # fmt: skip
    return Reached(url, place)


def _digest() -> str:
    """Of where the environment sends calls: addresses may have secrets in them."""
    return hashlib.sha256(json.dumps(sorted(elsewhere(os.environ).items())).encode()).hexdigest()


def _started(
    config: Config, flags: Mapping[str, str], options: Mapping[str, str], lease: Lease
) -> Reached:
    """A server that ends by itself, once nobody has a share in it. Not our child in any other way:
    others may use it when we have gone."""
    environ = outside(_environment(config)) | {LEASE_VARIABLE: str(lease.path.absolute())}
    with tempfile.TemporaryDirectory(prefix="helicone-start-") as place:
        ready, log = Path(place, "ready.json"), Path(place, "log.txt")
        command = _command(config, flags, options, ready)
        with _running_process(command, environ, log, stays=True) as process:
            told = _wait(process, ready, log)
            lease.note({"pid": told["pid"], "elsewhere": _digest()})
    return Reached(told["url"], config.data_dir, shared=True)


def _leave(lease: Lease, root: Path) -> None:
    """The last one waits for the server's end, so that the directory is free behind it."""
    until_s = time.monotonic() + STOP_S
    with suppress(TimeoutError), lease.turn(STOP_S):
        if lease.give_back():
            while in_use(root) and time.monotonic() < until_s:
                time.sleep(POLL_S)


@contextmanager
def own_server(
    config: Config, flags: Mapping[str, str], extra: Mapping[str, str], root: Path
) -> Iterator[Reached]:
    """Start one on a free port of loopback, and end it. Raises OutputError with its last words."""
    with tempfile.TemporaryDirectory(prefix="helicone-start-") as place:
        ready, log = Path(place, "ready.json"), Path(place, "log.txt")
        command = _command(config, flags, extra, ready)
        with _running_process(command, _environment(config), log) as process:
            yield Reached(_wait(process, ready, log)["url"], root)


def _command(
    config: Config, flags: Mapping[str, str], extra: Mapping[str, str], ready: Path
) -> list[str]:
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
    return command


@contextmanager
def _running_process(
    command: list[str], environ: Mapping[str, str], log: Path, *, stays: bool = False
) -> Iterator["subprocess.Popen[bytes]"]:
    """It is ended behind this, or if it `stays`, where something goes wrong in here. A signal that
    ends us waits until there is somebody to do so."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *ENDING})
    process, done = None, False

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def begin() -> None:
        if not stays:
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
        done = stays
    finally:
        unblock()
        if process is not None and not done:
            _stop(process)


def _wait(process: "subprocess.Popen[bytes]", ready: Path, log: Path) -> dict[str, Any]:
    """What the server says of itself once it serves. Raises OutputError."""
    until_s = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until_s:
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            said = " ".join(line.removeprefix("error: ") for line in lines) or "it said nothing"
            raise OutputError(f"the server did not start: {said}")
        time.sleep(POLL_S)
    told: dict[str, Any] = json.loads(ready.read_text())
    return told


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
