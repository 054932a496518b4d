"""Events are passed on whole however the stream is cut, and nothing is held for ever."""

from __future__ import annotations

import pytest

from appliance.core.whole_events import ENDS, HELD_BYTES_MAX, WholeEvents

EVENTS = [b'data: {"a":1}', b": remark", b"event: x\ndata: two\ndata: lines", b"data: [DONE]"]


@pytest.mark.parametrize("end", ENDS)
def test_every_cut_in_two_gives_whole_events(end: bytes) -> None:
    wholes = [event.replace(b"\n", end[: len(end) // 2]) + end for event in EVENTS]
    stream = b"".join(wholes)
    ends = [len(b"".join(wholes[:count])) for count in range(len(wholes) + 1)]
    for cut in range(len(stream) + 1):
        whole = WholeEvents()
        first = whole.feed(stream[:cut])
        assert len(first) == max(at for at in ends if at <= cut)
        assert first + whole.held == stream[:cut]
        assert first + whole.feed(stream[cut:]) == stream
        assert whole.held == b""


@pytest.mark.parametrize("end", ENDS)
def test_byte_by_byte_each_write_is_one_event(end: bytes) -> None:
    whole, written = WholeEvents(), []
    for byte in b"".join(event + end for event in EVENTS):
        written.append(whole.feed(bytes([byte])))
    assert [out for out in written if out] == [event + end for event in EVENTS]


def test_no_more_than_64_kib_are_held() -> None:
    whole = WholeEvents()
    most = b"x" * HELD_BYTES_MAX
    assert whole.feed(most) == b""
    assert whole.feed(b"y") == most + b"y"
    assert whole.held == b""
    assert whole.feed(b"z\n\ndata") == b"z\n\n"
    assert whole.flush() == b"data"
    assert whole.flush() == b""
