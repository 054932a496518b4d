"""Datasets: requests picked for evaluation or fine-tuning, with copies of what was said that may be
edited (backend.md 1.3, 4.3). Another organisation's are not there: 404.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final, NoReturn
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_datasets as openapi
from appliance.api.audited import note
from appliance.api.dataset_copies import (
    change,
    check_still_there,
    document_of,
    documents_of,
    gather,
    in_tables,
    request_ids_of,
)
from appliance.api.fields import known, text, uuids
from appliance.api.incoming import flag, integer, invalid, path_uuid, read_object
from appliance.api.links import check_link
from appliance.api.permissions import identity_of
from appliance.api.reply import JSON, NO_STORE, iso_time, reply, reply_rows
from appliance.api.request_links import LinksTo
from appliance.api.services import Services
from appliance.core.access import Identity
from appliance.errors import Refusal
from storage import dataset_tables as book

PATH: Final = "/v1/helicone-dataset"
NAME_CHARACTERS_MAX: Final = 255
META_BYTES_MAX: Final = 64 * 1024
IDS_MAX: Final = 1_000
PAGE_ROWS: Final = 100
PAGE_ROWS_MAX: Final = 10_000
BODIES_ROWS_MAX: Final = 100
OFFSET_MAX: Final = 1_000_000_000

_encode = msgspec.json.Encoder(decimal_format="number").encode

router = APIRouter(tags=["datasets"], default_response_class=Response)


class Document(msgspec.Struct):
    """What a row holds, each half as it is."""

    request: msgspec.Raw
    response: msgspec.Raw


def no_dataset(dataset_id: str) -> NoReturn:
    """Also where it is another organisation's."""
    raise Refusal(404, "dataset_unknown", f"There is no dataset with the id {dataset_id}.")


def no_row(row_id: str) -> NoReturn:
    """The same."""
    raise Refusal(404, "dataset_row_unknown", f"This dataset has no row with the id {row_id}.")


@router.post(PATH, **openapi.CREATE)
async def create(request: Request) -> Response:
    """A new dataset of these requests, which are copied into it: at most 1,000, and 64 MiB of
    bodies, in one call. 404 for a request that is not there; then nothing is made."""
    body = await read_object(request)
    name = text(body, "datasetName", required=True, characters_max=NAME_CHARACTERS_MAX)
    request_ids = request_ids_of(body, "requestIds")
    meta = _meta_of(body)
    gathered = await gather(request, "", request_ids, "requestIds")

    def work(connection: sqlite3.Connection, org: str) -> str:
        check_still_there(connection, org, gathered)
        dataset_id = book.add_dataset(connection, org, name, meta)
        book.add_rows(connection, org, dataset_id, gathered.rows)
        return dataset_id

    dataset_id = await change(request, work)
    note(request, "dataset.create", dataset_id, rows=len(gathered.rows))
    return reply({"datasetId": dataset_id})


@router.post(f"{PATH}/query", **openapi.QUERY)
async def query(request: Request) -> Response:
    """All datasets, or those of `datasetIds`, the newest first, each with its number of rows. Ids
    that are not there are left out."""
    body = await read_object(request)
    ids = None
    if body.get("datasetIds"):
        ids = uuids(body, "datasetIds", values_max=IDS_MAX)
    org = _org_of(identity_of(request))
    found = await in_tables(request, lambda c, whose: book.find_datasets(c, whose, ids))
    return reply([_shown(dataset, org) for dataset in found])


@router.patch(f"{PATH}/{{dataset_id}}", **openapi.CHANGE)
async def alter(request: Request) -> Response:
    """Another name (`datasetName`), or other `meta`; what is not given stays. The dataset as it is
    now."""
    dataset_id, body = path_uuid(request, "dataset_id"), await read_object(request)
    if not body.keys() & {"datasetName", "meta"}:
        invalid("datasetName", "this or meta is required")
    name = meta = None
    if "datasetName" in body:
        name = text(body, "datasetName", required=True, characters_max=NAME_CHARACTERS_MAX)
    if "meta" in body:
        meta = _meta_of(body)

    def work(connection: sqlite3.Connection, org: str) -> book.Dataset | None:
        book.change_dataset(connection, org, dataset_id, name, meta)
        return book.find_dataset(connection, org, dataset_id)

    found = await change(request, work)
    if found is None:
        no_dataset(dataset_id)
    note(request, "dataset.change", dataset_id)
    return reply(_shown(found, _org_of(identity_of(request))))


@router.post(f"{PATH}/{{dataset_id}}/query", **openapi.ROWS)
async def query_rows(request: Request) -> Response:
    """A page of its rows, the newest first: `limit` (at most 10,000) and `offset`. `signed_url` is
    good for a day and gives the row's `{request, response}` without a key. With `bodies: true`,
    and a `limit` of at most 100, each row has them as `bodies`; null where the 16 MiB of a page
    were used up before."""
    dataset_id, body = path_uuid(request, "dataset_id"), await read_object(request)
    bodies = flag(body, "bodies")
    limit = integer(body, "limit", PAGE_ROWS, BODIES_ROWS_MAX if bodies else PAGE_ROWS_MAX)
    offset = integer(body, "offset", 0, OFFSET_MAX)

    def work(connection: sqlite3.Connection, org: str) -> list[book.DatasetRow]:
        if book.find_dataset(connection, org, dataset_id) is None:
            no_dataset(dataset_id)
        return book.find_rows(connection, org, dataset_id, limit, offset)

    found = await in_tables(request, work)
    documents = await documents_of(request, dataset_id, [r.id for r in found]) if bodies else {}
    links = LinksTo(request, identity_of(request).region)

    def shown() -> Iterator[dict[str, Any]]:
        for row in found:
            yield {
                "id": row.id,
                "origin_request_id": row.origin_request_id,
                "dataset_id": row.dataset_id,
                "created_at": iso_time(row.created_at_us),
                "edited_at": None if row.edited_at_us is None else iso_time(row.edited_at_us),
                "signed_url": {"data": links.dataset_row(row.id), "error": None},
                **({"bodies": documents.get(row.id)} if bodies else {}),
            }

    return await reply_rows(shown(), stale_by_ms=None)


@router.post(f"{PATH}/{{dataset_id}}/count", **openapi.COUNT)
async def count(request: Request) -> Response:
    """How many rows it has."""
    dataset_id = path_uuid(request, "dataset_id")
    found = await in_tables(request, lambda c, org: book.find_dataset(c, org, dataset_id))
    if found is None:
        no_dataset(dataset_id)
    return reply(found.rows)


@router.post(f"{PATH}/{{dataset_id}}/mutate", **openapi.MUTATE)
async def mutate(request: Request) -> Response:
    """Copies `addRequests` (ids of requests; at most 1,000, and 64 MiB of bodies) into it and takes
    out `removeRequests` (ids of rows), both or neither. A request that it has already stays as it
    is, edits included. 404 for a request, or a row, that is not there."""
    dataset_id, body = path_uuid(request, "dataset_id"), await read_object(request)
    added = request_ids_of(body, "addRequests")
    removed = list(dict.fromkeys(request_ids_of(body, "removeRequests")))
    if await in_tables(request, lambda c, org: book.find_dataset(c, org, dataset_id)) is None:
        no_dataset(dataset_id)
    gathered = await gather(request, dataset_id, added, "addRequests")

    def work(connection: sqlite3.Connection, org: str) -> None:
        if book.find_dataset(connection, org, dataset_id) is None:
            no_dataset(dataset_id)
        check_still_there(connection, org, gathered)
        if book.drop_rows(connection, org, dataset_id, removed) != len(removed):
            raise Refusal(
                404, "dataset_row_unknown",
                "removeRequests: one of these rows is not in this dataset; ids of rows are meant, "
                "not of requests.",
            )  # fmt: skip
        book.add_rows(connection, org, dataset_id, gathered.rows)

    await change(request, work)
    note(request, "dataset.mutate", dataset_id, added=len(gathered.rows), removed=len(removed))
    return reply(None)


@router.post(f"{PATH}/{{dataset_id}}/request/{{row_id}}", **openapi.EDIT)
async def edit(request: Request) -> Response:
    """Other bodies in place of a row's `requestBody` and `responseBody`, any JSON; one that is left
    out stays. The row is named by its own id, or by that of its request. The recorded request is
    not changed."""
    dataset_id, row_id = path_uuid(request, "dataset_id"), path_uuid(request, "row_id")
    body = await read_object(request)
    if not body.keys() & {"requestBody", "responseBody"}:
        invalid("requestBody", "this or responseBody is required")
    services: Services = request.app.state.services
    region = identity_of(request).region
    found = await in_tables(request, lambda c, org: book.find_copy(c, org, dataset_id, row_id))
    if found is None:
        no_row(row_id)
    unpacked = await services.copies.unpack(region, {found.row.id: found.packed})
    old = msgspec.json.decode(unpacked[found.row.id], type=Document)
    document = document_of(
        body.get("requestBody", old.request), body.get("responseBody", old.response)
    )
    packed = await services.copies.pack(region, {found.row.id: document})

    def work(connection: sqlite3.Connection, org: str) -> bool:
        return book.put_copy(connection, org, found.row.id, found.packed, packed[found.row.id])

    if not await change(request, work):
        raise Refusal(409, "row_changed", "Somebody else changed this row meanwhile: try again.")
    note(request, "dataset.edit", found.row.id)
    return reply(None)


@router.post(f"{PATH}/{{dataset_id}}/delete", **openapi.DELETE)
async def delete(request: Request) -> Response:
    """The dataset and its copies go for good; the recorded requests stay."""
    dataset_id = path_uuid(request, "dataset_id")
    if not await change(request, lambda c, org: book.drop_dataset(c, org, dataset_id)):
        no_dataset(dataset_id)
    note(request, "dataset.delete", dataset_id)
    return reply(None)


@router.get("/v1/signed/{region}/dataset-rows/{row_id}", **openapi.SIGNED)
async def signed_row(request: Request) -> Response:
    """`{request, response}` of a row as it is now. The URL is the row's `signed_url`, which counts
    for a day and needs no key."""
    services: Services = request.app.state.services
    region, row_id = check_link(request), path_uuid(request, "row_id")
    packed = await services.tables[region].read(lambda c: book.signed_copy(c, row_id))
    if packed is None:
        no_row(row_id)
    found = await services.copies.unpack(region, {row_id: packed})
    return Response(found[row_id], 200, NO_STORE, JSON)


def _meta_of(body: dict[str, Any]) -> str:
    """As JSON text. Raises Refusal 422."""
    encoded = _encode(known(body, "meta"))
    if len(encoded) > META_BYTES_MAX:
        invalid("meta", f"more than {META_BYTES_MAX} bytes of JSON")
    return encoded.decode()


def _org_of(identity: Identity) -> str:
    return str(UUID(bytes=identity.org))


def _shown(dataset: book.Dataset, org: str) -> dict[str, Any]:
    """`HeliconeDataset`."""
    return {
        "id": dataset.id,
        "name": dataset.name,
        "meta": msgspec.Raw(dataset.meta.encode()),
        "dataset_type": "helicone",
        "organization": org,
        "created_at": iso_time(dataset.created_at_us),
        "requests_count": dataset.rows,
    }
