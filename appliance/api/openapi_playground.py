"""The playground, and the customers that there are none of, as the schema tells of them."""

from typing import Final

from appliance.api.openapi_parts import FLAG, INTEGER, NOTHING, TEXT, listed, obj, route

_SAID = obj(
    {
        "content": TEXT,
        "reasoning": TEXT,
        "calls": {"description": 'the tool calls, or ""'},
        "usage": obj({}, open_=True),
    },
    ("content", "reasoning", "calls"),
    open_=True,
)
_CHAT = obj(
    {
        "model": TEXT,
        "messages": listed(obj({}, open_=True)),
        "stream": FLAG,
        "max_tokens": INTEGER,
        "prompt_id": TEXT,
        "inputs": obj({}, open_=True),
        "useAIGateway": {"type": "boolean", "description": "changes nothing: it always does"},
        "logRequest": {
            "type": "boolean",
            "description": "whether what is said is recorded; else the organisation's setting",
        },
    },
    open_=True,
)
GENERATE: Final = route(_SAID, body=_CHAT, errors=(400, 401, 403, 413, 415, 422, 429, 502, 503))
_EVENTS = {"schema": {**TEXT, "description": "with stream: the completion's chunks, as they come"}}
GENERATE["responses"][200]["content"]["text/event-stream"] = _EVENTS
SETTING: Final = route(FLAG)
SET: Final = route(TEXT, body=obj({"requestsThroughHelicone": FLAG}, ("requestsThroughHelicone",)))
CUSTOMERS: Final = route(NOTHING, body=obj({}, open_=True), errors=(401, 403, 501))
CUSTOMERS_USAGE: Final = route(
    NOTHING, body=obj({}, open_=True), path={"customer_id": TEXT}, errors=(401, 403, 501)
)
