"""The current tree as the wheel has it, compiled: `scripts/compiled` prints the directory to put
first on PYTHONPATH. It is made anew only when something that goes into the wheel has changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".compiled"
HOOKS = ("compile.py", "ui_files.py")
KEPT_S = 3600.0  # since it was last asked for: tests may still run it


def compiled() -> Path:
    place = CACHE / _state()
    if not place.exists():
        CACHE.mkdir(exist_ok=True)
        _forget_old()
        with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
            _build(Path(temporary))
            try:
                (Path(temporary) / "tree").rename(place)
            except OSError:
                if not place.exists():  # by another that was quicker
                    raise
    os.utime(place)
    return place


def _forget_old() -> None:
    for path in CACHE.iterdir():
        if time.time() - path.stat().st_mtime > KEPT_S:
            shutil.rmtree(path, ignore_errors=True)


def _state() -> str:
    """Of everything that decides on what is built."""
    digest = hashlib.sha256(sys.version.encode())
    paths = [ROOT / "pyproject.toml", *(ROOT / "build" / name for name in HOOKS)]
    for folder in ("appliance", "storage", "ui"):
        paths += [path for path in (ROOT / folder).rglob("*") if path.suffix != ".pyc"]
    # What npm brought is in the lock file, and in what was made of it.
    paths = [path for path in paths if "node_modules" not in path.parts]
    for path in sorted(path for path in paths if path.is_file()):
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(temporary: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(temporary)]
    environ = {**os.environ, "HELICONE_APPLIANCE_COMPILE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    [wheel] = temporary.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(temporary / "tree")


if __name__ == "__main__":
    print(compiled())
