import pytest
import zstandard

from storage.frames import (
    BodyPacker,
    PartDamaged,
    decode_exchange,
    encode_exchange,
    unpack,
    without_bodies,
)

BLOB = [1, "ab" * 16, 4, 5, 5, ""]


def no_blobs(name: str, offset: int, length: int) -> bytes:
    raise AssertionError("no blob was meant")


@pytest.mark.parametrize(
    "data", [b"", b"x", b"hello " * 10, bytes(40_000), bytes(range(256)) * 999]
)
def test_bodies_come_back(data: bytes) -> None:
    assert unpack(BodyPacker().pack(data), no_blobs) == data


@pytest.mark.parametrize("size", [1, 255, 256, 257, 2048, 2049])
def test_a_small_body_is_stored_as_it_is_in_a_frame_that_every_zstd_reads(size: int) -> None:
    data = (b'{"a": 1}' * 300)[:size]
    [[_, length, stored]] = BodyPacker().pack(data)
    assert length == size
    assert zstandard.frame_content_size(stored) == size
    assert zstandard.ZstdDecompressor().decompress(stored) == data
    assert (data in stored) == (size <= 2048)


def test_an_exchange_comes_back() -> None:
    meta = {"exchange_id": bytes(16), "properties": {"a": "b"}, "http_status": None, "ok": True}
    request = BodyPacker().pack(b"question")
    assert decode_exchange(encode_exchange(meta, request, [BLOB])) == (meta, request, [BLOB])


def test_parts_are_joined_in_order_and_blobs_asked_for() -> None:
    inline = BodyPacker().pack(b"head ")
    asked = []

    def read_blob(name: str, offset: int, length: int) -> bytes:
        asked.append((name, offset, length))
        return b"tail!"

    assert unpack([*inline, BLOB], read_blob) == b"head tail!"
    assert asked == [("ab" * 16, 4, 5)]


def test_coded_blobs_are_decompressed() -> None:
    stored = zstandard.compress(b"long body")
    assert unpack([[1, "n", 0, len(stored), 9, "zstd"]], lambda *_: stored) == b"long body"


@pytest.mark.parametrize(
    "part",
    [
        [0, 5, zstandard.compress(b"123456")],  # a length that is not the recorded one
        [0, 6, b"no zstd at all"],
        [0, 6, zstandard.compress(b"123456")[:-1]],
        [0, 1 << 40, zstandard.compress(b"1")],
        [1, "n", 0, 3, 4, ""],
    ],
)
def test_damaged_parts_are_refused(part: list) -> None:
    with pytest.raises(PartDamaged):
        unpack([part], lambda *_: b"abc")


def test_stripping_drops_inline_bodies_and_says_so() -> None:
    inline = BodyPacker().pack(b"body")
    stripped = without_bodies(encode_exchange({"user_id": "u"}, [*inline, BLOB], [BLOB]))
    meta, request, response = decode_exchange(stripped)
    assert meta == {"user_id": "u", "degraded": "bodies dropped"}
    assert (request, response) == ([], [BLOB])


def test_nothing_to_strip_leaves_the_payload_alone() -> None:
    payload = encode_exchange({"user_id": "u"}, [], [BLOB])
    assert without_bodies(payload) is payload
