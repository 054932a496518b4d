"""Retries of one target (proxy.md 6.1): what client and provider see, and what is on record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider, Talk

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
GOOD = b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
QUICK = {"helicone-retry-enabled": "true", "helicone-retry-min-timeout": "1"}
# A wait that no test sits out.
LONG = {"helicone-retry-enabled": "true", "helicone-retry-min-timeout": "60000"} | {
    "helicone-retry-max-timeout": "60000"
}
CUT_HEAD, CUT_STREAM = -1, -2


def answer(status: int, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Told" % status, b"Content-Type: application/json", *headers]
    return b"\r\n".join(lines) + b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def series(provider: Provider, name: str, *steps: int, headers: tuple[bytes, ...] = ()) -> str:
    """One step per call; the last for all that follow."""
    left = list(steps)

    async def script(talk: Talk) -> None:
        await talk.read_body()
        step = left.pop(0) if len(left) > 1 else left[0]
        if step == CUT_HEAD:
            await talk.send(b"HTTP/1.1 2")  # a part of a head: no stale connection
            talk.close()
        elif step == CUT_STREAM:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            await talk.send(head + b"Transfer-Encoding: chunked\r\n\r\n7\r\ndata: x\r\n")
            talk.close()
        else:
            body = GOOD if step == 200 else b'{"error":{"message":"step %d"}}' % step
            await talk.send(answer(step, body, *(headers if step != 200 else ())))

    return provider.add(name, script)


# steps of the provider, retry-num, status that the client sees, calls made
CASES = [
    ((500, 429, 200), "2", 200, 3),
    ((503, 502, 500), "2", 500, 3),
    ((503, 502, 200), "1", 502, 2),
    ((500, 200), "0", 500, 1),
    ((400, 200), "5", 400, 1),
    ((404, 200), "5", 404, 1),
    ((CUT_HEAD, 200), "2", 200, 2),
    ((CUT_HEAD, CUT_HEAD), "1", 502, 2),
    ((CUT_STREAM, 200), "3", 200, 1),
]


@pytest.mark.parametrize(("steps", "number", "status", "calls"), CASES)
def test_calls_that_are_made_again(
    appliance: Appliance,
    provider: Provider,
    steps: tuple[int, ...],
    number: str,
    status: int,
    calls: int,
) -> None:
    name = series(provider, f"series-{steps}-{number}".replace(" ", ""), *steps)
    reply = appliance.call(CHAT, ASK, {"x-fake": name, **QUICK, "helicone-retry-num": number})
    assert reply.status == status
    assert len(provider.all(name)) == calls
    row = appliance.row(reply.id)
    seen = [step if step > 0 else None for step in steps[:calls]]
    if steps[0] == CUT_STREAM:
        seen = [200]
        assert (reply.end, row["outcome"]) == ("cut", "cut")
    assert [attempt["status"] for attempt in row["attempts"]] == seen
    for step, attempt in zip(steps, row["attempts"][:-1], strict=False):
        assert attempt["why_next"] == ("cut" if step == CUT_HEAD else f"status_{step}")
    if status == 200 and seen[-1] == 200 and steps[0] != CUT_STREAM:
        assert reply.body == GOOD
        assert (row["prompt_tokens"], row["outcome"]) == (3, "complete")
    elif status < 500 or CUT_HEAD not in steps:
        assert reply.end == "cut" or reply.body == b'{"error":{"message":"step %d"}}' % status
    assert len(appliance.rows(reply.id)) == 1


def test_not_asked_for_not_done(appliance: Appliance, provider: Provider) -> None:
    name = series(provider, "unasked", 500, 200)
    assert appliance.call(CHAT, ASK, {"x-fake": name}).status == 500
    assert len(provider.all(name)) == 1


def test_the_providers_own_wait_counts(appliance: Appliance, provider: Provider) -> None:
    name = series(provider, "soon", 429, 200, headers=(b"Retry-After: 0",))
    assert appliance.call(CHAT, ASK, {"x-fake": name, **LONG}).status == 200


def test_a_client_who_leaves_ends_the_wait(appliance: Appliance, provider: Provider) -> None:
    name = series(provider, "left", 500, 200)
    request_id = "0c7c3a52-93a1-4bb0-b55f-60a9c6f4bd01"
    with appliance.client() as client:
        client.request(CHAT, ASK, {"x-fake": name, "helicone-request-id": request_id, **LONG})
        provider.find(name)
    row = appliance.row(request_id)
    assert (row["outcome"], row["status"], len(row["attempts"])) == ("client_gone", -3, 1)
    assert len(provider.all(name)) == 1


def test_the_total_ends_the_wait(hasty: Appliance, provider: Provider) -> None:
    name = series(provider, "total", 500, 200)
    reply = hasty.call(CHAT, ASK, {"x-fake": name, **LONG})
    assert (reply.status, reply.json["error"]["code"]) == (504, "timeout_total")
    assert hasty.row(reply.id)["outcome"] == "timeout_total"


def test_waits_that_contradict_each_other(appliance: Appliance) -> None:
    headers = QUICK | {"helicone-retry-min-timeout": "9", "helicone-retry-max-timeout": "8"}
    reply = appliance.call(CHAT, ASK, headers)
    assert (reply.status, reply.json["error"]["code"]) == (400, "retry_timeouts_invalid")
