"""The list of what is in the program, as CycloneDX JSON: every package of the lock files, those
that only build it marked `excluded`, and what came from the system, with versions. `sbom.py DIST`
puts it beside what was built there.

What is in is taken from the list that the licences have (bundle.py), so that both agree.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import ui_files

ROOT = Path(__file__).resolve().parent.parent
NAME = "helicone-appliance"
FILE = "sbom.cdx.json"
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
# `name version`, of a package of the system with its name behind it.
TOLD = re.compile(r"^(\S+) (\S+?)(?: \((.+)\))?$")
SPACE = uuid.UUID("6f6b5bb4-5d1e-5d3c-9f5f-3a5c0e6c1d2b")  # for serial numbers, any will do


class Part(NamedTuple):
    """A package. `scope` is CycloneDX's: `required` is in, `excluded` only builds."""

    purl: str
    name: str
    version: str
    scope: str
    licence: str = ""

    def shown(self) -> dict[str, Any]:
        licences = {"licenses": [{"expression": self.licence}]} if self.licence else {}
        return {
            "type": "library",
            "bom-ref": self.purl,
            "name": self.name,
            "version": self.version,
            "scope": self.scope,
            "purl": self.purl,
            **licences,
        }


def document(contents: str, moment_s: int) -> dict[str, Any]:
    """Of the lock files beside this one. `contents`: what `licences/contents.txt` says; `moment_s`:
    seconds since 1970, since the time of day would make every list another one. Raises SystemExit
    where something is in that is in no lock."""
    told = list(_told(contents))
    own = next((version for name, version, _ in told if name == NAME), "0")
    inside = {normal(name): version for name, version, system in told if not system}
    locked = dict(pypi_locked())
    foreign = {
        name for name, version in inside.items()
        if name not in {NAME, "python"} and locked.get(name) != version
    }  # fmt: skip
    if foreign:
        raise SystemExit(f"in the program, and not so in the lock: {', '.join(sorted(foreign))}")
    parts = [
        *(_python(name, version, name in inside) for name, version in locked.items()),
        *_pages(),
        *(_of_system(*item) for item in told if item[2]),
        *(
            Part(f"pkg:generic/python@{version}", "Python", version, "required", "PSF-2.0")
            for name, version in inside.items() if name == "python"
        ),
    ]  # fmt: skip
    shown = [part.shown() for part in sorted(set(parts))]
    serial = uuid.uuid5(SPACE, json.dumps([own, moment_s, shown]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": f"pkg:pypi/{NAME}@{own}",
                "name": NAME,
                "version": own,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": shown,
    }


def write(listing: Path, target: Path) -> None:
    """Of the frozen program whose licences `listing` tells, dated as the build is."""
    contents = listing.read_text(encoding="utf-8")
    found = document(contents, int(os.environ["SOURCE_DATE_EPOCH"]))
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def pypi_locked() -> Iterator[tuple[str, str]]:
    """Name and version of all that requirements.lock has."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    yield from ((normal(name), version) for name, version in LOCKED.findall(text))


def npm_locked() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and entry of all that ui/package-lock.json has."""
    text = (ROOT / "ui" / "package-lock.json").read_text(encoding="utf-8")
    for path, entry in json.loads(text)["packages"].items():
        if path:
            yield path.rpartition("node_modules/")[2], entry


def normal(name: str) -> str:
    """As PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _told(contents: str) -> Iterator[tuple[str, str, str]]:
    for line in contents.splitlines():
        if found := TOLD.match(line):
            yield found[1], found[2], found[3] or ""


def _python(name: str, version: str, is_in: bool) -> Part:
    return Part(f"pkg:pypi/{name}@{version}", name, version, "required" if is_in else "excluded")


def _pages() -> Iterator[Part]:
    for name, entry in npm_locked():
        scope = "required" if name in ui_files.FILES else "excluded"
        purl = f"pkg:npm/{quote(name, safe='/')}@{entry['version']}"
        yield Part(purl, name, entry["version"], scope, entry.get("license", ""))


def _of_system(name: str, version: str, system: str) -> Part:
    kind, _, release = system.lower().partition(" ")
    told = f"?distro={kind}-{release}" if release else ""
    return Part(f"pkg:deb/{kind}/{quote(name)}@{quote(version)}{told}", name, version, "required")


def main() -> None:
    """Of what PyInstaller found last."""
    write(ROOT / ".binary" / "work" / "appliance" / "licences.txt", Path(sys.argv[1], FILE))


if __name__ == "__main__":
    main()
