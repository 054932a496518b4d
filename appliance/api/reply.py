"""Answers: the envelope `{data, error}`, refusals and bugs in it, bytes made in small slices.

Endpoints return ready responses: nothing is validated or encoded a second time.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import trio
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from appliance.errors import Refusal

JSON: Final = "application/json"
# Encoding a row takes about 15 µs, copying a body 0.3 µs a KiB: a slice is well under 1 ms.
SLICE_ROWS: Final = 32
SLICE_BYTES: Final = 256 * 1024
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_STORE: Final = {"Cache-Control": "no-store"}
DOORS: Final = (
    "There is nothing at this path. Doors: POST /v1/chat/completions, /v1/messages and the other "
    "provider paths with the provider's own key; /v1/gateway/{provider}/… for any provider by its "
    "id; any path with Helicone-Target-URL; POST /v1/request/query-clickhouse, "
    "POST /v1/request/query, POST /v1/request/count/query and GET /v1/request/{id} for what was "
    "recorded; /healthcheck, /readycheck, /metrics and /download/swagger.json."
)

_encode = msgspec.json.Encoder(decimal_format="number").encode


def reply(data: object, status: int = 200, *, stale_by_ms: float | None = None) -> Response:
    """`data` in the envelope. `stale_by_ms` is there only when the answer may lack something."""
    return bare({"data": data, "error": None, **_stale(stale_by_ms)}, status)


async def reply_rows(
    rows: Iterable[dict[str, Any]], *, stale_by_ms: float | None, **beside: object
) -> Response:
    """A list in the envelope, encoded in slices so that others get their turn. `beside`: more
    fields of the envelope."""
    pieces: list[bytes] = []
    size = 0
    for number, row in enumerate(rows, 1):
        pieces.append(_encode(row))
        size += len(pieces[-1])
        if number % SLICE_ROWS == 0 or size > SLICE_BYTES:
            size = 0
            await trio.lowlevel.checkpoint()
    tail = _encode({"error": None, **beside, **_stale(stale_by_ms)})
    return Response(b'{"data":[' + b",".join(pieces) + b"]," + tail[1:], 200, NO_STORE, JSON)


def bare(content: object, status: int = 200) -> Response:
    """Without the envelope."""
    return Response(_encode(content), status, NO_STORE, JSON)


def _stale(stale_by_ms: float | None) -> dict[str, float]:
    return {} if stale_by_ms is None else {"stale_by_ms": round(stale_by_ms, 1)}


def iso_time(moment_us: int) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC."""
    moment = EPOCH + timedelta(microseconds=moment_us)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def error_reply(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    content = _encode({"data": None, "error": message})
    return Response(content, status, {**NO_STORE, **(headers or {})}, JSON)


async def on_refusal(request: Request, refusal: Exception) -> Response:
    """An expected no."""
    assert isinstance(refusal, Refusal)
    request.app.state.services.operations.refused(refusal)
    return error_reply(refusal.status, refusal.message, refusal.headers)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return error_reply(404, DOORS)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return error_reply(405, f"This path takes {allowed}.", error.headers)
    return error_reply(error.status_code, error.detail, error.headers)


async def on_client_gone(request: Request, error: Exception) -> Response:
    """Nobody reads it; the status is for whoever counts."""
    return Response(status_code=499)


async def on_bug(request: Request, error: Exception) -> Response:
    """The error itself goes to the log, by whoever runs this app: it is raised again after this."""
    return error_reply(500, "Something is wrong in this server; its log says what.")
