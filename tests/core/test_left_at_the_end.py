"""SDKs hang up at a stream's terminal event, also where the stream is coded."""

import zlib

import pytest

from appliance.core.facts import read_facts

EVENT = b'data: {"model":"gpt-4o","choices":[{"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def flushed(data: bytes) -> bytes:
    """As a server sends it: every event at once, the end of the coding not yet."""
    coder = zlib.compressobj(wbits=31)
    return coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("dialect", "events", "outcome", "status"),
    [
        ("openai", EVENT + DONE, "complete", 200),
        ("anthropic", STOP, "complete", 200),
        ("openai", EVENT, "client_gone", -3),
        ("openai", EVENT + DONE[:-6], "client_gone", -3),
        ("openai", b"", "client_gone", -3),
    ],
)
@pytest.mark.parametrize("seen", ["client_gone", "cut"])
def test_a_coded_stream(dialect: str, events: bytes, outcome: str, status: int, seen: str) -> None:
    meta = {
        "outcome": seen, "http_status": 200, "dialect": dialect, "response_coding": "gzip",
        "response_type": "text/event-stream", "path": "/v1/chat/completions",
    }  # fmt: skip
    facts = read_facts(meta, b"", flushed(events))
    wanted = (outcome, status) if seen == "client_gone" else ("cut", -100)
    assert (facts.outcome, facts.status) == wanted
