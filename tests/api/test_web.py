"""The pages' files: what may be kept for how long, and which page asks for what."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from appliance.api.web import MISSING, Files
from tests.api.kit import House

INDEX = b"<!doctype html><!-- preloads --><script type=module src=/ui/main-A1A1A1A1.js></script>"


@pytest.fixture
def pages(house: House, tmp_path: Path) -> House:
    """A house with a few files, so that nothing has to be bundled."""
    built, manual = tmp_path / "built", tmp_path / "manual"
    built.mkdir()
    manual.mkdir()
    (built / "index.html").write_bytes(INDEX)
    (built / "main-A1A1A1A1.js").write_text("export const a = 1;\n" * 50)
    (built / "preloads.json").write_text(
        json.dumps(
            {
                "dashboard": ["main-A1A1A1A1.js", "look-B2B2B2B2.js"],
                "keys": ["main-A1A1A1A1.js"],
                "manual": ["manual-C3C3C3C3.js"],
            }
        )
    )
    (built / "icon.svg").write_text("<svg/>")
    (built / "made-from").write_text("0")
    (manual / "contents.md").write_text("# Contents\n")
    house.app.state.ui_files = Files(tmp_path)
    return house


async def test_what_has_a_sum_in_its_name_may_be_kept(pages: House) -> None:
    reply = await pages.get("/ui/main-A1A1A1A1.js")
    assert reply.status == 200
    assert reply.headers[b"cache-control"] == b"public, max-age=31536000, immutable"
    assert b"content-encoding" not in reply.headers


@pytest.mark.parametrize("path", ["/dashboard", "/ui/manual/contents.md", "/ui/icon.svg"])
async def test_all_else_is_asked_about(pages: House, path: str) -> None:
    reply = await pages.get(path)
    assert reply.headers[b"cache-control"] == b"no-cache"
    again = await pages.get(path, headers=((b"if-none-match", reply.headers[b"etag"]),))
    assert (again.status, again.body) == (304, b"")
    assert again.headers[b"cache-control"] == b"no-cache"


async def test_it_is_compressed_for_who_takes_it(pages: House) -> None:
    plain = await pages.get("/ui/main-A1A1A1A1.js")
    packed = await pages.get("/ui/main-A1A1A1A1.js", headers=((b"accept-encoding", b"gzip, br"),))
    assert packed.headers[b"content-encoding"] == b"gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers[b"vary"] == packed.headers[b"vary"] == b"Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", ["main-A1A1A1A1.js", "look-B2B2B2B2.js"]),
        ("/dashboard", ["main-A1A1A1A1.js", "look-B2B2B2B2.js"]),
        ("/keys/one", ["main-A1A1A1A1.js"]),
        ("/docs/manual", ["manual-C3C3C3C3.js"]),
        ("/docs/manual/headers", ["manual-C3C3C3C3.js"]),
    ],
)
async def test_a_page_asks_for_its_modules(pages: House, path: str, names: list[str]) -> None:
    reply = await pages.get(path)
    lines = "\n".join(f'<link rel="modulepreload" href="/ui/{name}">' for name in names)
    assert reply.body == INDEX.replace(b"<!-- preloads -->", lines.encode())
    assert reply.headers[b"content-type"] == b"text/html; charset=utf-8"


@pytest.mark.parametrize("name", ["index.html", "preloads.json", "made-from", "..%2fbuilt", ""])
async def test_nothing_else_is_served(pages: House, name: str) -> None:
    assert (await pages.get(f"/ui/{name}")).status == 404


async def test_without_its_files_it_says_what_to_do(house: House, tmp_path: Path) -> None:
    house.app.state.ui_files = Files(tmp_path)
    reply = await house.get("/requests")
    assert (reply.status, reply.body.decode()) == (503, MISSING)
