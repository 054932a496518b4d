"""House rules that no linter knows: sizes of files and functions, marks of unfinished work, and in
modules that are compiled what mypyc makes something else of without a word.
"""

import ast
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
TOP_LEVEL = {
    "pyproject.toml", "appliance", "storage", "ui", "tests", "build", "scripts", "README.md",
    "LICENSE", "CHANGELOG.md", "requirements.lock", ".ci", ".dockerignore", ".gitignore",
}  # fmt: skip
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
HOOK = pathlib.Path("build/compile.py")
# Calls that may be made twice, and classes of the interpreter that a compiled one may have as base.
HARMLESS = {"len", "max", "min", "start", "end", "find", "rfind", "index"}
BASES = {"Protocol", "NamedTuple", "Enum", "Sequence", "Exception", "LookupError"}


def tracked() -> list[pathlib.Path]:
    """Files under version control, and new ones that are not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [path for name in listing.splitlines() if (path := pathlib.Path(name)).is_file()]


def compiled_modules() -> dict[pathlib.Path, ast.Module]:
    """What the build hook compiles; read from its text, as Hatch need not be there."""
    for node in ast.parse(HOOK.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES":
            folders: dict[str, str] = ast.literal_eval(node.value)
            paths = [
                pathlib.Path(folder, f"{name}.py")
                for folder, names in folders.items()
                for name in names.split()
            ]
            return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    raise LookupError(f"{HOOK} has no MODULES")


def otherwise_when_compiled(tree: ast.Module, known_bases: set[str]) -> Iterator[tuple[int, str]]:
    """Lines that do something else in the compiled program, and what."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Slice):
            for bound in (node.lower, node.upper):
                if bound is not None and any(map(_has_effect, ast.walk(bound))):
                    yield bound.lineno, "the bound of a slice is worked out twice: give it a name"
        elif isinstance(node, ast.ClassDef):
            for base in node.bases:
                name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
                if name not in known_bases:
                    yield (
                        node.lineno,
                        f"attributes of {node.name} are not kept as {name} keeps them",
                    )
        elif isinstance(node, ast.FunctionDef) and not _is_context_manager(node):
            for line in _yields_before_clean_up(node):
                yield (
                    line,
                    "nothing runs in a generator that is left here: neither with nor finally",
                )


def _has_effect(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).rpartition(".")[2] not in HARMLESS
    return isinstance(node, ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom)


def _is_context_manager(function: ast.FunctionDef) -> bool:
    return any("contextmanager" in ast.unparse(name) for name in function.decorator_list)


def _yields_before_clean_up(node: ast.AST, *, due: bool = False) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(child, ast.Yield | ast.YieldFrom) and due:
            yield child.lineno
        cleans = isinstance(child, ast.With) or (isinstance(child, ast.Try) and child.finalbody)
        yield from _yields_before_clean_up(child, due=due or bool(cleans))


def compiled_complaints() -> list[str]:
    trees = compiled_modules()
    own = {
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    return [
        f"{path}:{line}: compiled, {what}"
        for path, tree in trees.items()
        for line, what in otherwise_when_compiled(tree, BASES | own)
    ]


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
    found += compiled_complaints()
    # Not tracked, and yet what Python would import in place of the source beside it.
    for folder in ("appliance", "storage", "ui"):
        found += [f"compiled in place: {path}" for path in pathlib.Path(folder).rglob("*.so")]
    print("\n".join(found) or "tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
