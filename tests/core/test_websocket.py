"""WebSocket frames as they pass by: any cut of the bytes gives the same, and wsproto reads ours."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import generate_accept_token

from appliance.core.websocket import (
    BINARY,
    CLOSE,
    NO_CODE,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameReader,
    accept_of,
    close_code,
    close_payload,
    frame,
    unmasked,
)

MAX = 100_000


def spoken(kind: ConnectionType) -> bytes:
    """What another implementation sends: a fragmented text with a ping in it, a binary, a close."""
    peer = Connection(kind)
    events = [
        TextMessage(data="Hé", message_finished=False),
        Ping(payload=b"p" * 125),
        TextMessage(data="llo" * 100, message_finished=True),
        BytesMessage(data=bytes(range(256)) * 300),
        TextMessage(data=""),
        Pong(payload=b""),
        CloseConnection(code=3000, reason="bye"),
    ]
    return b"".join(peer.send(event) for event in events)


def read(reader: FrameReader, pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], bytes]:
    """Messages and control frames with their first opcode, and the bytes passed on."""
    found: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    kind, passed = 0, b""
    for data in pieces:
        for piece in reader.feed(data):
            passed += piece.raw
            if piece.opcode in (CLOSE, PING, PONG):
                found.append((piece.opcode, piece.payload))
                continue
            kind = piece.opcode or kind
            parts.append(piece.payload)
            if piece.ends:
                found.append((kind, b"".join(parts)))
                parts = []
    return found, passed


SAID = [
    (PING, b"p" * 125),
    (TEXT, ("Hé" + "llo" * 100).encode()),
    (BINARY, bytes(range(256)) * 300),
    (TEXT, b""),
    (PONG, b""),
    (CLOSE, (3000).to_bytes(2, "big") + b"bye"),
]


@pytest.mark.parametrize("kind", [ConnectionType.CLIENT, ConnectionType.SERVER])
def test_frames_are_read_as_they_were_meant(kind: ConnectionType) -> None:
    data = spoken(kind)
    reader = FrameReader(masked=kind is ConnectionType.CLIENT, message_bytes_max=MAX)
    assert read(reader, [data]) == (SAID, data)
    assert reader.between_frames
    assert not reader.problem


@given(st.lists(st.integers(0, 80_000), max_size=12), st.booleans())
def test_any_cut_gives_the_same(cuts: list[int], client: bool) -> None:
    data = spoken(ConnectionType.CLIENT if client else ConnectionType.SERVER)
    ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(ends)]
    assert read(FrameReader(masked=client, message_bytes_max=MAX), pieces) == (SAID, data)


@pytest.mark.parametrize("client", [True, False])
def test_byte_by_byte(client: bool) -> None:
    data = spoken(ConnectionType.CLIENT if client else ConnectionType.SERVER)
    reader = FrameReader(masked=client, message_bytes_max=MAX)
    assert read(reader, [data[at : at + 1] for at in range(len(data))]) == (SAID, data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xc1\x00", PROTOCOL_ERROR),  # a reserved bit
        (b"\x83\x00", PROTOCOL_ERROR),  # no opcode
        (b"\x80\x00", PROTOCOL_ERROR),  # goes on with nothing
        (b"\x01\x01a\x81\x01b", PROTOCOL_ERROR),  # a new message inside another
        (b"\x09\x00", PROTOCOL_ERROR),  # half a ping
        (b"\x89\x7e", PROTOCOL_ERROR),  # a long ping
        (b"\x81\x81mask", PROTOCOL_ERROR),  # a server that masks
        (b"\x81\x7e\x04\x01", TOO_BIG),
        (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", TOO_BIG),
        (b"\x01\x7e\x04\x00" + b"a" * 1024 + b"\x80\x01", TOO_BIG),
    ],
)
def test_what_is_not_passed_on(data: bytes, problem: int) -> None:
    whole = FrameReader(masked=False, message_bytes_max=1024)
    reader = FrameReader(masked=False, message_bytes_max=1024)
    passed = read(whole, [data])[1]
    for at in range(len(data)):
        reader.feed(data[at : at + 1])
    assert (reader.problem, whole.problem) == (problem, problem)
    assert whole.between_frames
    assert len(passed) < len(data)
    assert whole.feed(b"\x81\x01a") == []


def test_the_largest_message_passes() -> None:
    reader = FrameReader(masked=False, message_bytes_max=1024)
    data = b"\x01\x7e\x03\xff" + b"a" * 1023 + b"\x80\x01b"
    assert read(reader, [data, data])[0] == [(TEXT, b"a" * 1023 + b"b")] * 2
    assert not reader.problem


def test_ours_are_read_by_others() -> None:
    for kind, mask in ((ConnectionType.CLIENT, b""), (ConnectionType.SERVER, b"\x01\xff\x00\x7f")):
        peer = Connection(kind)
        peer.receive_data(frame(PING, b"12345678", mask))
        peer.receive_data(frame(CLOSE, close_payload(1011, "lost"), mask))
        assert list(peer.events()) == [
            Ping(payload=b"12345678"),
            CloseConnection(code=1011, reason="lost"),
        ]


def test_codes() -> None:
    assert close_code(close_payload(4999)) == 4999
    assert close_code(close_payload(NO_CODE)) == close_code(b"\x03") == NO_CODE
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    assert accept_of(key) == generate_accept_token(key)


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 9))
def test_masks_turn_with_the_offset(payload: bytes, mask: bytes, offset: int) -> None:
    slowly = bytes(byte ^ mask[(offset + at) % 4] for at, byte in enumerate(payload))
    assert unmasked(payload, mask, offset) == slowly
