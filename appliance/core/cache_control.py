"""Which half of the cache a request asks for, and which replies are fit to be kept (`proxy.md 4`).

Pure. What is kept is given to others as an answer, so whatever is not surely one is not kept.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from appliance.core.ask_types import Asks
from appliance.core.decoding import decode_body
from appliance.core.reply import Reply, is_error_document, is_error_reply, read_reply
from appliance.core.terminal import TerminalScanner

STATUS_KEPT: Final = 200
# The events at a stream's end that may say so: usage comes behind the last choice.
LAST_EVENTS: Final = 4
# These hold no JSON and no events, whatever their bytes look like.
OPAQUE: Final = ("audio/", "image/", "video/", "application/octet-stream", "multipart/")
END_TYPES: Final = ("message_stop", "response.completed", "response.incomplete")
NO_VALUES: Final = frozenset((b"null", b"false", b"0", b'""', b"[]", b"{}"))

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode


def reads(asks: Asks) -> bool:
    """Whether a cached answer may be given. No number of buckets: always a miss (4.4)."""
    return asks.cache_read and asks.cache_buckets > 0


def saves(asks: Asks) -> bool:
    """Whether the answer is to be kept. An age of 0 is over before it begins (4.3)."""
    return asks.cache_save and asks.cache_buckets > 0 and asks.cache_age_s > 0


def coalesces(asks: Asks) -> bool:
    """Whether its miss may wait for another that is under way. With several buckets each miss fills
    one of its own (4.2)."""
    return asks.cache_buckets == 1 and reads(asks) and saves(asks)


def pick(buckets: int, random: Callable[[], float]) -> int:
    """One bucket of so many, each as likely (4.2). `random` gives what is below 1."""
    return min(int(random() * buckets), buckets - 1) if buckets > 1 else 0


def why_unfit(
    status: int, outcome: str, content_type: str, coding: str, dialect: str, body: bytes
) -> str:
    """Why a reply may not be kept, in a word, or "" for a whole, good one (4.5)."""
    if status != STATUS_KEPT:
        return "status"
    if outcome != "complete":
        return "incomplete"
    kind = content_type.lower()
    if not body:
        return "incomplete" if "event" in kind else ""
    if kind.startswith(OPAQUE):
        return ""
    if coding:
        decoded = decode_body(body, coding)
        if decoded.problem:
            return "coding"
        body = decoded.data
    if body[:1] == b"{" and "event" not in kind:
        try:
            return _unfit_object(_decode_object(body))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # lines of JSON, or none
    reply = read_reply(body, content_type, whole=True)
    if reply.malformed:
        return "malformed"
    if is_error_reply(reply, body):
        return "error"
    if reply.is_events and not _has_ended(reply, dialect, body):
        return "incomplete"
    return ""


def _unfit_object(top: Mapping[str, msgspec.Raw]) -> str:
    """JSON was read in full, and is built only where an error would show: at its top."""
    if "error" not in top and "type" not in top:
        return ""
    return "error" if is_error_document(_top_values(top)) else ""


def _top_values(top: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """The object as far as it matters: what says "error", and of the rest whether it is there."""
    return {
        name: _decode(raw) if name in ("error", "type", "object") else bytes(raw) not in NO_VALUES
        for name, raw in top.items()
    }


def _has_ended(reply: Reply, dialect: str, body: bytes) -> bool:
    """A stream whose connection ended well may have been left unfinished by the model's server. Its
    terminal event tells, or its last choices; of a shape that we do not know nothing is asked."""
    if TerminalScanner(dialect).feed(body):
        return True
    documents = reply.documents
    count = len(documents)
    last = [documents[at] for at in range(max(0, count - LAST_EVENTS), count)]
    known = [document for document in last if isinstance(document, dict) and _is_known(document)]
    if not known:
        return count > 0
    return any(_says_end(document) for document in known)


def _is_known(document: dict[str, Any]) -> bool:
    kind = document.get("type")
    if isinstance(kind, str) and kind.startswith(("response.", "message_", "content_block_")):
        return True
    return bool(document.get("choices") or document.get("candidates") or "done" in document)


def _says_end(document: dict[str, Any]) -> bool:
    if document.get("type") in END_TYPES or document.get("done") is True:
        return True
    ends = ("finish_reason", "finishReason", "stop_reason")
    for name in ("choices", "candidates"):
        parts = document.get(name)
        if isinstance(parts, list) and any(
            part.get(end) for part in parts if isinstance(part, dict) for end in ends
        ):
            return True
    return False
