"""The terminal event is found however the stream is cut, and nowhere else."""

import pytest

from appliance.core.terminal import TerminalScanner

CHAT = (
    b'data: {"choices":[{"delta":{"content":"data: [DONE]"}}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n'
)
ANTHROPIC = (
    b'event: message_start\ndata: {"type":"message_start"}\n\n'
    b'event: content_block_delta\ndata: {"delta":{"text":"event: message_stop\\nmessage_stop"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
RESPONSES = (
    b'event: response.created\ndata: {"type":"response.created"}\n\n'
    b'event: response.output_text.delta\ndata: {"delta":"event: response.completed"}\n\n'
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"r"}}\n\n'
)
# Without `event:` lines, the keys in four orders.
UNNAMED = b"".join(
    line for line in RESPONSES.splitlines(keepends=True) if not line.startswith(b"event:")
)
NUMBERED = (
    b'data: {"sequence_number":0,"type":"response.created"}\n\n'
    b'data: {"sequence_number":1,"type":"response.completed","response":{"id":"r"}}\n\n'
)
SORTED = (
    b'data: {"response":{"metadata":{"type":"response.completed"}},"type":"response.created"}\n\n'
    b'data: {"response":{"id":"r"},"sequence_number":123456789,"type":"response.failed"}\n\n'
)
TYPE_BEFORE_NUMBER = (
    b'data: {"response":{"id":"r"}, "type": "response.created", "sequence_number": 0}\r\n\r\n'
    b'data: {"response":{"id":"r"}, "type": "response.incomplete", "sequence_number": 1}\r\n\r\n'
)
GEMINI = b'data: {"candidates":[{"finishReason":"STOP"}]}\r\n\r\n'


def first_true(dialect: str, chunks: list[bytes]) -> int | None:
    """How many bytes had been fed when the scanner said yes."""
    scanner, fed, answer = TerminalScanner(dialect), 0, None
    for chunk in chunks:
        fed += len(chunk)
        if scanner.feed(chunk):
            assert answer is None, "true twice"
            answer = fed
    return answer


STREAMS = [
    ("openai", CHAT, CHAT.index(b"data: [DONE]\n\n") + len(b"data: [DONE]")),
    ("openai", CHAT.replace(b"data: [DONE]\n", b"data:[DONE]\n"), len(CHAT) - 3),
    ("openai", CHAT.replace(b"\n", b"\r\n"), len(CHAT.replace(b"\n", b"\r\n")) - 4),
    ("openai", CHAT.replace(b"\n", b"\r"), len(CHAT) - 2),
    ("groq", CHAT, len(CHAT) - 2),
    ("anthropic", ANTHROPIC, ANTHROPIC.rindex(b"event: message_stop") + 20),
    ("vertex", ANTHROPIC, ANTHROPIC.rindex(b"event: message_stop") + 20),
    ("openai", RESPONSES, len(RESPONSES) - 1),
    ("responses", RESPONSES, len(RESPONSES) - 1),
    ("openai", RESPONSES.replace(b"completed", b"failed"), len(RESPONSES) - 10),
    ("openai", RESPONSES.replace(b"completed", b"incomplete"), len(RESPONSES) + 2),
    ("gemini", GEMINI, None),
    ("anthropic", CHAT, len(CHAT) - 2),
    ("gemini", CHAT, len(CHAT) - 2),
    ("openai", ANTHROPIC, ANTHROPIC.rindex(b"event: message_stop") + 20),
    ("gemini", RESPONSES, len(RESPONSES) - 1),
    ("openai", UNNAMED, len(UNNAMED) - 1),
    ("openai", UNNAMED.replace(b"completed", b"failed"), len(UNNAMED) - 7),
    ("openai", NUMBERED, len(NUMBERED) - 1),
    ("openai", SORTED, len(SORTED) - 1),
    ("openai", b'data: {"metadata":{"type":"response.x"}}\n\n' + CHAT, len(CHAT) + 40),
    ("groq", TYPE_BEFORE_NUMBER, len(TYPE_BEFORE_NUMBER) - 3),
]


@pytest.mark.parametrize(("dialect", "stream", "expected"), STREAMS)
def test_the_terminal_event_is_found_byte_by_byte(dialect, stream, expected):
    found = first_true(dialect, [stream[i : i + 1] for i in range(len(stream))])
    if expected is None:
        assert found is None
    else:
        # `event: message_stop` is complete when its line has ended.
        assert found == expected


@pytest.mark.parametrize(("dialect", "stream", "expected"), STREAMS)
def test_every_cut_in_two_finds_it(dialect, stream, expected):
    for cut in range(1, len(stream)):
        found = first_true(dialect, [stream[:cut], stream[cut:]])
        wanted = None if expected is None else (cut if cut >= expected else len(stream))
        assert found == wanted, cut


@pytest.mark.parametrize(
    ("dialect", "stream"),
    [
        ("openai", b'data: {"content":"\\ndata: [DONE]"}\n\n'),
        ("openai", b'data: {"content":"[DONE]"}\n\n: data: [DONE]\n\n'),
        ("anthropic", b'data: {"text":"x\\nevent: message_stop"}\n\n'),
        ("anthropic", b"event: message_stopped\n\n"),
        ("openai", b"event: response.completed_later\ndata: {}\n\n"),
        ("openai", b"event: response.in_progress\ndata: {}\n\n"),
        ("openai", b'data: {"type":"response.x","delta":"\\"type\\":\\"response.failed\\"}"}\n\n'),
        ("openai", b'data: {"type":"response.x","response":{"m":{"type":"response.failed"}}}\n\n'),
    ],
)
def test_text_that_only_looks_like_it_does_not_count(dialect, stream):
    assert first_true(dialect, [stream]) is None
    assert first_true(dialect, [stream[i : i + 1] for i in range(len(stream))]) is None


def test_the_data_line_of_the_event_before_is_not_taken_for_the_last_one():
    chunks = [
        b'event: response.output_text.done\ndata: {"type":"x"}\n\nevent: response.completed',
        b'\ndata: {"type":"response.completed",',
        b'"usage":{}}',
        b"\n\n",
    ]
    assert first_true("openai", chunks) == sum(map(len, chunks))
