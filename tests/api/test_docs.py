"""/docs works with nothing from elsewhere, and without its files says what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from appliance.api import docs
from tests.api.kit import House

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
    linked = re.findall(rb"(?:src|href)=([^ >]+)", page.body)
    # An empty icon of its own: else a browser asks for one that is not there.
    loaded = [path for path in linked if path != b"data:,"]
    assert (len(linked), len(loaded)) == (4, 3)
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
    assert b"scripts/ui" in page.body
    assert (await house.get("/docs/swagger-ui.css")).status == 404


@pytest.mark.parametrize("name", ["index.html", "..%2fpackage.json", "vendor", "docs.js", "%00"])
async def test_nothing_else_is_served(house: House, folder: Path, name: str) -> None:
    assert (await house.get(f"/docs/{name}")).status == 404


def test_what_npm_fetches_is_known_by_its_sum() -> None:
    package = json.loads((UI / "package.json").read_text())
    lock = json.loads((UI / "package-lock.json").read_text())
    named = package["dependencies"] | package["devDependencies"]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in named.values())
    packages = {name: row for name, row in lock["packages"].items() if name}
    assert all(row["integrity"].startswith("sha512-") for row in packages.values())
    assert {f"node_modules/{name}" for name in named} <= set(packages)
