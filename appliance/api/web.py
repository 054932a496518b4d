"""The web UI: one page that shows whatever its address says, and the files it loads.

Nothing here knows what the pages do: they use the REST API like anybody else. Files lie in
`ui/built`, bundled from `ui/web` when the package was built (build/ui_files.py), and `ui/manual`;
only what lay there at the first request is served.
"""

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Final, NamedTuple

import trio
from fastapi import APIRouter, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

import ui
from appliance.errors import Refusal

FOLDER: Final = Path(ui.__file__).parent
INDEX: Final = "index.html"
# By page, the modules to ask for at once, not one after the other as they are found.
PRELOADS: Final = "preloads.json"
PRELOADS_HERE: Final = "<!-- preloads -->"
HOME: Final = "dashboard"
# What is bundled has a sum of its content in its name, as esbuild writes it; all else is asked
# about with each load, so that an upgrade shows at once.
SUMMED: Final = re.compile(r"[^/]+-[A-Z0-9]{8}\.(?:js|css)")
FOR_EVER: Final = "public, max-age=31536000, immutable"
REVALIDATED: Final = "no-cache"
FILES_MAX: Final = 500
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
GZIP_LEVEL: Final = 9
KINDS: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/markdown; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
}
SECURITY: Final = {
    # What came from a prompt can be shown as text and as images in data URLs; nothing is fetched
    # from elsewhere, nothing inline is run.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
MISSING: Final = (
    "The pages are not in this installation, as npm was missing when it was built. With npm: run "
    "scripts/ui in a source tree, or install anew. All else works: see /docs.\n"
)

# The first segments that are pages, as `ui/web/pages.js` has them, and the manual.
PAGES: Final = (
    "start", "dashboard", "requests", "sessions", "users", "properties", "cache", "sql", "prompts",
    "playground", "datasets", "limits", "alerts", "webhooks", "providers", "keys", "wallet",
    "organization", "health", "docs/manual",
)  # fmt: skip


class PageConvertor(Convertor[str]):
    """A path that is a page's, with whatever lies below it."""

    regex = rf"(?:(?:{'|'.join(PAGES)})(?:/.*)?)?"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


register_url_convertor("page", PageConvertor())
router = APIRouter(default_response_class=Response, include_in_schema=False)


class File(NamedTuple):
    """As it is sent: plain, and compressed where that saves something."""

    data: bytes
    packed: bytes | None
    kind: str
    tag: str
    kept: str


class Found(NamedTuple):
    """Files by the path they are served under, and for each page the HTML that loads it."""

    files: dict[str, File]
    pages: dict[str, File]


class Files:
    """All files. Read once, in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: Found | None = None
        self._lock = trio.Lock()

    async def found(self) -> Found:
        """Empty: there are none, as npm was missing."""
        if self._found is None:
            async with self._lock:
                if self._found is None:
                    self._found = await trio.to_thread.run_sync(read_files, self._folder)
        return self._found


def read_files(folder: Path) -> Found:
    """Blocking for about 0.1 s: they are compressed as far as gzip goes."""
    found: dict[str, File] = {}
    for place, prefix in (("built", ""), ("manual", "manual/")):
        root = folder / place
        for path in sorted(root.rglob("*")):
            if path.is_symlink() or not path.is_file() or len(found) >= FILES_MAX:
                continue
            kind = KINDS.get(path.suffix)
            if kind is not None and path.stat().st_size <= FILE_BYTES_MAX:
                name = prefix + path.relative_to(root).as_posix()
                kept = FOR_EVER if SUMMED.fullmatch(name) else REVALIDATED
                found[name] = _file(path.read_bytes(), kind, kept)
    index = found.pop(INDEX, None)
    return Found(found, {} if index is None else _pages(index.data, folder / "built" / PRELOADS))


def _pages(index: bytes, preloads: Path) -> dict[str, File]:
    found = {}
    for page, names in json.loads(preloads.read_bytes()).items():
        lines = "\n".join(f'<link rel="modulepreload" href="/ui/{name}">' for name in names)
        data = index.replace(PRELOADS_HERE.encode(), lines.encode())
        found[page] = _file(data, KINDS[".html"], REVALIDATED)
    return found


def _file(data: bytes, kind: str, kept: str) -> File:
    packed = None if kind.startswith("image/png") else gzip.compress(data, GZIP_LEVEL, mtime=0)
    if packed is not None and len(packed) >= len(data):
        packed = None
    return File(data, packed, kind, f'"{hashlib.sha256(data).hexdigest()[:20]}"', kept)


@router.get("/ui/{path:path}")
async def file(request: Request) -> Response:
    """What the page loads."""
    found = (await _files(request).found()).files.get(request.path_params["path"])
    if found is None:
        raise Refusal(404, "file_unknown", "There is no such file of the pages.")
    return _sent(request, found)


@router.get("/{path:page}")
async def page(request: Request) -> Response:
    """The page itself, whatever its address says; one line of text where its files are not there.
    Other paths than pages' are refused like any that is not there."""
    pages = (await _files(request).found()).pages
    if not pages:
        return Response(MISSING, 503, media_type="text/plain; charset=utf-8")
    name = request.path_params["path"].removeprefix("docs/").partition("/")[0]
    return _sent(request, pages.get(name) or pages[HOME])


def _files(request: Request) -> Files:
    files: Files = request.app.state.ui_files
    return files


def _sent(request: Request, found: File) -> Response:
    headers = {
        **SECURITY, "Cache-Control": found.kept, "ETag": found.tag, "Vary": "Accept-Encoding",
    }  # fmt: skip
    if request.headers.get("if-none-match") == found.tag:
        return Response(b"", 304, headers)
    data = found.data
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = found.packed, "gzip"
    return Response(data, 200, headers, found.kind)
