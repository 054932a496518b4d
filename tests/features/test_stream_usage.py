"""Where `stream_options.include_usage` goes into a body, and where nothing is touched."""

from __future__ import annotations

import json

import msgspec
import pytest

from appliance.features.stream_usage import with_usage

ASKED = b'"stream_options":{"include_usage":true},'
EDITED = {
    b'{"stream":true}': b"{" + ASKED + b'"stream":true}',
    b' \n{ "stream" : true,"x":1.0}': b" \n{" + ASKED + b' "stream" : true,"x":1.0}',
    b'{"stream":true,"stream_options":{}}': (
        b'{"stream":true,"stream_options":{"include_usage":true}}'
    ),
    b'{"stream_options" : {"a":1},"stream":true}': (
        b'{"stream_options" : {"include_usage":true,"a":1},"stream":true}'
    ),
    # The words inside a text are not the key.
    rb'{"stream":true,"x":"\"stream_options\":{","stream_options":{}}': (
        rb'{"stream":true,"x":"\"stream_options\":{","stream_options":{"include_usage":true}}'
    ),
}
UNTOUCHED = [
    b"",
    b"{}",
    b"[]",
    b"true",
    b'"stream"',
    b"not JSON",
    b'{"stream":false}',
    b'{"stream":"true"}',
    b'{"stream":1}',
    b'{"stream":null}',
    b'{"nested":{"stream":true}}',
    b'{"stream":true',
    b'{"stream":true,"stream_options":null}',
    b'{"stream":true,"stream_options":7}',
    b'{"stream":true,"stream_options":{"include_usage":false}}',
    b'{"stream":true,"stream_options":{"include_usage":true}}',
    # Two of them: which is the body's own is not guessed.
    b'{"stream":true,"x":{"stream_options":{}},"stream_options":{}}',
    b'{"stream":true,"x":' + b"[" * 100_000,
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", EDITED)
def test_edited(body: bytes) -> None:
    edited = with_usage(body)
    assert edited == EDITED[body]
    assert json.loads(edited)["stream_options"]["include_usage"] is True


@pytest.mark.parametrize("body", UNTOUCHED)
def test_untouched(body: bytes) -> None:
    assert with_usage(body) is None


def test_every_other_byte_stays() -> None:
    body = b'{"stream":true,"a":1e400,"b":"\xc3\xa9\\u00e9","n":[1 ,2],"n":3}'
    edited = with_usage(body)
    assert edited is not None
    assert edited.replace(ASKED, b"") == body
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(edited[:-1])
