"""What is done to a prompt before it is sent: tags out, then made to fit."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.actors.spill import HeldBody
from appliance.actors.spill_budget import SpillBudget
from appliance.bodies import whole
from appliance.core.ask_types import Asks
from appliance.core.json_reader import read_json, write_json
from appliance.errors import Refusal
from appliance.exchange import Body, Exchange
from appliance.features.edit_prompt import TEMPLATE_BYTES_MAX, Edited, edit_prompt, edited
from tests.fakes.bare_exchange import bare_exchange

TAGGED = '<helicone-prompt-input key="who">Ada</helicone-prompt-input>'


def context_of(name: str) -> int:
    return {"small": 100, "large": 10_000_000}.get(name, 0)


def chat(content: str, **more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": content}], **more}).encode()


async def knowing() -> Any:
    return SimpleNamespace(registry=SimpleNamespace(context_of=context_of))


async def unasked() -> Any:
    raise AssertionError("nobody asked what is known of models")


def done_to(data: bytes, **asks: Any) -> Edited:
    return edited(*read_json(data), asks=Asks(**asks), context_of=context_of)


def exchange(body: bytes, *fields: tuple[bytes, bytes], **asks: Any) -> Exchange:
    route = SimpleNamespace(switches=False, is_gateway=False)
    x = bare_exchange(body=Body(body, None, len(body)), asks=Asks(**asks), route=route)
    x.head.first.update(fields)
    return x


async def test_nothing_is_touched_that_was_not_asked_for() -> None:
    x = exchange(chat(TAGGED, model="small"))
    body = x.body
    await edit_prompt(x, unasked)
    assert x.body is body
    deactivated = exchange(chat(TAGGED), prompt_id="p", prompt_mode="deactivated")
    await edit_prompt(deactivated, unasked)
    assert deactivated.body.data == chat(TAGGED)
    assert (deactivated.template, deactivated.not_applied) == (b"", [])


async def test_tags_come_out_before_the_rest_is_made_to_fit() -> None:
    x = exchange(
        chat(TAGGED + " word" * 500, model="small"), prompt_id="p", prompt_mode="production",
        token_limit_handler="truncate",
    )  # fmt: skip
    await edit_prompt(x, knowing)
    (message,) = json.loads(x.body.data)["messages"]
    assert message["content"].startswith("Ada word word")
    assert message["content"].endswith("...")
    assert len(message["content"]) < 400
    assert x.body.length == len(x.body.data)
    template = json.loads(x.template)
    assert template["inputs"] == {"who": "Ada"}
    assert x.not_applied == []


def test_a_body_that_fits_keeps_its_bytes() -> None:
    data = b'{ "model":"small",  "messages":[{"role":"user","content":"short"}]}'
    for asks in (
        {"token_limit_handler": "middle-out"},
        {"prompt_id": "p", "prompt_mode": "testing"},
    ):
        done = done_to(data, **asks)
        assert (done.data, done.missed) == (None, [])


@pytest.mark.parametrize(
    ("body", "missed"),
    [
        (chat("x" * 9999, model="unheard-of"), ["token-limit;reason=model-unknown"]),
        (b"no JSON", ["token-limit;reason=body"]),
        (b"[1]", ["token-limit;reason=body"]),
    ],
)
def test_what_cannot_be_made_to_fit_says_so(body: bytes, missed: list[str]) -> None:
    done = done_to(body, token_limit_handler="truncate")
    assert (done.data, done.missed) == (None, missed)


@pytest.mark.parametrize("handler", ["truncate", "middle-out"])
@pytest.mark.parametrize(
    "more", [{"tools": [{"name": "x" * 1000}]}, {"max_tokens": 100}, {"tools": ["\ud83d" * 1000]}]
)
def test_what_is_too_long_whatever_is_cut_says_so(handler: str, more: dict[str, Any]) -> None:
    done = done_to(chat("a" * 800, model="small", **more), token_limit_handler=handler)
    assert (done.data, done.missed) == (None, ["token-limit;reason=too-long"])


def test_the_fallback_needs_no_known_model() -> None:
    done = done_to(chat("x", model="unheard-of, small"), token_limit_handler="fallback")
    assert done.data is not None
    assert json.loads(done.data)["model"] == "small"
    assert done.missed == []


@pytest.mark.parametrize(
    "field", [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-encoding", b"gzip")]
)
async def test_bodies_that_are_no_json_go_on_and_that_is_said(field: tuple[bytes, bytes]) -> None:
    x = exchange(
        b"--x", field, prompt_id="p", prompt_mode="testing", token_limit_handler="truncate"
    )
    await edit_prompt(x, unasked)
    told = ["prompt-tags;reason=body", "token-limit;reason=body"]
    assert x.not_applied == told
    assert x.reply_headers == [(b"Helicone-Not-Applied", one.encode()) for one in told]
    assert x.body.data == b"--x"


async def test_a_prompt_id_asks_for_a_body_that_can_be_read() -> None:
    with pytest.raises(Refusal) as caught:
        await edit_prompt(exchange(b"{", prompt_id="p", prompt_mode="production"), unasked)
    assert (caught.value.status, caught.value.code) == (400, "prompt_body_invalid")
    nothing = exchange(b"", prompt_id="p", prompt_mode="production")  # a GET with the header
    await edit_prompt(nothing, unasked)
    assert nothing.not_applied == []


async def test_a_large_template_is_not_kept() -> None:
    x = exchange(chat("x" * TEMPLATE_BYTES_MAX), prompt_id="p", prompt_mode="production")
    await edit_prompt(x, unasked)
    assert x.template == b""
    assert x.not_applied == ["prompt-template;reason=too-large"]


async def test_a_large_body_is_sent_edited_and_kept_as_it_came() -> None:
    budget = SpillBudget()
    data = chat(TAGGED + "x" * 2_000_000)
    budget.hold(len(data))
    x = exchange(b"", prompt_id="p", prompt_mode="production")
    x.body = Body(b"", HeldBody(data, budget), len(data))
    await edit_prompt(x, unasked)
    sent = b"".join([piece async for piece in x.body.spill.pieces()])
    assert json.loads(sent)["messages"][0]["content"].startswith("Adax")
    assert x.body.length == x.body.spill.length == len(sent)
    assert x.body.spill.begin(20) == sent[:20]
    assert budget.held_bytes == len(data) + len(sent)
    x.body.spill.close()
    assert budget.held_bytes == 0


@pytest.mark.parametrize("asks", [{"token_limit_handler": "truncate"}, {"prompt_id": "p"}])
async def test_a_large_body_that_is_not_edited_takes_no_second_place(asks: dict[str, Any]) -> None:
    data = chat("x" * 2_000_000, model="large")
    budget = SpillBudget(held_bytes_max=len(data))
    budget.hold(len(data))
    x = exchange(b"", prompt_mode="production", **asks)
    x.body = body = Body(b"", HeldBody(data, budget), len(data))
    await edit_prompt(x, knowing)
    assert x.body is body
    assert budget.held_bytes == len(data)


@pytest.mark.parametrize("filler", ["", "x" * 300_000, "x" * 2_000_000])
@pytest.mark.parametrize("is_gateway", [False, True])
async def test_what_was_edited_is_not_read_again(filler: str, is_gateway: bool) -> None:
    """What the gateway gets is what the bytes say, be they NaN or half a pair of surrogates."""
    document = b'{"messages": [{"content": "%b"}], "n": NaN, "s": "\\ud83d", "x": "%b"}'
    data = document % (TAGGED.replace('"', '\\"').encode(), filler.encode())
    x = exchange(data, prompt_id="p", prompt_mode="production")
    x.route.is_gateway = is_gateway
    if len(data) > 1_000_000:
        budget = SpillBudget()
        budget.hold(len(data))
        x.body = Body(b"", HeldBody(data, budget), len(data))
    await edit_prompt(x, unasked)
    sent = read_json(whole(x.body))
    assert sent[0]["messages"][0]["content"] == "Ada"
    if filler and not is_gateway:
        assert x.body.read is None  # large, and nobody waits for it
        return
    assert x.body.read is not None
    read, fault = x.body.read
    assert fault == ""
    assert read_json(write_json(read)) == sent


async def test_there_may_be_no_room_for_a_second_large_body() -> None:
    data = chat(TAGGED + "x" * 2_000_000)
    budget = SpillBudget(held_bytes_max=len(data) + 1000)
    budget.hold(len(data))
    x = exchange(b"", prompt_id="p", prompt_mode="production")
    x.body = Body(b"", HeldBody(data, budget), len(data))
    with pytest.raises(Refusal) as caught:
        await edit_prompt(x, unasked)
    assert caught.value.status == 503
    x.body.spill.close()
    assert budget.held_bytes == 0
