"""Swagger UI at /docs, from this server alone: its files came with the package (build/ui_files.py),
and the page may load nothing from elsewhere.
"""

from pathlib import Path
from typing import Final

import trio
from fastapi import APIRouter, Request
from starlette.responses import Response

import ui
from appliance.errors import Refusal

FOLDER: Final = Path(ui.__file__).parent
# Under which name each file is served, where it lies, and what it is.
FILES: Final = {
    "swagger-ui-bundle.js": ("vendor/swagger-ui-dist/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": ("vendor/swagger-ui-dist/swagger-ui.css", "text/css"),
    "start.js": ("docs.js", "text/javascript"),
}
HEADERS: Final = {
    # Swagger UI sets styles on its elements, and has its icons in data URLs; nothing is evaluated.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; font-src 'self' data:; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8>"
    '<meta name=viewport content="width=device-width">'
    "<title>helicone-appliance API</title><link rel=icon href=data:,>"
    "<link rel=stylesheet href=/docs/swagger-ui.css><div id=docs></div>"
    "<script src=/docs/swagger-ui-bundle.js></script><script src=/docs/start.js></script></html>"
)
MISSING: Final = (
    "Swagger UI is not in this installation, as npm was missing when it was built: run scripts/ui "
    "in a source tree, or give /download/swagger.json to any tool of yours.\n"
)

router = APIRouter(default_response_class=Response, include_in_schema=False)


@router.get("/docs")
async def page(request: Request) -> Response:
    """The page; one line of text where its files are not there."""
    place = trio.Path(FOLDER / FILES["swagger-ui-bundle.js"][0])
    if not await place.is_file():
        return Response(MISSING, 503, media_type="text/plain; charset=utf-8")
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    return Response(PAGE, 200, headers, "text/html; charset=utf-8")


@router.get("/docs/{file}")
async def file(request: Request) -> Response:
    """What the page loads."""
    found = FILES.get(request.path_params["file"])
    if found is None:
        raise Refusal(404, "file_unknown", "There is no such file of /docs.")
    path, kind = found
    try:
        data = await trio.Path(FOLDER / path).read_bytes()
    except FileNotFoundError:
        raise Refusal(404, "file_missing", MISSING.strip()) from None
    headers = {**HEADERS, "Cache-Control": "max-age=86400"}
    return Response(data, 200, headers, f"{kind}; charset=utf-8")
