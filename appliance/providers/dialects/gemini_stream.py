"""Gemini's stream (`alt=sse`) as chat chunks, written as they come (`proxy.md 11.4`).

Gemini has no last event: a stream is over when its bytes are, and honest when each candidate said
why it ended. Only then `[DONE]` follows.
"""

from appliance.core.usage.gemini import tokens_of
from appliance.providers.dialects.common import Json, mapping, string
from appliance.providers.dialects.common_errors import ErrorParts, chat_error, parts_of
from appliance.providers.dialects.common_stream import DONE, ChunkWriter, JsonEvents, error_event
from appliance.providers.dialects.common_usage import chat_usage
from appliance.providers.dialects.gemini_reply import Said, candidates_of, index_of

CHOICES_MAX = 128
ERROR_STATUS_DEFAULT = 500


class StreamToChat:
    """`error` is the error that ended the stream, `error_status` its status; `is_done` that the
    provider said its last word, known at the end of its bytes."""

    __slots__ = (
        "_events",
        "_feedback",
        "_id",
        "_said",
        "_seed",
        "_usage",
        "_write",
        "error",
        "error_status",
        "is_done",
    )

    def __init__(self, *, model: str, created: int, id: str) -> None:
        self._events = JsonEvents()
        self._write = ChunkWriter(id=id, model=model, created=created)
        self._id = id
        self._seed = ""
        self._said: dict[int, Said] = {}
        self._feedback: Json = {}
        self._usage: Json = {}
        self.error: Json | None = None
        self.error_status = 0
        self.is_done = False

    def feed(self, data: bytes) -> bytes:
        return self._translate(self._events.feed(data))

    def finish(self) -> bytes:
        return self._translate(self._events.finish()) + self._end()

    def _translate(self, events: list[Json | None]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if event is None or self.is_done or self.error is not None:
                continue
            if event.get("error") and not candidates_of(event):
                out.append(self._fail(parts_of(event), _status_of(event)))
            else:
                self._take(event, out)
        if self._events.broken and not self.is_done and self.error is None:
            parts = ErrorParts(self._events.broken, "api_error", "malformed_stream")
            out.append(self._fail(parts, ERROR_STATUS_DEFAULT))
        return b"".join(out)

    def _take(self, event: Json, out: list[bytes]) -> None:
        usage = event.get("usageMetadata")
        if type(usage) is dict and usage:
            self._usage = usage  # each is the whole so far
        self._feedback.update(mapping(event.get("promptFeedback")))
        self._seed = self._seed or string(event.get("responseId")) or self._id
        for position, candidate in enumerate(candidates_of(event)):
            index = index_of(candidate, position)
            if not 0 <= index < CHOICES_MAX:
                continue
            self._open(index, out)
            said = self._said[index]
            deltas = said.take(candidate)
            likely = said.take_logprobs(candidate)
            if likely:
                logprobs = {"content": likely, "refusal": None}
                out.append(self._write.delta({}, None, index=index, logprobs=logprobs))
            out += [self._delta(delta, index) for delta in deltas]

    def _open(self, index: int, out: list[bytes]) -> None:
        """Begin a choice, and those before it: clients count them in order."""
        for new in range(len(self._said), index + 1):
            self._said[new] = Said(self._seed, new)
            out.append(self._delta({"role": "assistant", "content": ""}, new))

    def _delta(self, delta: Json, index: int) -> bytes:
        if index:
            return self._write.delta(delta, None, index=index)
        if "content" in delta and len(delta) == 1:
            return self._write.content(delta["content"])
        if "reasoning" in delta:
            return self._write.reasoning(delta["reasoning"])
        return self._write.delta(delta)

    def _end(self) -> bytes:
        if self.is_done or self.error is not None:
            return b""
        out: list[bytes] = []
        if not self._said and self._feedback.get("blockReason"):
            self._open(0, out)
            self._said[0].block(self._feedback)
        if not self._said or not all(said.is_over for said in self._said.values()):
            return b""  # cut: nothing that looks like an end is made up
        for index, said in self._said.items():
            reason, more = said.finish()
            out.append(self._write.delta(said.notes(), reason, **{**more, "index": index}))
        out.append(self._write.usage(chat_usage(tokens_of(self._usage))))
        self.is_done = True
        return b"".join(out) + DONE

    def _fail(self, parts: ErrorParts, status: int) -> bytes:
        self.error_status = status
        self.error = chat_error(status, parts)
        return error_event(self.error)


def _status_of(event: Json) -> int:
    code = mapping(event.get("error")).get("code")
    return code if type(code) is int and 400 <= code <= 599 else ERROR_STATUS_DEFAULT
