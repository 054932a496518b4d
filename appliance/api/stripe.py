"""What Stripe tells of payments (`internals.md 2.6`): signed, read under a cap, then done once.

Anybody may call: the signature's time is looked at before a body is read, so many bodies are read
at once and no more, each within its time.
"""

import time
from typing import Final

import trio
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_wallet as openapi
from appliance.api.incoming import decoded_json, read_raw
from appliance.api.reply import bare
from appliance.api.services import Wallets
from appliance.core.stripe_signature import Signature
from appliance.errors import Refusal

BODY_BYTES_MAX: Final = 1024 * 1024
BODY_S: Final = 10.0
READ_AT_ONCE: Final = 16

router = APIRouter(tags=["wallet"], default_response_class=Response)


@router.post("/stripe/webhook", **openapi.WEBHOOK)
async def webhook(request: Request) -> Response:
    """Payments, refunds and disputes change wallets; other events do not."""
    wallets: Wallets = request.app.state.services.wallets
    secret = wallets.webhook_secret()
    header = request.headers.get("stripe-signature", "").encode("latin-1")
    signature = Signature(header, time.time())
    body = await _body(request)
    signature.check(body, secret)
    reason = await wallets.stripe(decoded_json(body))
    return bare({"received": True, "applied": not reason, "reason": reason or None})


async def _body(request: Request) -> bytes:
    """Open to strangers until it is read whole. Raises Refusal 400, 408, 413, 503."""
    readers: trio.CapacityLimiter = request.app.state.webhook_readers
    turn = object()
    try:
        readers.acquire_on_behalf_of_nowait(turn)
    except trio.WouldBlock:
        raise Refusal(
            503, "webhook_busy", "Too many webhooks at once. Try again.",
            headers={"Retry-After": "1"},
        ) from None  # fmt: skip
    try:
        with trio.move_on_after(BODY_S):
            body = await read_raw(request, BODY_BYTES_MAX)
            if not body:
                raise Refusal(400, "body_missing", "body: is missing")
            return body
    finally:
        readers.release_on_behalf_of(turn)
    raise Refusal(408, "body_too_slow", f"body: not here within {BODY_S:.0f} seconds")
