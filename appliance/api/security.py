"""Asks the built-in guard about a text (`backend.md 1.3`), without a call to any model."""

from __future__ import annotations

from typing import Final

import trio
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_metrics as openapi
from appliance.api.fields import text
from appliance.api.incoming import flag, read_object
from appliance.api.reply import reply
from appliance.core.guard import Guard, blocks

TEXT_CHARACTERS_MAX: Final = 200_000
MODEL_NOT_ASKED: Final = (
    "advanced: the model of [guard_model] judges calls that ask for it (Helicone-LLM-Security-"
    "Advanced); here the built-in guard alone was asked."
)

router = APIRouter(tags=["guard"], default_response_class=Response)


@router.post("/v1/public/security", **openapi.SECURITY)
async def look_for_attacks(request: Request) -> Response:
    """Whether `text` tries to talk a model out of its rules: `unsafe`, the score of 100 and the
    rules that it meets. `advanced` asks for more than is done here, and the answer says so."""
    body = await read_object(request)
    asked = text(body, "text", required=True, characters_max=TEXT_CHARACTERS_MAX)
    guard = Guard()
    for block in blocks(asked):
        guard.read(block)
        await trio.lowlevel.checkpoint()
    warnings = [MODEL_NOT_ASKED] if flag(body, "advanced") else []
    return reply(
        {
            "unsafe": guard.is_threat, "score": guard.score, "rules": list(guard.found),
            "warnings": warnings,
        }
    )  # fmt: skip
