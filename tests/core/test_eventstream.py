"""AWS event-stream frames: any cut, damage, and Bedrock's wrappings."""

import base64
import json
import struct
import zlib

from appliance.core.eventstream import (
    EventStreamSplitter,
    Message,
    document_of,
    eventstream_documents,
)


def frame(payload: bytes, **headers: str) -> bytes:
    """One frame as AWS writes it."""
    head = b""
    for name, value in headers.items():
        key = (":" + name.replace("_", "-")).encode()
        head += bytes([len(key)]) + key + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


def chunk(event: dict) -> bytes:
    inner = base64.b64encode(json.dumps(event).encode()).decode()
    payload = json.dumps({"bytes": inner, "p": "abcdef"}).encode()
    return frame(payload, event_type="chunk", content_type="application/json", message_type="event")


STREAM = chunk({"type": "message_start"}) + chunk({"type": "message_stop"})


def test_any_cut_gives_the_same_messages():
    whole = EventStreamSplitter().feed(STREAM)
    assert [document_of(message) for message in whole] == [
        {"type": "message_start"},
        {"type": "message_stop"},
    ]
    for cut in range(len(STREAM)):
        splitter = EventStreamSplitter()
        assert splitter.feed(STREAM[:cut]) + splitter.feed(STREAM[cut:]) == whole
        assert splitter.finish() == ""


def test_damage_stops_with_a_word():
    broken = bytearray(STREAM)
    broken[40] ^= 1
    assert eventstream_documents(bytes(broken)) == ([], "crc")
    documents, problem = eventstream_documents(STREAM[:-5])
    assert (len(documents), problem) == (1, "cut")
    assert eventstream_documents(b"\xff" * 64) == ([], "length")
    assert eventstream_documents(b"\0" * 64) == ([], "length")
    splitter = EventStreamSplitter()
    splitter.feed(b"\xff" * 64)
    assert splitter.feed(STREAM) == []


def test_headers_of_every_type_are_stepped_over():
    head = b"\x01b\x00" + b"\x01i\x04" + b"\0" * 4 + b"\x01t\x08" + b"\0" * 8 + b"\x01s\x07\0\x02ok"
    prelude = struct.pack(">II", 16 + len(head), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head
    data = body + struct.pack(">I", zlib.crc32(body))
    assert EventStreamSplitter().feed(data) == [Message({"s": "ok"}, b"")]


def test_exceptions_become_error_objects_and_converse_events_pass():
    data = frame(
        b'{"message":"too many"}', message_type="exception", exception_type="throttlingException"
    ) + frame(b'{"usage":{"inputTokens":1}}', message_type="event", event_type="metadata")
    documents, problem = eventstream_documents(data)
    assert problem == ""
    assert documents[0]["type"] == "error"
    assert documents[0]["error"]["type"] == "throttlingException"
    assert documents[1] == {"usage": {"inputTokens": 1}}


def test_payloads_that_are_not_json_are_skipped():
    documents, problem = eventstream_documents(
        frame(b"\xff\xfe", event_type="chunk") + frame(b'{"bytes":"!"}', event_type="chunk")
    )
    assert (documents, problem) == ([None, None], "")
