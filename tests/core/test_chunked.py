"""The chunked decoder: tables, every cut, and agreement with two parsers that others trust."""

import h11
import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.chunked import (
    EXTENSION_BYTES_MAX,
    LAST_CHUNK,
    OVERHEAD_BYTES_FREE,
    TRAILER_BYTES_MAX,
    ChunkedDecoder,
    encode_chunk,
    encode_last,
)

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

GOOD = [
    # bytes on the wire, body, trailers, what is left over
    (b"0\r\n\r\n", b"", [], b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", [], b""),
    (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", [], b""),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", [], b""),
    (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", [], b""),
    (b"0000000000000001\r\nx\r\n0\r\n\r\n", b"x", [], b""),
    (b'2;n=v;q="a b"\r\nok\r\n0;last\r\n\r\n', b"ok", [], b""),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", [], b""),
    (b"1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n", b"x", [], b"GET / HTTP/1.1\r\n"),
    (b"1\r\nx\r\n0\r\nA: b\r\nC:\t d \r\n\r\n!", b"x", [(b"A", b"b"), (b"C", b"d")], b"!"),
    (b"0\r\nEmpty:\r\n\r\n", b"", [(b"Empty", b"")], b""),
]

BAD = [
    b"\r\n",
    b"g\r\n",
    b"-1\r\nx\r\n",
    b"+1\r\nx\r\n",
    b"0x1\r\nx\r\n",
    b" 1\r\nx\r\n",
    b"1 \r\nx\r\n",
    b"1_0\r\nx\r\n",
    b"00000000000000001\r\nx\r\n",
    b"1\nx\r\n",
    b"1\rx\r\n",
    b"1;a\nb\r\nx\r\n",
    b"1;a\rb\r\nx\r\n",
    b"1;a\x00\r\nx\r\n",
    b"1;" + b"e" * EXTENSION_BYTES_MAX + b"\r\nx\r\n",
    b"1\r\nxy\r\n0\r\n\r\n",
    b"1\r\nx\n0\r\n\r\n",
    b"1\r\nx\r0\r\n\r\n",
    b"2\r\nx\r\n0\r\n\r\n",
    b"0\r\n\n",
    b"0\r\n\rX\r\n",
    b"0\r\nA: b\n\r\n",
    b"0\r\nA b\r\n\r\n",
    b"0\r\nA : b\r\n\r\n",
    b"0\r\nA: b\r\n c\r\n\r\n",
    b"0\r\nA: b\x00\r\n\r\n",
    b"0\r\nA: b\rc\r\n\r\n",
    b"0\r\n: b\r\n\r\n",
    b"0\r\nA: " + b"b" * TRAILER_BYTES_MAX + b"\r\n\r\n",
]


def decode(wire: bytes, *, step: int) -> tuple[bytes, ChunkedDecoder]:
    decoder = ChunkedDecoder()
    pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
    return b"".join([decoder.feed(piece) for piece in pieces]), decoder


@pytest.mark.parametrize(("wire", "body", "trailers", "leftover"), GOOD)
def test_good_messages_read_the_same_at_every_cut(wire, body, trailers, leftover):
    for step in (len(wire), 1, 2, 3, 7):
        got, decoder = decode(wire, step=step)
        assert (got, decoder.trailers, decoder.leftover) == (body, trailers, leftover)
        assert decoder.done
        assert decoder.error is None
    for cut in range(1, len(wire)):
        decoder = ChunkedDecoder()
        assert decoder.feed(wire[:cut]) + decoder.feed(wire[cut:]) == body
        assert decoder.done
        assert decoder.leftover == leftover


@pytest.mark.parametrize("wire", BAD)
def test_bad_messages_fail_at_every_cut(wire):
    for step in (len(wire), 1, 2, 3):
        _, decoder = decode(wire, step=step)
        assert decoder.error
        assert not decoder.done
        assert decoder.feed(b"1\r\nx\r\n0\r\n\r\n") == b""
        assert not decoder.done


def test_an_unfinished_message_is_neither_done_nor_wrong():
    wire = b"5;e=f\r\nhello\r\n0\r\nA: b\r\n\r\n"
    for end in range(len(wire)):
        _, decoder = decode(wire[:end], step=max(end, 1))
        assert (decoder.done, decoder.error) == (False, None)


def test_body_before_an_error_is_handed_out():
    decoder = ChunkedDecoder()
    assert decoder.feed(b"2\r\nok\r\nzz\r\n") == b"ok"
    assert decoder.error == "chunk size is malformed"


def test_a_chunk_spread_over_feeds_is_passed_on_without_waiting():
    decoder = ChunkedDecoder()
    assert decoder.feed(b"6\r\nab") == b"ab"
    assert decoder.feed(b"cd") == b"cd"
    assert decoder.feed(b"ef\r") == b"ef"
    assert decoder.feed(b"\n0\r\n\r\n") == b""
    assert decoder.done


OVERHEAD = [
    # one chunk, how often, accepted? One byte a chunk is how some servers stream.
    (b"1\r\nx\r\n", 20_000, True),
    (b"0000000000000001\r\nx\r\n", 20_000, False),
    (b"1;" + b"e" * 255 + b"\r\nx\r\n", 200, False),
    (b"c8;" + b"e" * 255 + b"\r\n" + b"x" * 200 + b"\r\n", 2_000, True),
]


@pytest.mark.parametrize(("chunk", "count", "accepted"), OVERHEAD)
def test_wrapping_is_bounded_by_the_body(chunk, count, accepted):
    _, whole = decode(chunk * count + LAST_CHUNK, step=65536)
    assert (whole.done, whole.error is None) == (accepted, accepted)


def test_the_bound_on_wrapping_does_not_depend_on_the_cuts():
    chunk = b"1;" + b"e" * 250 + b"\r\nx\r\n"
    wire = chunk * (OVERHEAD_BYTES_FREE // len(chunk) + 8)
    outcomes = {decode(wire, step=step)[0] for step in (1, 64, 4096, len(wire))}
    assert len(outcomes) == 1


def test_encoding():
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert encode_chunk(b"") == b""
    assert encode_last([]) == LAST_CHUNK
    fields = [(b"A", b"b"), (b"C", b"")]
    got, decoder = decode(encode_chunk(b"hi") + encode_last(fields), step=1)
    assert (got, decoder.trailers, decoder.done) == (b"hi", fields, True)


def by_h11(wire: bytes) -> tuple[bytes, bool] | None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(HEAD + wire)
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return body, True
            elif event is h11.NEED_DATA or event is h11.PAUSED:
                return body, False
    except h11.RemoteProtocolError:
        return None


class Collector:
    def __init__(self) -> None:
        self.body = b""
        self.done = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.done = True


def by_httptools(wire: bytes) -> tuple[bytes, bool] | None:
    collector = Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(HEAD + wire)
    except httptools.HttpParserError:
        return None
    return collector.body, collector.done


def ours(wire: bytes, step: int) -> tuple[bytes, bool] | None:
    body, decoder = decode(wire, step=step)
    return None if decoder.error else (body, decoder.done)


@pytest.mark.parametrize("wire", [row[0][: len(row[0]) - len(row[3])] for row in GOOD])
def test_others_agree_on_good_messages(wire):
    assert ours(wire, 3) == by_h11(wire) == by_httptools(wire)


# Mostly chunk syntax, so that many inputs are nearly right.
NEARLY = st.lists(
    st.one_of(
        st.sampled_from([b"\r\n", b"\r", b"\n", b"0", b"1", b"5", b"a", b"F", b";", b"x", b" "]),
        st.sampled_from([b"0\r\n", b"1\r\nx\r\n", b"0\r\n\r\n", b"A: b\r\n", b";e=1", b"hello"]),
        st.binary(max_size=3),
    ),
    max_size=12,
).map(b"".join)


@settings(derandomize=True, database=None, max_examples=600, deadline=None)
@given(wire=NEARLY)
def test_what_we_accept_others_read_the_same(wire):
    whole = ours(wire, max(len(wire), 1))
    assert ours(wire, 1) == whole
    assert ours(wire, 2) == whole
    if whole is not None and whole[1]:
        _, decoder = decode(wire, step=max(len(wire), 1))
        message = wire[: len(wire) - len(decoder.leftover)]
        assert by_h11(message) == whole
        # llhttp refuses extensions that are no tokens: then nobody reads anything else out of them.
        strict = by_httptools(message)
        assert strict == whole or (strict is None and b";" in message)


@settings(derandomize=True, database=None, max_examples=200, deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=70), max_size=8), step=st.integers(1, 90))
def test_what_we_encode_everybody_decodes(chunks, step):
    wire = b"".join([encode_chunk(chunk) for chunk in chunks]) + LAST_CHUNK
    expected = (b"".join(chunks), True)
    assert ours(wire, step) == by_h11(wire) == by_httptools(wire) == expected
