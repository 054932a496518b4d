"""Legacy prompt tags: what is sent, and the template of the log (proxy.md 7.5)."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.prompt_tags import DEPTH_MAX, Template, unwrapped
from appliance.errors import Refusal


def tagged(key: str, value: str) -> str:
    return f'<helicone-prompt-input key="{key}">{value}</helicone-prompt-input>'


def static(text: str) -> str:
    return f"<helicone-prompt-static>{text}</helicone-prompt-static>"


def read(document: Any) -> tuple[Any, Template]:
    return unwrapped(document)


def message(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def test_a_conversation() -> None:
    image = message([{"type": "image_url", "image_url": {"url": "…", "detail": "high"}}])
    sent, template = read({
        "model": "gpt-4o",
        "messages": [
            message(static("You are kind."), "system"),
            message(f"Hello {tagged('name', ' Ann ')}, it is {tagged('day', 'Monday')}."),
            image,
            message("no tag"),
        ],
        "max_tokens": 700,
    })  # fmt: skip
    assert sent == {
        "model": "gpt-4o",
        "messages": [
            message("You are kind.", "system"),
            message("Hello  Ann , it is Monday."),
            image,
            message("no tag"),
        ],
        "max_tokens": 700,
    }
    assert template.as_logged() == {
        "template": {
            "model": "gpt-4o",
            "messages": [
                message(static("You are kind."), "system"),
                message(
                    'Hello <helicone-prompt-input key="name" />, it is'
                    ' <helicone-prompt-input key="day" />.'
                ),
                "<helicone-auto-prompt-input idx=0 />",
                "<helicone-auto-prompt-input idx=1 />",
            ],
            "max_tokens": 700,
        },
        "inputs": {"name": "Ann", "day": "Monday"},
        "autoInputs": [image, message("no tag")],
    }


def test_parts_without_a_tag_are_inputs_of_their_own() -> None:
    picture = {"type": "image_url", "image_url": {"url": "…"}}
    said = {"type": "text", "text": tagged("q", "why?")}
    sent, template = read({"messages": [message([picture, said]), message("x")]})
    assert sent["messages"][0]["content"] == [picture, {"type": "text", "text": "why?"}]
    assert template.auto_inputs == [picture, message("x")]
    assert template.template["messages"] == [
        message([
            "<helicone-auto-prompt-input idx=0 />",
            {"type": "text", "text": '<helicone-prompt-input key="q" />'},
        ]),
        "<helicone-auto-prompt-input idx=1 />",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sent", "template", "inputs"),
    [
        ("plain", "plain", "plain", {}),
        (tagged("k", ""), "", '<helicone-prompt-input key="k" />', {"k": ""}),
        (tagged("k", "a\nb") + "c", "a\nbc", '<helicone-prompt-input key="k" />c', {"k": "a\nb"}),
        (tagged("k", "1") + tagged("k", "2"), "12",
         '<helicone-prompt-input key="k" /><helicone-prompt-input key="k" />', {"k": "2"}),
        (tagged("", "v"), "v", '<helicone-prompt-input key="" />', {"": "v"}),
        (tagged("ü b", "v"), "v", '<helicone-prompt-input key="ü b" />', {"ü b": "v"}),
        ('<helicone-prompt-input  key="k" >v</helicone-prompt-input>', "v",
         '<helicone-prompt-input key="k" />', {"k": "v"}),
        (static("a\nb"), "a\nb", static("a\nb"), {}),
        (static(""), "", static(""), {}),
        (f"{static('s')} {tagged('k', 'v')}", "s v",
         f'{static("s")} <helicone-prompt-input key="k" />', {"k": "v"}),
        (static(f"s {tagged('k', 'v')}"), "s v",
         static('s <helicone-prompt-input key="k" />'), {"k": "v"}),
        (static("<b>x</b>"), "<b>x</b>", static("<b>x</b>"), {}),
    ],
)  # fmt: skip
def test_strings(text: str, sent: str, template: str, inputs: dict[str, str]) -> None:
    got, found = read({"prompt": text})
    assert got == {"prompt": sent}
    assert found.template == {"prompt": template}
    assert found.inputs == inputs


@pytest.mark.parametrize(
    "text",
    [
        "<helicone-prompt-input>v</helicone-prompt-input>",
        '<helicone-prompt-input key="k">v',
        '<helicone-prompt-input key="k" />',
        "v</helicone-prompt-input>",
        "<helicone-prompt-static>v",
        "<helicone-prompt-other>v</helicone-prompt-other>",
        '</helicone-prompt-input><helicone-prompt-input key="k">v',
        "<helicone-prompt-",
    ],
)
def test_what_is_no_whole_tag_is_ordinary_text(text: str) -> None:
    body = {"prompt": text}
    sent, template = unwrapped(body)
    assert sent is body
    assert template == Template({"prompt": text}, {}, [])


def test_a_tag_that_is_not_closed_hides_none_behind_it() -> None:
    sent, template = read({"prompt": "<helicone-prompt-static>a " + tagged("k", "v")})
    assert sent == {"prompt": "<helicone-prompt-static>a v"}
    assert template.inputs == {"k": "v"}


def test_a_body_without_tags_stays_as_it_is() -> None:
    body = {"messages": [{"content": "x", "n": 1.50}]}
    sent, template = unwrapped(body)
    assert sent is body
    assert template.template == {"messages": ["<helicone-auto-prompt-input idx=0 />"]}
    assert template.auto_inputs == [{"content": "x", "n": 1.5}]


@pytest.mark.parametrize("body", [None, [1], "x", 7])
def test_other_bodies_are_refused(body: object) -> None:
    with pytest.raises(Refusal, match="not a JSON object, so Helicone-Prompt-Id") as caught:
        unwrapped(body)
    assert caught.value.status == 400


def test_depth_is_bounded() -> None:
    def nested(levels: int) -> Any:
        value: Any = tagged("k", "v")
        for _ in range(levels):
            value = [value]
        return {"a": value}

    read(nested(DEPTH_MAX - 1))
    with pytest.raises(Refusal, match=f"nested deeper than {DEPTH_MAX} levels"):
        read(nested(DEPTH_MAX))


PIECES = st.sampled_from([
    "a", " ", '<helicone-prompt-input key="k">', '<helicone-prompt-input key="j">',
    "</helicone-prompt-input>", "<helicone-prompt-static>", "</helicone-prompt-static>",
    "<helicone-prompt-", "\n",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@given(st.recursive(TEXTS | st.none() | st.integers(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
), max_leaves=12))  # fmt: skip
def test_the_template_and_its_inputs_say_what_was_sent(value: Any) -> None:
    sent, found = read({"messages": value})
    numbers = [f"<helicone-auto-prompt-input idx={at} />" for at in range(len(found.auto_inputs))]
    text = json.dumps(found.template)
    places = [text.find(number) for number in numbers]
    assert -1 not in places
    assert places == sorted(places)
    for part in found.auto_inputs:
        assert json.dumps(part) in json.dumps(sent)
    # Reading what was sent takes nothing further out but what tags within tags left behind.
    assert len(json.dumps(sent)) <= len(json.dumps({"messages": value}))


@pytest.mark.parametrize(
    "piece",
    ["<helicone-prompt-static>", '<helicone-prompt-input key="k">', "<helicone-prompt-input ",
     "</helicone-prompt-static>", "<helicone-prompt-input" + " " * 16],
)  # fmt: skip
def test_hostile_text_takes_no_square_of_its_length(piece: str) -> None:
    body = {"a": piece * 100_000 + static("x")}
    started = time.process_time()
    unwrapped(body)
    assert time.process_time() - started < 3
