"""The cache's behaviour towards clients as a table (`proxy.md 4`, `internals.md 7`), and a counter
that answers it: headers are parsed, the key made, the reply weighed, kept and sent again as in the
proxy, with a scripted provider and no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.actors.response_cache import Hit, ResponseCache
from appliance.core.asks import parse_asks
from appliance.core.cache_control import reads, saves, why_unfit
from appliance.core.cache_entry import make_entry
from appliance.core.cache_key import KeyHead
from appliance.core.cache_reply import MISS, hit_facts, hit_headers, replay_of
from appliance.errors import Refusal

SECOND_US = 1_000_000
ORG = b"o" * 16
BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi","n":1}],"n":1}'
ON = {"Helicone-Cache-Enabled": "true"}
BY = {**ON, "Authorization": "Bearer sk-provider", "Helicone-Auth": "Bearer sk-helicone-a"}
JSON_REPLY = {"Content-Type": "application/json"}
STREAM_REPLY = {"Content-Type": "text/event-stream"}
CUT_STREAM = (b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n',)
STREAM = (*CUT_STREAM, b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n")


@dataclass(frozen=True)
class Call:
    """One request, what the provider would answer, and what the client should see. `cache` is the
    word of `Helicone-Cache`, "" for none, or "500" for a refusal."""

    cache: str
    headers: Mapping[str, str] = field(default_factory=lambda: ON)
    body: bytes = BODY
    url: str = "https://api.openai.com/v1/chat/completions"
    method: str = "POST"
    org: bytes = ORG
    region: str = "us"
    status: int = 200
    outcome: str = "complete"
    reply: tuple[bytes, ...] = (b'{"choices":[{"message":{"content":"hello"}}]}',)
    reply_headers: Mapping[str, str] = field(default_factory=lambda: JSON_REPLY)
    after_s: float = 1.0  # since the call before
    bucket: int = 0


@dataclass(frozen=True)
class Scenario:
    """Calls in order."""

    name: str
    calls: tuple[Call, ...]


def pair(name: str, first: Call, second: Call) -> Scenario:
    return Scenario(name, (first, second))


def again(name: str, cache: str, **other: Any) -> Scenario:
    """A first call that is a miss, then the same with this difference."""
    return pair(name, Call("MISS", BY), Call(cache, **{"headers": BY, **other}))


def unkept(name: str, **other: Any) -> Scenario:
    """A reply that must not be given to anyone else."""
    return pair(name, Call("MISS", **other), Call("MISS", **other))


def with_header(name: str, value: str) -> dict[str, str]:
    return {**BY, name: value}


TABLE = [
    pair("nothing asked: nothing said, nothing kept", Call("", {}), Call("", {})),
    again("the same again is a hit", "HIT"),
    again("also a week later, less a moment", "HIT", after_s=604_799),
    again("but not after a week", "MISS", after_s=604_800),
    again("another body", "MISS", body=BODY.replace(b"hi", b"ho")),
    again("another path", "MISS", url="https://api.openai.com/v1/completions"),
    again("another query", "MISS", url="https://api.openai.com/v1/chat/completions?a=1"),
    again("another target of the gateway", "MISS", url="https://api.groq.com/v1/chat/completions"),
    again("another method", "MISS", method="PUT"),
    again("another seed", "MISS", headers=with_header("Helicone-Cache-Seed", "7")),
    again("another organisation", "MISS", org=b"p" * 16),
    again("another region", "MISS", region="eu"),
    again("another Helicone key", "MISS", headers=with_header("Helicone-Auth", "Bearer other")),
    again("another provider key", "MISS", headers=with_header("Authorization", "Bearer other")),
    again("a key in x-api-key", "MISS", headers=with_header("x-api-key", "sk-ant")),
    again("a key in api-key", "MISS", headers=with_header("api-key", "azure")),
    again("another user is no matter", "HIT", headers=with_header("Helicone-User-Id", "bob")),
    again("nor a property", "HIT", headers=with_header("Helicone-Property-App", "x")),
    again(
        "nor the age that is asked for", "HIT", headers=with_header("Cache-Control", "max-age=1")
    ),
    again("nor the case of the word", "HIT", headers=with_header("Helicone-Cache-Enabled", "TRUE")),
    pair(
        "Google's tokens change by the hour",
        Call("MISS", {**ON, "Authorization": "Bearer ya29.a"}),
        Call("HIT", {**ON, "Authorization": "Bearer ya29.b"}),
    ),
    # Halves
    pair(
        "one half saves and says nothing, the other reads",
        Call("", {"Helicone-Cache-Save": "true"}),
        Call("HIT", {"Helicone-Cache-Read": "true"}),
    ),
    unkept("reading alone keeps nothing", headers={"Helicone-Cache-Read": "true"}),
    Scenario(
        "saving alone asks the provider each time, and keeps the first answer",
        (
            Call("", {"Helicone-Cache-Save": "true"}),
            Call("", {"Helicone-Cache-Save": "true"}, reply=(b'{"choices":[1]}',)),
            Call("HIT", {"Helicone-Cache-Read": "true"}),
        ),
    ),
    # Age
    unkept("an age of nothing", headers={**ON, "Cache-Control": "max-age=0"}),
    *(
        Scenario(
            f"{control}: {age_s} s",
            (
                Call("MISS", {**ON, "Cache-Control": control}),
                Call("HIT", {**ON, "Cache-Control": control}, after_s=age_s - 1),
                Call("MISS", {**ON, "Cache-Control": control}, after_s=1),
            ),
        )
        for control, age_s in [
            ("max-age=30", 30),
            ("max-age=60, s-maxage=120", 120),
            ("s-maxage=5, max-age=60", 5),
            ("x-s-maxage=5, max-age=60", 60),
            ("no-store", 604_800),
            ("max-age=99999999999", 31_536_000),
        ]
    ),
    # Buckets: so many misses, then one of them
    *(
        Scenario(
            f"{buckets} buckets",
            (
                *[
                    Call("MISS", {**ON, "Helicone-Cache-Bucket-Max-Size": str(buckets)})
                    for _ in range(buckets)
                ],
                Call(
                    "HIT",
                    {**ON, "Helicone-Cache-Bucket-Max-Size": str(buckets)},
                    bucket=buckets - 1,
                ),
            ),
        )
        for buckets in (1, 3, 20)
    ),
    unkept("no buckets", headers={**ON, "Helicone-Cache-Bucket-Max-Size": "0"}),
    unkept("no number of buckets", headers={**ON, "Helicone-Cache-Bucket-Max-Size": "many"}),
    pair(
        "too many buckets",
        Call("500", {**ON, "Helicone-Cache-Bucket-Max-Size": "21"}),
        Call("MISS"),
    ),
    # Ignored keys, both spellings
    *(
        Scenario(
            f"ignored keys, {value}",
            (
                Call("MISS", {**ON, "Helicone-Cache-Ignore-Keys": value}),
                Call(
                    "HIT",
                    {**ON, "Helicone-Cache-Ignore-Keys": value},
                    body=BODY.replace(b'"n":1}', b'"n":2}').replace(b'"n":2}]', b'"n":1}]'),
                ),
                Call(
                    "MISS",
                    {**ON, "Helicone-Cache-Ignore-Keys": value},
                    body=BODY.replace(b'"n":1}]', b'"n":2}]'),
                ),
            ),
        )
        for value in ("n", "id, n", '"n"', '"id", "n"', '["n"]', ",n,,")
    ),
    pair(
        "ignored keys of what is no JSON",
        Call("MISS", {**ON, "Helicone-Cache-Ignore-Keys": "n"}, body=b"n=1"),
        Call("MISS", {**ON, "Helicone-Cache-Ignore-Keys": "n"}, body=b"n=2"),
    ),
    # What is kept
    Scenario(
        "a stream",
        (
            Call("MISS", reply=STREAM, reply_headers=STREAM_REPLY),
            Call("HIT", reply=STREAM, reply_headers=STREAM_REPLY),
        ),
    ),
    Scenario(
        "what cannot be kept is asked for again, and kept when it can",
        (Call("MISS", status=500), Call("MISS"), Call("HIT")),
    ),
    *(unkept(f"status {status}", status=status) for status in (201, 204, 206, 400, 401, 429, 500)),
    *(
        unkept(f"outcome {outcome}", outcome=outcome)
        for outcome in ("client_gone", "cut", "stalled", "malformed", "timeout_gap")
    ),
    unkept("an error in a 200", reply=(b'{"error":{"message":"overloaded"}}',)),
    unkept(
        "an error in a stream",
        reply=(*CUT_STREAM, b'data: {"error":{"message":"x","type":"server_error"}}\n\n'),
        reply_headers=STREAM_REPLY,
    ),
    unkept("a stream without its end", reply=CUT_STREAM, reply_headers=STREAM_REPLY),
    unkept("half of a document", reply=(b'{"choices":[',)),
]


class Counter:
    """Answers calls with the cache before the provider. `asked` counts those that reached it."""

    def __init__(self, cache: ResponseCache, now_us: int) -> None:
        self.cache = cache
        self.now_us = now_us
        self.asked = 0
        self.calls = 0

    async def answer(self, call: Call) -> Answer:
        self.now_us += int(call.after_s * SECOND_US)
        self.calls += 1
        lines = [(name.encode(), value.encode()) for name, value in call.headers.items()]
        try:
            asks = parse_asks({name.lower(): value for name, value in lines})
        except Refusal as refusal:
            return Answer(str(refusal.status), [], ())
        head = KeyHead(
            secret=b"secret", region=call.region, org=call.org, method=call.method.encode(),
            url=call.url.encode(), headers=lines, seed=asks.cache_seed,
            ignored=asks.cache_ignore_keys,
        )  # fmt: skip
        key = head.key(call.body) if asks.cache_read or asks.cache_save else b""
        if reads(asks):
            found = self.cache.lookup(key, asks.cache_buckets, self.now_us)
            if found is not None and not isinstance(found, Hit):
                found = await self.cache.fetch(found, self.now_us)
            replay = replay_of(found.entry, b"") if found is not None else None
            if found is not None and replay is not None:
                headers = [*replay.headers, *hit_headers(found.entry, found.bucket)]
                return Answer("HIT", headers, replay.chunks, hit_facts(found.entry))
        self.asked += 1
        headers = [(name.encode(), value.encode()) for name, value in call.reply_headers.items()]
        kind = call.reply_headers.get("Content-Type", "")
        body = b"".join(call.reply)
        if saves(asks) and not why_unfit(call.status, call.outcome, kind, "", "openai", body):
            entry = make_entry(
                org=call.org, exchange_id=b"%016d" % self.calls, request_id=f"id-{self.calls}",
                created_at_us=self.now_us, age_s=asks.cache_age_s, latency_ms=100 * self.calls,
                headers=headers, chunks=call.reply, has_length=True, content_type=kind,
            )  # fmt: skip
            self.cache.save(key, entry, asks.cache_buckets, self.now_us)
        return Answer(
            "MISS" if asks.cache_read else "", headers + [MISS] * asks.cache_read, call.reply
        )


@dataclass(frozen=True)
class Answer:
    """What the client sees, and what a hit puts on record."""

    cache: str
    headers: list[tuple[bytes, bytes]]
    chunks: tuple[bytes, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
