"""House rules that no linter knows: sizes of files and functions, marks of unfinished work."""

import ast
import pathlib
import re
import subprocess
import sys

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
TOP_LEVEL = {
    "pyproject.toml", "appliance", "storage", "ui", "tests", "build", "scripts", "README.md",
    "LICENSE", "CHANGELOG.md", "requirements.lock", ".ci", ".gitignore",
}  # fmt: skip
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")


def tracked() -> list[pathlib.Path]:
    """Files under version control, and new ones that are not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [path for name in listing.splitlines() if (path := pathlib.Path(name)).is_file()]


def complaints(path: pathlib.Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = []
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        found.append(f"{path}: {lines} lines, at most {FILE_LINES_MAX}")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                found.append(f"{path}:{node.lineno}: {node.name} has {length} lines")
    if path.parts[0] not in ("tests", "scripts"):
        found += [
            f"{path}:{number}: unfinished: {line.strip()}"
            for number, line in enumerate(text.splitlines(), 1)
            if UNFINISHED.search(line)
        ]
    return found


def main() -> int:
    paths = tracked()
    found = [f"not in the agreed layout: {p}" for p in paths if p.parts[0] not in TOP_LEVEL]
    for path in paths:
        if path.suffix == ".py":
            found += complaints(path)
    # Not tracked, and yet what Python would import in place of the source beside it.
    for folder in ("appliance", "storage", "ui"):
        found += [f"compiled in place: {path}" for path in pathlib.Path(folder).rglob("*.so")]
    print("\n".join(found) or "tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
