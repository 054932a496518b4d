"""AWS event-stream frames, the framing of Bedrock's streams, split over bytes as they arrive.

A frame: total length, header length, CRC of both; headers; payload; CRC of all before it. After the
first damaged frame nothing more can be trusted, so the splitter stops and says why.
"""

import base64
import binascii
import struct
import zlib
from typing import NamedTuple

from appliance.core.json_reader import read_json

FRAME_BYTES_MAX = 24 * 1024 * 1024
PRELUDE_BYTES = 12
CRC_BYTES = 4
STRING_TYPES = (6, 7)  # bytes and text: two bytes of length, then the value
VALUE_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Message(NamedTuple):
    """One frame: its text headers and its payload."""

    headers: dict[str, str]
    payload: bytes


class EventStreamSplitter:
    """Bytes in, whole messages out. `problem` is "" or the reason why it stopped."""

    __slots__ = ("_buffer", "problem")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.problem = ""

    def feed(self, chunk: bytes) -> list[Message]:
        messages: list[Message] = []
        if self.problem:
            return messages
        buffer = self._buffer
        buffer += chunk
        start = 0
        while len(buffer) - start >= PRELUDE_BYTES:
            total = int.from_bytes(buffer[start : start + 4], "big")
            if not PRELUDE_BYTES + CRC_BYTES <= total <= FRAME_BYTES_MAX:
                self.problem = "length"
                break
            if len(buffer) - start < total:
                break
            message = self._message(bytes(buffer[start : start + total]))
            if message is None:
                break
            messages.append(message)
            start += total
        del buffer[:start]
        return messages

    def finish(self) -> str:
        """ "", or what is wrong at the end of the stream: `cut` when a frame is unfinished."""
        if not self.problem and self._buffer:
            self.problem = "cut"
        return self.problem

    def _message(self, frame: bytes) -> Message | None:
        _, header_bytes, prelude_crc = struct.unpack_from(">III", frame)
        body_end = len(frame) - CRC_BYTES
        (frame_crc,) = struct.unpack_from(">I", frame, body_end)
        if zlib.crc32(frame[:8]) != prelude_crc or zlib.crc32(frame[:body_end]) != frame_crc:
            self.problem = "crc"
            return None
        headers_end = PRELUDE_BYTES + header_bytes
        headers = _headers(frame[PRELUDE_BYTES:headers_end]) if headers_end <= body_end else None
        if headers is None:
            self.problem = "headers"
            return None
        return Message(headers, frame[headers_end:body_end])


def _headers(data: bytes) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name = data[at + 1 : name_end].decode("utf-8", "replace")
            kind = data[name_end]
            at = name_end + 1
            if kind in STRING_TYPES:
                (length,) = struct.unpack_from(">H", data, at)
                headers[name] = data[at + 2 : at + 2 + length].decode("utf-8", "replace")
                at += 2 + length
            else:
                at += VALUE_BYTES[kind]
    except (IndexError, KeyError, struct.error):
        return None
    return headers if at == len(data) else None


def document_of(message: Message) -> object:
    """The JSON that a Bedrock message carries: `chunk` events wrap a model's own event in base64,
    Converse events are JSON of their own, an exception becomes an error object."""
    value, problem = read_json(message.payload)
    kind = message.headers.get(":event-type", "")
    if message.headers.get(":message-type", "event") != "event":
        name = message.headers.get(":exception-type") or message.headers.get(":error-code", "")
        return {"type": "error", "error": {"type": name, "message": value}}
    if problem or not isinstance(value, dict):
        return None
    wrapped = value.get("bytes")
    if kind == "chunk" and isinstance(wrapped, str):
        try:
            value, problem = read_json(base64.b64decode(wrapped, validate=True))
        except (binascii.Error, ValueError):
            return None
        return None if problem else value
    return value


def eventstream_documents(body: bytes) -> tuple[list[object], str]:
    """Every document of a complete body, and "" or what was wrong with it."""
    splitter = EventStreamSplitter()
    documents = [document_of(message) for message in splitter.feed(body)]
    return documents, splitter.finish()
