"""What Amazon sends for Bedrock: Converse and ConverseStream, Claude by InvokeModel, real
event-stream frames, errors named in a header, and what it refuses.

Each request's signature is worked out anew from what arrived.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import time
import zlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from tests.fakes import provider_claude as claude
from tests.fakes.provider import Received
from tests.fakes.provider_mind import SIGNATURE, Answer, Asked, Refused, answer, pieces
from tests.fakes.provider_openai import compact
from tests.providers.dialects.bedrock_types import ConverseRequest
from tests.providers.dialects.official import misfit

ACCESS_KEY = "AKIAFAKEFAKEFAKEFAKE"
SECRET_KEY = "fake/secret+key0123456789abcdefghijklmno"
REGION = "us-east-1"
CLOCK_SKEW_S = 900
FRAMES = b"application/vnd.amazon.eventstream"
USAGE = {
    "inputTokens": 44, "outputTokens": 19, "totalTokens": 88, "cacheReadInputTokens": 20,
    "cacheWriteInputTokens": 5,
}  # fmt: skip
CHAT_USAGE = {"prompt_tokens": 69, "completion_tokens": 19, "total_tokens": 88, "cached": 20}
WORDS = {
    400: ("ValidationException", "The provided request is not valid."),
    401: ("UnrecognizedClientException", "The security token in the request is invalid."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified ID."),
    404: ("ResourceNotFoundException", "The model was not found."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: ("InternalServerException", "The system encountered an unexpected error."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}


def error(status: int, message: str = "") -> bytes:
    return compact({"message": message or WORDS[status][1]})


def error_headers(status: int) -> bytes:
    return b"x-amzn-errortype: %b:http://internal.amazon.com/\r\n" % WORDS[status][0].encode()


def error_event() -> bytes:
    """A frame in the middle of a stream."""
    headers = {
        ":exception-type": "throttlingException", ":content-type": "application/json",
        ":message-type": "exception",
    }  # fmt: skip
    return frame(headers, compact({"message": WORDS[429][1]}))


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame: lengths and their CRC, headers, payload, CRC of all."""
    head = b"".join(
        struct.pack(">B", len(name)) + name.encode() + b"\x07"
        + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    lengths = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    whole = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(name: str, document: dict[str, Any]) -> bytes:
    """Amazon pads each event, against those who guess at lengths."""
    headers = {
        ":event-type": name, ":content-type": "application/json", ":message-type": "event",
    }  # fmt: skip
    return frame(headers, compact({**document, "p": "abcdefghijklm"}))


# -- Converse


def reply(body: dict[str, Any], model: str) -> bytes:
    found = answer(understood(body, model))
    return compact({
        "output": {"message": {"role": "assistant", "content": _blocks(found)}},
        "stopReason": "tool_use" if found.calls else "end_turn", "usage": USAGE,
        "metrics": {"latencyMs": 321},
    })  # fmt: skip


def events(body: dict[str, Any], model: str) -> list[bytes]:
    found = answer(understood(body, model))
    told: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(_blocks(found)):
        told += _streamed(index, block)
    told += [
        ("messageStop", {"stopReason": "tool_use" if found.calls else "end_turn"}),
        ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 321}}),
    ]
    return [event(*one) for one in told]


def _blocks(found: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if found.thought:
        thought = {"text": found.thought, "signature": SIGNATURE}
        blocks.append({"reasoningContent": {"reasoningText": thought}})
    if found.text:
        blocks.append({"text": found.text})
    for number, (name, arguments) in enumerate(found.calls):
        call = {"toolUseId": f"tooluse_fake_{number}", "name": name, "input": arguments}
        blocks.append({"toolUse": call})
    return blocks


def _streamed(index: int, block: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Texts and thoughts have no start of their own, calls have one."""
    told: list[tuple[str, dict[str, Any]]] = []
    deltas: list[dict[str, Any]]
    if "toolUse" in block:
        call = block["toolUse"]
        start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
        told.append(("contentBlockStart", {"start": start, "contentBlockIndex": index}))
        text = compact(call["input"]).decode()
        deltas = [{"toolUse": {"input": piece}} for piece in pieces(text)]
    elif "text" in block:
        deltas = [{"text": piece} for piece in pieces(block["text"])]
    else:
        thought = block["reasoningContent"]["reasoningText"]
        deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(thought["text"])]
        deltas.append({"reasoningContent": {"signature": thought["signature"]}})
    place = {"contentBlockIndex": index}
    told += [("contentBlockDelta", {"delta": delta, **place}) for delta in deltas]
    return [*told, ("contentBlockStop", place)]


def understood(body: dict[str, Any], model: str) -> Asked:
    """What a Converse body says. Raises Refused, as Amazon does."""
    problem = misfit(ConverseRequest, body, "body")
    if problem:
        raise Refused(400, f"Malformed input request: {problem}")
    asked = Asked(system=" ".join(block["text"] for block in body.get("system", ())))
    turns = body["messages"]
    roles = [turn["role"] for turn in turns]
    if roles != [("user", "assistant")[at % 2] for at in range(len(roles))]:
        raise Refused(400, "A conversation must alternate between user and assistant roles.")
    called: dict[str, str] = {}
    for turn in turns:
        blocks = turn["content"]
        results = [block["toolResult"] for block in blocks if "toolResult" in block]
        if {one["toolUseId"] for one in results} != set(called):
            raise Refused(400, "Expected toolResult blocks for the toolUse blocks before.")
        asked.results = [f"{called[one['toolUseId']]}={_result(one)}" for one in results]
        for block in blocks:
            _read_block(block, turn["role"], asked)
        uses = [block["toolUse"] for block in blocks if "toolUse" in block]
        called = {use["toolUseId"]: use["name"] for use in uses}
    spoken_of = any("toolUse" in block for turn in turns for block in turn["content"])
    _read_tools(body.get("toolConfig", {}), asked, must=spoken_of)
    more = body.get("additionalModelRequestFields", {}).get("reasoningConfig", {})
    asked.thinks = more.get("type") == "enabled"
    if more and "nova-2" not in model:
        raise Refused(400, "extraneous key [reasoningConfig] is not permitted")
    return asked


def _read_block(block: dict[str, Any], role: str, asked: Asked) -> None:
    if len(block) != 1:
        raise Refused(400, "A content block is exactly one of its kinds.")
    if "text" in block:
        if not block["text"].strip():
            raise Refused(400, "The text field in the ContentBlock object is blank.")
        asked.text = block["text"] if role == "user" else asked.text
    elif "image" in block:
        image = block["image"]
        asked.media.append(f"image/{image['format']} of {_size(image['source'])} bytes")
    elif "reasoningContent" in block:
        if block["reasoningContent"]["reasoningText"].get("signature") != SIGNATURE:
            raise Refused(400, "The signature of a reasoning block is not valid.")
        asked.remembers = True


def _size(source: dict[str, Any]) -> int:
    try:
        return len(base64.b64decode(source["bytes"], validate=True))
    except (binascii.Error, ValueError, KeyError):
        raise Refused(400, "The bytes of an image are not base64.") from None


def _result(result: dict[str, Any]) -> str:
    found = result["content"]
    return "".join(one.get("text") or compact(one.get("json", {})).decode() for one in found)


def _read_tools(config: dict[str, Any], asked: Asked, *, must: bool) -> None:
    asked.tools = [tool["toolSpec"]["name"] for tool in config.get("tools", ())]
    if must and not asked.tools:
        raise Refused(400, "The toolConfig field must be defined when using toolUse blocks.")
    choice = config.get("toolChoice", {"auto": {}})
    if "tool" in choice:
        asked.choice = choice["tool"]["name"]
        if asked.choice not in asked.tools:
            raise Refused(400, "The tool of toolChoice is not among the tools.")
    else:
        asked.choice = "required" if "any" in choice else "auto"


# -- Claude by InvokeModel


def claude_reply(body: dict[str, Any], model: str) -> bytes:
    return claude.reply(claude.in_envelope(body, "bedrock"), model)


def claude_events(body: dict[str, Any], model: str) -> list[bytes]:
    told = claude.documents(claude.in_envelope(body, "bedrock"), model)
    usage = claude.USAGE
    told[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": usage["input_tokens"], "outputTokenCount": usage["output_tokens"],
        "invocationLatency": 900, "firstByteLatency": 400,
        "cacheReadInputTokenCount": usage["cache_read_input_tokens"],
        "cacheWriteInputTokenCount": usage["cache_creation_input_tokens"],
    }  # fmt: skip
    wrapped = [base64.b64encode(compact(one)).decode() for one in told]
    return [event("chunk", {"bytes": one}) for one in wrapped]


# -- signatures


def check_signature(request: Received) -> None:
    """Raises Refused 403, as Amazon's gate does."""
    given = (request.first(b"authorization") or b"").decode()
    method, _, rest = given.partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    if method != "AWS4-HMAC-SHA256" or set(fields) != {"Credential", "SignedHeaders", "Signature"}:
        raise Refused(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
    access, day, region, service, last = fields["Credential"].split("/")
    stamp = (request.first(b"x-amz-date") or b"").decode()
    signed_s = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if (access, day, region, service, last) != (
        ACCESS_KEY, stamp[:8], REGION, "bedrock", "aws4_request",
    ) or abs(time.time() - signed_s) > CLOCK_SKEW_S:  # fmt: skip
        raise Refused(403, "The security token included in the request is invalid.")
    names = fields["SignedHeaders"].split(";")
    amazons = {name.decode().lower() for name, _ in request.headers if b"x-amz" in name.lower()}
    if "host" not in names or names != sorted(names) or not amazons <= set(names):
        raise Refused(403, "The Host and every x-amz header must be among the signed headers.")
    wanted = _signature(request, names, "/".join((day, region, service, last)), stamp)
    if not hmac.compare_digest(wanted, fields["Signature"]):
        raise Refused(403, "The request signature we calculated does not match the signature you "
                           "provided.", "InvalidSignatureException")  # fmt: skip


def _signature(request: Received, names: list[str], scope: str, stamp: str) -> str:
    path, _, query = request.target.decode().partition("?")
    pairs = sorted(tuple(part.partition("=")[::2]) for part in query.split("&") if part)
    again = [tuple(quote(unquote_to_bytes(side), safe="-_.~") for side in pair) for pair in pairs]
    lines = [request.method.decode(), quote(path, safe="/-_.~")]
    lines.append("&".join("=".join(pair) for pair in again))
    for name in names:
        found = b",".join(request.values(name.encode())).decode()
        lines.append(f"{name}:{' '.join(found.split())}")
    lines += ["", ";".join(names), hashlib.sha256(request.body).hexdigest()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = ("AWS4" + SECRET_KEY).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, digest))
    return hmac.digest(key, text.encode(), "sha256").hex()
