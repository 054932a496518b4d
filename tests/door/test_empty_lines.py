"""Empty lines before a request are nothing; anything like them is something."""

import pytest

from appliance.door.head import without_empty_lines


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n"),
        (b"\r\nGET", b"GET"),
        (b"\r\n" * 32_768, b""),
        (b"\r\n\r", b"\r"),
        (b"\nGET", b"\nGET"),
        (b"\r\n\nGET", b"\nGET"),
    ],
)
def test_only_whole_line_ends_are_taken(data: bytes, rest: bytes) -> None:
    assert without_empty_lines(data) == rest
