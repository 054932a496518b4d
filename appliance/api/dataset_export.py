"""A dataset as a file: examples for fine-tuning in two shapes, or its rows as they are; as JSON
lines, CSV or Parquet. Rows are read, opened and sent one after the other: memory stays at one page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, BinaryIO, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_datasets as openapi
from appliance.api.datasets import PATH, Document, no_dataset
from appliance.api.fields import choice
from appliance.api.incoming import path_uuid, query_flag
from appliance.api.permissions import identity_of
from appliance.api.reply import NO_STORE, iso_time
from appliance.api.request_export import MEDIA as EXPORT_MEDIA
from appliance.api.request_export import Sheet, json_line, send_file
from appliance.api.services import Services
from appliance.api.streamed import Streamed, Streams, Write
from appliance.errors import Refusal
from appliance.providers.fine_tuning import SHAPES, NoExample, example
from storage import dataset_tables as book

FORMATS: Final = ("jsonl", "csv", "parquet")
MEDIA: Final = {**EXPORT_MEDIA, "jsonl": EXPORT_MEDIA["ndjson"]}
RAW: Final = "raw"
COLUMNS: Final = {RAW: ("id", "origin_request_id", "created_at", "request", "response"), **SHAPES}
STREAMS_MAX: Final = 4
PAGE_BYTES_MAX: Final = 4 * 2**20  # as they are stored
# Its rows are handed to DuckDB in one go.
PARQUET_BYTES_MAX: Final = 64 * 2**20
NAMED_MAX: Final = 5  # rows that an error names

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(Document).decode

router = APIRouter(tags=["datasets"], default_response_class=Response)


@router.get(f"{PATH}/{{dataset_id}}/export", **openapi.EXPORT)
async def export(request: Request) -> Response:
    """All rows, in the order in which they were added. `shape`: `openai` or `anthropic` give each
    row as an example for fine-tuning (the conversation and, at its end, the answer), `raw` its
    request and response as they are. A row that makes no example is named in a 422; `skip=true`
    leaves such rows out. In CSV and Parquet what is nested is JSON."""
    dataset_id = path_uuid(request, "dataset_id")
    form = choice(request.query_params.get("format", "jsonl"), "format", FORMATS)
    shape = choice(request.query_params.get("shape", RAW), "shape", tuple(COLUMNS))
    work = Export(request, dataset_id, shape, skips=query_flag(request, "skip"))
    streams: Streams = request.app.state.dataset_streams
    streams.check()
    await work.check()
    headers = {
        **NO_STORE,
        "Content-Disposition": f'attachment; filename="dataset-{dataset_id}-{shape}.{form}"',
    }
    if form == "parquet":
        file = await work.parquet()
        return Streamed(
            streams, partial(send_file, file), media_type=MEDIA[form], headers=headers,
            close=file.close,
        )  # fmt: skip
    body = work.jsonl if form == "jsonl" else work.csv
    return Streamed(streams, body, media_type=MEDIA[form], headers=headers)


class Export:
    """One export: which rows, in which shape."""

    def __init__(self, request: Request, dataset_id: str, shape: str, *, skips: bool) -> None:
        self._services: Services = request.app.state.services
        self._identity = identity_of(request)
        self._org = str(UUID(bytes=self._identity.org))
        self._dataset_id = dataset_id
        self._shape = shape
        self._skips = skips

    async def check(self) -> None:
        """Before the first byte: afterwards nothing can be told. Raises Refusal 404, 422."""
        tables = self._services.tables[self._identity.region]
        dataset_id = self._dataset_id
        if await tables.read(lambda c: book.find_dataset(c, self._org, dataset_id)) is None:
            no_dataset(dataset_id)
        if self._shape == RAW or self._skips:
            return
        wrong: list[str] = []

        async def look(copy: book.Copy, document: bytes) -> bool:
            try:
                self._line(copy, document)
            except NoExample as error:
                wrong.append(f"row {copy.row.id}: {error}")
            return len(wrong) < NAMED_MAX

        await self._visit(look)
        if wrong:
            raise Refusal(
                422, "row_no_example",
                f"shape: {'; '.join(wrong)}. Edit these rows or take them out, or leave out all "
                "such rows with skip=true.",
            )  # fmt: skip

    async def jsonl(self, write: Write) -> None:
        """A row a line."""
        await self._lines(write, json_line)

    async def csv(self, write: Write) -> None:
        """The first line has the names."""
        sheet = Sheet(list(COLUMNS[self._shape]))
        await write(sheet.header())
        await self._lines(write, lambda row: sheet.line(self._whole(row)))

    async def parquet(self) -> BinaryIO:
        """Made as a whole, so that a failure is told as one. Raises Refusal 413 and those of the
        store."""
        names = COLUMNS[self._shape]
        columns: list[list[str | None]] = [[] for _ in names]
        size = 0

        async def take(row: dict[str, Any]) -> None:
            nonlocal size
            for name, values in zip(names, columns, strict=True):
                cell = _cell(row.get(name))
                values.append(cell)
                size += len(cell or "")
            if size > PARQUET_BYTES_MAX:
                raise Refusal(
                    413, "export_too_large",
                    f"format: this dataset is larger than {PARQUET_BYTES_MAX} characters, which "
                    "is the most that Parquet is made of; take jsonl or csv.",
                )  # fmt: skip

        await self._rows(take)
        parts = ", ".join(
            f'unnest(${at}::VARCHAR[]) AS "{name}"' for at, name in enumerate(names, 1)
        )
        return await self._services.exports.parquet(
            self._identity.region, f"SELECT {parts}", list(columns), bytes_expected=size
        )

    async def _lines(self, write: Write, line: Callable[[dict[str, Any]], bytes]) -> None:
        async def send(row: dict[str, Any]) -> None:
            await write(line(row))

        await self._rows(send)

    async def _rows(self, take: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        async def visit(copy: book.Copy, document: bytes) -> bool:
            try:
                row = self._line(copy, document)
            except NoExample:
                return True  # asked for, or edited since it was looked at
            await take(row)
            return True

        await self._visit(visit)

    async def _visit(self, visit: Callable[[book.Copy, bytes], Awaitable[bool]]) -> None:
        """All rows, until one is enough. Opened one by one: packed, a page is small, and may be
        large when it is open."""
        region, after = self._identity.region, 0
        tables = self._services.tables[region]

        def page(connection: sqlite3.Connection) -> list[book.Copy]:
            return book.copies_after(connection, self._org, self._dataset_id, after, PAGE_BYTES_MAX)

        while copies := await tables.read(page):
            for copy in copies:
                opened = await self._services.copies.unpack(region, {copy.row.id: copy.packed})
                if not await visit(copy, opened[copy.row.id]):
                    return
            after = copies[-1].number

    def _line(self, copy: book.Copy, data: bytes) -> dict[str, Any]:
        """Raises NoExample."""
        document = _decode(data)
        if self._shape == RAW:
            row = copy.row
            return {
                "id": row.id,
                "origin_request_id": row.origin_request_id,
                "created_at": iso_time(row.created_at_us),
                "request": document.request,
                "response": document.response,
            }
        try:
            request, response = (
                msgspec.json.decode(half) for half in (document.request, document.response)
            )
        except (msgspec.MsgspecError, RecursionError):
            raise NoExample("its JSON cannot be read") from None
        return example(self._shape, request, response)

    def _whole(self, row: dict[str, Any]) -> dict[str, Any]:
        return {name: row.get(name) for name in COLUMNS[self._shape]}


def _cell(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _encode(value).decode("utf-8", "replace")
