"""What the pages weigh, that they load nothing from elsewhere, and their pure parts by Node."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from appliance.api.web import FOLDER, MISSING, PAGES, SECURITY, read_files
from tests.compiled.by_path import ROOT

PACKED_BYTES_MAX = 150 * 1024


def test_what_the_heaviest_page_loads_is_light() -> None:
    """What every page needs, uPlot, and the largest page with all its parts."""
    found = read_files(FOLDER)
    packed = {name: len(file.packed or file.data) for name, file in found.items()}
    shared, pages = 0, Counter[str]()
    for name, size in packed.items():
        if name.startswith("pages/"):
            pages[name.split("/")[1].removesuffix(".js")] += size
        elif not name.startswith(("manual/", "vendor/swagger-ui-dist/", "index.html/")):
            shared += size
    assert len(pages) > 15
    assert shared + max(pages.values()) <= PACKED_BYTES_MAX, pages.most_common(3)


def test_each_address_names_what_its_page_needs() -> None:
    found = read_files(FOLDER)
    for page in PAGES:
        text = found[f"index.html/{page}"].data.decode()
        own = set(re.findall(r'modulepreload" href="/ui/pages/([\w/.]+)"', text))
        name = page.rpartition("/")[2]
        assert f"{name}.js" in own
        assert all(one.split("/")[0].removesuffix(".js") == name for one in own), own
        assert "<!-- preloads -->" not in text


@pytest.mark.parametrize(
    "path", sorted((ROOT / "ui" / "web").rglob("*.js")), ids=lambda path: path.stem
)
def test_a_module_keeps_to_the_policy(path: Path) -> None:
    text = path.read_text()
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "dangerouslySetInnerHTML",
    ):
        assert forbidden not in text, forbidden
    assert not re.search(r'\bstyle="|\son\w+="', text), (
        "inline styles and handlers are refused by the policy"
    )
    imported = re.findall(
        r'^(?:import|export|\} from).*?from "([^"]+)";$|import\(`([^`$]+)', text, re.M
    )
    for one in imported:
        name = one[0] or one[1]
        assert name.startswith("."), name
        target = (path.parent / name).resolve()
        if "vendor" not in name and not name.endswith("/"):
            assert target.exists(), name


def test_the_policy_lets_nothing_in() -> None:
    policy = SECURITY["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_without_its_files_a_page_says_what_to_do(tmp_path: Path) -> None:
    assert read_files(tmp_path) == {}
    assert MISSING.count("\n") == 1
    assert "npm" in MISSING


def test_the_pure_parts() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing")
    done = subprocess.run(
        [node, "--test", str(ROOT / "tests" / "ui" / "js")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    ran = re.search(r"(?:tests|ℹ tests) (\d+)", done.stdout)
    assert ran is not None
    assert int(ran[1]) > 15


def test_every_page_has_its_address() -> None:
    text = (FOLDER / "web" / "pages.js").read_text()
    named = set(re.findall(r'\{ id: "(\w+)"', text)) - {"docs"} | {"docs/manual"}
    assert named == set(PAGES)
