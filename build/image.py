"""The file system of the container image: `image.py FOLDER TARGET` lays the frozen program that is
in FOLDER out in TARGET, with all that it needs to run without a system around it, and nothing else.

Called by the Containerfile, on Debian or its kin. The same files for the same commit and packages:
everything is dated SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import sbom
from system_packages import owners

PLACE = "opt/helicone-appliance"
USER = 10001
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
ZONES = "/usr/share/zoneinfo"
NO_ZONES = ("posix", "right", "localtime", "posixrules", "*.list", "leapseconds", "*.tab")
ELF = b"\x7fELF"
# `libm.so.6 => /lib/…/libm.so.6 (0x7f…)`, of the loader itself without the arrow.
LOADED = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
# Written out for programs that ask who they are, and how names are found.
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/none\n"
    f"helicone:x:{USER}:{USER}:helicone-appliance:/data:/none\n",
    "etc/group": f"root:x:0:\nhelicone:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def main() -> None:
    """Raises SystemExit for what is missing."""
    folder, target = map(Path, sys.argv[1:])
    os.umask(0o022)
    shutil.copytree(folder, target / PLACE, symlinks=True)
    libraries = sorted(loaded(folder))
    for path in (*libraries, CERTIFICATES):
        _place(path, target)
    shutil.copytree(
        ZONES, target / ZONES.lstrip("/"), symlinks=True, ignore=shutil.ignore_patterns(*NO_ZONES)
    )
    for name, text in FILES.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    _licences([*libraries, f"{ZONES}/UTC", "/usr/sbin/update-ca-certificates"], target / PLACE)
    listing = target / PLACE / "_internal" / "licences" / "contents.txt"
    sbom.write(listing, target / PLACE / sbom.FILE)
    date(target, int(os.environ["SOURCE_DATE_EPOCH"]))


def loaded(folder: Path) -> set[str]:
    """The system's libraries that some file of the folder asks for: the C library and its loader,
    which no program brings along, and what the program asks for before it has told where its own
    lie. Raises SystemExit where one is found nowhere."""
    within = str(folder.resolve())
    found: set[str] = set()
    for path in _programs(folder):
        own = "" if path.parent == folder else f"{within}/_internal"
        environ = {**os.environ, "LD_LIBRARY_PATH": own, "LC_ALL": "C"}
        told = subprocess.run(
            ["ldd", str(path.resolve())], env=environ, capture_output=True, text=True
        ).stdout
        if "not found" in told:
            raise SystemExit(f"{path} asks for what is not there:\n{told}")
        found.update(place for _, place in LOADED.findall(told) if not place.startswith(within))
    return found


def _programs(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(len(ELF)) == ELF:
                    yield path


def _place(path: str, target: Path) -> None:
    """Under the name by which it is asked for, whatever links lead there."""
    place = target / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)
    shutil.copymode(path, place)


def _licences(paths: list[str], program: Path) -> None:
    """Of the system's packages that only the image has."""
    licences = program / "_internal" / "licences"
    listing = licences / "contents.txt"
    told = listing.read_text(encoding="utf-8").splitlines()
    for package in owners(paths):
        if str(package) not in told:
            told.append(str(package))
            if package.copyright.exists():
                (licences / package.name).mkdir()
                shutil.copyfile(package.copyright, licences / package.name / "copyright")
    listing.write_text("\n".join(told) + "\n", encoding="utf-8")


def date(target: Path, moment_s: int) -> None:
    """Every file, folder and link, the folder itself too."""
    for path in (*target.rglob("*"), target):
        os.utime(path, (moment_s, moment_s), follow_symlinks=False)


if __name__ == "__main__":
    main()
