"""The fault matrix (`fault_table.py`): what a provider's fault came to in every lane, with a budget
on: what the client saw, what the record says, what was billed.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fault_table import LANES, TABLE
from tests.fakes import provider_anthropic as anthropic
from tests.fakes import provider_openai as openai
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider, Script, Talk
from tests.fakes.provider_scripts import (
    JSON,
    OWN,
    SCRIPTS,
    body_of,
    cut_after,
    head,
    is_anthropic,
    normal,
    stall_after,
    whole,
)
from tests.fakes.raw_client import Reply

SAY: Any = [{"role": "user", "content": "Say hello."}]
GATEWAY = "/v1/chat/completions"
FALLBACKS = "/gateway/v1/chat/completions"
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
RETRIES = {"helicone-retry-enabled": "true", "helicone-retry-num": "1",
           "helicone-retry-min-timeout": "1"}  # fmt: skip
CONFIG = """
[deadlines]
first_byte = "0.6s"
gap = "0.6s"
"""


def refusing(status: int, code: str, *more: bytes) -> Script:
    """An error as the service words it."""

    async def script(talk: Talk) -> None:
        await talk.read_body()
        error = {"message": f"told: {code}", "type": code, "code": code, "param": None}
        body = openai.compact({"error": error})
        if is_anthropic(talk):
            error = {"type": code, "message": f"told: {code}"}
            body = anthropic.compact({"type": "error", "error": error})
        await talk.send(whole(body, b"%d Told" % status, JSON, OWN + b"".join(more)))

    return script


async def half(talk: Talk) -> None:
    """Half of a whole body."""
    await talk.read_body()
    body = body_of(talk)
    await talk.send(head(b"200 OK", JSON, b"content-length: %d" % len(body)) + body[:-40])


async def half_and_end(talk: Talk) -> None:
    await half(talk)
    talk.close()


async def half_and_silence(talk: Talk) -> None:
    await half(talk)
    await talk.wait_closed()


async def cut(talk: Talk) -> None:
    await cut_after(talk, 4)


async def stall(talk: Talk) -> None:
    await stall_after(talk, 4)


async def no_json(talk: Talk) -> None:
    """A body that breaks off inside its JSON, though its length says that it is whole."""
    await talk.read_body()
    await talk.send(whole(body_of(talk)[:-40]))


async def error_body(talk: Talk) -> None:
    """An error where a result was due."""
    await talk.read_body()
    if is_anthropic(talk):
        await talk.send(whole(anthropic.error(529)))
    else:
        await talk.send(whole(openai.error(503)))


async def broken_head(talk: Talk) -> None:
    """It ends inside its first line: without a byte of it a call on a connection that was used
    before would be made once more by itself."""
    await talk.read_body()
    await talk.send(b"HTTP/1.1 2")
    talk.close()


# By fault: what a provider does with a buffered call, and with a streamed one.
FAULTS: dict[str, tuple[Script, Script]] = {
    "429": (refusing(429, "rate_limit_exceeded"),) * 2,
    "429, Retry-After": (refusing(429, "rate_limit_exceeded", b"retry-after: 0\r\n"),) * 2,
    "500 once": (refusing(500, "server_error"),) * 2,
    "503": (refusing(503, "overloaded"),) * 2,
    "reset before headers": (broken_head,) * 2,
    "silence": (SCRIPTS["fake-stall"],) * 2,
    "slow first token": (SCRIPTS["fake-slow-first-token"],) * 2,
    "cut": (half_and_end, cut),
    "stall": (half_and_silence, stall),
    "malformed": (no_json, SCRIPTS["fake-malformed-chunk"]),
    "no [DONE]": (normal, SCRIPTS["fake-no-done"]),
    "context length": (refusing(400, "context_length_exceeded"),) * 2,
    "content filter": (refusing(400, "content_filter"),) * 2,
    "error in a 200": (error_body, SCRIPTS["fake-error-in-200"]),
}
UNMAPPED = "gateway-mapping;reason=reply-not-understood"
NOT_MAPPED = ("translated", "malformed", "buffered")  # passed on as it came, and said


@pytest.fixture(scope="module")
def faulty(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory: Path = tmp_path_factory.mktemp("faulty")
    environ = {"OPENAI_API_KEY": "sk-env-openai", "ANTHROPIC_API_KEY": "sk-env-anthropic"}
    for fault, scripts in FAULTS.items():
        for script, kind in zip(scripts, ("buffered", "stream"), strict=True):
            provider.add(f"{fault} {kind}", script)
            provider.add(f"{fault} {kind} first", first_only(script))
    options: dict[str, Any] = {"config": CONFIG, "lends": True, "environ": environ}
    with Appliance(directory, provider, **options) as appliance:
        appliance.command("budgets.set", scope="user", limit="1000", period="month")
        yield appliance


def first_only(script: Script) -> Script:
    """The fault for the first call of an exchange; all is well afterwards."""

    async def run(talk: Talk) -> None:
        mark = talk.request.first(b"x-mark") or b""
        await (script if len(talk.provider.all(mark)) == 1 else normal)(talk)

    return run


def ask(appliance: Appliance, provider: Provider, lane: str, script: str, mark: str,
        *, stream: bool) -> Reply:  # fmt: skip
    """One call in this lane."""
    model = {"gateway": "gpt-4o/openai", "translated": "claude-sonnet-4-6"}.get(lane, "gpt-4o")
    body = {"model": model, "messages": SAY, "max_tokens": 50, "stream": stream}
    headers = {"Helicone-User-Id": mark, "Helicone-Request-Id": mark, "x-mark": mark}
    headers |= {"x-fake": script, "x-fake-gate": mark, "Authorization": "Bearer sk-own"}
    path = CHAT
    if lane == "retries":
        headers |= RETRIES
    elif lane == "fallbacks":
        path, codes = FALLBACKS, [{"from": 429, "to": 429}, {"from": 500, "to": 599}]
        named = {name: headers[name] for name in ("x-fake", "x-fake-gate", "x-mark")}
        named |= {"Authorization": "Bearer sk-own", "Content-Type": "application/json"}
        one = {"target-url": provider.url, "headers": named, "onCodes": codes}
        headers["helicone-fallbacks"] = json.dumps([one, one])
    elif lane in ("gateway", "translated"):
        path, headers["Authorization"] = GATEWAY, f"Bearer {KEY}"
    with appliance.client() as client:
        client.request(path, body, headers)
        provider.find(mark)
        if script.startswith("slow first token"):
            provider.open_gate(mark)
        return client.reply()


def billed(appliance: Appliance, user: str) -> Decimal:
    """What the wallet counts for this user once nothing is held."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        found = [one for one in appliance.command("budgets.list") if one["value"] == user]
        if found and found[0]["held_usd"] == "0":
            return Decimal(found[0]["spent_usd"])
        assert time.monotonic() < until_s, found
        time.sleep(0.01)


def seen(appliance: Appliance, provider: Provider, lane: str, fault: str, kind: str) -> str:
    """status end · outcome · calls · billed, as the table has it."""
    mark = str(uuid.uuid4())
    second = lane in ("retries", "fallbacks")  # for which all is well at the second call
    script = f"{fault} {kind}" + (" first" if second else "")
    reply = ask(appliance, provider, lane, script, mark, stream=kind == "stream")
    row = appliance.row(mark)
    cost = Decimal(row["cost_usd"] or 0)
    assert billed(appliance, mark) == cost, row
    assert len(row["attempts"]) == len(provider.all(f"x-mark: {mark}"))
    assert row["derive_error"] is None
    if reply.status == 200 and row["outcome"] != "complete":
        assert b"[DONE]" not in reply.body  # no end is made up
    if lane in ("plain", "retries", "fallbacks") and row["http_status"] == reply.status < 500:
        assert appliance.body(mark)["response"].encode() == reply.body
    assert (cost > 0) == (row["usage_source"] != "none"), row
    assert row["not_applied"] == ([UNMAPPED] if (lane, fault, kind) == NOT_MAPPED else [])
    paid = {"provider": "counted", "estimated": "estimated", "none": "nothing"}
    told = f"{reply.status} {reply.end} · {row['outcome']} · {len(row['attempts'])}"
    return f"{told} · {paid[row['usage_source']]}"


CASES = [(fault, kind, lane) for fault, kind in TABLE for lane in LANES]


@pytest.mark.parametrize(("fault", "kind", "lane"), CASES)
def test_a_fault(faulty: Appliance, provider: Provider, fault: str, kind: str, lane: str) -> None:
    expected = TABLE[fault, kind]
    assert seen(faulty, provider, lane, fault, kind) == expected[LANES.index(lane)]


def test_every_fault_is_in_the_table() -> None:
    assert {fault for fault, _ in TABLE} == set(FAULTS)


def test_flapping(faulty: Appliance, provider: Provider) -> None:
    """A provider that is well, then down for three calls, then well: a minute of that, told by its
    own count of calls. Alone a client meets the faults; with retries it meets none."""
    calls = {"plain": 0, "retries": 0}

    def flapping(lane: str) -> Script:
        async def script(talk: Talk) -> None:
            calls[lane] += 1
            down = calls[lane] % 6 in (3, 4, 5)
            await (refusing(503, "overloaded") if down else normal)(talk)

        return script

    for lane, statuses in (("plain", {200: 30, 503: 30}), ("retries", {200: 60})):
        name = provider.add(f"flapping {lane}", flapping(lane))
        user, seen_statuses = str(uuid.uuid4()), dict.fromkeys(statuses, 0)
        headers = {"Helicone-User-Id": user, "x-fake": name, "Authorization": "Bearer sk-own"}
        if lane == "retries":
            headers |= {**RETRIES, "helicone-retry-num": "3"}
        for _ in range(60):
            body = {"model": "gpt-4o", "messages": SAY, "max_tokens": 50}
            reply = faulty.call(CHAT, body, headers)
            seen_statuses[reply.status] += 1
        assert seen_statuses == statuses
        sql = "SELECT status, cost_usd, attempts FROM requests WHERE user_id = "
        rows = faulty.query(f"{sql}'{user}'")
        assert len(rows) == 60
        assert sum(len(row["attempts"]) for row in rows) == calls[lane]
        good = [row for row in rows if row["status"] == 200]
        assert len(good) == statuses[200]
        assert all(Decimal(row["cost_usd"] or 0) == 0 for row in rows if row not in good)
        assert billed(faulty, user) == sum(Decimal(row["cost_usd"]) for row in good) > 0
