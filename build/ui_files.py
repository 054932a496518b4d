"""What the pages load from elsewhere, fetched with npm by its lock file into `ui/vendor`, which is
never in the repository. Part of the build of the wheel; for a source tree: python build/ui_files.py

Packages run no scripts of theirs, and only the files named here are taken.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FETCH_S = 300
FILES = {
    "swagger-ui-dist": ("swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"),
    "preact": ("dist/preact.module.js", "hooks/dist/hooks.module.js", "LICENSE"),
    "htm": ("dist/htm.module.js", "LICENSE"),
    "uplot": ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"),
}  # fmt: skip
# Browsers know no bare names without an import map, which would be an inline script.
BARE_NAMES = {b'from"preact"': b'from"./preact.module.js"'}
COMMAND = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def fetch(ui: Path, vendor: Path) -> str:
    """Put the files into `vendor`. What went wrong, or nothing."""
    if shutil.which("npm") is None:
        return "npm is missing"
    with tempfile.TemporaryDirectory(prefix="helicone-appliance-ui-") as temporary:
        place = Path(temporary)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ui / name, place / name)
        try:
            done = subprocess.run(
                COMMAND, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=FETCH_S, env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"npm did not end within {FETCH_S} s"
        if done.returncode:
            return f"npm ci: {done.stdout.strip()[-500:]}"
        for package, names in FILES.items():
            target = vendor / package
            target.mkdir(parents=True, exist_ok=True)
            for name in names:
                data = (place / "node_modules" / package / name).read_bytes()
                if name.endswith(".module.js"):
                    for bare, path in BARE_NAMES.items():
                        data = data.replace(bare, path)
                (target / Path(name).name).write_bytes(data)
    return ""


def main() -> int:
    """Into the folder that is named, or the source tree."""
    ui = Path(__file__).resolve().parent.parent / "ui"
    problem = fetch(ui, Path(sys.argv[1]) if len(sys.argv) > 1 else ui / "vendor")
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
