import struct
import zlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from storage.frames import KIND_EXCHANGE, KIND_SCORE
from storage.segment import (
    FOOTER_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    Footer,
    FrameCodec,
    SegmentHeader,
    SegmentUnreadable,
    decode_footer,
    decode_header,
    encode_footer,
    encode_header,
    seed_of,
    segment_numbers,
    segment_path,
    segments,
)
from storage.vault import VaultError
from tests.storage.journal_kit import KEYS, ORG

HEADER = SegmentHeader(7, "eu", 1_700_000_000_000_000, 0, b"s" * 16)


def test_header_and_footer_come_back() -> None:
    footer = Footer(7, 12, 3456, b"d" * 32)
    assert decode_header(encode_header(HEADER)) == HEADER
    assert decode_footer(encode_footer(footer, 5), 5) == footer
    assert decode_footer(encode_footer(footer, 5), 6) is None
    assert (len(encode_header(HEADER)), len(encode_footer(footer, 5))) == (
        HEADER_BYTES,
        FOOTER_BYTES,
    )


@pytest.mark.parametrize("at", range(HEADER_BYTES))
def test_any_changed_byte_of_a_header_shows(at: int) -> None:
    data = bytearray(encode_header(HEADER))
    data[at] ^= 1
    with pytest.raises(SegmentUnreadable):
        decode_header(bytes(data))


def test_a_newer_format_is_named() -> None:
    data = bytearray(encode_header(HEADER)[:-4])
    struct.pack_into("<H", data, 8, 9)
    data += struct.pack("<I", zlib.crc32(data) ^ 0x5EEDFACE)
    with pytest.raises(SegmentUnreadable, match="format 9"):
        decode_header(bytes(data))


def test_every_changed_byte_of_a_frame_shows() -> None:
    codec = FrameCodec(HEADER, None)
    frame = codec.encode(3, KIND_SCORE, 0, ORG, b"payload")
    assert codec.intact(frame)
    for at in range(len(frame)):
        changed = bytearray(frame)
        changed[at] ^= 0x10
        assert not codec.intact(bytes(changed)), at
    assert not codec.intact(frame + b"x")
    assert not codec.intact(frame[:-1])


def test_zeros_are_no_frame() -> None:
    codec = FrameCodec(HEADER, None)
    assert not any(codec.intact(bytes(size)) for size in (FRAME_BYTES, FRAME_BYTES + 1, 4096))


def test_a_frame_of_another_segment_does_not_pass() -> None:
    """Old blocks, and frames that a client planted in a body, lack this segment's salt."""
    other = FrameCodec(HEADER._replace(salt=b"t" * 16), None)
    assert not FrameCodec(HEADER, None).intact(other.encode(3, KIND_SCORE, 0, ORG, b"payload"))


def test_sealed_frames_are_bound_to_their_place() -> None:
    codec = FrameCodec(HEADER._replace(key_epoch=2), KEYS)
    frame = codec.encode(5, KIND_EXCHANGE, 0, ORG, b"secret text")
    stored = frame[FRAME_BYTES:]
    assert b"secret" not in frame
    assert codec.open_sealed(5, KIND_EXCHANGE, ORG, stored) == b"secret text"
    elsewhere = FrameCodec(HEADER._replace(key_epoch=2, number=8), KEYS)
    for reader, counter, kind, org in [
        (codec, 6, KIND_EXCHANGE, ORG),
        (codec, 5, KIND_SCORE, ORG),
        (codec, 5, KIND_EXCHANGE, bytes(16)),
        (elsewhere, 5, KIND_EXCHANGE, ORG),
    ]:
        with pytest.raises(InvalidTag):
            reader.open_sealed(counter, kind, org, stored)


@pytest.mark.parametrize(("keys", "epoch"), [(None, 1), (KEYS, 9)])
def test_a_missing_key_is_one_clear_error(keys: object, epoch: int) -> None:
    with pytest.raises(VaultError, match=r"master_key is needed|no key of epoch 9"):
        FrameCodec(HEADER._replace(key_epoch=epoch), keys)


def test_listing_passes_over_what_is_no_segment(tmp_path: Path) -> None:
    assert segments(tmp_path) == []
    journal = tmp_path / "journal"
    journal.mkdir()
    segment_path(tmp_path, 2).write_bytes(encode_header(HEADER._replace(number=2)))
    footer = encode_footer(Footer(10, 0, 0, bytes(32)), seed_of(HEADER))
    segment_path(tmp_path, 10).write_bytes(encode_header(HEADER._replace(number=10)) + footer)
    segment_path(tmp_path, 5).write_bytes(b"not a header")
    (journal / "highest").write_text("10")
    (journal / "00000011.new").write_bytes(b"")
    assert segment_numbers(tmp_path) == [2, 5, 10]
    assert [(s.number, s.closed) for s in segments(tmp_path)] == [(2, True), (10, True)]
    segment_path(tmp_path, 10).write_bytes(encode_header(HEADER._replace(number=10)))
    assert [(s.number, s.closed) for s in segments(tmp_path)] == [(2, True), (10, False)]
