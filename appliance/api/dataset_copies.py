"""From recorded requests to the rows of a dataset: what was said is read, packed and sealed.

A deletion may run meanwhile: what it was about must not come back by a copy that is written behind
it. So it is asked before anything is read, and again where it is written.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import trio
from fastapi import Request

from appliance.api.incoming import invalid
from appliance.api.permissions import identity_of
from appliance.api.request_find import records_of, texts_of
from appliance.api.request_query import Statement
from appliance.api.request_rows import bodies_of, id_text
from appliance.api.services import Services
from appliance.core.access import Identity
from appliance.errors import Refusal
from storage.dataset_copies import DOCUMENT_BYTES_MAX
from storage.dataset_tables import DatasetsFull, NewRow, copies_of, there_already
from storage.erasures import standing

T = TypeVar("T")

ADDED_MAX: Final = 1_000  # of one call
ADDED_BYTES_MAX: Final = 64 * 2**20  # request and response of all of them, as JSON
READ_AT_ONCE: Final = 100
READ_BYTES_MAX: Final = 16 * 2**20
DOCUMENTS_BYTES_MAX: Final = 16 * 2**20  # of one answer with bodies
COPIERS: Final = 2  # calls that hold what they add, at once
COLUMNS: Final = "r.exchange_id, r.request_id, r.user_id, r.session_id, epoch_us(r.recorded_at)"

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Source(NamedTuple):
    """A request that is copied."""

    exchange_id: str
    request_id: str
    user_id: str
    session_id: str
    recorded_at_us: int


class Gathered(NamedTuple):
    """What may be written if nothing was deleted since; `standing` is of before it was read."""

    rows: list[NewRow]
    sources: list[Source]
    standing: tuple[int, int]


def document_of(request: object, response: object) -> bytes:
    """What a row holds. Raises Refusal 413."""
    data = _encode({"request": request, "response": response})
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Refusal(
            413, "row_too_large",
            f"Request and response of a row are at most {DOCUMENT_BYTES_MAX} bytes together.",
        )  # fmt: skip
    return data


async def in_tables(request: Request, work: Callable[[sqlite3.Connection, str], T]) -> T:
    """Read the caller's own."""
    identity = identity_of(request)
    services: Services = request.app.state.services
    org = str(uuid.UUID(bytes=identity.org))
    return await services.tables[identity.region].read(lambda connection: work(connection, org))


async def change(request: Request, work: Callable[[sqlite3.Connection, str], T]) -> T:
    """Write the caller's own. Raises Refusal 409 where there is no more room."""
    identity = identity_of(request)
    services: Services = request.app.state.services
    org = str(uuid.UUID(bytes=identity.org))
    try:
        return await services.tables[identity.region].write(
            lambda connection: work(connection, org)
        )
    except DatasetsFull as error:
        raise Refusal(409, "datasets_max", f"{error}: remove some") from None


async def gather(
    request: Request, dataset_id: str, request_ids: Sequence[str], field: str
) -> Gathered:
    """The rows of these requests, without those that the dataset has already. Raises Refusal 404
    for a request that is not there, 413 for more than one call may copy."""
    limiter: trio.CapacityLimiter = request.app.state.dataset_copiers
    async with limiter:
        return await _gather(request, dataset_id, list(dict.fromkeys(request_ids)), field)


async def _gather(
    request: Request, dataset_id: str, request_ids: list[str], field: str
) -> Gathered:
    identity = identity_of(request)
    services: Services = request.app.state.services

    def before(connection: sqlite3.Connection, org: str) -> tuple[tuple[int, int], set[str]]:
        return (
            standing(connection, org)[0],
            there_already(connection, org, dataset_id, request_ids),
        )

    stamp, there = await in_tables(request, before)
    wanted = [request_id for request_id in request_ids if request_id not in there]
    sources = await _sources(request, wanted, field)
    org = str(uuid.UUID(bytes=identity.org))
    rows: list[NewRow] = []
    for start in range(0, len(sources), READ_AT_ONCE):
        some = sources[start : start + READ_AT_ONCE]
        packed = await _packed(request, identity, some, field)
        users = services.copies.marks(identity.region, org, [("user", s.user_id) for s in some])
        sessions = services.copies.marks(
            identity.region, org, [("session", s.session_id) for s in some]
        )
        rows += [
            NewRow(
                row_id,
                one.request_id,
                uuid.UUID(one.exchange_id).bytes,
                user,
                session,
                one.recorded_at_us,
                data,
            )
            for one, user, session, (row_id, data) in zip(
                some, users, sessions, packed, strict=True
            )
        ]
    return Gathered(rows, sources, stamp)


def check_still_there(connection: sqlite3.Connection, org: str, gathered: Gathered) -> None:
    """Within the transaction that writes. Raises Refusal 409, where asking again helps."""
    stamp, waiting = standing(connection, org)
    meant = any(
        (kind, subject) in waiting
        for one in gathered.sources
        for kind, subject in (
            ("request", one.request_id), ("user", one.user_id), ("session", one.session_id),
            ("organization", org),
        )
    )  # fmt: skip
    # Copies do not say when their requests were created: while a span of time goes, none is made.
    meant = meant or any(kind == "span" for kind, _ in waiting)
    if gathered.rows and (stamp != gathered.standing or meant):
        raise Refusal(
            409, "deletion_meanwhile",
            "A deletion is carried out at this moment: try again when it is done.",
            headers={"Retry-After": "1"},
        )  # fmt: skip


async def documents_of(
    request: Request, dataset_id: str, row_ids: Sequence[str]
) -> dict[str, msgspec.Raw]:
    """`{request, response}` of the first of these rows, as many as an answer may have; one at
    least. They are opened one by one: what is packed small may be large."""
    services: Services = request.app.state.services
    region = identity_of(request).region
    found: dict[str, msgspec.Raw] = {}
    left, room = list(row_ids), DOCUMENTS_BYTES_MAX
    while left:
        packed = await in_tables(
            request,
            lambda c, org, some=left: copies_of(c, org, dataset_id, some, READ_BYTES_MAX),  # type: ignore[misc]
        )
        for row_id, data in packed.items():
            document = (await services.copies.unpack(region, {row_id: data}))[row_id]
            room -= len(document)
            if found and room < 0:
                return found
            found[row_id] = msgspec.Raw(document)
        left = left[left.index(next(reversed(packed))) + 1 :] if packed else []
    return found


async def _sources(request: Request, request_ids: list[str], field: str) -> list[Source]:
    """In the order of the ids; the newest exchange of each."""
    if not request_ids:
        return []
    identity, records = identity_of(request), records_of(request)
    stale_by_ms = await records.caught_up(identity.region)
    found = await records.query(identity.region, *_statement(request_ids, identity.org))
    by_id = {
        id_text(request_id): Source(
            id_text(exchange_id), id_text(request_id), user or "", session or "", recorded_us
        )
        for exchange_id, request_id, user, session, recorded_us in found.rows
    }
    for request_id in request_ids:
        if request_id in by_id:
            continue
        if stale_by_ms is not None:
            raise Refusal(
                503, "not_yet", f"{field}: {request_id} may be among the newest, which cannot be "
                "read yet. Try again.", headers={"Retry-After": "1"},
            )  # fmt: skip
        raise Refusal(
            404, "request_unknown", f"{field}: there is no request with the id {request_id}."
        )
    return [by_id[request_id] for request_id in request_ids]


def _statement(request_ids: list[str], org: bytes) -> Statement:
    return (
        f"SELECT {COLUMNS} FROM unedited_requests AS r"  # noqa: S608 - constants of ours
        " WHERE r.organization_id = CAST($1 AS UUID) AND r.request_id IN $2::UUID[]"
        " QUALIFY row_number() OVER (PARTITION BY r.request_id"
        " ORDER BY r.request_created_at DESC, r.exchange_id DESC) = 1",
        [org.hex(), request_ids],
    )


async def _packed(
    request: Request, identity: Identity, sources: Sequence[Source], field: str
) -> list[tuple[str, bytes]]:
    """New ids of rows and what they hold, in the order of the sources; read as far as it fits into
    memory, packed, and on."""
    services: Services = request.app.state.services
    left = {one.exchange_id: one for one in sources}
    done: dict[str, tuple[str, bytes]] = {}
    while left:
        texts = await texts_of(records_of(request), identity, list(left), READ_BYTES_MAX)
        if not texts:
            texts = await _alone(request, identity, next(iter(left.values())), field)
        documents: dict[str, bytes] = {}
        names: dict[str, str] = {}
        for key, values in texts.items():
            row_id = str(uuid.uuid4())
            names[row_id] = key
            documents[row_id] = document_of(*bodies_of(*values[:4]))
            _count(request, len(documents[row_id]), field)
            del left[key]
            await trio.lowlevel.checkpoint()
        packed = await services.copies.pack(identity.region, documents)
        done.update((names[row_id], (row_id, data)) for row_id, data in packed.items())
    return [done[one.exchange_id] for one in sources]


async def _alone(
    request: Request, identity: Identity, source: Source, field: str
) -> dict[str, tuple[Any, ...]]:
    """The newest do not fit together with nothing: one that does, or a reason."""
    found = await texts_of(records_of(request), identity, [source.exchange_id], DOCUMENT_BYTES_MAX)
    if not found:
        raise Refusal(
            413, "row_too_large",
            f"{field}: the bodies of request {source.request_id} are larger than "
            f"{DOCUMENT_BYTES_MAX} bytes, which is the most that a row holds; leave it out.",
        )  # fmt: skip
    return found


def _count(request: Request, size: int, field: str) -> None:
    """All that this call copies."""
    total = getattr(request.state, "copied_bytes", 0) + size
    request.state.copied_bytes = total
    if total > ADDED_BYTES_MAX:
        raise Refusal(
            413, "too_much",
            f"{field}: the bodies of these requests are more than {ADDED_BYTES_MAX} bytes: add "
            "them in several calls.",
        )  # fmt: skip


def request_ids_of(body: dict[str, Any], field: str) -> list[str]:
    """Ids of requests or rows; none where nothing is sent. Raises Refusal 422."""
    value = body.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > ADDED_MAX:
        invalid(field, f"expected a list of at most {ADDED_MAX} UUIDs")
    found = []
    for index, one in enumerate(value):
        try:
            found.append(str(uuid.UUID(one)))
        except (ValueError, TypeError, AttributeError):
            invalid(f"{field}.{index}", "expected a UUID")
    return found
