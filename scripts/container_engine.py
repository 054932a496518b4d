"""Podman with a store of its own, and the base image that is made of Debian's packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".container"
SUITE = "bookworm"
ROOTS = "/etc/ssl/certs/ca-certificates.crt"
ROOTS_INSIDE = "/run/roots.crt"
SOCKET_S = 20.0
COMMAND_S = 600.0  # none but the build takes longer
EMULATED = 10.0  # times as long, for another processor
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}
# Where nobody may raise limits, podman must not ask for more than there is; and without systemd
# groups are made in the file system.
SETTINGS = """
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
# pip and npm trust what this machine trusts. Mounted while building: nothing of it is in the image.
REGISTRIES = {
    "pip.conf": ("/etc/pip.conf", f"[global]\ncert = {ROOTS_INSIDE}\n"),
    "npmrc": ("/etc/npmrc", f"cafile={ROOTS_INSIDE}\n"),
}


class Engine:
    """Everything of it lies in PLACE. `arch`: of what is built, as Debian and Docker call it."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self._base = f"localhost/base:debian-{arch}"
        # Of all limits of time.
        self.slower = 1.0 if arch == native() else EMULATED
        PLACE.mkdir(exist_ok=True)
        settings = PLACE / "containers.conf"
        settings.write_text(SETTINGS)
        self._environ = {**os.environ, "CONTAINERS_CONF": str(settings)}
        self._podman = [
            "podman", "--root", str(PLACE / "store"), "--runroot", str(PLACE / "run"),
            "--tmpdir", str(PLACE / "tmp"), "--network-config-dir", str(PLACE / "networks"),
            "--storage-driver", "overlay",
        ]  # fmt: skip
        self._docker = list(self._podman)

    def podman(self, *arguments: str | Path) -> str:
        """What it printed. Raises SystemExit."""
        return said([*self._podman, *map(str, arguments)], self._environ, COMMAND_S * self.slower)

    def docker(self, *arguments: str | Path) -> str:
        """The same through the real `docker`, where there is one."""
        return said([*self._docker, *map(str, arguments)], self._environ, COMMAND_S * self.slower)

    def tried(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """For what is to fail."""
        command = [*self._docker, *map(str, arguments)]
        return subprocess.run(
            command, env=self._environ, capture_output=True, text=True,
            timeout=COMMAND_S * self.slower,
        )  # fmt: skip

    def wait(self, found: Any, what: str, wait_s: float) -> None:  # noqa: ANN401 - any callable
        """Of what is in a container. Raises SystemExit."""
        wait(found, what, wait_s * self.slower)

    def logs(self, name: str) -> str:
        """Both streams of a container, in which order they came."""
        done = subprocess.run(
            [*self._podman, "logs", name], env=self._environ, timeout=COMMAND_S, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Of podman, which says more."""
        found = json.loads(self.podman(kind, "inspect", name))
        return dict(found[0])

    @contextmanager
    def real_docker(self) -> Iterator[str]:
        """While it lasts `docker` is the real one, over podman's socket. Says which it is."""
        if shutil.which("docker") is None:
            yield "podman (no docker command is here)"
            return
        socket = PLACE / "docker.sock"
        socket.unlink(missing_ok=True)
        command = [*self._podman, "system", "service", "--time", "0", f"unix://{socket}"]
        with (PLACE / "service.log").open("w") as log:
            service = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)
        try:
            wait(socket.exists, "podman's socket", SOCKET_S)
            self._docker = ["docker", "--host", f"unix://{socket}"]
            yield said(["docker", "--version"], self._environ).strip()
        finally:
            self._docker = list(self._podman)
            service.terminate()
            service.wait(SOCKET_S)

    def has(self, image: str) -> bool:
        command = [*self._podman, "image", "exists", image]
        return not subprocess.run(command, env=self._environ).returncode

    def base(self) -> None:
        """A small Debian, once."""
        if self.has(self._base):
            return
        tree = PLACE / "base"
        shutil.rmtree(tree, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--arch={self.arch}", SUITE, str(tree)]
        said(command, os.environ, COMMAND_S * self.slower)
        for name in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(tree / name)
            (tree / name / "partial").mkdir(parents=True)
        # As Debian's own images have it: what is only built with need not be safe from power cuts.
        (tree / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
        for path in Path("/etc/apt").rglob("*"):  # where this machine takes its packages from
            if path.suffix in {".list", ".sources"}:
                shutil.copy(path, tree / path.relative_to("/"))
        archive = PLACE / "base.tar"
        said(["tar", "-C", str(tree), "--numeric-owner", "-cf", str(archive), "."], os.environ)
        self.podman("import", "--quiet", "--arch", self.arch, archive, self._base)
        archive.unlink()
        shutil.rmtree(tree)

    def build(self, tag: str, *, fresh: bool = False) -> None:
        """The image of the Containerfile, dated and named by the last commit."""
        options: list[str] = ["--no-cache"] if fresh else ["--layers"]
        if Path(ROOTS).exists():
            options += ["-v", f"{ROOTS}:{ROOTS_INSIDE}:ro"]
            for name, (inside, text) in REGISTRIES.items():
                (PLACE / name).write_text(text)
                options += ["-v", f"{PLACE / name}:{inside}:ro"]
        moment, revision = commit()
        arguments = {"BASE": self._base, "SOURCE_DATE_EPOCH": moment, "REVISION": revision}
        for name, value in arguments.items():
            options += ["--build-arg", f"{name}={value}"]
        self._steps([
            "build", "--pull=never", "--network", "host", "--format", "docker",
            "--platform", f"linux/{self.arch}", "--timestamp", moment, *options,
            "-f", "build/Containerfile", "-t", tag, ".",
        ])  # fmt: skip

    def _steps(self, arguments: Sequence[str]) -> None:
        """Tells each step of a build as it begins. Raises SystemExit with what was said last."""
        began_s, said_last = time.monotonic(), deque[str](maxlen=40)
        with subprocess.Popen(
            [*self._podman, *arguments], cwd=ROOT, env=self._environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as build:  # fmt: skip
            assert build.stdout is not None
            for line in build.stdout:
                said_last.append(line)
                if line.startswith(("STEP", "[")) and "STEP" in line:
                    print(
                        f"   {time.monotonic() - began_s:4.0f} s  {line.strip()[:100]}", flush=True
                    )
        if build.returncode:
            raise SystemExit(f"the build ended with {build.returncode}:\n{''.join(said_last)}")

    def files(self, image: str) -> list[tarfile.TarInfo]:
        """All that is in an image."""
        name = self.podman("create", image).strip()
        archive = PLACE / "files.tar"
        try:
            self.podman("export", "-o", archive, name)
            with tarfile.open(archive) as found:
                return found.getmembers()
        finally:
            archive.unlink(missing_ok=True)
            self.podman("rm", name)


def commit() -> tuple[str, str]:
    """Seconds since 1970, and the name. Outside a repository a fixed moment of no commit."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct %H"]
    done = subprocess.run(command, capture_output=True, text=True)
    moment, _, revision = (done.stdout.strip() or "1750000000 unknown").partition(" ")
    return moment, revision


def native() -> str:
    """The processor of this machine."""
    machine = os.uname().machine
    return NATIVE.get(machine, machine)


def said(
    command: Sequence[str],
    environ: Any,  # noqa: ANN401 - os.environ or a dict
    limit_s: float = COMMAND_S,
) -> str:
    """What it printed. Raises SystemExit with what it complained of."""
    done = subprocess.run(
        command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=limit_s,
    )  # fmt: skip
    if done.returncode:
        told = (done.stdout + done.stderr).strip()[-4000:]
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{told}")
    return done.stdout


def wait(found: Any, what: str, wait_s: float) -> Any:  # noqa: ANN401 - any callable
    """Its first true value. Raises SystemExit."""
    until_s = time.monotonic() + wait_s
    while not (value := found()):
        if time.monotonic() > until_s:
            raise SystemExit(f"{what}: not within {wait_s:g} s")
        time.sleep(0.02)
    return value
