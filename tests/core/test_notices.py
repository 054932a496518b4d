import json
from typing import Any

import pytest

from appliance.core.notices import Channels, drafts, opened, read_channels
from appliance.errors import Refusal

SLACK = "https://hooks.slack.com/services/T0/B0/abcdefgh"
HOOK = "https://a.example/x?key=secret"
KNOWN = Channels(("a@b.example",), (SLACK,), (HOOK,))


def check(url: object, field: str) -> str:
    if not isinstance(url, str) or not url.startswith("https://"):
        raise Refusal(422, "field_invalid", f"{field}: expected https")
    return url


def test_read_and_shown_and_read_again():
    body = {"emails": ["a@b.example", "a@b.example"], "slack_channels": [SLACK], "webhooks": [HOOK]}
    found = read_channels(body, Channels(), check)
    assert found == KNOWN
    shown = found.shown()
    assert shown == {
        "emails": ["a@b.example"],
        "slack_channels": ["https://hooks.slack.com/…efgh"],
        "webhooks": ["https://a.example/…cret"],
    }
    # What was shown can be sent back; what is left out stays; an empty list takes away.
    assert read_channels({**shown}, found, check) == found
    assert read_channels({}, found, check) == found
    assert read_channels({"webhooks": []}, found, check) == Channels(("a@b.example",), (SLACK,))
    assert opened(json.dumps(found.emails), found.secrets()) == found
    assert "abcdefgh" not in repr(found)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "emails"),
        ({"emails": []}, "emails"),
        ({"emails": "a@b.example"}, "emails"),
        ({"emails": ["a@b.example"] * 21}, "emails"),
        ({"emails": ["a"]}, "emails.0"),
        ({"emails": ["a@b.example", "a@b.example\nBcc: x@y.example"]}, "emails.1"),
        ({"emails": ["a@b.example, c@d.example"]}, "emails.0"),
        ({"emails": [f"{'a' * 64}@{'b' * 200}.example"]}, "emails.0"),
        ({"emails": [7]}, "emails.0"),
        ({"slack_channels": "C0123"}, "slack_channels"),
        ({"slack_channels": ["C0123"]}, "slack_channels.0"),
        ({"webhooks": [HOOK] * 11}, "webhooks"),
        ({"webhooks": ["https://other.example/…cret"], "emails": None}, ""),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], field: str):
    if not field:  # a masked form that stands for nothing is a URL like any other
        assert read_channels(body, KNOWN, check).webhooks == ("https://other.example/…cret",)
        return
    with pytest.raises(Refusal) as caught:
        read_channels(body, Channels(), check)
    assert caught.value.message.startswith(f"{field}: ")


def test_one_piece_of_news_for_each_destination():
    found = drafts("event 1", KNOWN, "Subject", "Text ü", {"type": "alert.triggered", "n": 1})
    assert [(one.channel, one.destination) for one in found] == [
        ("email", "a@b.example"), ("slack", SLACK), ("webhook", HOOK),
    ]  # fmt: skip
    assert found[0].body == "Text ü"
    assert json.loads(found[1].body) == {"text": "*Subject*\nText ü"}
    assert found[2].body == '{"type":"alert.triggered","n":1}'
    assert found == drafts(
        "event 1", KNOWN, "Subject", "Text ü", {"type": "alert.triggered", "n": 1}
    )
    assert {one.id for one in found}.isdisjoint(
        one.id for one in drafts("event 2", KNOWN, "Subject", "Text", {})
    )
