"""Gemini's replies and errors as Chat Completions (`proxy.md 11.4`).

What a candidate says is gathered part by part, the same for replies and for streams. Counts are
the whole prompt, with what a cache gave.
"""

from appliance.core.json_reader import read_json
from appliance.core.usage.counts import count
from appliance.core.usage.gemini import tokens_of
from appliance.providers.dialects.common import Json, digest, mapping, string, to_json
from appliance.providers.dialects.common_errors import chat_error, error_in_200, error_parts
from appliance.providers.dialects.common_usage import chat_usage

FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "FUNCTION_CALL": "tool_calls",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
}  # fmt: skip
# Reasons that their chat word says all of; the choice names any other in a field beside it.
PLAIN_REASONS = ("STOP", "MAX_TOKENS", "FUNCTION_CALL")
CODE_CHARACTERS = 24
DETAIL_FIELDS = ("fieldViolations", "field_violations")
INVALID_KEY = "API_KEY_INVALID"


def reply_to_chat(reply: Json, *, model: str, created: int, id: str) -> Json:
    candidates = candidates_of(reply)
    if reply.get("error") and not candidates:
        raise error_in_200(reply)
    seed = string(reply.get("responseId")) or id
    choices = []
    for position, candidate in enumerate(candidates):
        said = Said(seed, index_of(candidate, position))
        said.take(candidate)
        said.take_logprobs(candidate)
        choices.append(said.choice())
    if not choices:
        said = Said(seed, 0)
        said.block(mapping(reply.get("promptFeedback")))
        choices.append(said.choice())
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": choices,
        "usage": chat_usage(tokens_of(mapping(reply.get("usageMetadata")))),
    }


class Said:
    """What one candidate has said so far. `take` gives the deltas that each piece is."""

    __slots__ = (
        "_calls",
        "_filtered",
        "_grounding",
        "_images",
        "_index",
        "_logprobs",
        "_reason",
        "_refusal",
        "_seed",
        "_texts",
        "_thoughts",
    )

    def __init__(self, seed: str, index: int) -> None:
        self._seed = seed
        self._index = index
        self._texts: list[str] = []
        # Pieces of a thought, and its signature: the next thought begins after one.
        self._thoughts: list[tuple[list[str], str]] = []
        self._calls: list[Json] = []
        self._images: list[Json] = []
        self._logprobs: list[Json] = []
        self._grounding: Json = {}
        self._reason = ""
        self._refusal: str | None = None
        self._filtered = False

    @property
    def is_over(self) -> bool:
        return bool(self._reason)

    def take(self, candidate: Json) -> list[Json]:
        """The deltas of a candidate, or of the piece of it that a stream brought."""
        deltas = []
        parts = mapping(candidate.get("content")).get("parts")
        for part in parts if type(parts) is list else ():
            delta = self._take_part(mapping(part))
            if delta is not None:
                deltas.append(delta)
        reason = string(candidate.get("finishReason"))
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._reason = reason
            self._refusal = string(candidate.get("finishMessage")) or self._refusal
        self._grounding.update(mapping(candidate.get("groundingMetadata")))
        return deltas

    def take_logprobs(self, candidate: Json) -> list[Json]:
        """How likely each token was, where that was asked for."""
        found = _logprobs(mapping(candidate.get("logprobsResult")))
        self._logprobs += found
        return found

    def block(self, feedback: Json) -> None:
        """There is no candidate: the prompt itself was refused, or nothing was said."""
        self._reason = string(feedback.get("blockReason")) or "STOP"
        self._filtered = self._reason != "STOP"
        self._refusal = string(feedback.get("blockReasonMessage")) or None

    def finish(self) -> tuple[str, Json]:
        """The finish reason, and further fields of the choice where that word says less. Calls are
        calls, whatever the provider's word for its end is."""
        reason = FINISH_REASONS.get(self._reason, "stop")
        if self._filtered:
            reason = "content_filter"
        elif self._calls and reason == "stop":
            reason = "tool_calls"
        plain = not self._reason or self._reason in PLAIN_REASONS
        return reason, {} if plain else {"native_finish_reason": self._reason}

    def notes(self) -> Json:
        """What is known of the message at its end: signed thoughts, sources, why it was refused."""
        notes: Json = {}
        if self._thoughts:
            notes["reasoning_details"] = [
                {"thinking": "".join(pieces), "signature": signature}
                for pieces, signature in self._thoughts
            ]
        annotations = _annotations(self._grounding, "".join(self._texts))
        if annotations:
            notes["annotations"] = annotations
        if self._refusal and self.finish()[0] == "content_filter":
            notes["refusal"] = self._refusal
        return notes

    def choice(self) -> Json:
        """All of it as a choice of a reply."""
        message: Json = {
            "role": "assistant", "content": "".join(self._texts) or None, "refusal": None,
        }  # fmt: skip
        thoughts = "".join("".join(pieces) for pieces, _ in self._thoughts)
        if thoughts:
            message["reasoning"] = thoughts
        message.update(self.notes())
        if self._images:
            message["images"] = self._images
        if self._calls:
            message["tool_calls"] = self._calls
        reason, more = self.finish()
        logprobs = {"content": self._logprobs, "refusal": None} if self._logprobs else None
        return {
            "index": self._index, "message": message, "logprobs": logprobs,
            "finish_reason": reason, **more,
        }  # fmt: skip

    def _take_part(self, part: Json) -> Json | None:
        signature = string(part.get("thoughtSignature"))
        text = string(part.get("text"))
        if part.get("thought") is True:
            return self._take_thought(text, signature)
        call = part.get("functionCall")
        inline = mapping(part.get("inlineData") or part.get("inline_data"))
        if signature:
            self._sign(signature)
        if type(call) is dict:
            return self._take_call(call, signature)
        if inline.get("data"):
            return self._take_image(inline, signature)
        if text:
            self._texts.append(text)
            return {"content": text}
        return None

    def _take_thought(self, text: str, signature: str) -> Json | None:
        if text:
            if not self._thoughts or self._thoughts[-1][1]:
                self._thoughts.append(([], ""))
            self._thoughts[-1][0].append(text)
        if signature:
            self._sign(signature)
        return {"reasoning": text} if text else None

    def _sign(self, signature: str) -> None:
        """A signature closes the thought before it, whichever part it came on."""
        if self._thoughts and not self._thoughts[-1][1]:
            self._thoughts[-1] = (self._thoughts[-1][0], signature)
        else:
            self._thoughts.append(([], signature))

    def _take_call(self, call: Json, signature: str) -> Json:
        number = len(self._calls)
        # Google gives ids on some models only; one of ours is the same whenever it is read.
        id = (
            string(call.get("id"))
            or "call_" + (digest(f"{self._seed}:{self._index}:{number}")[:CODE_CHARACTERS])
        )
        arguments = to_json(mapping(call.get("args")))
        function = {"name": string(call.get("name")), "arguments": arguments}
        found: Json = {"id": id, "type": "function", "function": function, **_extra(signature)}
        self._calls.append(found)
        return {"tool_calls": [{"index": number, **found}]}

    def _take_image(self, inline: Json, signature: str) -> Json:
        kind = string(inline.get("mimeType") or inline.get("mime_type")) or "image/png"
        url = f"data:{kind};base64,{string(inline.get('data'))}"
        image = {"type": "image_url", "image_url": {"url": url}, **_extra(signature)}
        self._images.append(image)
        return {"images": [{"index": len(self._images) - 1, **image}]}


def candidates_of(reply: Json) -> list[Json]:
    candidates = reply.get("candidates")
    if type(candidates) is not list:
        return []
    return [candidate for candidate in candidates if type(candidate) is dict]


def index_of(candidate: Json, position: int) -> int:
    """Which choice a candidate is: by its place among the others where it does not say."""
    index = candidate.get("index")
    return index if type(index) is int else position


def error_to_chat(status: int, body: bytes) -> tuple[int, Json]:
    """Google's word for the error is its code, unless chat clients look for another."""
    parts = error_parts(body)
    google = _google_error(body)
    details = google.get("details")
    param, code = parts.param, None
    for detail in details if type(details) is list else ():
        raw = mapping(detail)
        if raw.get("reason") == INVALID_KEY:
            code = "invalid_api_key"
        violations = next((raw[name] for name in DETAIL_FIELDS if name in raw), None)
        if type(violations) is list and violations:
            param = string(mapping(violations[0]).get("field")) or param
    error = chat_error(status, parts._replace(code=code, param=param))
    if error["error"]["code"] is None:
        error["error"]["code"] = string(google.get("status")) or None
    return status, error


def _google_error(body: bytes) -> Json:
    """`{"error": {...}}`, which Vertex wraps in a list."""
    value, _ = read_json(body)
    if type(value) is list and value:
        value = value[0]
    return mapping(mapping(value).get("error"))


def _extra(signature: str) -> Json:
    """Where Google's own chat endpoint puts the signature of a call."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def _annotations(grounding: Json, text: str) -> list[Json]:
    """What the text is grounded in, as chat annotations. Google counts bytes, chat characters."""
    chunks, supports = grounding.get("groundingChunks"), grounding.get("groundingSupports")
    if type(chunks) is not list or type(supports) is not list:
        return []
    data = text.encode("utf-8", "replace")
    found = []
    for support in supports:
        segment = mapping(mapping(support).get("segment"))
        start, end = (
            len(data[: count(segment.get(name))].decode("utf-8", "ignore"))
            for name in ("startIndex", "endIndex")
        )
        numbers = mapping(support).get("groundingChunkIndices")
        for number in numbers if type(numbers) is list else ():
            if type(number) is not int or not 0 <= number < len(chunks):
                continue
            source = mapping(mapping(chunks[number]).get("web"))
            cited = {
                "url": string(source.get("uri")), "title": string(source.get("title")),
                "content": string(segment.get("text")), "start_index": start, "end_index": end,
            }  # fmt: skip
            found.append({"type": "url_citation", "url_citation": cited})
    return found


def _logprobs(result: Json) -> list[Json]:
    chosen, tops = result.get("chosenCandidates"), result.get("topCandidates")
    found = []
    for number, one in enumerate(chosen if type(chosen) is list else ()):
        others: object = None
        if type(tops) is list and number < len(tops):
            others = mapping(tops[number]).get("candidates")
        token = _token(mapping(one))
        token["top_logprobs"] = [
            _token(mapping(other)) for other in (others if type(others) is list else ())
        ]
        found.append(token)
    return found


def _token(raw: Json) -> Json:
    text = string(raw.get("token"))
    likely = raw.get("logProbability")
    return {
        "token": text,
        "logprob": likely if type(likely) in (int, float) else 0.0,
        "bytes": list(text.encode("utf-8", "replace")),
    }
