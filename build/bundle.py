"""What goes into the frozen executable, beside what PyInstaller finds by itself (appliance.spec).

The program is taken as it is installed, compiled where it is. Nothing here is part of it.
"""

from __future__ import annotations

import ast
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, distribution, distributions, version
from importlib.util import find_spec
from pathlib import Path

from system_packages import owners

Entry = tuple[str, str, str]  # where it goes, where it lies, what it is

DISTRIBUTION = "helicone-appliance"
NAME = DISTRIBUTION
PACKAGES = ("appliance", "storage", "ui")
SHOWN = ("built", "vendor", "manual")
GROUP = "helicone_appliance__mypyc"  # what mypyc's modules share
FILE_NAME = f"{NAME}-{version(DISTRIBUTION)}-{sys.platform}-{platform.machine()}"
LICENCE = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)

# Imported by name alone, from C or through a variable: DuckDB asks for pytz with the first
# TIMESTAMPTZ, a lake that is encrypted for the last two.
NAMED = ("pytz", "pyarrow.parquet", "pyarrow.parquet.encryption", "pyarrow._parquet_encryption")
PYTESTS = "appliance.pytest_plugin"  # for other people's tests, in their own Python
METADATA = ("genai-prices", DISTRIBUTION)

# What some library would like to have, and does without.
DONE_WITHOUT = """
tkinter curses readline idlelib pydoc_data test lib2to3 ensurepip distutils
setuptools pkg_resources pip wheel hatchling mypy mypyc pytest _pytest hypothesis
numpy pandas polars scipy matplotlib IPython jupyter fsspec adbc_driver_duckdb
trio._core._tests trio._tests aioquic uvloop greenlet
openai anthropic playwright email_validator uvicorn jinja2 orjson ujson yaml
pygments markdown_it cffi pycparser
duckdb.experimental zstandard._cffi zstandard.backend_cffi zstandard.backend_rust
pyarrow.tests pyarrow.flight pyarrow._flight pyarrow.gandiva pyarrow.orc pyarrow._orc
pyarrow._s3fs pyarrow._gcsfs pyarrow._azurefs pyarrow._hdfs pyarrow.substrait pyarrow._substrait
pyarrow.cuda pyarrow._cuda pyarrow.jvm pyarrow.benchmark pyarrow.cffi pyarrow._dataset_orc
pyarrow._pyarrow_cpp_tests
"""
# PyInstaller's hook for PyArrow takes all there is. libarrow itself needs the rest of its
# libraries; libarrow_python lies there under three names.
DROPPED = re.compile(
    r"libarrow_(python_)?flight|libarrow_s3"
    r"|pyarrow/(_flight|_s3fs|_gcsfs|_azurefs|_hdfs|_orc|_dataset_orc|_substrait"
    r"|_pyarrow_cpp_tests|_cuda|libarrow_python(_parquet_encryption)?\.so($|\.\d+\.)"
    r"|include/|includes/|src/|tests/|vendored/)"
    r"|zstandard/_cffi|libreadline|libtinfo|libncurses"
    r"|lib-dynload/(readline|_curses|_tkinter|_test|xxlimited|nis|ossaudiodev|_crypt)"
    r"|\.(pyx|pxi|pxd|h|cc|hpp|pyi|cmake)$|py\.typed$"
)
# Neither tools nor what tests are made with.
FOREIGN = (
    "pytest",
    "mypy",
    "numpy",
    "pip",
    "setuptools",
    "hypothesis",
    "playwright",
    "PyInstaller",
)


def folder_of(package: str) -> Path:
    """Where an installed package lies. Raises LookupError."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"{package} is not installed")
    return Path(spec.origin).parent


ENTRY = str(folder_of("appliance") / "entry.py")


def modules() -> Iterator[tuple[str, Path]]:
    """All of ours: name and source."""
    for package in PACKAGES:
        folder = folder_of(package)
        for path in sorted(folder.rglob("*.py")):
            name = ".".join((package, *path.relative_to(folder).with_suffix("").parts))
            yield name.removesuffix(".__init__"), path


def is_compiled(source: Path) -> bool:
    """Whether an extension module lies beside it, which is then what is imported."""
    return any(source.with_suffix(suffix).exists() for suffix in EXTENSION_SUFFIXES)


def hidden_imports() -> list[str]:
    """All modules of ours, some are imported by name alone; and what compiled ones import, which
    nobody can see in them."""
    found = {*NAMED}
    for name, source in modules():
        if name == PYTESTS:
            continue
        found.add(name)
        if is_compiled(source):
            found.add(GROUP)
            found.update(_imported(ast.parse(source.read_bytes())))
    return sorted(found)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if _is_module(name):
                    yield name


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def datas() -> list[tuple[str, str]]:
    """Pages, manual, tables: pairs of file and folder, as Analysis takes them."""
    found = []
    for package in PACKAGES:
        folder = folder_of(package)
        for path in sorted(folder.rglob("*")):
            below = path.relative_to(folder)
            if package == "ui" and below.parts[0] not in SHOWN:
                continue
            if path.is_file() and path.suffix not in {".py", ".pyc", ".so"}:
                found.append((str(path), str(Path(package, below).parent)))
    for name in METADATA:
        place = _place(distribution(name))
        found.append((str(place / "METADATA"), place.name))
    return found


@contextmanager
def uncompressed() -> Iterator[None]:
    """While it lasts, modules are stored as they are; PyInstaller has no option for one archive."""
    from PyInstaller.archive.writers import ZlibArchiveWriter

    usual = ZlibArchiveWriter._COMPRESSION_LEVEL
    ZlibArchiveWriter._COMPRESSION_LEVEL = 0
    try:
        yield
    finally:
        ZlibArchiveWriter._COMPRESSION_LEVEL = usual


def is_wanted(name: str, source: str, kind: str) -> bool:
    """Whether a file that PyInstaller found stays."""
    del source, kind
    return not DROPPED.search(name)


def licences(pure: Iterable[Entry], binaries: Iterable[Entry], work: str) -> list[Entry]:
    """The licence of everything that is in, a folder each, and a list of it all."""
    binaries = list(binaries)
    tops = {name.partition(".")[0] for name, _, _ in pure}
    tops |= {re.split(r"[/.]", name)[0] for name, _, _ in binaries}
    known = _owners()
    # Its loader begins every start, under the GPL with an exception for what is loaded.
    names = {"pyinstaller", DISTRIBUTION, *(n for top in tops for n in known.get(top, ()))}
    found: list[Entry] = []
    lines = []
    for name in sorted(names, key=str.lower):
        of = distribution(name)
        texts = [
            path for path in of.files or () if LICENCE.search(path.name) and path.suffix != ".py"
        ]
        for path in texts:
            target = Path(
                "licences", name, path.name if len(texts) < 2 else "-".join(path.parts[1:])
            )
            found.append((str(target), str(of.locate_file(path)), "DATA"))
        lines.append(f"{name} {of.version}")
    found.append(("licences/Python/LICENSE.txt", str(_python_licence()), "DATA"))
    lines.append(f"Python {platform.python_version()}")
    for package in owners(source for _, source, _ in binaries):
        if package.copyright.exists():
            found.append((f"licences/{package.name}/copyright", str(package.copyright), "DATA"))
        lines.append(str(package))
    listing = Path(work, "licences.txt")
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [*found, ("licences/contents.txt", str(listing), "DATA")]


def _owners() -> dict[str, set[str]]:
    """Top-level name of a package or an extension → who brings it. The library's own
    `packages_distributions` knows no extension that stands alone, such as DuckDB's."""
    found: dict[str, set[str]] = {}
    for of in distributions():
        for path in of.files or ():
            top = re.split(r"[/.]", str(path))[0]
            if top and top != "__pycache__":
                found.setdefault(top, set()).add(of.metadata["Name"])
    return found


def _place(of: Distribution) -> Path:
    """Its dist-info."""
    return next(
        Path(str(of.locate_file(path))).parent for path in of.files or () if path.name == "METADATA"
    )


def _python_licence() -> Path:
    places = (
        Path(sysconfig.get_path("stdlib"), "LICENSE.txt"),
        Path("/usr/share/doc/python3.11/copyright"),
    )
    return next(path for path in places if path.exists())


def check(pure: Iterable[Entry], binaries: Iterable[Entry], files: Iterable[Entry]) -> None:
    """Raises SystemExit for what would only be noticed by users."""
    tops = {name.partition(".")[0] for name, _, _ in pure}
    if foreign := sorted(tops & set(FOREIGN)):
        raise SystemExit(f"nothing needs these at run time, exclude them: {', '.join(foreign)}")
    names = {name for name, _, _ in files}
    for needed in (
        "ui/built/index.html",
        "ui/vendor/swagger-ui-dist/swagger-ui-bundle.js",
        "ui/manual/contents.md",
    ):
        if needed not in names:
            raise SystemExit(f"{needed} is missing: was npm there when the program was installed?")
    if not any(name.startswith(GROUP) for name, _, _ in binaries):
        print(
            "warning: plain Python, as no C compiler was there at the installation", file=sys.stderr
        )
