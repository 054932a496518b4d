"""Writes made-up exchanges into a data directory, through the journal that the server writes too.

Deterministic for a count and a seed: varied models, users, sessions, properties, streams and
errors, spread over the 30 days before 1 October 2026 with days and nights. They go behind what the
directory holds already. Rows come when the directory is first asked, or served.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf, pi, sin
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import trio
from fill_bodies import MODELS, Model, error_body, talk

from appliance.core.keys import DEFAULT_ORGANIZATION
from storage.directory import Root, RootBusy, RootRefused
from storage.frames import KIND_EXCHANGE, BodyPacker, Part, encode_exchange
from storage.journal import Journal, JournalOptions
from storage.vault import Vault, VaultError

END_US = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp() * 1e6)
DAY_US = 86_400_000_000
DAYS = 30
TALKS_PER_MODEL = 250  # of each kind; calls pick from them, so that packing bodies costs no time
BATCH = 100  # exchanges between two turns of the loop: the journal's fsyncs run besides
PROGRESS_S = 1.0
# Nobody waits for a reply here: a slow disk may slow us down instead of filling the memory.
OPTIONS = JournalOptions(slow_write_s=inf, slow_sync_s=inf)

STREAM_TYPE, JSON_TYPE = "text/event-stream", "application/json"
FEATURES = ("search", "chat", "summary", "triage", "translate")
TENANTS = ("acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "tyrell")
ENVIRONMENTS = ("production", "production", "production", "staging")
COUNTRIES = ("DE", "FR", "US", "US", "JP", "BR", "IN", None)
# Of 1,000 calls: HTTP errors, replies that broke off, clients that left, time-outs.
FAULTS: tuple[tuple[int, str, int | None], ...] = (
    (6, "complete", 400), (2, "complete", 401), (18, "complete", 429), (7, "complete", 500),
    (3, "complete", 529), (3, "cut", 200), (8, "client_gone", 200), (2, "timeout_first_byte", 504),
    (1, "connect_failed", 502),
)  # fmt: skip


class Packed(NamedTuple):
    """A conversation, ready for a frame."""

    request: list[Part]
    response: list[Part]
    request_bytes: int
    response_bytes: int
    tokens: int


class Bodies:
    """Conversations by model and kind, packed once."""

    def __init__(self, random: Random) -> None:
        packer = BodyPacker()
        self._talks: dict[tuple[str, bool], list[Packed]] = {}
        self._broken: dict[tuple[str, bool], list[Packed]] = {}
        self._errors: dict[tuple[str, int], tuple[list[Part], int]] = {}
        for model in MODELS:
            for stream in (False, True):
                whole = [talk(random, model, stream=stream) for _ in range(TALKS_PER_MODEL)]
                key = (model.name, stream)
                self._talks[key] = [
                    packed(packer, one.request, one.response, one.completion_tokens)
                    for one in whole
                ]
                self._broken[key] = [
                    packed(packer, one.request, one.response[: len(one.response) // 2], 20)
                    for one in whole[:20]
                ]
            for status in (400, 401, 429, 500, 529):
                body = error_body(model, status)
                self._errors[model.name, status] = (packer.pack(body), len(body))

    def pick(
        self, random: Random, model: Model, *, stream: bool, outcome: str, status: int | None
    ) -> Packed:
        """The bodies of a call that ended so."""
        key = (model.name, stream)
        if outcome in ("cut", "client_gone"):
            return random.choice(self._broken[key])
        found = self._talks[key][int(random.random() * TALKS_PER_MODEL)]
        if outcome != "complete":
            return found._replace(response=[], response_bytes=0, tokens=0)
        if status == 200 or status is None:
            return found
        response, length = self._errors[model.name, status]
        return found._replace(response=response, response_bytes=length, tokens=0)


def packed(packer: BodyPacker, request: bytes, response: bytes, tokens: int) -> Packed:
    return Packed(packer.pack(request), packer.pack(response), len(request), len(response), tokens)


def time_us(number: int, count: int) -> int:
    """When call `number` of `count` began: always later than the one before; more by day."""
    passed = (number + 0.5) / count * DAYS
    return END_US - DAYS * DAY_US + int((passed - 0.12 * sin(2 * pi * passed)) * DAY_US)


def exchange_id(random: Random, at_us: int) -> bytes:
    """A UUIDv7 of that time."""
    bits = random.getrandbits(74)
    value = (at_us // 1000) << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0x2 << 62
    return (value | bits & (1 << 62) - 1).to_bytes(16, "big")


def exchanges(count: int, seed: int) -> Iterator[bytes]:
    """The payloads of their frames, in the order of time."""
    random = Random(seed)
    bodies = Bodies(random)
    models = [model for model in MODELS for _ in range(model.weight)]
    faults = [(outcome, status) for weight, outcome, status in FAULTS for _ in range(weight)]
    faults += [("complete", 200)] * (1000 - len(faults))
    users = [f"user-{number:04d}" for number in range(2000)]
    sessions: list[str] = [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(200)]
    for number in range(count):
        pick = random.random
        model = models[int(pick() * len(models))]
        outcome, status = faults[int(pick() * 1000)]
        stream = pick() < 0.45
        body = bodies.pick(random, model, stream=stream, outcome=outcome, status=status)
        meta = base_facts(random, model, time_us(number, count), outcome, status, stream, body)
        # Few users make most calls.
        meta["user_id"] = users[int(pick() ** 3 * 2000)]
        meta["properties"] = {
            "tenant": TENANTS[int(pick() * 8)],
            "feature": FEATURES[int(pick() * 5)],
            "environment": ENVIRONMENTS[int(pick() * 4)],
        }
        if pick() < 0.4:
            place = int(pick() * 200)
            if pick() < 0.1:  # a session ends, another begins
                sessions[place] = str(UUID(int=random.getrandbits(128), version=4))
            meta["session_id"] = sessions[place]
            meta["session_path"] = f"/{FEATURES[place % 5]}/step-{number % 4}"
            meta["session_name"] = f"{FEATURES[place % 5]} run"
        country = COUNTRIES[int(pick() * 8)]
        if country is not None:
            meta["country_code"] = country
        yield encode_exchange(meta, body.request, body.response)


def base_facts(
    random: Random,
    model: Model,
    at_us: int,
    outcome: str,
    status: int | None,
    stream: bool,
    body: Packed,
) -> dict[str, Any]:
    """What the door, the call and the relay would have seen."""
    first_us = int(random.lognormvariate(12.9, 0.5))
    if outcome == "timeout_first_byte":
        first_us = 60_000_000
    duration_us = first_us + body.tokens * 1_000_000 // model.tokens_per_s
    url = model.base + model.path
    answered = outcome not in ("timeout_first_byte", "connect_failed")
    attempt = {
        "target": url,
        "provider": model.record_name,
        "model": None,
        "status": status if answered else None,
        "started_at_us": at_us + 300,
        "latency_us": duration_us - 300,
        "why_next": "" if answered else outcome,
    }
    meta: dict[str, Any] = {
        "exchange_id": exchange_id(random, at_us),
        "request_id": str(UUID(int=random.getrandbits(128), version=4)),
        "created_at_us": at_us,
        "recorded_at_us": at_us + duration_us,
        "duration_us": duration_us,
        "method": "POST",
        "path": f"/v1/gateway/{model.provider}{model.path}",
        "target_url": url,
        "provider": model.record_name,
        "gateway_provider": model.provider,
        "dialect": model.dialect,
        "http_status": status,
        "outcome": outcome,
        "attempts": [attempt],
        "request_type": JSON_TYPE,
        "request_bytes": body.request_bytes,
        "response_bytes": body.response_bytes,
        "stream_asked": stream,
    }
    if answered:
        meta["ttfb_us"] = first_us
        meta["response_type"] = STREAM_TYPE if stream and status == 200 else JSON_TYPE
    return meta


async def write(journal: Journal, count: int, seed: int) -> int:
    """Append them all. Returns the bytes of their payloads."""
    began_s = told_s = time.monotonic()
    size = 0
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for number, payload in enumerate(exchanges(count, seed), 1):
            journal.append(KIND_EXCHANGE, DEFAULT_ORGANIZATION, payload)
            size += len(payload)
            if number % BATCH:
                continue
            await trio.lowlevel.checkpoint()
            if journal.degraded:
                sys.exit(f"the journal gave up after {number} exchanges: {journal.degraded}")
            now_s = time.monotonic()
            if now_s - told_s > PROGRESS_S:
                told_s = now_s
                tell(number, count, now_s - began_s)
        await journal.close()
    tell(count, count, time.monotonic() - began_s)
    if journal.stats.records_dropped or journal.stats.bodies_dropped:
        sys.exit("the journal could not keep all: is the disk full?")
    return size


def tell(number: int, count: int, took_s: float) -> None:
    print(
        f"{number:,} of {count:,}, {number / max(took_s, 1e-9):,.0f}/s", file=sys.stderr, flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fill", description=__doc__)
    parser.add_argument("count", type=int, help="how many exchanges")
    parser.add_argument("directory", type=Path, help="a data directory, made if there is none")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    try:
        with Root.open(args.directory, wait_s=0) as root:
            keys = Vault.open(root.path).segment_keys
            journal = Journal.open(root.path, region="us", options=OPTIONS, keyring=keys)
            trio.run(write, journal, args.count, args.seed)
    except (RootBusy, RootRefused, VaultError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
