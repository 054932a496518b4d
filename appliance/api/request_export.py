"""`GET /v1/export`: all requests of a span of time as NDJSON, CSV or Parquet (issue, REST).

Rows go out page by page while they are read, so memory stays at one page and no query runs long.
A client that was cut off goes on behind the last row it has: its `exchange_id` is the cursor.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO, Final

import msgspec
import trio
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_requests as openapi
from appliance.api.export_query import (
    EXPORT_COLUMNS,
    Span,
    page_statement,
    size_statement,
    whole_statement,
)
from appliance.api.fields import as_uuid, bounded, choice, moment
from appliance.api.incoming import query_flag
from appliance.api.permissions import identity_of
from appliance.api.reply import NO_STORE
from appliance.api.request_find import (
    ONE_BODY_BYTES_MAX,
    PAGE_BODY_BYTES_MAX,
    records_of,
    texts_of,
)
from appliance.api.request_query import rows_statement
from appliance.api.request_rows import bodies_of, helicone_request, id_text
from appliance.api.services import Row, Services
from appliance.api.streamed import Streamed, Streams, Write

FORMATS: Final = ("ndjson", "csv", "parquet")
MEDIA: Final = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
STREAMS_MAX: Final = 4
PAGE_ROWS: Final = 500
PAGE_ROWS_WITH_BODIES: Final = 100
SLICE_ROWS: Final = 16
SLICE_BYTES: Final = 256 * 1024
FILE_BYTES: Final = 256 * 1024
ROW_BYTES: Final = 400  # of a row in Parquet, its bodies not counted; what was measured is less
EXCHANGE_ID: Final = EXPORT_COLUMNS.index("exchange_id")
SESSION: Final = ("session_id", "session_path", "session_name")
BODIES: Final = ("request_body", "response_body")
# What a flat file has no place for: said again elsewhere, or links that end after a day.
NOT_IN_FILES: Final = frozenset((
    "request_properties", "costUSD", "signed_body_url", "asset_urls", "assets", "llmSchema",
))  # fmt: skip

_encode = msgspec.json.Encoder(decimal_format="number").encode

router = APIRouter(tags=["requests"], default_response_class=Response)


@router.get("/v1/export", **openapi.EXPORT)
async def export(request: Request) -> Response:
    """Requests created from `since` (included) until `until` (not included; now where it is not
    given), the oldest first; `user` and `session` narrow it; `bodies=true` brings their bodies.
    Times are ISO 8601 in UTC. `cursor`: go on behind the row with this exchange_id."""
    identity = identity_of(request)
    form = choice(request.query_params.get("format", "ndjson"), "format", FORMATS)
    bodies = query_flag(request, "bodies")
    span = _span(request, identity.org)
    streams: Streams = request.app.state.export_streams
    streams.check()
    await records_of(request).caught_up(identity.region)
    work = Export(request, span, bodies=bodies)
    name = f"requests-{span.until:%Y%m%dT%H%M%S}.{form}"
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
    if form == "parquet":
        file = await work.parquet()
        return Streamed(
            streams, partial(send_file, file), media_type=MEDIA[form], headers=headers,
            close=file.close,
        )  # fmt: skip
    body = work.ndjson if form == "ndjson" else work.csv
    return Streamed(streams, body, media_type=MEDIA[form], headers=headers)


def _span(request: Request, org: bytes) -> Span:
    query = request.query_params
    since, until, cursor = (query.get(name, "") for name in ("since", "until", "cursor"))
    return Span(
        org,
        moment(since, "since") if since else None,
        # Bounded at the start: what comes while we send would never end.
        moment(until, "until") if until else datetime.now(UTC).replace(tzinfo=None),
        bounded(query.get("user", ""), "user"),
        bounded(query.get("session", ""), "session"),
        as_uuid(cursor, "cursor") if cursor else "",
    )


class Export:
    """One export: its span, and how its rows become bytes."""

    def __init__(self, request: Request, span: Span, *, bodies: bool) -> None:
        self._services: Services = request.app.state.services
        self._records = records_of(request)
        self._identity = identity_of(request)
        self._span = span
        self._bodies = bodies
        self._at_end = False
        self._rows_max = PAGE_ROWS_WITH_BODIES if bodies else PAGE_ROWS

    async def ndjson(self, write: Write) -> None:
        """A row a line."""
        await self._lines(write, json_line)

    async def csv(self, write: Write) -> None:
        """The first line has the names; what is nested is JSON."""
        sheet = Sheet([name for name in self._names() if name not in NOT_IN_FILES])
        await write(sheet.header())
        await self._lines(write, sheet.line)

    async def parquet(self) -> BinaryIO:
        """Made as a whole before the first byte goes out, so that a failure is told as one."""
        region = self._identity.region
        sized = await self._records.query(region, *size_statement(self._span))
        count, body_bytes = sized.rows[0]
        expected = count * ROW_BYTES + (body_bytes if self._bodies else 0)
        sql, parameters = whole_statement(self._span, bodies=self._bodies)
        return await self._services.exports.parquet(
            region, sql, parameters, bytes_expected=expected
        )  # fmt: skip

    async def _lines(self, write: Write, line: Callable[[dict[str, Any]], bytes]) -> None:
        """Encoded in slices, so that others get their turn."""
        while rows := await self._page():
            keys = [id_text(row[EXCHANGE_ID]) for row in rows]
            texts = await self._texts(keys, PAGE_BODY_BYTES_MAX) if self._bodies else {}
            pieces: list[bytes] = []
            size = 0
            for key, row in zip(keys, rows, strict=True):
                if self._bodies and key not in texts:
                    # It does not fit beside the others: read alone, and not kept.
                    alone = await self._texts([key], ONE_BODY_BYTES_MAX)
                    pieces.append(line(self._shown(key, row, alone.get(key))))
                else:
                    pieces.append(line(self._shown(key, row, texts.get(key))))
                size += len(pieces[-1])
                if len(pieces) >= SLICE_ROWS or size >= SLICE_BYTES:
                    await write(b"".join(pieces))
                    pieces, size = [], 0
            await write(b"".join(pieces))
            if self._at_end:
                return

    async def _page(self) -> list[Row]:
        sql, parameters = page_statement(self._span, self._rows_max)
        region = self._identity.region
        keys = [
            id_text(row[0]) for row in (await self._records.query(region, sql, parameters)).rows
        ]
        if not keys:
            return []
        self._span = self._span._replace(after=keys[-1])
        self._at_end = len(keys) < self._rows_max
        statement = rows_statement(keys, EXPORT_COLUMNS)
        return sorted(
            (await self._records.query(region, *statement)).rows,
            key=lambda row: id_text(row[EXCHANGE_ID]),
        )

    async def _texts(self, keys: list[str], bytes_max: int) -> dict[str, Row]:
        return await texts_of(self._records, self._identity, keys, bytes_max)

    def _shown(self, key: str, values: Row, texts: Row | None) -> dict[str, Any]:
        row = dict(zip(EXPORT_COLUMNS, values, strict=True))
        bodies = bodies_of(*texts[:4]) if texts else (None, None)
        shown = {"exchange_id": key, **helicone_request(row, bodies)}
        for name in SESSION:
            shown[name] = row[name]
        if not self._bodies:
            for name in BODIES:
                del shown[name]
        return shown

    def _names(self) -> list[str]:
        nothing = dict.fromkeys(EXPORT_COLUMNS) | {"request_id": self._span.org}
        shown = {"exchange_id": "", **helicone_request(nothing, (None, None))}
        return [name for name in (*shown, *SESSION) if self._bodies or name not in BODIES]


def json_line(row: dict[str, Any]) -> bytes:
    """Bodies are passed through as they came, on several lines perhaps. What is a line break in
    JSON and not within a text is a space as well."""
    return _encode(row).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


async def send_file(file: BinaryIO, write: Write) -> None:
    """From where it stands to its end."""
    while data := await trio.to_thread.run_sync(file.read, FILE_BYTES):
        await write(data)


class Sheet:
    """CSV, a line at a time."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\r\n")

    def header(self) -> bytes:
        """The first line."""
        return self._take(self._names)

    def line(self, row: dict[str, Any]) -> bytes:
        """One row."""
        return self._take([_cell(row[name]) for name in self._names])

    def _take(self, cells: list[Any]) -> bytes:
        self._writer.writerow(cells)
        data = self._text.getvalue().encode("utf-8", "replace")
        self._text.seek(0)
        self._text.truncate()
        return data


def _cell(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    return _encode(value).decode("utf-8")
