"""Prompt tags and token limits over the running program (proxy.md 7.4, 7.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

TAGGED = 'Hello <helicone-prompt-input key="who">Ada</helicone-prompt-input>!'


def ask(appliance: Appliance, content: str, model: str = "gpt-4o", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}]}
    return appliance.call(CHAT, body, named)


def test_tags_are_for_the_log(appliance: Appliance, provider: Provider) -> None:
    reply = ask(appliance, TAGGED, helicone_prompt_id="greeting")
    assert reply.status == 200
    sent = provider.received[-1].json
    assert sent["messages"][0]["content"] == "Hello Ada!"
    sql = "SELECT request, prompt_template FROM bodies WHERE request_id = '{}'"
    (row,) = appliance.query(sql.format(reply.id))
    assert json.loads(row["request"]) == sent
    template = json.loads(row["prompt_template"])
    assert template["inputs"] == {"who": "Ada"}
    assert '<helicone-prompt-input key=\\"who\\" />' in json.dumps(template["template"])
    assert template["autoInputs"] == []
    kept = appliance.row(reply.id)
    assert kept["prompt_id"] == "greeting"
    assert kept["not_applied"] == []


def test_no_template_of_a_prompt_that_is_not_to_be_kept(appliance: Appliance) -> None:
    omitted = {"helicone_prompt_id": "greeting", "helicone_omit_request": "true"}
    reply = ask(appliance, TAGGED, **omitted)
    (row,) = appliance.query(
        f"SELECT request, prompt_template FROM bodies WHERE request_id = '{reply.id}'"
    )
    assert row["prompt_template"] is None
    assert "Ada" not in row["request"]


@pytest.mark.parametrize("handler", ["truncate", "middle-out", "Middle-Out"])
def test_a_long_prompt_is_made_to_fit(
    appliance: Appliance, provider: Provider, handler: str
) -> None:
    text = "word " * 200_000
    reply = ask(appliance, text, helicone_token_limit_exception_handler=handler)
    assert reply.status == 200
    assert reply.first("helicone-not-applied") is None
    sent = provider.received[-1].json["messages"][0]["content"]
    assert 100_000 < len(sent) < 128_000 * 4


def test_a_model_that_nobody_knows(appliance: Appliance, provider: Provider) -> None:
    reply = ask(appliance, "x" * 9, "mine-7b", helicone_token_limit_exception_handler="truncate")
    assert reply.first("helicone-not-applied") == b"token-limit;reason=model-unknown"
    assert appliance.row(reply.id)["not_applied"] == ["token-limit;reason=model-unknown"]
    assert provider.received[-1].json["messages"][0]["content"] == "x" * 9


def test_a_list_of_models_comes_down_to_one(appliance: Appliance, provider: Provider) -> None:
    lists = {"gpt-4o,gpt-4o-mini": "gpt-4o", "mine-7b, gpt-4o-mini": "gpt-4o-mini"}
    for models, chosen in lists.items():
        ask(appliance, "short", models, helicone_token_limit_exception_handler="fallback")
        assert provider.received[-1].json["model"] == chosen


def test_a_prompt_id_with_a_body_that_is_no_json(appliance: Appliance, provider: Provider) -> None:
    provider.clear()
    reply = appliance.call(CHAT, b"{", {"helicone-prompt-id": "greeting"})
    assert (reply.status, reply.json["error"]["code"]) == (400, "prompt_body_invalid")
    assert provider.received == []
    assert appliance.row(reply.id)["outcome"] == "refused"


def test_a_large_prompt(appliance: Appliance, provider: Provider) -> None:
    reply = ask(appliance, TAGGED + "x" * 3_000_000, helicone_prompt_id="greeting")
    assert reply.status == 200
    assert provider.received[-1].json["messages"][0]["content"].startswith("Hello Ada!x")
    (row,) = appliance.query(f"SELECT request FROM bodies WHERE request_id = '{reply.id}'")
    assert "helicone-prompt-input" in row["request"]  # as it came
