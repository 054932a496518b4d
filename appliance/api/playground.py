"""The playground (`/v1/playground/…`): one chat completion through this server's AI gateway, on the
account of whoever asks, be it a key or somebody who is signed in.
"""

from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_playground as openapi
from appliance.api.audited import note
from appliance.api.incoming import flag, invalid, read_object
from appliance.api.links import caller_of
from appliance.api.permissions import identity_of
from appliance.api.playground_reply import Generated
from appliance.api.reply import reply
from appliance.api.signed_in import services_of
from appliance.api.streamed import Streams
from appliance.api.tenant import tenant_of
from appliance.core import headers as names
from appliance.exchange import Headers
from storage import playground as book

# As Helicone names who calls.
USER: Final = b"helicone_playground"
# Of the body, not of the chat completion.
OWN_FIELDS: Final = ("useAIGateway", "logRequest")

router = APIRouter(prefix="/v1/playground", tags=["playground"], default_response_class=Response)
_encode = msgspec.json.Encoder(decimal_format="number").encode


@router.post("/generate", **openapi.GENERATE)
async def generate(request: Request) -> Response:
    """One chat completion: the body is a chat request of OpenAI's, and may name a stored prompt.
    With `stream` its events are passed on as they come, else `data` is the completion with its
    `content`, `reasoning` and `calls`. Where `logRequest` is false, or the organisation's setting
    says so, what was said is not recorded; tokens, cost and times are. It always goes through the
    AI gateway: `useAIGateway` changes nothing."""
    streams: Streams = request.app.state.playground_streams
    streams.check()
    body = await read_object(request)
    flag(body, "useAIGateway")
    logged = flag(body, "logRequest")
    if logged is None:
        logged = await _kept(request)
    headers: Headers = [(names.USER_ID, USER)]
    if not logged:
        headers += [(names.OMIT_REQUEST, b"true"), (names.OMIT_RESPONSE, b"true")]
    data = _encode({name: value for name, value in body.items() if name not in OWN_FIELDS})
    call = partial(
        services_of(request).playground.call,
        identity_of(request), data, headers, caller_of(request).address,
    )  # fmt: skip
    return Generated(streams, data, call)


@router.get("/requests-through-helicone", **openapi.SETTING)
async def requests_recorded(request: Request) -> Response:
    """Whether what is said in the playground is recorded, where a call does not say: it is, unless
    the organisation has said otherwise."""
    return reply(await _kept(request))


@router.post("/requests-through-helicone", **openapi.SET)
async def record_requests(request: Request) -> Response:
    """Say whether it is."""
    wanted = flag(await read_object(request), "requestsThroughHelicone")
    if wanted is None:
        invalid("requestsThroughHelicone", "expected true or false")
    org, tables = _asked(request)
    await tables.write(lambda connection: book.record_playground(connection, org, wanted))
    note(request, "playground.requests", recorded=wanted)
    return reply("saved")


async def _kept(request: Request) -> bool:
    org, tables = _asked(request)
    kept: bool = await tables.read(lambda connection: book.records_playground(connection, org))
    return kept


def _asked(request: Request) -> Any:  # noqa: ANN401 - a pair
    tenant = tenant_of(request)
    return str(UUID(bytes=tenant.org)), services_of(request).tables[tenant.region]
