"""The container, shown to do what the manual says; `scripts/container-test` says how to call it."""

from __future__ import annotations

import argparse
import gzip
import os
import re
import secrets
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench_report import Report
from container_engine import PLACE, Engine, native, said
from container_rig import Box, Load, free_port, resident_mb
from older_state import make, mark_later

TAG = "localhost/helicone-appliance:{arch}"
STARTS = 5
USER = 10001
MB = 1e6
ZSTD_MB_MAX, GZIP_MB_MAX, START_S_MAX, IDLE_MB_MAX = 75.0, 90.0, 0.8, 110.0
STOP_S_MAX = 10.0  # after which `docker stop` kills
LOAD_S = 3.0
# What only the start or a rare request needed is given back each 15 s (appliance/resident.py).
IDLE_S = 20.0
# What an image without a system has none of.
FOREIGN = re.compile(r"(^|/)(sh|bash|dash|busybox|apt|dpkg|apk|rpm|python3?|perl|pip|npm|su)$")
LINK = re.compile(r"sign in +http://127\.0\.0\.1:8585/sign-in\?token=(\S+)  \(once, within 15 min")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/container-test", description=__doc__)
    parser.add_argument("--image", help="one that is in the store already, its size is known")
    parser.add_argument("--twice", action="store_true", help="build a second time, and compare")
    parser.add_argument("--goals", action="store_true", help="a missed goal is a failure")
    parser.add_argument("--arch", default=native(), help="of which processor: amd64, arm64")
    args = parser.parse_args()
    began_s = time.monotonic()
    report, engine = Report(), Engine(args.arch)
    image = args.image or built(engine, report, twice=args.twice)
    laid_out(engine, image, report)
    if not args.image:
        sizes(engine, image, report)
    with engine.real_docker() as name:
        report.note(f"the rest by {name}")
        checks = Checks(engine, image, report)
        try:
            checks.everything()
        finally:
            checks.clean()
    missed = report.table()
    print(f"done in {time.monotonic() - began_s:.0f} s")
    return 1 if args.goals and missed else 0


def built(engine: Engine, report: Report, *, twice: bool) -> str:
    """The image's name."""
    report.heading("build")
    began_s = time.monotonic()
    engine.base()
    report.figure("base image of Debian's packages", time.monotonic() - began_s, "s")
    began_s = time.monotonic()
    tag = TAG.format(arch=engine.arch)
    engine.build(tag)
    report.figure("image built", time.monotonic() - began_s, "s")
    if twice:
        engine.build(f"{tag}-again", fresh=True)
        first, second = (layers(engine, name) for name in (tag, f"{tag}-again"))
        must(first == second, f"two builds differ: {first} and {second}")
        report.note(f"built again from nothing: the same {len(first)} layers, byte for byte")
    return tag


def layers(engine: Engine, image: str) -> list[str]:
    """Digests of what is in it."""
    return list(engine.inspect("image", image)["RootFS"]["Layers"])


def laid_out(engine: Engine, image: str, report: Report) -> None:
    """What is in the image, and what it says of itself."""
    report.heading("image")
    facts = engine.inspect("image", image)
    config = facts["Config"]
    must(facts["Architecture"] == engine.arch, f"it is for {facts['Architecture']}")
    must(config["User"] == f"{USER}:{USER}", f"it runs as {config['User']}")
    must(list(config["Volumes"]) == ["/data"], "its volume is not /data")
    must(list(config["ExposedPorts"]) == ["8585/tcp"], "its port is not 8585")
    must(facts["Healthcheck"]["Test"][-1] == "healthcheck", "it has no healthcheck")
    must(config["Labels"]["org.opencontainers.image.revision"], "it does not name its commit")
    members = engine.files(image)
    names = [member.name for member in members if not member.isdir()]
    if foreign := [name for name in names if FOREIGN.search(name)]:
        raise SystemExit(f"these have no place in it: {foreign}")
    odd = [member.name for member in members if member.mode & 0o6000]
    must(not odd, f"these run as somebody else: {odd}")
    must("opt/helicone-appliance/sbom.cdx.json" in names, "it has no SBOM")
    report.note(f"{len(names)} files: no shell, no package manager, nothing that changes its user")


def sizes(engine: Engine, image: str, report: Report) -> None:
    """Of what is downloaded."""
    archive = PLACE / "image.tar"
    engine.podman("save", "--quiet", "--format", "docker-archive", "-o", archive, image)
    try:
        report.figure("image, unpacked", archive.stat().st_size / MB, "MB")
        size = sum(map(len, compressed(archive)))
        report.figure("image, gzip", size / MB, "MB", at_most=GZIP_MB_MAX)
        packed = archive.with_suffix(".zst")
        said(["zstd", "-q", "-f", "-12", "-T0", str(archive), "-o", str(packed)], os.environ)
        report.figure("image, zstd", packed.stat().st_size / MB, "MB", at_most=ZSTD_MB_MAX)
        packed.unlink()
    finally:
        archive.unlink()


def compressed(archive: Path) -> list[bytes]:
    """The archive through gzip, as `docker save | gzip` has it."""
    return [gzip.compress(archive.read_bytes(), compresslevel=6)]


class Checks:
    """On containers, one at a time. Raises SystemExit with what is not as it has to be."""

    def __init__(self, engine: Engine, image: str, report: Report) -> None:
        self._engine, self._image, self._report = engine, image, report
        self._box = Box(engine, image, report)

    def everything(self) -> None:
        """Each goes on from the one before."""
        self._first_start()
        self._hardened()
        self._stopped()
        self._killed()
        self._restarted()
        self._upgraded()
        self._newer_refused()
        self._quick()

    def clean(self) -> None:
        """Nothing is left running or lying about but the image."""
        self._box.remove()

    def _goal(self, most: float) -> float | None:
        """An emulated processor says nothing of time and memory."""
        return most if self._engine.slower == 1.0 else None

    def _first_start(self) -> None:
        """The line of the manual, the link, a key, a call."""
        self._report.heading("docker run")
        box = self._box
        box.run()
        found = LINK.findall(box.logs())
        must(len(found) == 1, f"{len(found)} links in the log")
        [token] = found
        person = {"token": token, "email": "ann@example.com", "password": "correct horse battery"}
        must(box.call("/v1/auth/link", person).status == 200, "the link does not work")
        must(box.call("/v1/auth/link", person).status == 404, "the link works twice")
        must(box.chat("Hello").status == 401, "it takes calls without a key")
        box.key = box.execute("keys", "create", "me").strip()
        with box.provider():
            answer = box.chat("Hello")
            must(answer.status == 200, f"the call: {answer.status} {answer.body!r}")
        self._engine.wait(lambda: box.recorded() == box.acknowledged, "the call on record", 30)
        must(box.key not in box.logs(), "the key is in the log")
        self._report.note("first-run link once, exec keys create, a call and its record")

    def _hardened(self) -> None:
        """Not root, no capability, nothing written but in /data; health."""
        box, pid = self._box, self._box.pid
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )  # fmt: skip
        must(status["Uid"].split() == [str(USER)] * 4, f"it runs as {status['Uid']}")
        must(int(status["CapEff"], 16) == 0, "it has capabilities")
        must(status["NoNewPrivs"] == "1", "it may gain privileges")
        mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
        root = next(mount for mount in mounts if mount[4] == "/")
        must("ro" in root[5].split(","), "the root file system can be written to")
        began_s = time.monotonic()
        must(box.execute("healthcheck").strip() == "healthy", "it is not healthy")
        self._report.figure("healthcheck, with what exec takes", time.monotonic() - began_s, "s")
        self._engine.podman("healthcheck", "run", box.name)
        state = self._engine.inspect("container", box.name)["State"]
        told = state.get("Health") or state.get("Healthcheck")
        must(told["Status"] == "healthy", f"its health: {told}")
        time.sleep(IDLE_S)
        self._report.figure(
            "memory when idle", resident_mb(pid), "MB", at_most=self._goal(IDLE_MB_MAX)
        )
        self._report.note("user 10001, no capability, read-only root; health by the binary")

    def _stopped(self) -> None:
        """Under load, with a stream that would go on for ever."""
        self._report.heading("docker stop, kill, restart")
        box = self._box
        with box.provider(), Load(box, slow=True) as load:
            load.last(LOAD_S)
            began_s = time.monotonic()
            self._stop()
            took_s = time.monotonic() - began_s
        self._report.figure(
            "docker stop, a stream under way", took_s, "s", at_most=self._goal(STOP_S_MAX)
        )
        code = self._engine.inspect("container", box.name)["State"]["ExitCode"]
        must(code == 0, f"it ended with {code}")
        self._engine.docker("start", box.name)
        box.ready()
        must(load.stream_id, "the stream never began")
        box.acknowledged.add(load.stream_id)
        self._all_there(load)
        must(not LINK.search(box.logs().rpartition("listens on")[2]), "there is a link again")

    def _stop(self) -> None:
        """The time is Docker's own default, which podman's socket does not know."""
        self._engine.docker("stop", "-t", f"{STOP_S_MAX * self._engine.slower:.0f}", self._box.name)

    def _killed(self) -> None:
        box = self._box
        with box.provider(), Load(box) as load:
            load.last(LOAD_S)
            self._engine.docker("kill", "-s", "KILL", box.name)
        self._engine.docker("start", box.name)
        box.ready()
        self._all_there(load, "kill -9")

    def _all_there(self, load: Load, how: str = "docker stop") -> None:
        box = self._box
        must(load.count > 20, f"{load.count} calls are too few to tell")
        self._wait_recorded(f"all calls on record after {how}")
        box.execute("verify")
        self._report.note(f"{how}: all of {load.count} finished calls are on record, books agree")

    def _wait_recorded(self, what: str) -> None:
        """All that was acknowledged so far."""
        box = self._box
        self._engine.wait(lambda: box.acknowledged <= box.recorded(), what, 30)

    def _restarted(self) -> None:
        box = self._box
        self._engine.docker("restart", "-t", f"{STOP_S_MAX * self._engine.slower:.0f}", box.name)
        box.ready()
        with box.provider():
            must(box.chat("Hello again").status == 200, "no call after a restart")
        self._wait_recorded("the call on record")
        self._report.note("docker restart: it goes on")

    def _upgraded(self) -> None:
        """The volume, with the state store that an earlier version left."""
        self._report.heading("upgrade")
        box = self._box
        box.key = f"sk-helicone-{secrets.token_hex(4)}-old-key"
        self._stop()
        for path in box.volume.glob("state.sqlite*"):
            path.unlink()
        count = make(box.volume / "state.sqlite", box.key)
        for path in box.volume.glob("state.sqlite*"):
            os.chown(path, USER, USER)
        self._engine.docker("start", box.name)
        box.ready()
        with box.provider():
            must(box.chat("Hello").status == 200, "the key of before does not work")
        self._wait_recorded("calls of before and after")
        box.execute("verify")
        self._report.note(f"a volume of an earlier version: {count} migrations, nothing lost")

    def _newer_refused(self) -> None:
        """As an old image finds what a newer one left: one line, and nothing is changed."""
        box = self._box
        self._stop()
        form = box.volume / "FORMAT"
        ours = form.read_text()
        form.write_text("99\n")
        self._refuses("made by a newer version")
        form.write_text(ours)
        mark_later(box.volume / "state.sqlite")
        for path in box.volume.glob("state.sqlite*"):
            os.chown(path, USER, USER)
        self._refuses("written by a later version")
        self._report.note("a volume of a newer version, by format or migration: one line, exit 1")

    def _refuses(self, words: str) -> None:
        name, volume = f"{self._box.name}-older", f"{self._box.name}:/data"
        try:
            self._engine.docker("run", "-d", "--name", name, "-v", volume, self._image)
            self._engine.wait(lambda: self._state(name)["Status"] == "exited", "its end", 30)
            code = self._state(name)["ExitCode"]
            lines = self._engine.logs(name).strip().splitlines()
        finally:
            self._engine.tried("rm", "-f", name)
        must(code == 1 and len(lines) == 1, f"it ended with {code}: {lines}")
        must(words in lines[0], lines[0])

    def _state(self, name: str) -> dict[str, Any]:
        return dict(self._engine.inspect("container", name)["State"])

    def _quick(self) -> None:
        """From `docker run` to the first reply of a provider, each in a volume of its own."""
        self._report.heading("start")
        outside, inside = [], []
        for _ in range(STARTS):
            box = Box(self._engine, self._image, self._report)
            try:
                box.on_host(free_port())
                outside.append(box.first_s)
                inside.append(box.first_of_process_s)
            finally:
                box.remove()
        self._report.figure(
            "first 200 after the process began, median", statistics.median(inside), "s",
            at_most=self._goal(START_S_MAX),
        )  # fmt: skip
        self._report.figure("first 200 after docker run, median", statistics.median(outside), "s")


def must(holds: object, otherwise: str) -> None:
    """Raises SystemExit."""
    if not holds:
        raise SystemExit(otherwise)


if __name__ == "__main__":
    sys.exit(main())
