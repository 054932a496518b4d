"""Edits of what was recorded: feedback, properties, scores (`backend.md 1.2, 4.2`).

An edit is a fact of its own: it changes no record, erases nothing, can be sent again, and is seen
by every query that begins after the answer.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, TypeGuard
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_requests as openapi
from appliance.api.fields import VALUE_CHARACTERS_MAX, as_uuid, bounded, number, text
from appliance.api.incoming import flag, invalid, path_uuid, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import bare, reply
from appliance.api.request_find import find_exchange, records_of
from appliance.api.request_rows import BOOLEAN_SUFFIX, FEEDBACK_SCORE
from appliance.api.services import Services
from appliance.api.services_edits import Edit, Kind

SCORES_MAX: Final = 200
FEEDBACK: Final = "feedback"

router = APIRouter(tags=["requests"], default_response_class=Response)


@router.post("/v1/request/{request_id}/feedback", **openapi.FEEDBACK)
async def give_feedback(request: Request) -> Response:
    """Thumbs up (`rating: true`) or down. The last one counts. 404 for an id that is not this
    organisation's; ids of any version of UUID are taken."""
    request_id = path_uuid(request, "request_id")
    rating = rating_of(await read_object(request), "rating")
    return await edited(request, request_id, [feedback_edit(request_id, rating)])


@router.post("/v1/feedback", **openapi.WORKER_FEEDBACK)
async def give_feedback_by_header_id(request: Request) -> Response:
    """The same as Helicone's worker takes it (proxy.md 1.5): `helicone-id` and `rating`; answers
    `{message, helicone_id}` without the envelope."""
    body = await read_object(request)
    request_id = as_uuid(body.get("helicone-id"), "helicone-id")
    rating = rating_of(body, "rating")
    await edited(request, request_id, [feedback_edit(request_id, rating)])
    return bare({"message": "Feedback added successfully.", "helicone_id": request_id})


@router.put("/v1/request/{request_id}/property", **openapi.PROPERTY)
async def put_property(request: Request) -> Response:
    """Add or overwrite one property; `value: null` takes it away. Names keep their case."""
    request_id = path_uuid(request, "request_id")
    body = await read_object(request)
    key = text(body, "key", required=True)
    if "value" not in body:
        invalid("value", "is required; null takes the property away")
    value = body["value"]
    if value is not None:
        if not isinstance(value, str):
            invalid("value", "expected a text")
        bounded(value, "value", VALUE_CHARACTERS_MAX)
    return await edited(request, request_id, [_edit("property", request_id, key, value)])


@router.post("/v1/request/{request_id}/score", **openapi.SCORES)
async def add_scores(request: Request) -> Response:
    """Scores by name: numbers, fractions too, or true and false, which lists show as 1 and 0 under
    `<name>-hcone-bool`. Given again, the last one counts; null takes one away."""
    request_id = path_uuid(request, "request_id")
    scores = (await read_object(request)).get("scores")
    if not isinstance(scores, dict) or not scores:
        invalid("scores", "expected an object of at least one name with its number or boolean")
    if len(scores) > SCORES_MAX:
        invalid("scores", f"more than {SCORES_MAX} scores at once")
    edits = [
        score_edit(request_id, name, value, f"scores.{name[:64]}") for name, value in scores.items()
    ]
    return await edited(request, request_id, edits)


def rating_of(body: dict[str, Any], field: str) -> bool:
    """True or false, and nothing else."""
    rating = flag(body, field)
    if rating is None:
        invalid(field, "is required: true or false")
    return rating


def feedback_edit(request_id: str, rating: bool) -> Edit:
    """A thumb."""
    return _edit("feedback", request_id, FEEDBACK, float(rating))


def score_edit(request_id: str, name: str, value: object, field: str) -> Edit:
    """One score; Helicone's own name for feedback is feedback, and its suffix says that 1 is true.
    Raises Refusal 422."""
    bounded(name, field)
    plain = name.removesuffix(BOOLEAN_SUFFIX)
    if not plain:
        invalid(field, "expected a name")
    boolean = isinstance(value, bool) or plain != name
    boolean = boolean or name == FEEDBACK_SCORE
    if value is not None and boolean and not _is_flag(value):
        invalid(field, "expected true or false")
    told = None if value is None else number(int(value) if _is_flag(value) else value, field)
    if name == FEEDBACK_SCORE:
        return _edit("feedback", request_id, FEEDBACK, told)
    return _edit("score", request_id, plain, told, boolean=boolean and told is not None)


async def edited(request: Request, request_id: str, edits: list[Edit]) -> Response:
    """Journal the edits for the newest exchange of this id. Raises Refusal 404."""
    identity, services = identity_of(request), _services(request)
    exchange_id = await find_exchange(records_of(request), identity, request_id)
    found = [edit._replace(exchange_id=exchange_id) for edit in edits]
    stale_by_ms = await services.edits.add(identity.region, identity.org, found)
    return reply(None, stale_by_ms=stale_by_ms)


def _is_flag(value: object) -> TypeGuard[int | Decimal]:
    return isinstance(value, bool | int | Decimal) and value in (0, 1)


def _edit(
    kind: Kind, request_id: str, name: str, value: float | str | None, *, boolean: bool = False
) -> Edit:  # fmt: skip
    return Edit(kind, b"", UUID(request_id).bytes, name, value, boolean)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services
