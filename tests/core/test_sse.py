"""Any way of cutting a stream gives the same events; what is too large is dropped, not held."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.sse import Event, LineSplitter, SseSplitter, ndjson_lines, sse_events

STREAM = (
    b"\xef\xbb\xbfdata: first\n\n"
    b": a comment\n\n"
    b"event: named\ndata: line one\ndata:line two\r\ndata\r\n\r\n"
    b"id: 7\rretry: 10\rdata: carriage returns\r\r"
    b'data: {"text":"\xe2\x82\xac \xf0\x9f\x98\x80"}\n\n'
    b"event: without data\n\n"
    b"data:  two spaces\n\n"
    b"data: [DONE]"
)
EVENTS = [
    Event(b"", b"first"),
    Event(b"named", b"line one\nline two\n"),
    Event(b"", b"carriage returns"),
    Event(b"", '{"text":"€ 😀"}'.encode()),
    Event(b"", b" two spaces"),
    Event(b"", b"[DONE]"),
]


def feed_all(chunks):
    splitter = SseSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events + splitter.finish()


def test_whole():
    assert sse_events(STREAM) == EVENTS


def test_every_cut_in_two_and_byte_by_byte():
    for cut in range(len(STREAM) + 1):
        assert feed_all([STREAM[:cut], STREAM[cut:]]) == EVENTS, cut
    assert feed_all([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"data: a", b"data:", b"\n", b"\r", b"\r\n", b":c", b"event: e"])))
def test_random_streams_do_not_depend_on_the_cut(pieces):
    stream = b"".join(pieces)
    assert feed_all([stream[i : i + 1] for i in range(len(stream))]) == feed_all([stream])


def test_a_ten_megabyte_event_passes_and_a_larger_one_is_dropped_and_counted():
    large = b"data: " + b"x" * 10_000_000 + b"\n\n"
    splitter = SseSplitter()
    events = []
    for start in range(0, len(large), 65536):
        events += splitter.feed(large[start : start + 65536])
    assert [len(event.data) for event in events] == [10_000_000]
    splitter = SseSplitter(event_bytes_max=100)
    assert splitter.feed(b"data: " + b"y" * 200 + b"\n\ndata: after\n\n") == [Event(b"", b"after")]
    assert splitter.feed(b"data: 0123456789\n" * 20 + b"\ndata: z\n\n") == [Event(b"", b"z")]
    assert splitter.oversized == 2


def test_a_flood_of_comments_holds_nothing():
    splitter = SseSplitter()
    for _ in range(1000):
        assert splitter.feed(b": ping\n\n" * 10) == []
    assert splitter.finish() == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\r\n\r\n  \n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b"", []),
    ],
)
def test_ndjson(body, lines):
    assert ndjson_lines(body) == lines


def test_a_line_above_the_bound_comes_out_as_none_once():
    splitter = LineSplitter(line_bytes_max=4)
    assert splitter.feed(b"abcdefg") == []
    assert splitter.feed(b"hij\nok\n") == [None, b"ok"]
