"""The official SDKs as judges: their models read what we write, their clients read our streams."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

import anthropic
import httpx2
import openai
from anthropic.types import Message
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from typing_extensions import get_type_hints, is_typeddict

CLAUDE = SimpleNamespace(provider_model_id="claude-sonnet-4-5-20250929", max_output_tokens=64000)
GPT = SimpleNamespace(provider_model_id="gpt-5", max_output_tokens=128000)
EVENT_STREAM = {"content-type": "text/event-stream"}


def transport(answer: bytes, *, status: int = 200, kind: str = "text/event-stream"):
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=answer, headers={"content-type": kind})

    return httpx2.Client(transport=httpx2.MockTransport(handle))


def openai_client(answer: bytes, **more: Any) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="sk-test", base_url="http://provider.test/v1", max_retries=0,
        http_client=transport(answer, **more),
    )  # fmt: skip


def anthropic_client(answer: bytes, **more: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="sk-test", base_url="http://provider.test", max_retries=0,
        http_client=transport(answer, **more),
    )  # fmt: skip


def chat_of(reply: dict[str, Any]) -> ChatCompletion:
    return ChatCompletion.model_validate(reply)


def message_of(reply: dict[str, Any]) -> Message:
    return Message.model_validate(reply)


def response_of(reply: dict[str, Any]) -> Response:
    return Response.model_validate(reply)


def chat_stream(answer: bytes) -> dict[str, Any]:
    """What the OpenAI SDK makes of a chat stream when it has put it together."""
    state = ChatCompletionStreamState()
    client = openai_client(answer)
    for chunk in client.chat.completions.create(model="m", messages=[], stream=True):
        type(chunk).model_validate(chunk.to_dict())
        state.handle_chunk(chunk)
    return state.current_completion_snapshot.to_dict()


def message_stream(answer: bytes) -> dict[str, Any]:
    client = anthropic_client(answer)
    with client.messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        for _ in stream:
            pass
        return stream.get_final_message().to_dict()


def response_events(answer: bytes) -> list[Any]:
    """The events of a Responses stream, each checked by its model."""
    client = openai_client(answer)
    with client.responses.create(model="m", input="x", stream=True) as stream:
        events = list(stream)
    for event in events:
        type(event).model_validate(event.to_dict())
    return events


def response_stream(answer: bytes) -> dict[str, Any]:
    client = openai_client(answer)
    with client.responses.stream(model="m", input="x") as stream:
        for _ in stream:
            pass
        return stream.get_final_response().to_dict()


def check_request(kind: Any, body: Mapping[str, Any]) -> None:
    """The body fits the SDK's type of a request, with no field that the type does not have."""
    problem = misfit(kind, body, "body")
    assert not problem, problem


def misfit(kind: Any, value: Any, where: str) -> str:
    """Why a value is none of a type as the SDKs write them: typed dicts, literals, unions."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (object, Any):
        return ""
    if origin in (Required, NotRequired, Annotated):
        return misfit(inner[0], value, where)
    if origin is Union:
        problems = [misfit(one, value, where) for one in inner]
        # The one that got furthest says most.
        return "" if "" in problems else max(problems, key=len)
    if origin is Literal:
        return "" if value in inner else f"{where}: {value!r} is none of {inner}"
    if is_typeddict(kind):
        return _misfit_of_fields(kind, value, where)
    if origin is not None and origin is not dict and len(inner) == 1:
        if not isinstance(value, list):
            return f"{where}: no list"
        found = (misfit(inner[0], one, f"{where}[{at}]") for at, one in enumerate(value))
        return next(filter(None, found), "")
    if kind is float and type(value) is int:
        return ""
    plain = origin or kind
    fits = isinstance(plain, type) and type(value) is (type(None) if plain is None else plain)
    return "" if fits else f"{where}: {value!r} is no {plain}"


def _misfit_of_fields(kind: Any, value: Any, where: str) -> str:
    if type(value) is not dict:
        return f"{where}: no object"
    hints = get_type_hints(kind, include_extras=True)
    missing = kind.__required_keys__ - set(value)
    unknown = set(value) - set(hints)
    if missing or unknown:
        return f"{where}: {kind.__name__} missing {missing}, unknown {unknown}"
    found = (misfit(hints[name], inner, f"{where}.{name}") for name, inner in value.items())
    return next(filter(None, found), "")


def every_cut(make: Any, source: bytes, step: int = 1) -> list[bytes]:
    """What comes out of a stream's translation for each way of cutting the source in two, and for
    pieces of one byte."""
    results = []
    for cut in range(0, len(source) + 1, step):
        stream = make()
        results.append(stream.feed(source[:cut]) + stream.feed(source[cut:]) + stream.finish())
    stream = make()
    pieces = [stream.feed(source[at : at + 1]) for at in range(len(source))]
    results.append(b"".join(pieces) + stream.finish())
    return results


def translated(stream: Any, source: bytes) -> bytes:
    return stream.feed(source) + stream.finish()
