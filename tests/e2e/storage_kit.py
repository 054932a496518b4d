"""For tests of the data directory under a running server: traffic that is remembered, small disks,
disks that fail or dawdle. Mounting and injecting faults need root and strace.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.commands import LiveSource, open_source
from appliance.config import Config, load_config
from appliance.control_client import ControlClient
from appliance.output import all_rows
from tests.fakes.appliance import CHAT, ROOT, Appliance, Row
from tests.fakes.patience import PATIENCE_S
from tests.fakes.raw_client import Reply

MIB = 1024 * 1024
NAMES = "requests", "bodies"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


class Traffic:
    """Exchanges with texts of their own, and what their clients saw of them."""

    def __init__(self, appliance: Appliance, name: str = "mark") -> None:
        self.appliance = appliance
        self.name = name
        self.texts: dict[str, str] = {}  # by request id, in order
        self.degraded: set[str] = set()

    def send(self, count: int = 1, *, script: str = "", **fields: Any) -> Reply:
        """`count` requests; each must be answered as if nothing were wrong. The last reply."""
        assert count
        for _ in range(count):
            reply = self._one(script, fields)
        return reply

    def _one(self, script: str, fields: dict[str, Any]) -> Reply:
        text = f"{self.name}-{len(self.texts)}-of-{len(self.degraded)}"
        ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}
        reply = self.appliance.call(CHAT, ask, {"x-fake": script} if script else None)
        assert (reply.status, reply.end) == (200, "clean"), (reply, self.appliance.log)
        self.texts[reply.id] = text
        if reply.first("helicone-degraded"):
            self.degraded.add(reply.id)
        return reply

    def until_degraded(self, count_max: int = 400, **options: Any) -> Reply:
        """Requests until one is answered with `Helicone-Degraded`."""
        for _ in range(count_max):
            reply = self.send(**options)
            if reply.id in self.degraded:
                return reply
        raise AssertionError("never degraded")

    @property
    def safe(self) -> list[str]:
        """Those that had ended before the first that was called degraded."""
        found = []
        for request_id in self.texts:
            if request_id in self.degraded:
                break
            found.append(request_id)
        return found

    def check(self, request_ids: list[str] | None = None) -> None:
        """Each exactly once in `requests` and in `bodies`, with the text that was sent."""
        wanted = list(self.texts) if request_ids is None else request_ids
        rows = self.appliance.query("SELECT request_id, count(*) AS n FROM requests GROUP BY ALL")
        counts = {str(row["request_id"]): row["n"] for row in rows}
        assert {i: counts.get(i, 0) for i in wanted} == dict.fromkeys(wanted, 1)
        rows = self.appliance.query("SELECT request_id, request, response FROM bodies")
        bodies = {str(row["request_id"]): row for row in rows}
        assert len(rows) == len(bodies)
        for request_id in wanted:
            assert self.texts[request_id] in bodies[request_id]["request"]
            assert bodies[request_id]["response"]


def noise_over_state(appliance: Appliance) -> None:
    """While it runs. No file gets shorter: of what SQLite shares in memory that ends any program
    that has it open."""
    for path in appliance.data.glob("state.sqlite*"):
        with path.open("r+b") as file:
            file.write(b"noise" * max(4000, path.stat().st_size // 5 + 1))


def health(appliance: Appliance) -> dict[str, Any]:
    """What `/healthcheck` says; it answers 200 whatever is wrong."""
    reply = appliance.call("/healthcheck", method="GET")
    assert reply.status == 200
    found: dict[str, Any] = reply.json
    return found


def reasons(appliance: Appliance) -> dict[str, str]:
    """Degraded parts and what is said of them."""
    told = health(appliance)
    assert told["status"] == ("degraded" if told["reasons"] else "healthy")
    assert all(reason["since"].endswith("Z") for reason in told["reasons"])
    return {reason["part"]: reason["detail"] for reason in told["reasons"]}


def metric(appliance: Appliance, name: str) -> float:
    """The sum of a metric over its labels."""
    text = appliance.call("/metrics", method="GET").body.decode()
    found = re.findall(rf"^helicone_appliance_{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    assert found, f"no metric {name}"
    return sum(map(float, found))


def wait_until(holds: Callable[[], object], what: str = "", *, wait_s: float = PATIENCE_S) -> None:
    """Polls: what is waited for happens in another process."""
    until_s = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < until_s, what or "it never came"
        time.sleep(0.02)


def wait_healthy(appliance: Appliance, *, wait_s: float = PATIENCE_S) -> None:
    """Until nothing is degraded any more."""
    until_s = time.monotonic() + wait_s
    while told := reasons(appliance):
        assert time.monotonic() < until_s, told
        time.sleep(0.05)


def everything(appliance: Appliance) -> dict[str, list[Row]]:
    """All columns of all rows as the command gives them, in an order that does not depend on where
    they lie; of all that had ended before."""
    appliance.query("SELECT 1 AS fresh")  # waits longer for ingest than the command does
    found = {}
    if appliance.running:
        appliance.query("SELECT 1")  # waits until all that has ended is in
    with open_source(configuration(appliance)) as source:
        for name in NAMES:
            with source.query(f"SELECT * FROM {name} ORDER BY exchange_id") as result:
                columns = [column for column, _ in result.columns]
                found[name] = [dict(zip(columns, row, strict=True)) for row in all_rows(result)]
    return found


def configuration(appliance: Appliance) -> Config:
    flags = {"config": str(appliance.config), "data_dir": str(appliance.data)}
    return load_config(flags, appliance.environ)


def control(appliance: Appliance, command: str, **arguments: Any) -> Any:
    """The value of a command over the control socket."""
    client = ControlClient.connect(appliance.data)
    assert client is not None
    with client:
        return LiveSource(client, "us").call(command, arguments, lambda _: None)


# -- disks


@contextmanager
def small_disk(path: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own in memory."""
    path.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={mebibytes}m", "none", str(path))
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def file_system(image: Path, path: Path) -> Iterator[Path]:
    """One on a file, which is made when there is none: it outlives being mounted."""
    path.mkdir(parents=True, exist_ok=True)
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(128 * MIB)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mount("-o", "loop,errors=remount-ro", str(image), str(path))
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@contextmanager
def killed_at_the_end(appliance: Appliance) -> Iterator[None]:
    """For a server that cannot end well."""
    appliance.start()
    try:
        yield
    finally:
        appliance.kill()


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def fill(path: Path) -> Path:
    """Takes all the space that is left, as others do; gives the file to remove."""
    filler = path / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    return filler


def segment_files(appliance: Appliance) -> list[Path]:
    """The segments there are and those that will be tried, under both of their names."""
    folder = appliance.data / "journal"
    numbers = range(1, 12)
    return [folder / f"{n:08d}.{kind}" for n in numbers for kind in ("seg", "new")]


@contextmanager
def injected(
    pid: int, fault: str, *paths: Path, seconds: float | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """System calls of a running process fail or dawdle: `fsync,fdatasync:error=EIO`. With paths
    only those on these files, which must exist."""
    calls = fault.partition(":")[0]
    command = ["strace", "-f", "-qq", "-p", str(pid), "-e", f"trace={calls}", "-o", "/dev/null"]
    for path in paths:
        command += ["-P", str(path)]
    command += ["-e", f"inject={fault}"]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_traced(pid), "strace did not attach")
        yield tracer
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE_S)


def is_traced(pid: int) -> bool:
    """Whether every thread has its tracer. Threads may end meanwhile."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if "TracerPid:\t0" in (task / "status").read_text():
                return False
    return True


def files_with(root: Path, needle: bytes) -> list[Path]:
    """Files in which some bytes can be read."""
    return [path for path in root.rglob("*") if path.is_file() and needle in path.read_bytes()]


def told_on_stderr(data: Path, *arguments: str, environ: dict[str, str] | None = None) -> Any:
    """Runs the command; its exit code and what it wrote."""
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *arguments, "--data-dir", str(data)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(data.parent), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def offline(appliance: Appliance, command: str) -> Any:
    """The value of a command without a server."""
    assert not appliance.running
    with open_source(configuration(appliance)) as source:
        assert not source.live
        return source.call(command, {}, lambda _: None)
