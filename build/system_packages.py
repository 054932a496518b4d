"""Which packages of the system some files belong to; elsewhere than on Debian and its kin, none."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    """One of the system's. `copyright` need not exist."""

    name: str
    version: str
    system: str

    @property
    def copyright(self) -> Path:
        return Path("/usr/share/doc", self.name, "copyright")

    def __str__(self) -> str:
        """As it stands in the list of licences, from which sbom.py reads it again."""
        return f"{self.name} {self.version} ({self.system})"


def owners(paths: Iterable[str]) -> list[Package]:
    """Sorted by name, each once. Raises nothing where no package manager is known."""
    names = {name for path in paths if (name := _owner(str(Path(path).resolve())))}
    return [Package(name, _version(name), system_name()) for name in sorted(names)]


def system_name() -> str:
    """Such as `Debian 12`."""
    told = platform.freedesktop_os_release()
    return f"{told.get('ID', 'linux').capitalize()} {told.get('VERSION_ID', '')}".rstrip()


def _owner(path: str) -> str:
    """The package's name, without the processor; "" where none is known."""
    if not path.startswith(("/lib", "/usr/", "/etc/")):
        return ""
    for known in (path, path.removeprefix("/usr")):  # /lib is a link to /usr/lib since Debian 12
        try:
            done = subprocess.run(["dpkg-query", "-S", known], capture_output=True, text=True)
        except OSError:
            return ""
        if done.returncode == 0:
            return done.stdout.partition(":")[0]
    return ""


def _version(name: str) -> str:
    command = ["dpkg-query", "-W", "-f", "${Version}\n", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
