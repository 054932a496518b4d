"""/docs works with nothing from elsewhere, and without its files says what to do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.api import docs
from tests.api.kit import House
from tests.compiled.by_path import ROOT

UI = Path(docs.FOLDER)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Swagger UI's files in it, so that no package has to be fetched."""
    vendor = tmp_path / "vendor" / "swagger-ui-dist"
    vendor.mkdir(parents=True)
    (vendor / "swagger-ui-bundle.js").write_text("window.SwaggerUIBundle = () => {}")
    (vendor / "swagger-ui.css").write_text("b {}")
    (tmp_path / "docs.js").write_bytes((UI / "docs.js").read_bytes())
    monkeypatch.setattr(docs, "FOLDER", tmp_path)
    return tmp_path


async def test_the_page_loads_what_this_server_has(house: House, folder: Path) -> None:
    page = await house.get("/docs")
    assert page.status == 200
    assert page.headers[b"content-type"].startswith(b"text/html")
    policy = page.headers[b"content-security-policy"]
    assert b"default-src 'none'" in policy
    assert b"script-src 'self';" in policy
    assert b"unsafe-eval" not in policy
    loaded = re.findall(rb"(?:src|href)=([^ >]+)", page.body)
    assert len(loaded) == 3
    for path in loaded:
        reply = await house.get(path.decode())
        assert reply.status == 200, path
        assert reply.headers[b"x-content-type-options"] == b"nosniff"
    assert not re.search(rb"<script>|https?:|\son[a-z]+=", page.body)


async def test_without_its_files_it_says_what_to_do(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs, "FOLDER", tmp_path)
    page = await house.get("/docs")
    assert page.status == 503
    assert page.body.count(b"\n") == 1
    assert b"build/ui_files.py" in page.body
    assert (await house.get("/docs/swagger-ui.css")).status == 404


@pytest.mark.parametrize("name", ["index.html", "..%2fpackage.json", "vendor", "docs.js", "%00"])
async def test_nothing_else_is_served(house: House, folder: Path, name: str) -> None:
    assert (await house.get(f"/docs/{name}")).status == 404


def app_of(body: bytes) -> bytes:
    """What an address shows, without the modules of its own page that it names beforehand."""
    return re.sub(rb'<link rel="modulepreload" href="/ui/pages/[^>]*>\n', b"", body)


@pytest.mark.parametrize("path", ["/docs/manual", "/docs/manual/headers", "/docs/manual/a/b"])
async def test_the_manual_is_a_page_of_the_ui(house: House, path: str) -> None:
    page = await house.get(path)
    index = await house.get("/dashboard")
    assert (page.status, app_of(page.body)) == (index.status, app_of(index.body))
    assert page.headers[b"content-type"].startswith((b"text/html", b"text/plain"))


def test_what_npm_fetches_is_known_by_its_sum() -> None:
    package = json.loads((UI / "package.json").read_text())
    lock = json.loads((UI / "package-lock.json").read_text())
    assert all(re.fullmatch(r"[0-9.]+", version) for version in package["dependencies"].values())
    packages = {name: row for name, row in lock["packages"].items() if name}
    assert all(row["integrity"].startswith("sha512-") for row in packages.values())
    assert {f"node_modules/{name}" for name in package["dependencies"]} <= set(packages)


def test_without_npm_the_build_goes_on_and_says_why(tmp_path: Path) -> None:
    script = ROOT / "build" / "ui_files.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env={"PATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "npm is missing\n")
    assert list(tmp_path.iterdir()) == []
