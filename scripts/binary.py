"""Both forms of the frozen program: built, and checked as somebody has them who downloads them.

The checks run in a network namespace where there is loopback alone, with a PATH where there is
nothing at all. `scripts/binary` says how it is called.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bench_report import Report
from compiled import ROOT, compiled

DIST, WORK = ROOT / "dist", ROOT / ".binary"
NAME = "helicone-appliance"
FORMS = ("folder", "file")
STARTS = 5
HELPER_S = 60.0
IDLE_S = 6.0  # what only the start needed has been given back by then (appliance/resident.py)
START_S_MAX, IDLE_MB_MAX = 0.8, 110.0
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
MIB = 2**20


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/binary", description=__doc__)
    parser.add_argument("forms", nargs="*", metavar="form", help="folder, file; both without any")
    parser.add_argument("--only-check", action="store_true", help="what lies in dist/ already")
    parser.add_argument("--no-check", action="store_true", help="build, and no more")
    parser.add_argument("--goals", action="store_true", help="a missed goal is a failure")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.forms = args.forms or list(FORMS)
    if unknown := set(args.forms) - set(FORMS):
        parser.error(f"no such form: {', '.join(sorted(unknown))}")
    if args.here:
        return check(args.forms, goals=args.goals)
    tree = compiled()
    if not args.only_check:
        build(tree, args.forms)
    if args.no_check:
        return 0
    environ = {**os.environ, "PYTHONPATH": f"{tree}:{ROOT / 'scripts'}", "PYTHONSAFEPATH": "1"}
    command = [*without_network(), sys.executable, __file__, "--here", *args.forms]
    return subprocess.run([*command, *(["--goals"] * args.goals)], env=environ).returncode


def build(tree: Path, forms: list[str]) -> None:
    """Both come from one analysis. The same bytes for the same commit and tools: the order of sets,
    and times in archives, are given."""
    began_s = time.monotonic()
    environ = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH") or commit_time(),
        "PYINSTALLER_CONFIG_DIR": str(WORK / "cache"),
        "HELICONE_APPLIANCE_FORMS": ",".join(forms),
    }
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR"]
    command += ["--workpath", str(WORK / "work"), "--distpath", str(DIST)]
    for old in DIST.glob(f"{NAME}-*"):  # of another version
        old.unlink()
    subprocess.run([*command, str(ROOT / "build" / "appliance.spec")], env=environ, check=True)
    environ.pop("PYTHONSAFEPATH")
    subprocess.run([sys.executable, ROOT / "build" / "sbom.py", DIST], env=environ, check=True)
    print(f"built in {time.monotonic() - began_s:.0f} s", flush=True)


def commit_time() -> str:
    """Seconds since 1970, of the last commit; outside a repository a fixed moment."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "1750000000"


def without_network() -> list[str]:
    """The command that runs others where there is no network, if this machine allows one."""
    for flags in ("-n", "-rn"):  # as root; as a root of one's own
        command = ["unshare", flags]
        if shutil.which("unshare") and not subprocess.run([*command, "true"]).returncode:
            return command
    print(
        "!! This machine allows no network namespace: the network stays within reach.", flush=True
    )
    return []


def loopback_up() -> str:
    """A new namespace has it, but down. The names of all that there is."""
    with socket.socket() as any_socket, suppress(OSError):  # outside a namespace it is up
        asked = struct.pack("16sh14x", b"lo", 0)
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | IFF_UP))
    return ", ".join(name for _, name in socket.if_nameindex())


# -- checks, in there


def check(forms: list[str], *, goals: bool) -> int:
    """1 where a form does not work; with `goals` also where a figure misses its goal."""
    print(f"network: {loopback_up()}")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="helicone-appliance-binary-") as name:
        place = Path(name)
        (place / "empty").mkdir()
        environ = {"PATH": str(place / "empty"), "HOME": str(place), "TMPDIR": str(place)}
        for form in forms:
            report.heading(f"one {form}")
            Checked(form, place / form, environ, report).everything()
    missed = report.table()
    return 1 if goals and missed else 0


def executable(form: str) -> Path:
    """Where the build puts it."""
    if form == "folder":
        return DIST / NAME / NAME
    [found] = DIST.glob(f"{NAME}-*-{sys.platform}-{platform.machine()}")
    return found


class Checked:
    """One form. Raises SystemExit with what does not work."""

    def __init__(self, form: str, place: Path, environ: Mapping[str, str], report: Report) -> None:
        place.mkdir()
        self._form, self._place, self._environ, self._report = form, place, environ, report
        self._program = executable(form)

    def everything(self) -> None:
        from appliance.selftest_provider import FakeProvider

        self._size()
        told = json.loads(self._run("version", "--json"))
        self._must(told["compiled"], "it is not compiled")
        self._must("== Python" in self._run("version", "--licences"), "it has no licences")
        with FakeProvider() as provider:
            config = f'[providers.openai]\nbase_url = "{provider.url}"\nauth = "none"\n'
            self._starts(config)
            self._serves(config)
            if self._form == "file":
                self._killed(config)
        print(self._run("selftest"), end="", flush=True)
        self._must(not list(self._place.parent.glob("_MEI*")), "it leaves files behind")

    def _size(self) -> None:
        paths = [self._program]
        if self._form == "folder":
            paths = [path for path in self._program.parent.rglob("*") if not path.is_symlink()]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        self._report.figure(f"{self._form}: size", size / MIB, "MiB")

    def _starts(self, config: str) -> None:
        """Each with a directory of its own, as it is at the first time."""
        seconds, cpu = [], []
        for number in range(STARTS):
            server = self._server(f"start-{number}", config)
            began_s = time.monotonic()
            try:
                server.start()
                self._must(server.chat("Hello").status == 200, "the first call fails")
                seconds.append(time.monotonic() - began_s)
                cpu.append(sum(map(cpu_s, {server.pid, server.serving})))
                server.stop()
            finally:
                server.kill()
        self._report.figure(
            f"{self._form}: first 200 after, median", statistics.median(seconds), "s",
            at_most=START_S_MAX if self._form == "folder" else None,
        )  # fmt: skip
        self._report.figure(f"{self._form}: first 200 after, quickest", min(seconds), "s")
        self._report.figure(f"{self._form}: CPU until then, median", statistics.median(cpu), "s")

    def _serves(self, config: str) -> None:
        """Alone, small, without PyArrow; and what it recorded can be asked for without it."""
        from appliance.selftest_provider import REPLY
        from appliance.selftest_rig import until

        server = self._server("serves", config)
        try:
            server.start()
            time.sleep(IDLE_S)
            # The lake's helper had a first look, and ends.
            until(lambda: not children(server.serving), "not idle", HELPER_S)
            processes = sorted({server.pid, server.serving})
            wanted = 1 if self._form == "folder" else 2
            self._must(len(processes) == wanted, f"it is {len(processes)} processes")
            maps = Path(f"/proc/{server.serving}/maps").read_text()
            self._must("libarrow" not in maps, "PyArrow is loaded at the start")
            idle_mb = sum(map(resident_mb, processes))
            self._report.figure(
                f"{self._form}: memory when idle", idle_mb, "MB", at_most=IDLE_MB_MAX
            )
            self._must(server.chat("Hello").body == REPLY, "the reply is another")
            server.stop()
        finally:
            server.kill()
        sql = "select count(*) as n from requests"
        found = json.loads(server.run("query", sql, "--format", "json"))
        self._must(found == [{"n": 1}], f"of one call it sees {found}")

    def _killed(self, config: str) -> None:
        """Whoever unpacked it, killed: the server ends too, and its files go."""
        from appliance.selftest_rig import until

        server = self._server("killed", config)
        server.start()
        server.kill()
        serving = Path(f"/proc/{server.serving}")
        until(lambda: not serving.exists(), "the server outlives its parent")

    def _server(self, name: str, config: str):  # noqa: ANN202 - of the tree that is checked
        from appliance.selftest_rig import Server

        return Server(
            self._place / name, config, command=[str(self._program)], environ=self._environ
        )

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._program), *arguments],
            env=dict(self._environ), capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        self._must(not done.returncode, f"{arguments}: {done.stdout}\n{done.stderr}")
        return done.stdout

    def _must(self, holds: object, otherwise: str) -> None:
        if not holds:
            raise SystemExit(f"one {self._form}: {otherwise}")


def children(pid: int) -> list[int]:
    """Of any of its threads, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *children(child)]
    return found


def cpu_s(pid: int) -> float:
    """Used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000


if __name__ == "__main__":
    sys.exit(main())
