"""build/ui_files.py: what browsers load is made of today's sources, and what goes wrong is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compiled.by_path import ROOT, module_at

SCRIPT = ROOT / "build" / "ui_files.py"
MAIN = 'import { h } from "preact";\nconst look = () => import("./groups/look.js");\nlook(h);\n'
GROUP = 'export { default as dashboard } from "../pages/dashboard.js";\n'


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    """The script over a small tree of its own, with the packages of this one."""
    if shutil.which("npm") is None:
        pytest.skip("npm is missing")
    module = module_at("build/ui_files.py")
    assert module.is_fresh(), module.STALE
    real, module.UI = module.UI, tmp_path / "ui"
    for name, text in {
        "web/index.html": '<link href="/ui/style.css"><script src="/ui/main.js"></script>',
        "web/style.css": "b { color: red; }",
        "web/icon.svg": "<svg/>",
        "web/main.js": MAIN,
        "web/groups/look.js": GROUP,
        "web/pages/dashboard.js": 'import "../main.js";\nexport default "shown";\n',
    }.items():
        path = module.UI / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(real / "package-lock.json", module.UI)
    (module.UI / "node_modules").symlink_to(real / "node_modules")
    return module


def built(tree: Any) -> dict[str, str]:
    return {path.name: path.read_text() for path in (tree.UI / "built").iterdir()}


def test_it_is_made_again_after_a_change(tree: Any) -> None:
    assert not tree.is_fresh()
    assert tree.make(tree.UI) == ""
    assert tree.is_fresh()
    before = built(tree)
    (tree.UI / "web" / "style.css").write_text("b { color: blue; }")
    assert not tree.is_fresh()
    assert tree.make(tree.UI) == ""
    assert tree.is_fresh()
    after = built(tree)
    [style] = [name for name in after if name.startswith("style-")]
    assert after[style] == "b{color:#00f}\n"
    assert style not in before
    assert f'"/ui/{style}"' in after["index.html"]
    assert {name for name in before if name.endswith(".js")} <= set(after)


def test_names_do_not_tell_where_the_packages_lay(tree: Any, tmp_path: Path) -> None:
    """Or two builds of one commit would differ."""
    packages = tree.UI / "node_modules"
    real = packages.resolve()
    packages.unlink()
    shutil.copytree(real, packages, symlinks=True)
    shutil.copytree(real, tmp_path / "elsewhere" / "deep" / "node_modules", symlinks=True)
    assert tree.bundle(tree.UI, tmp_path / "one") == ""
    assert tree.bundle(tmp_path / "elsewhere" / "deep", tmp_path / "other") == ""
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "other")
    )
    assert len(one) > 5
    assert one == other


def test_a_page_lists_what_it_loads_but_not_what_it_loads_later(tree: Any) -> None:
    assert tree.make(tree.UI) == ""
    [(page, names)] = json.loads(built(tree)["preloads.json"]).items()
    assert page == "dashboard"
    assert {name.partition("-")[0] for name in names} >= {"main", "look"}
    assert set(names) == {name for name in built(tree) if name.endswith(".js")}


def test_what_cannot_be_bundled_is_told_and_changes_nothing(tree: Any) -> None:
    assert tree.make(tree.UI) == ""
    before = built(tree)
    (tree.UI / "web" / "main.js").write_text("import './gone.js';\nconst = 1;\n")
    problem = tree.make(tree.UI)
    assert problem.startswith("esbuild: ")
    assert "web/main.js:2:6" in problem
    assert built(tree) == before


def test_licences_are_beside(tree: Any) -> None:
    assert tree.make(tree.UI) == ""
    for package in json.loads((ROOT / "ui" / "package.json").read_text())["dependencies"]:
        assert (tree.UI / "vendor" / package / "LICENSE").stat().st_size > 500


def test_without_npm_the_build_goes_on_and_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], env={"PATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "npm is missing\n")
    assert list(tmp_path.iterdir()) == []
