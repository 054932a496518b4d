"""`import`: rows of a file, or of a Helicone that still runs, in batches to whoever holds the data
directory. Knows no row's meaning; a batch that was sent is safe, so an interrupted import goes on
where it ended (`--skip`), and one that is begun again leaves no row twice.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from appliance.commands import open_source
from appliance.commands_run import Flags
from appliance.config import load_config
from appliance.errors import Refusal
from appliance.output import OutputError
from appliance.output_lines import print_note, print_value
from appliance.waiting import progress_bar

BATCH_ROWS = 200
BATCH_BYTES = 4 * 1024 * 1024  # the control socket takes 16 MiB
ROW_BYTES_MAX = 12 * 1024 * 1024
WHOLE_BYTES_MAX = 512 * 1024 * 1024  # of a file that is one JSON document
PAGE_ROWS = 500
WAIT_S = 60.0

Row = dict[str, Any]


def run_import(
    flags: Flags,
    region: str,
    file: Path | None,
    *,
    url: str | None,
    key: str | None,
    org: str | None,
    skip: int,
    as_json: bool,
) -> bool:
    """Print what was taken; False when some rows were refused."""
    if (file is None) == (url is None):
        raise Refusal(400, "no_source", "name a FILE, or the URL of a Helicone with --url")
    done = {"taken": 0, "refused": 0, "first_refused": ""}
    seen = skip
    with open_source(load_config(flags), region) as source, progress_bar() as bar:
        task = bar.add_task("import", total=None)

        def known(total: int) -> None:
            bar.update(task, total=total, completed=skip)

        rows = live_rows(url, key, skip, known) if url else file_rows(file, skip, known)
        try:
            for batch in batches(rows):
                told: Any = source.call("import", {"org": org, "records": batch}, lambda _: None)
                done["taken"] += told["taken"]
                done["refused"] += told["refused"]
                done["first_refused"] = done["first_refused"] or told["first_refused"]
                seen += len(batch)
                bar.update(task, completed=seen)
        except (KeyboardInterrupt, Refusal, OSError, OutputError):
            if seen:
                print_note(f"{seen} rows are in: go on with --skip {seen}")
            raise
    print_value({"ok": not done["refused"], **done}, as_json=as_json)
    return not done["refused"]


def batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """So many at once, or so large."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        bytes_here = len(msgspec.json.encode(row))
        if bytes_here > ROW_BYTES_MAX:
            raise OutputError(f"a row of {bytes_here} bytes: the largest may have {ROW_BYTES_MAX}")
        if batch and (len(batch) >= BATCH_ROWS or size + bytes_here > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += bytes_here
    if batch:
        yield batch


def file_rows(file: Path | None, skip: int, known: Callable[[int], None]) -> Iterator[Row]:
    """CSV by its name, else JSON: a document each line, or one list, or that under `data`."""
    assert file is not None, "seen to before"
    try:
        if file.suffix.lower() == ".csv":
            csv.field_size_limit(ROW_BYTES_MAX)
            yield from islice(_csv_rows(file), skip, None)
            return
        with file.open("rb") as stream:
            if stream.read(1) == b"[" or file.suffix.lower() == ".json":
                yield from _document_rows(file, skip, known)
                return
            stream.seek(0)
            known(sum(1 for _ in stream))
            stream.seek(0)
            for number, line in enumerate(islice(stream, skip, None), skip + 1):
                if line.strip():
                    yield _object(line, f"{file}, line {number}")
    except OSError as error:
        raise OutputError(f"{file} cannot be read: {error.strerror}") from None
    except csv.Error as error:
        raise OutputError(f"{file} is no CSV that can be read: {error}") from None


def _csv_rows(file: Path) -> Iterator[Row]:
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as text:
        reader = csv.DictReader(text)
        for row in reader:
            if None in row:  # no name stands over them
                raise OutputError(
                    f"{file}, line {reader.line_num} has more cells than the heading: between them "
                    "stand commas, and a cell with one in it is quoted"
                )
            yield row


def _document_rows(file: Path, skip: int, known: Callable[[int], None]) -> Iterator[Row]:
    if file.stat().st_size > WHOLE_BYTES_MAX:
        raise OutputError(f"{file} is larger than 512 MiB: export it as JSON lines")
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise OutputError(f"{file} is not JSON: {error}") from None
    rows = found.get("data") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise OutputError(f"{file} holds no list of rows")
    known(len(rows))
    yield from rows[skip:]


def _object(line: bytes, where: str) -> Row:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise OutputError(f"{where} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise OutputError(f"{where} is no JSON object")
    return found


def live_rows(
    url: str | None, key: str | None, skip: int, known: Callable[[int], None]
) -> Iterator[Row]:
    """As Helicone's own export command asks (backend.md 3.3): the count, pages by offset, bodies by
    their signed URL where a row has one."""
    import httpx2  # here: only this needs it

    from appliance.upstream.tls import default_context

    assert url is not None, "seen to before"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx2.Client(
        base_url=url,
        verify=default_context(),
        timeout=WAIT_S,
        follow_redirects=False,
        trust_env=False,
    ) as client:

        def asked(path: str, body: Row) -> Any:  # noqa: ANN401 - JSON
            try:
                reply = client.post(path, json=body, headers=headers)
                told = reply.json()
            except (httpx2.HTTPError, ValueError) as error:
                raise OutputError(f"{url}{path}: {type(error).__name__}: {error}") from None
            if reply.status_code >= 400 or told.get("error"):
                raise OutputError(f"{url}{path}: {reply.status_code} {told.get('error')}")
            return told["data"]

        total = asked("/v1/request/count/query", {"filter": "all"})
        if isinstance(total, int) and total:
            known(total)
        offset = skip
        while True:
            page = asked(
                "/v1/request/query-clickhouse",
                {"filter": "all", "limit": PAGE_ROWS, "offset": offset,
                 "sort": {"created_at": "asc"}},
            )  # fmt: skip
            for row in page:
                yield _with_bodies(row, lambda place: client.get(place).json())
            if len(page) < PAGE_ROWS:
                return
            offset += len(page)


def _with_bodies(row: Row, fetch: Callable[[str], Any]) -> Row:
    place = row.get("signed_body_url")
    if not place:
        return row
    found = fetch(place)
    return {**row, "request_body": found.get("request"), "response_body": found.get("response")}
