"""The web UI: one page that shows whatever its address says, and the files it loads.

Nothing here knows what the pages do: they use the REST API like anybody else. Files lie in `ui/web`
(ours) and `ui/vendor` (fetched by npm at build, build/ui_files.py); only what lay there at the
first request is served.
"""

import gzip
import hashlib
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
PRELOADS: Final = "<!-- preloads -->"
# What every page needs: asked for at once, not one after the other as they are found.
PRELOADED: Final = ("lib/", "parts/")
NEEDED: Final = "vendor/preact/preact.module.js"
FILES_MAX: Final = 500
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
GZIP_LEVEL: Final = 6
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
    "python build/ui_files.py in a source tree, or install anew. All else works: see /docs.\n"
)

# The first segments that are pages, as `ui/web/pages.js` has them, and the manual.
PAGES: Final = (
    "start", "dashboard", "requests", "sessions", "users", "properties", "cache", "sql", "prompts",
    "playground", "datasets", "limits", "alerts", "webhooks", "providers", "keys", "wallet",
    "organization", "health", "docs/manual",
)  # fmt: skip


HOME: Final = "dashboard"


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


class Files:
    """All files by the path they are served under. Read once, in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, File] | None = None
        self._lock = trio.Lock()

    async def find(self, name: str) -> File | None:
        """None: there is none of this name."""
        if self._found is None:
            async with self._lock:
                if self._found is None:
                    self._found = await trio.to_thread.run_sync(read_files, self._folder)
        return self._found.get(name)


def read_files(folder: Path) -> dict[str, File]:
    """Blocking. The manual and what npm brought lie beside ours."""
    found: dict[str, File] = {}
    for place, prefix in (("web", ""), ("vendor", "vendor/"), ("manual", "manual/")):
        root = folder / place
        for path in sorted(root.rglob("*")):
            if path.is_symlink() or not path.is_file() or len(found) >= FILES_MAX:
                continue
            kind = KINDS.get(path.suffix)
            if kind is not None and path.stat().st_size <= FILE_BYTES_MAX:
                found[prefix + path.relative_to(root).as_posix()] = _file(path.read_bytes(), kind)
    if INDEX in found:
        found.update(_indexes(found))
    return found


def _indexes(found: dict[str, File]) -> dict[str, File]:
    """The page that all addresses show, once for each: it names what that one needs."""
    shared = [name for name in found if name.startswith(PRELOADED) and name.endswith(".js")]
    made = {}
    for page in PAGES:
        own = f"pages/{page.rpartition('/')[2]}"
        names = [*shared, *(name for name in found if name.startswith((f"{own}.js", f"{own}/")))]
        lines = "\n".join(f'<link rel="modulepreload" href="/ui/{name}">' for name in names)
        data = found[INDEX].data.replace(PRELOADS.encode(), lines.encode())
        made[f"{INDEX}/{page}"] = _file(data, KINDS[".html"])
    return made


def _file(data: bytes, kind: str) -> File:
    packed = None if kind.startswith("image/png") else gzip.compress(data, GZIP_LEVEL, mtime=0)
    if packed is not None and len(packed) >= len(data):
        packed = None
    return File(data, packed, kind, f'"{hashlib.sha256(data).hexdigest()[:20]}"')


@router.get("/ui/{path:path}")
async def file(request: Request) -> Response:
    """What the page loads. Revalidated with each load, so that an upgrade shows at once."""
    name = request.path_params["path"]
    found = await _files(request).find(name)
    if found is None or name.startswith(INDEX):
        raise Refusal(404, "file_unknown", "There is no such file of the pages.")
    return _sent(request, found, {"Cache-Control": "no-cache"})


@router.get("/{path:page}")
async def page(request: Request) -> Response:
    """The page itself, whatever its address says; one line of text where its files are not there.
    Other paths than pages' are refused like any that is not there."""
    files = _files(request)
    index = await files.find(f"{INDEX}/{_page_of(request.path_params['path'])}")
    if index is None or await files.find(NEEDED) is None:
        return Response(MISSING, 503, media_type="text/plain; charset=utf-8")
    return _sent(request, index, {"Cache-Control": "no-cache"})


def _page_of(path: str) -> str:
    """Which of PAGES shows this address; the first one is the dashboard."""
    return next((page for page in PAGES if f"{path}/".startswith(f"{page}/")), HOME)


def _files(request: Request) -> Files:
    files: Files = request.app.state.ui_files
    return files


def _sent(request: Request, found: File, headers: dict[str, str]) -> Response:
    headers = {**SECURITY, **headers, "ETag": found.tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(b"", 304, headers)
    data = found.data
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = found.packed, "gzip"
    return Response(data, 200, headers, found.kind)
