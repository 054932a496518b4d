"""What goes into the frozen executable: nothing that is needed may be left out, nor tools be in."""

import ast
import sys
from pathlib import Path

import pytest

from tests.compiled.by_path import ROOT

sys.path.insert(0, str(ROOT / "build"))

import bundle

FILES = [
    (name, name, "DATA")
    for name in (
        "ui/built/index.html",
        "ui/vendor/swagger-ui-dist/swagger-ui-bundle.js",
        "ui/manual/contents.md",
    )
]


def test_all_modules_are_in() -> None:
    found = set(bundle.hidden_imports())
    folders = (ROOT / package for package in ("appliance", "storage"))
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources}
    assert {name.removesuffix(".__init__") for name in names} - {bundle.PYTESTS} <= found
    assert bundle.PYTESTS not in found
    assert {"pytz", "pyarrow._parquet_encryption"} <= found


def test_what_a_compiled_module_imports_is_seen(tmp_path: Path) -> None:
    source = """
import json.decoder as d
from email import message, message_from_bytes
def later():
    if d:
        from xml.dom import minidom
"""
    found = set(bundle._imported(ast.parse(source)))
    assert found == {"json.decoder", "email", "email.message", "xml.dom", "xml.dom.minidom"}
    module = tmp_path / "fast.py"
    assert not bundle.is_compiled(module)
    module.with_suffix(".abi3.so").touch()
    assert bundle.is_compiled(module)


def test_pages_manual_and_tables_are_in() -> None:
    targets = {(Path(source).name, target) for source, target in bundle.datas()}
    assert ("index.html", "ui/built") in targets
    assert ("operations.md", "ui/manual") in targets
    assert ("registry.csv", "appliance/providers") in targets
    assert any(name == "METADATA" and "genai_prices" in target for name, target in targets)
    assert not [name for name, _ in targets if name.endswith((".py", ".pyc"))]
    assert not [target for _, target in targets if "node_modules" in target]


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("pyarrow/libarrow.so.2600", True),
        ("pyarrow/libarrow_python.so.2600", True),
        ("pyarrow/libarrow_python.so", False),
        ("pyarrow/libarrow_python.so.2600.1.0", False),
        ("pyarrow/_parquet_encryption.cpython-311-x86_64-linux-gnu.so", True),
        ("pyarrow/_flight.cpython-311-x86_64-linux-gnu.so", False),
        ("libarrow_flight.so.2600", False),
        ("pyarrow/include/arrow/api.h", False),
        ("ui/web/lib/html.js", True),
        ("ui/manual/contents.md", True),
        ("appliance/providers/prices.csv", True),
        ("python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", True),
        ("python3.11/lib-dynload/readline.cpython-311-x86_64-linux-gnu.so", False),
    ],
)
def test_what_is_dropped(name: str, stays: bool) -> None:
    assert bundle.is_wanted(name, "/somewhere/" + name, "DATA") is stays


def test_everything_that_is_in_has_its_licence(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller")
    pure = [("trio._core", "", "PYMODULE"), ("appliance.cli", "", "PYMODULE")]
    binaries = [("_duckdb.cpython-311-x86_64-linux-gnu.so", "", "EXTENSION")]
    found = bundle.licences(pure, binaries, str(tmp_path))
    names = {name for name, _, _ in found}
    for package in ("trio", "duckdb", "pyinstaller", "helicone-appliance", "Python"):
        assert any(name.startswith(f"licences/{package}/") for name in names), package
    assert len(names) == len(found)
    assert all(Path(source).is_file() for _, source, _ in found)
    assert "trio 0." in (tmp_path / "licences.txt").read_text()


def test_a_bundle_without_pages_or_with_tools_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiled = [(f"{bundle.GROUP}.so", "", "EXTENSION")]
    bundle.check([("trio", "", "PYMODULE")], compiled, FILES)
    assert not capsys.readouterr().err
    with pytest.raises(SystemExit, match="exclude them: mypy"):
        bundle.check([("mypy.build", "", "PYMODULE")], compiled, FILES)
    for number, (name, _, _) in enumerate(FILES):
        with pytest.raises(SystemExit, match=name):
            bundle.check([], compiled, FILES[:number] + FILES[number + 1 :])
    bundle.check([], [], FILES)
    assert "plain Python" in capsys.readouterr().err
