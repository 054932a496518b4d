"""Chats that are made requests to Gemini, judged on the way."""

import copy
from types import SimpleNamespace

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects.gemini import request_from_chat
from tests.providers.dialects.gemini_types import GenerateContentRequest
from tests.providers.dialects.official import check_request

HELLO = {"role": "user", "content": "Hello"}
TURN = {"role": "user", "parts": [{"text": "Hello"}]}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def model(name: str):
    return SimpleNamespace(provider_model_id=name, max_output_tokens=65536)


def body_of(*, on="gemini-2.0-flash", vertex=False, **chat):
    given = {"model": "gemini", "messages": [HELLO], **chat}
    before = copy.deepcopy(given)
    body = request_from_chat(given, model=model(on), stream=False, vertex=vertex)
    assert given == before
    check_request(GenerateContentRequest, body)
    return body


def contents(*messages, **more):
    return body_of(messages=list(messages), **more)["contents"]


def parts(*content, **more):
    (turn,) = contents({"role": "user", "content": list(content)}, **more)
    return turn["parts"]


def refusal(**chat):
    on, vertex = chat.pop("on", "gemini-2.5-flash"), chat.pop("vertex", False)
    body = {"messages": [HELLO], **chat}
    with pytest.raises(Refusal) as raised:
        request_from_chat(body, model=model(on), stream=False, vertex=vertex)
    assert (raised.value.status, raised.value.code) == (400, "invalid_format")
    return raised.value.message.partition(": ")[0]
