"""What browsers load, made of `ui/web` and of what npm brings by its lock file: `ui/built` has the
pages, bundled and made small by esbuild, `ui/vendor` Swagger UI and the licences. Neither is in the
repository. Part of the build of the wheel; in a source tree it is `scripts/ui`, a matter of moments
once the packages are there, and `scripts/ui --check` says whether that was forgotten.

Packages run no scripts of theirs. esbuild is a tool: nothing of it is in what it makes.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

UI = Path(__file__).resolve().parent.parent / "ui"
FETCH_S = 300
BUNDLE_S = 60
FILES = {
    "swagger-ui-dist": ("swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"),
    "preact": ("LICENSE",),
    "htm": ("LICENSE",),
    "uplot": ("LICENSE",),
}
FETCH = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
INDEX = "web/index.html"
ENTRIES = ("web/main.js", "web/style.css")
AS_THEY_ARE = ("icon.svg",)
# Names have a sum of the content in them, so that browsers may keep such files for ever.
BUNDLE = (
    "--bundle", "--minify", "--format=esm", "--splitting", "--charset=utf8",
    "--entry-names=[name]-[hash]", "--chunk-names=[name]-[hash]", "--log-level=warning",
)  # fmt: skip
SHARED, PRELOADS = "web/main.js", "preloads.json"
# Sums of what it was all made from: of the packages, and of the pages.
PACKAGES_STAMP, STAMP = "node_modules/.made-from", "made-from"
STALE = "The pages in ui/built are older than their sources: run scripts/ui"


def make(target: Path) -> str:
    """Put `vendor` and `built` below `target`. What went wrong, or nothing; then both are as they
    were. Packages are kept where they are kept already, and where the target is the source tree."""
    if shutil.which("npm") is None:
        return "npm is missing"
    with tempfile.TemporaryDirectory(prefix="helicone-appliance-ui-") as temporary:
        place = Path(temporary, "packages")
        if target == UI or (UI / "node_modules").is_dir():
            place = UI
        problem = fetch(place) or bundle(place, Path(temporary, "built"))
        if problem:
            return problem
        take(place / "node_modules", target / "vendor")
        shutil.rmtree(target / "built", ignore_errors=True)
        shutil.copytree(Path(temporary, "built"), target / "built")
    return ""


def fetch(place: Path) -> str:
    """The packages into `place`, unless those of this lock are there."""
    lock = hashlib.sha256((UI / "package-lock.json").read_bytes()).hexdigest()
    if _text(place / PACKAGES_STAMP) == lock:
        return ""
    place.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        if place != UI:
            shutil.copy(UI / name, place / name)
    problem = _run(FETCH, place, FETCH_S, {"NO_UPDATE_NOTIFIER": "1"})
    if not problem:
        (place / PACKAGES_STAMP).write_text(lock)
    return problem


def bundle(place: Path, built: Path) -> str:
    """The pages from `ui/web` into `built`, with the page itself and, for each page of it, what it
    loads: a browser asks for all of that at once. `place` has the packages."""
    sum_before = made_from()
    # Where a module lies, as seen from where esbuild runs, goes into the names of what it makes:
    # pages and packages lie beside each other, so that everybody's files have the same names.
    if place != UI:
        shutil.copytree(UI / "web", place / "web")
    outline = built / "outline.json"
    packages = place / "node_modules"
    command = (str(packages / ".bin" / "esbuild"), *ENTRIES, *BUNDLE, f"--outdir={built}")
    environ = {"NODE_PATH": str(packages)}
    problem = _run((*command, f"--metafile={outline}"), place, BUNDLE_S, environ)
    if problem:
        return problem
    found = Outline(json.loads(outline.read_text()))
    outline.unlink()
    page = (UI / INDEX).read_text()
    for entry in ENTRIES:
        page = page.replace(f"/ui/{Path(entry).name}", f"/ui/{found.named[entry]}")
    (built / "index.html").write_text(page)
    for name in AS_THEY_ARE:
        shutil.copyfile(UI / "web" / name, built / name)
    (built / PRELOADS).write_text(json.dumps(found.preloads(), indent=1))
    (built / STAMP).write_text(sum_before)
    return ""


class Outline:
    """What esbuild says of what it made: which file came of which module, and what each loads."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._inputs = told["inputs"]
        self._outputs = {Path(path).name: one for path, one in told["outputs"].items()}
        self.named = {
            one["entryPoint"]: name for name, one in self._outputs.items() if "entryPoint" in one
        }

    def preloads(self) -> dict[str, list[str]]:
        """By each page, as its module is named: the files it needs, those that all need first."""
        pages = {
            Path(page["path"]).stem: group
            for group, module in self._inputs.items()
            if group.startswith("web/groups/")
            for page in module["imports"]
        }
        return {
            page: list(dict.fromkeys([*self._needs(SHARED), *self._needs(group)]))
            for page, group in pages.items()
        }

    def _needs(self, entry: str) -> list[str]:
        found = [self.named[entry]]
        for name in found:  # grows as it goes
            for one in self._outputs[name]["imports"]:
                needed = Path(one["path"]).name
                if one["kind"] == "import-statement" and needed not in found:
                    found.append(needed)
        return found


def take(packages: Path, vendor: Path) -> None:
    """What is served or told as it came, and nothing that an older version left there."""
    shutil.rmtree(vendor, ignore_errors=True)
    for package, names in FILES.items():
        (vendor / package).mkdir(parents=True)
        for name in names:
            shutil.copyfile(packages / package / name, vendor / package / name)


def made_from() -> str:
    """Changes with anything that decides on `ui/built`."""
    web = UI / "web"
    paths = [Path(__file__), UI / "package-lock.json", *sorted(web.rglob("*"))]
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            name = path.relative_to(web) if path.is_relative_to(web) else path.name
            data = path.read_bytes()
            digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def is_fresh() -> bool:
    """Whether `ui/built` is of today's sources."""
    return _text(UI / "built" / STAMP) == made_from() and (UI / "vendor").is_dir()


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _run(command: tuple[str, ...], folder: Path, timeout_s: int, environ: dict[str, str]) -> str:
    """What went wrong, or nothing."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout_s, env={**os.environ, **environ},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{name} did not end within {timeout_s} s"
    except OSError as error:
        return f"{name}: {error.strerror}"
    return f"{name}: {done.stdout.strip()[-2000:]}" if done.returncode else ""


def main() -> int:
    """Into the folder that is named, or the source tree."""
    if sys.argv[1:] == ["--check"]:
        problem = "" if is_fresh() else STALE
    else:
        problem = make(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else UI)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
