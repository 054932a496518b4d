"""The Model Context Protocol as `helicone-appliance mcp` speaks it, and its tools: their names and
parameters are those of Helicone's own server, so that an assistant's set-up goes on working.

Pure: a message in, a message out. What a tool asks of the appliance is handed in.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance import __version__
from appliance.errors import Refusal

# Newest first. A client that names another one is answered with the newest.
VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
LIMIT: Final = 100
LIMIT_MAX: Final = 1000
BODY_FIELDS: Final = ("request_body", "response_body")

# Method, path, body and headers; the reply's JSON, or its text. Raises Refusal.
Ask = Callable[[str, Any, Mapping[str, str]], Any]
Json = dict[str, Any]

_PAGE: Final[Json] = {
    "offset": {"type": "integer", "minimum": 0, "description": "How many to pass over (0)."},
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": LIMIT_MAX,
        "description": "How many (100).",
    },
}
TOOLS: Final[tuple[Json, ...]] = (
    {
        "name": "query_requests",
        "description": "Find recorded calls by a filter, sorted, page by page; with bodies or not.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "filter": {
                    "description": "A filter tree of /v1/request/query-clickhouse, or the word all."
                },
                **_PAGE,
                "sort": {"type": "object", "description": 'Such as {"created_at": "desc"}.'},
                "includeBodies": {
                    "type": "boolean",
                    "description": "With what was asked and answered (false).",
                },
            },
        },
    },
    {
        "name": "query_sessions",
        "description": "Find sessions of a time, by name or words; their ids can filter requests.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "search": {"type": "string", "description": "Words in name or id."},
                "startTimeUnixMs": {"type": "number", "description": "From, in milliseconds."},
                "endTimeUnixMs": {"type": "number", "description": "Until, in milliseconds."},
                "nameEquals": {"type": "string", "description": "Exactly this name."},
                "timezoneDifference": {"type": "number", "description": "Hours, such as -5."},
                "filter": {"description": "A filter tree."},
                **_PAGE,
            },
            "required": ["startTimeUnixMs", "endTimeUnixMs", "timezoneDifference"],
        },
    },
    {
        "name": "use_ai_gateway",
        "description": "Ask a model of any provider through the AI gateway; the call is recorded.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "model": {"type": "string", "description": "Such as gpt-4o."},
                "messages": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "role": {"enum": ["system", "user", "assistant"]},
                            "content": {"type": "string"},
                        },
                        "required": ["role", "content"],
                    },
                },
                "max_tokens": {"type": "integer", "minimum": 1},
                "temperature": {"type": "number", "minimum": 0, "maximum": 2},
                "stream": {"type": "boolean"},
                "sessionId": {"type": "string"},
                "sessionName": {"type": "string"},
                "userId": {"type": "string"},
                "customProperties": {"type": "object"},
            },
            "required": ["model", "messages"],
        },
    },
)  # fmt: skip


def answer(line: str, ask: Ask) -> str | None:
    """The reply to one line, as one line; None where none is due. Several messages may come as a
    list: version 2025-03-26 has that, and asks every server to take it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return _error(None, PARSE_ERROR, "a line is one JSON-RPC message")
    if not isinstance(found, list) or not found:
        return _answer_one(found, ask)
    replies = [reply for one in found if (reply := _answer_one(one, ask)) is not None]
    return f"[{', '.join(replies)}]" if replies else None


def _answer_one(message: object, ask: Ask) -> str | None:
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        if isinstance(message, dict) and ("result" in message or "error" in message):
            return None  # to a question that we never ask
        return _error(None, INVALID_REQUEST, "a message has a method")
    number = message.get("id")
    if "id" not in message:
        return None
    given = message.get("params") or {}
    if not isinstance(given, dict):
        return _error(number, INVALID_PARAMS, "params is an object")
    method = message["method"]
    if method == "tools/call":
        return _called(number, given, ask)
    known: dict[str, Json] = {
        "initialize": _welcome(given),
        "ping": {},
        "tools/list": {"tools": list(TOOLS)},
    }
    if method not in known:
        return _error(number, METHOD_NOT_FOUND, f"{method} is not spoken here")
    return _line({"id": number, "result": known[method]})


def _welcome(given: Json) -> Json:
    asked = given.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "helicone-appliance", "version": __version__},
    }


def _called(number: object, given: Json, ask: Ask) -> str:
    """A tool that fails says so to the model, which may mend its question; only a tool that is not
    there is an error of the protocol."""
    name, arguments = given.get("name"), given.get("arguments") or {}
    tool = {
        "query_requests": _requests,
        "query_sessions": _sessions,
        "use_ai_gateway": _gateway,
    }.get(str(name))
    if tool is None:
        return _error(number, INVALID_PARAMS, f"there is no tool {name}")
    failed = False
    try:
        if not isinstance(arguments, dict):
            raise Refusal(400, "bad_arguments", "arguments is an object")
        text = json.dumps(tool(arguments, ask), indent=2, ensure_ascii=False)
    except Refusal as refusal:
        failed, text = True, refusal.message
    except RecursionError:  # what was recorded is whatever somebody sent
        failed, text = True, "the answer is nested too deeply: leave bodies out, or filter more"
    result = {"content": [{"type": "text", "text": text}], "isError": failed}
    return _line({"id": number, "result": result})


def _requests(given: Json, ask: Ask) -> Any:  # noqa: ANN401 - whatever JSON the API gives
    body = {"filter": given.get("filter") or "all", **_page(given)}
    if given.get("sort"):
        body["sort"] = given["sort"]
    rows = _data(ask("/v1/request/query-clickhouse", body, {}))
    if given.get("includeBodies"):
        return rows
    return [{key: row[key] for key in row if key not in BODY_FIELDS} for row in rows]


def _sessions(given: Json, ask: Ask) -> Any:  # noqa: ANN401
    for name in ("startTimeUnixMs", "endTimeUnixMs"):
        if not _is_number(given.get(name)):
            raise Refusal(400, "bad_arguments", f"{name}: expected milliseconds since 1970")
    body = {
        "search": given.get("search") or "",
        "timeFilter": {name: int(given[name]) for name in ("startTimeUnixMs", "endTimeUnixMs")},
        "timezoneDifference": given.get("timezoneDifference") or 0,
        "filter": given.get("filter") or "all",
        **_page(given),
    }
    if given.get("nameEquals"):
        body["nameEquals"] = given["nameEquals"]
    return _data(ask("/v1/session/query", body, {}))


def _gateway(given: Json, ask: Ask) -> Any:  # noqa: ANN401
    if not isinstance(given.get("model"), str) or not isinstance(given.get("messages"), list):
        raise Refusal(400, "bad_arguments", "model (a text) and messages (a list) are needed")
    own = ("sessionId", "sessionName", "userId", "customProperties")
    body = {key: value for key, value in given.items() if key not in own and value is not None}
    headers = {
        header: str(given[key])
        for key, header in (
            ("sessionId", "Helicone-Session-Id"),
            ("sessionName", "Helicone-Session-Name"),
            ("userId", "Helicone-User-Id"),
        )
        if given.get(key)
    }
    properties = given.get("customProperties") or {}
    if not isinstance(properties, dict):
        raise Refusal(400, "bad_arguments", "customProperties: expected an object")
    for name, value in properties.items():
        text = value if isinstance(value, str) else json.dumps(value)
        headers[f"Helicone-Property-{name}"] = text
    for name, value in headers.items():
        if not (name.isascii() and name.isprintable() and " " not in name and ":" not in name):
            raise Refusal(400, "bad_arguments", f"{name!r} is no name of a property")
        if not value.isprintable():
            raise Refusal(400, "bad_arguments", f"{name}: a value is one line")
    found = ask("/v1/chat/completions", body, headers)
    return _joined(found) if isinstance(found, str) else found


def _joined(stream: str) -> Json:
    """The text of a stream of chat chunks, since a tool answers once. Raises Refusal for an error
    that came in it."""
    text: list[str] = []
    last: Json = {}
    for line in stream.split("\n"):  # no other sign ends a line of a stream
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        chunk = _chunk(data)
        last = {key: chunk[key] for key in ("id", "model") if key in chunk} | last
        text += _words(chunk)
    return {**last, "content": "".join(text)}


def _words(chunk: Json) -> list[str]:
    choices = chunk.get("choices")
    listed = choices if isinstance(choices, list) else []
    deltas = [one.get("delta") for one in listed if isinstance(one, dict)]
    found = [delta.get("content") for delta in deltas if isinstance(delta, dict)]
    return [content for content in found if isinstance(content, str)]


def _chunk(data: str) -> Json:
    try:
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError):
        said = f"the stream is none of chat chunks: {data[:200]}"
        raise Refusal(502, "bad_stream", said) from None
    if chunk.get("error"):
        raise Refusal(
            502, "failed_in_stream", f"it failed on its way: {json.dumps(chunk['error'])}"
        )
    return chunk


def _page(given: Json) -> Json:
    found = {}
    for name, usual, least, most in (("offset", 0, 0, 1 << 31), ("limit", LIMIT, 1, LIMIT_MAX)):
        value = usual if given.get(name) is None else given[name]
        if not _is_number(value) or value != int(value):
            raise Refusal(400, "bad_arguments", f"{name}: expected a whole number")
        if not least <= value <= most:
            raise Refusal(400, "bad_arguments", f"{name}: expected {least} to {most}")
        found[name] = int(value)
    return found


def _is_number(value: object) -> bool:
    """JSON as Python reads it also has infinity (1e999), which is no number of anything."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _data(reply: Any) -> Any:  # noqa: ANN401
    return reply["data"] if isinstance(reply, dict) and "data" in reply else reply


def _error(number: object, code: int, message: str) -> str:
    return _line({"id": number, "error": {"code": code, "message": message}})


def _line(message: Json) -> str:
    return json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False)
