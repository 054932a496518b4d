"""One field of a form, and bad forms."""

import random
from contextlib import suppress

import httpx2
import pytest

from appliance.core.multipart import PARTS_MAX, boundary_of, find_field, with_value


def form(*parts: tuple[str, bytes], boundary: bytes = b"B", end: bytes = b"--\r\n") -> bytes:
    written = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (boundary, name.encode(), value)
        for name, value in parts
    ]
    return b"".join(written) + b"--" + boundary + end


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; Boundary="a b;c"', b"a b;c"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b""),
        ("multipart/mixed; boundary=abc", b""),
        ("application/json", b""),
        ("", b""),
    ],
)
def test_boundaries(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


def test_the_field_is_found_behind_a_file_that_looks_like_one() -> None:
    file = b'\r\n--Bx\r\nContent-Disposition: form-data; name="model"\r\n\r\nwrong\r\n'
    data = form(("file", b"\0\xff" + file.replace(b"--B", b"--C")), ("model", b"whisper-1/openai"))
    field = find_field(data, b"B", "model")
    assert field is not None
    assert field.value == "whisper-1/openai"
    edited = with_value(data, field, "whisper-1")
    assert edited == data.replace(b"whisper-1/openai", b"whisper-1")


def test_what_a_client_library_writes() -> None:
    request = httpx2.Request(
        "POST", "http://x", data={"language": "en", "model": "whisper-1"},
        files={"file": ("a.mp3", b"\0" * 9999 + b"\r\n", "audio/mpeg")},
    )  # fmt: skip
    data = request.read()
    boundary = boundary_of(request.headers["content-type"])
    field = find_field(data, boundary, "model")
    assert field is not None
    assert (field.value, data[field.begin : field.end]) == ("whisper-1", b"whisper-1")
    assert find_field(data, boundary, "prompt") is None


@pytest.mark.parametrize("value", [b"", b" ", b"x"])
def test_short_values(value: bytes) -> None:
    data = form(("model", value), ("other", b"y"))
    field = find_field(data, b"B", "model")
    assert field is not None
    assert field.value.encode() == value
    again = find_field(with_value(data, field, "new"), b"B", "model")
    assert again is not None
    assert again.value == "new"


def test_a_preamble_and_unquoted_names() -> None:
    head = b"content-disposition: form-data; filename=a; name=model"
    data = b"hello\r\n--B  \r\n" + head + b"\r\n\r\nm\r\n--B--"
    field = find_field(data, b"B", "model")
    assert field is not None
    assert field.value == "m"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nowhere"),
        (b"no form at all", "nowhere"),
        (b"--B\r\nContent-Disposition: form-data; name=x", "no head"),
        (b"--Bxyz\r\n\r\n\r\n--B--", "no head"),
        (form(("a", b"1"))[:-8], "no end"),
        (form(*[("a", b"1")] * (PARTS_MAX + 1)), "parts"),
        (form(("model", b"x" * 9999)), "long"),
    ],
)
def test_bad_forms(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        find_field(data, b"B", "model")


def test_damaged_forms_end_in_a_word() -> None:
    whole = form(("file", b"\r\n--\r\n" * 20), ("model", b"m"))
    for seed in range(3000):
        rng = random.Random(seed)
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.choice(b"\r\n-B:; \0x")
        cut = bytes(data[: rng.randrange(len(data) + 1)])
        with suppress(ValueError):
            field = find_field(cut, b"B", "model")
            assert field is None or 0 <= field.begin <= field.end <= len(cut), f"seed {seed}"
