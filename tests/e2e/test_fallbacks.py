"""`Helicone-Fallbacks` (proxy.md 6.2): which target answers, what each was sent, and the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.test_retries import CUT_HEAD, GOOD, series
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
GATEWAY = "/gateway/v1/chat/completions"
FAILURES = [429, {"from": 500, "to": 599}]


def entry(provider: Provider, script: str, **fields: Any) -> dict[str, Any]:
    headers = {"x-fake": script, "Authorization": f"Bearer for-{script}", **fields.pop("more", {})}
    return {"target-url": provider.url, "headers": headers, "onCodes": FAILURES, **fields}


def fall_back(appliance: Appliance, *entries: Any, body: Any = ASK, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return appliance.call(GATEWAY, body, {"helicone-fallbacks": json.dumps(entries), **named})


# what the first target does, its onCodes, status seen, index of the target that answered
CASES: list[tuple[int, list[Any], int, int]] = [
    (200, FAILURES, 200, 0),
    (500, FAILURES, 200, 1),
    (429, FAILURES, 200, 1),
    (400, FAILURES, 400, 0),
    (500, [429], 500, 0),
    (400, [{"from": 400, "to": 400}], 200, 1),
    (CUT_HEAD, FAILURES, 200, 1),
    (CUT_HEAD, [429], 502, 0),
]


@pytest.mark.parametrize(("first", "codes", "status", "index"), CASES)
def test_which_target_answers(
    appliance: Appliance, provider: Provider, first: int, codes: list[Any], status: int, index: int
) -> None:
    names = [series(provider, f"fb-{first}-{len(codes)}-{n}", step) for n, step in
             enumerate((first, 200))]  # fmt: skip
    entries = [entry(provider, name, onCodes=codes) for name in names]
    reply = fall_back(appliance, *entries, content_type="application/json")
    assert reply.status == status
    assert reply.values("helicone-fallback-index") == [b"%d" % index]
    row = appliance.row(reply.id)
    assert len(row["attempts"]) == index + 1
    if index:
        assert row["attempts"][0]["why_next"] in (f"status_{first}", "cut")
    assert (row["http_status"], row["request_path"]) == (status, GATEWAY)
    sent = provider.find(names[index])
    assert sent.target == b"/v1/chat/completions"
    assert sent.first(b"authorization") == f"Bearer for-{names[index]}".encode()
    assert sent.first(b"content-type") == b"application/json"
    assert sent.first(b"helicone-fallbacks") is None
    if status == 200:
        assert reply.body == GOOD
        assert row["prompt_tokens"] == 3


def test_each_entry_changes_the_clients_own_body(appliance: Appliance, provider: Provider) -> None:
    names = [series(provider, f"body-{n}", step) for n, step in enumerate((500, 500, 200))]
    overrides = ({"model": "first", "extra": {"a": 1}}, {"extra": {"b": 2}}, {"temperature": 0})
    entries = [
        entry(provider, name, bodyKeyOverride=override)
        for name, override in zip(names, overrides, strict=True)
    ]
    reply = fall_back(appliance, *entries)
    assert reply.status == 200
    sent = [provider.find(name).json for name in names]
    assert [body["model"] for body in sent] == ["first", "gpt-4o", "gpt-4o"]
    assert [body.get("extra") for body in sent] == [{"a": 1}, {"b": 2}, None]
    assert sent[2]["temperature"] == 0
    kept = json.loads(appliance.body(reply.id)["request"])
    assert kept == sent[2]


def test_the_last_ones_reply_is_final(appliance: Appliance, provider: Provider) -> None:
    names = [series(provider, f"last-{n}", 503) for n in range(2)]
    reply = fall_back(appliance, *(entry(provider, name) for name in names))
    assert (reply.status, reply.first("helicone-fallback-index")) == (503, b"1")


def test_a_slow_target_is_passed_over(hasty: Appliance, provider: Provider) -> None:
    name = series(provider, "fb-good", 200)
    reply = fall_back(hasty, entry(provider, "fake-stall"), entry(provider, name))
    assert (reply.status, reply.first("helicone-fallback-index")) == (200, b"1")
    assert hasty.row(reply.id)["attempts"][0]["why_next"] == "timeout_first_byte"


def test_retries_come_before_the_next_target(appliance: Appliance, provider: Provider) -> None:
    names = [series(provider, "fb-retry-0", 500), series(provider, "fb-retry-1", 200)]
    reply = fall_back(
        appliance, *(entry(provider, name) for name in names),
        helicone_retry_enabled="true", helicone_retry_num="2", helicone_retry_min_timeout="1",
    )  # fmt: skip
    assert reply.status == 200
    assert len(provider.all(names[0])) == 3
    assert len(appliance.row(reply.id)["attempts"]) == 4


@pytest.mark.parametrize(
    ("entries", "status", "code"),
    [
        ([], 400, "helicone_fallbacks_invalid"),
        ([{"target-url": "ftp://x", "headers": {}, "onCodes": []}], 400, None),
        ([{"target-url": "https://evil.example", "headers": {}, "onCodes": []}], 403, None),
    ],
)
def test_what_cannot_be_is_refused_before_any_call(
    appliance: Appliance, entries: list[Any], status: int, code: str | None
) -> None:
    reply = fall_back(appliance, *entries)
    assert reply.status == status
    if code:
        assert reply.json["error"]["code"] == code


def test_spilled_bodies_are_changed_too(appliance: Appliance, provider: Provider) -> None:
    names = [series(provider, "spill-0", 500), series(provider, "spill-1", 200)]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 3_000_000}]}
    entries = [entry(provider, names[0], bodyKeyOverride={"model": "other"})]
    reply = fall_back(appliance, *entries, entry(provider, names[1]), body=body)
    assert reply.status == 200
    assert provider.find(names[0]).json == {**body, "model": "other"}
    assert provider.find(names[1]).json == body


def test_a_mocked_reply_comes_before_all_targets(appliance: Appliance, provider: Provider) -> None:
    name = series(provider, "fb-mocked", 200)
    headers = {
        "helicone-fallbacks": json.dumps([entry(provider, name)]),
        "__helicone-mock-response": json.dumps({"mocked": True}),
    }
    reply = appliance.call(GATEWAY, ASK, headers)
    assert (reply.status, reply.json) == (200, {"mocked": True})
    row = appliance.row(reply.id)
    assert (row["outcome"], row["attempts"]) == ("mock", [])
