"""Where `stream_options.include_usage` goes into a body, and where nothing is touched."""

from __future__ import annotations

import json
from types import SimpleNamespace

import msgspec
import pytest

from appliance.exchange import Body
from appliance.features.stream_usage import Unclear, ask_for_usage, with_usage
from tests.fakes.bare_exchange import bare_exchange

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
    b"{}",
    b'{"stream":false}',
    b'{"stream":"true"}',
    b'{"stream":1}',
    b'{"stream":null}',
    b'{"nested":{"stream":true}}',
    b'{"stream":true,"stream_options":{"include_usage":false}}',
    b'{"stream":true,"stream_options":{"include_usage":true}}',
]
UNCLEAR = {
    b"": "body",
    b"[]": "body",
    b"true": "body",
    b'"stream"': "body",
    b"not JSON": "body",
    b'{"stream":true': "body",
    b'{"stream":true,"x":' + b"[" * 100_000: "body",
    b"\xff\xfe": "body",
    b'{"stream":true,"stream_options":null}': "stream-options",
    b'{"stream":true,"stream_options":7}': "stream-options",
    # Two of them: which is the body's own is not guessed.
    b'{"stream":true,"x":{"stream_options":{}},"stream_options":{}}': "stream-options",
    # One that is not the body's own.
    rb'{"stream":true,"x":{"stream_options":{}},"stream\u005foptions":{}}': "stream-options",
}


@pytest.mark.parametrize("body", EDITED)
def test_edited(body: bytes) -> None:
    edited = with_usage(body)
    assert edited == EDITED[body]
    assert json.loads(edited)["stream_options"]["include_usage"] is True


@pytest.mark.parametrize("body", UNTOUCHED)
def test_untouched(body: bytes) -> None:
    assert with_usage(body) is None


@pytest.mark.parametrize("body", UNCLEAR)
async def test_what_is_unclear_goes_on_and_that_is_said(body: bytes) -> None:
    with pytest.raises(Unclear, match=UNCLEAR[body]):
        with_usage(body)
    x = bare_exchange(body=Body(body, None, len(body)), asks_usage=True)
    x.route = SimpleNamespace(path=b"/v1/chat/completions")
    assert await ask_for_usage(x)
    assert x.body.data is body
    # A GET has no body, and asks for no stream.
    assert x.not_applied == ([f"stream-usage;reason={UNCLEAR[body]}"] if body else [])


def test_every_other_byte_stays() -> None:
    body = b'{"stream":true,"a":1e400,"b":"\xc3\xa9\\u00e9","n":[1 ,2],"n":3}'
    edited = with_usage(body)
    assert edited is not None
    assert edited.replace(ASKED, b"") == body
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(edited[:-1])
