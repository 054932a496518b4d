"""What the pages weigh, that they load nothing from elsewhere, and their pure parts by Node."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.api.web import FOLDER, MISSING, PAGES, SECURITY, Found, read_files
from tests.compiled.by_path import ROOT, module_at

ui_files = module_at("build/ui_files.py")
WEB = ROOT / "ui" / "web"
# Compressed with gzip, as every browser takes it over http as well.
ALL_BYTES_MAX = 150 * 1024
# The first page that is looked at, with nothing kept from before; charts bring uPlot's 23 KB.
FIRST_BYTES_MAX = {"requests": 60 * 1024, "start": 60 * 1024, "dashboard": 82 * 1024}
FIRST_FILES_MAX = 10
CHARTS = re.compile(r"uPlot")


@pytest.fixture(scope="module")
def found() -> Found:
    assert ui_files.is_fresh(), ui_files.STALE
    return read_files(FOLDER)


def packed(found: Found, name: str) -> int:
    file = found.files[name]
    return len(file.packed or file.data)


def asked_for(found: Found, page: str) -> set[str]:
    """What its HTML names."""
    return set(re.findall(r'"/ui/([^"]+)"', found.pages[page].data.decode()))


def test_all_of_it_is_light(found: Found) -> None:
    """Everything below /ui/ and the largest of the HTML pages, but for the manual's texts and
    pictures. Swagger UI is not counted: it is no page of these, but the reference of the API at
    /docs, 430 KB that only whoever opens it loads."""
    ours = [name for name in found.files if not name.startswith("manual/")]
    html = max(len(page.packed or page.data) for page in found.pages.values())
    sizes = {name: packed(found, name) for name in ours}
    assert {Path(name).suffix for name in ours} == {".js", ".css", ".svg"}
    assert html + sum(sizes.values()) <= ALL_BYTES_MAX, sizes


@pytest.mark.parametrize("page", sorted(FIRST_BYTES_MAX))
def test_the_first_page_is_lighter(found: Found, page: str) -> None:
    names = asked_for(found, page)
    if page == "dashboard":
        names |= {name for name in found.files if CHARTS.match(name)}
        assert len(names) > len(asked_for(found, page))
    assert len(names) <= FIRST_FILES_MAX
    html = found.pages[page]
    assert (
        len(html.packed or html.data) + sum(packed(found, name) for name in names)
        <= (FIRST_BYTES_MAX[page])
    )


def test_each_page_asks_at_once_for_all_it_loads(found: Found) -> None:
    """But for what is loaded when it is asked for: its imports are calls."""
    assert set(found.pages) == {page.removeprefix("docs/") for page in PAGES}
    for page in found.pages:
        names = asked_for(found, page)
        assert names <= set(found.files), page
        for name in names:
            if name.endswith(".js"):
                text = found.files[name].data.decode()
                imported = re.findall(r'(?:from|import)"\./([^"]+)"', text)
                assert set(imported) <= names, (page, name)


def test_nothing_is_there_that_nobody_loads(found: Found) -> None:
    """And what is named is there: of the manual, only its texts' names are put together."""
    ours = {name for name in found.files if not name.startswith("manual/")}
    texts = [found.files[name].data for name in ours] + [one.data for one in found.pages.values()]
    assert not {name for name in ours if not any(name.encode() in text for text in texts)}
    named = {name for text in texts for name in re.findall(rb"""["'`]/ui/([^"'`$]+)""", text)}
    assert {name.decode() for name in named} <= {*found.files, "manual/"}


@pytest.mark.parametrize("path", sorted(WEB.rglob("*.js")), ids=lambda path: path.stem)
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
    package = json.loads((ROOT / "ui" / "package.json").read_text())
    imported = re.findall(
        r'^(?:import|export|\} from).*?from "([^"]+)";$|\bimport\("([^"]+)"\)', text, re.M
    )
    for one in imported:
        name = one[0] or one[1]
        if name.startswith("."):
            assert (path.parent / name).resolve().is_file(), name
        else:
            assert name.partition("/")[0] in package["dependencies"], name


def test_the_policy_lets_nothing_in() -> None:
    policy = SECURITY["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_without_its_files_a_page_says_what_to_do(tmp_path: Path) -> None:
    assert read_files(tmp_path) == Found({}, {})
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
    text = (WEB / "pages.js").read_text()
    named = set(re.findall(r'\{ id: "(\w+)"', text)) - {"docs"} | {"docs/manual"}
    assert named == set(PAGES)
