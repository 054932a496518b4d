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
    by_windows,
    found_statement,
    page_statement,
    size_statement,
    whole_statement,
    window_statement,
)
from appliance.api.fields import as_uuid, bounded, choice, moment
from appliance.api.incoming import decoded_json, query_flag
from appliance.api.permissions import identity_of
from appliance.api.reply import NO_STORE
from appliance.api.request_find import (
    ONE_BODY_BYTES_MAX,
    PAGE_BODY_BYTES_MAX,
    records_of,
    texts_of,
)
from appliance.api.request_query import Statement, rows_statement
from appliance.api.request_rows import bodies_of, helicone_request, id_text
from appliance.api.services import Row, Services
from appliance.api.streamed import Streamed, Streams, Write
from appliance.core.filter_values import Json
from appliance.errors import Refusal

FORMATS: Final = ("ndjson", "csv", "parquet")
MEDIA: Final = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
STREAMS_MAX: Final = 4
PAGE_ROWS: Final = 500
PAGE_ROWS_WITH_BODIES: Final = 100
# Of so many exchanges bodies are searched at once, where the filter asks for them.
WINDOW_ROWS: Final = 2000
# Encoded it is three times as long at most, which the door's 64 KiB of a request's head hold.
FILTER_BYTES_MAX: Final = 16 * 1024
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
    given), the oldest first; `user`, `session` and `filter` narrow it; `bodies=true` brings their
    bodies. Times are ISO 8601 in UTC. `filter`: the JSON that a list of requests takes,
    URL-encoded, at most 16 KiB. `cursor`: go on behind the row with this exchange_id."""
    identity = identity_of(request)
    form = choice(request.query_params.get("format", "ndjson"), "format", FORMATS)
    bodies = query_flag(request, "bodies")
    span = _span(request, identity.org)
    in_windows = by_windows(span)  # a filter that cannot be read is refused before anybody waits
    streams: Streams = request.app.state.export_streams
    streams.check()
    records = records_of(request)
    await records.caught_up(identity.region)
    records.check_whole(identity.region)
    work = Export(request, span, bodies=bodies, by_windows=in_windows)
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
        _filter(query.get("filter", "")),
    )


def _filter(text: str) -> Json:
    """The tree, which whoever compiles it checks. Raises Refusal 400, 414."""
    if not text.strip():
        return "all"
    if len(text.encode("utf-8", "replace")) > FILTER_BYTES_MAX:
        raise Refusal(
            414, "filter_too_long",
            f"filter: longer than {FILTER_BYTES_MAX} bytes, which an address has no room for; "
            "narrow it, or ask with SQL (POST /v1/helicone-sql/download).",
        )  # fmt: skip
    return decoded_json(text.encode("utf-8", "replace"), "filter")  # type: ignore[return-value]


class Export:
    """One export: its span, and how its rows become bytes."""

    def __init__(self, request: Request, span: Span, *, bodies: bool, by_windows: bool) -> None:
        self._services: Services = request.app.state.services
        self._records = records_of(request)
        self._identity = identity_of(request)
        self._span = span
        self._bodies = bodies
        self._by_windows = by_windows
        self._found: list[str] = []  # by windows: what was found and is not written yet
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
        sized = await self._records.query(region, *size_statement(self._span), whole=True)
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
            if self._at_end and not self._found:
                return

    async def _page(self) -> list[Row]:
        """The next rows; none at the end alone."""
        keys = await self._next_keys()
        if not keys:
            return []
        statement = rows_statement(keys, EXPORT_COLUMNS)
        return sorted(await self._rows(statement), key=lambda row: id_text(row[EXCHANGE_ID]))

    async def _next_keys(self) -> list[str]:
        if self._by_windows:
            while not self._found and not self._at_end:
                await self._look()
            keys, self._found = self._found[: self._rows_max], self._found[self._rows_max :]
            return keys
        keys = [
            id_text(row[0]) for row in await self._rows(page_statement(self._span, self._rows_max))
        ]
        if keys:
            self._span = self._span._replace(after=keys[-1])
        self._at_end = len(keys) < self._rows_max
        return keys

    async def _look(self) -> None:
        """The next window."""
        ((count, last),) = await self._rows(window_statement(self._span, WINDOW_ROWS))
        self._at_end = count < WINDOW_ROWS
        if count:
            found = await self._rows(found_statement(self._span, id_text(last)))
            self._found = [id_text(row[0]) for row in found]
            self._span = self._span._replace(after=id_text(last))

    async def _rows(self, statement: Statement) -> list[Row]:
        found = await self._records.query(self._identity.region, *statement, whole=True)
        return list(found.rows)

    async def _texts(self, keys: list[str], bytes_max: int) -> dict[str, Row]:
        return await texts_of(self._records, self._identity, keys, bytes_max, whole=True)

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
