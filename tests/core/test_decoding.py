"""Content codings: right, stacked, cut, wrong and hostile."""

import gzip
import zlib

import brotli
import pytest
import zstandard

from appliance.core.decoding import decode_body

TEXT = b'{"usage":{"prompt_tokens":12}} ' * 40


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("coding", ENCODERS)
def test_each_coding(coding):
    assert decode_body(ENCODERS[coding](TEXT), coding) == (TEXT, "")
    assert decode_body(ENCODERS[coding](TEXT), coding.upper()) == (TEXT, "")


@pytest.mark.parametrize("coding", [None, "", "identity", "identity, "])
def test_no_coding(coding):
    assert decode_body(TEXT, coding) == (TEXT, "")


def test_bare_deflate_several_members_and_stacks():
    assert decode_body(raw_deflate(TEXT), "deflate") == (TEXT, "")
    assert decode_body(gzip.compress(TEXT) + gzip.compress(TEXT), "gzip") == (TEXT * 2, "")
    assert decode_body(zstd(TEXT) + zstd(TEXT), "zstd") == (TEXT * 2, "")
    assert decode_body(gzip.compress(TEXT) + b"\0\0\0", "gzip") == (TEXT, "")
    assert decode_body(zstd(gzip.compress(TEXT)), "gzip, zstd") == (TEXT, "")
    assert decode_body(gzip.compress(brotli.compress(TEXT)), "br,gzip") == (TEXT, "")


@pytest.mark.parametrize("coding", ENCODERS)
def test_every_cut_gives_the_beginning_and_says_so(coding):
    data = bytes((i * 7919 + i // 251) % 251 for i in range(3000))
    coded = ENCODERS[coding](data)
    for cut in range(1, len(coded), 97):
        decoded = decode_body(coded[:cut], coding)
        assert decoded.problem == "cut"
        assert data.startswith(decoded.data)


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_wrong_label_is_a_word(coding):
    decoded = decode_body(b"this is plain text, whatever the label says", coding)
    assert decoded.problem in ("wrong", "cut")
    assert decoded.data == b""


@pytest.mark.parametrize("coding", ENCODERS)
@pytest.mark.parametrize("size", [3_000_000, 20_000_000])
def test_bombs(coding, size):
    coded = ENCODERS[coding](bytes(size))
    decoded = decode_body(coded, coding)
    assert decoded == (b"", "bomb")


def test_a_large_honest_body_is_no_bomb():
    data = TEXT * 4000
    assert decode_body(gzip.compress(data, 1), "gzip") == (data, "")


def test_a_bomb_inside_a_stack_and_too_many_codings():
    bomb = gzip.compress(gzip.compress(bytes(50_000_000)))
    assert decode_body(bomb, "gzip, gzip").problem == "bomb"
    assert decode_body(b"x", "gzip,gzip,gzip,gzip,gzip").problem == "unknown"
    assert decode_body(b"x", "compress") == (b"", "unknown")


def test_many_empty_members_end():
    assert decode_body(gzip.compress(b"") * 5000, "gzip") == (b"", "")
