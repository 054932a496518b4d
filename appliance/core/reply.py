"""A reply's bytes as documents: the JSON of a body, or the JSON of each event of a stream.

Streams are checked in one call of the parser, their payloads joined to a list; each is parsed when
it is looked at. Only what that refuses is taken apart event by event.
"""

from collections.abc import Sequence
from typing import NamedTuple

from appliance.core.eventstream import eventstream_documents
from appliance.core.json_reader import read_json, read_lazily, salvage_object, salvage_string
from appliance.core.sse import BYTE_ORDER_MARK, ndjson_lines, sse_events

SSE_BEGINNINGS = (b"data:", b"event:", b":", b"id:", b"retry:")
NDJSON_TYPES = ("ndjson", "jsonl", "json-seq", "stream+json", "jsonlines")
DONE = b"[DONE]"
# Every dialect counts under a name with one of these in it (tokens, prompt_token_count, Token…).
USAGE_WORDS = (b"oken", b"_count", b"_units")
# What a good reply has: with one of these, `error` is a field and not the reply.
RESULT_KEYS = (
    "choices",
    "content",
    "candidates",
    "data",
    "output",
    "outputs",
    "message",
    "results",
)


class Reply(NamedTuple):
    documents: Sequence[object]
    is_events: bool = False
    malformed: bool = False
    names_usage: bool = True  # false when no count can be in it


def read_reply(body: bytes, content_type: str, *, whole: bool) -> Reply:
    """`whole` is false when the middle of the body was not kept or its end never came."""
    if not body:
        return Reply([])
    kind = content_type.lower()
    # Fractions keep their digits where a cost is declared.
    exact = b'cost"' in body
    if "amazon.eventstream" in kind:
        documents, problem = eventstream_documents(body)
        return Reply([d for d in documents if d is not None], True, bool(problem))
    if "event-stream" in kind or ("json" not in kind and _looks_like_sse(body)):
        names_usage = any(word in body for word in USAGE_WORDS)
        return _sse(body, exact=exact)._replace(names_usage=names_usage)
    if any(name in kind for name in NDJSON_TYPES):
        return _ndjson(body, exact=exact)
    return _json(body, kind, exact=exact, whole=whole)


def is_error_reply(reply: Reply, body: bytes) -> bool:
    """An error object where a result was due, in a body or in any event of a stream."""
    if b'"error"' not in body and reply.documents:
        return is_error_document(reply.documents[-1])
    return any(is_error_document(document) for document in reply.documents)


def is_error_document(document: object) -> bool:
    if type(document) is not dict:
        return False
    kind = document.get("type")
    if kind in ("error", "response.failed"):
        return True
    error = document.get("error")
    if type(error) is dict:
        if document.get("object") == "response":
            return True
        # A stream that breaks says so beside its empty choices.
        if "message" in error or "code" in error or "type" in error:
            return not any(document.get(key) for key in RESULT_KEYS[1:])
    return bool(error) and type(error) in (dict, str) and not any(map(document.get, RESULT_KEYS))


def _looks_like_sse(body: bytes) -> bool:
    return body.removeprefix(BYTE_ORDER_MARK).lstrip(b"\r\n").startswith(SSE_BEGINNINGS)


def _sse(body: bytes, *, exact: bool) -> Reply:
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    documents = None
    if body.startswith(b"data:") and b"\nevent:" not in body[:1024]:
        # Nothing but data lines and empty ones, as most streams are.
        documents = read_lazily(_without_done(body[5:].split(b"\ndata:")), exact=exact)
    if documents is None:
        lines = body.split(b"\n")
        payloads = [line[5:] for line in lines if line.startswith(b"data:")]
        documents = read_lazily(_without_done(payloads), exact=exact)
    if documents is not None:
        return Reply(documents, True)
    return _sse_slowly(body, exact=exact)


def _without_done(payloads: list[bytes]) -> list[bytes]:
    while payloads and payloads[-1].strip() == DONE:
        payloads.pop()
    return payloads


def _sse_slowly(body: bytes, *, exact: bool) -> Reply:
    """Event by event: some hold no JSON, span lines, or were cut."""
    documents: list[object] = []
    malformed = False
    for event in sse_events(body):
        data = event.data.strip()
        if not data or data == DONE:
            continue
        value, problem = read_json(data, exact=exact)
        if not problem:
            documents.append(value)
        elif problem == "syntax":
            # Text is some services' way; broken JSON is nobody's.
            malformed = malformed or data.startswith((b"{", b"["))
    return Reply(documents, True, malformed)


def _ndjson(body: bytes, *, exact: bool) -> Reply:
    lines = [line.removeprefix(b"data:") for line in ndjson_lines(body)]
    documents = read_lazily(lines, exact=exact)
    if documents is not None:
        return Reply(documents, True)
    return _ndjson_slowly(lines, exact=exact)


def _ndjson_slowly(lines: list[bytes], *, exact: bool) -> Reply:
    documents: list[object] = []
    malformed = False
    for line in lines:
        value, problem = read_json(line, exact=exact)
        if problem:
            malformed = malformed or problem == "syntax"
        else:
            documents.append(value)
    return Reply(documents, True, malformed)


def _json(body: bytes, kind: str, *, exact: bool, whole: bool) -> Reply:
    value, problem = read_json(body, exact=exact)
    if not problem:
        if type(value) is list:
            return Reply(value, True)  # Gemini streams a list where no SSE was asked for
        return Reply([value])
    if body[:1] == b"{" and b"}\n{" in body:
        lines = _ndjson(body, exact=exact)
        if lines.documents:
            return lines
    if body[:1] in b"{[":
        document = _salvage(body)
        return Reply([document] if document else [], False, problem == "syntax" and whole)
    return Reply([], False, problem == "syntax" and whole and "json" in kind and not body.isspace())


def _salvage(body: bytes) -> dict[str, object]:
    """What can be read from a body that is not whole: its usage and who answered."""
    document: dict[str, object] = {}
    for key in ("usage", "usageMetadata"):
        found = salvage_object(body, key.encode())
        if found:
            document[key] = found
    for key in ("model", "modelVersion"):
        name = salvage_string(body, key.encode())
        if name:
            document[key] = name
    return document
