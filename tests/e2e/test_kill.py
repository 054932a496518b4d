"""`kill -9` under load, at seeded random moments: what a client has seen finished is on record.

Sixteen connections call as fast as they can, buffered, streamed and large. After the kill every
reply that a client has received whole must be there exactly once, with both of its bodies, whether
a new server is asked or the directory itself.
"""

from __future__ import annotations

import json
import os
import random
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.appliance import CHAT, MESSAGES, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Ended, RawClient, Reply

CONNECTIONS = 16
LOAD_S = (0.02, 0.5)
SEED_VARIABLE = "HELICONE_APPLIANCE_TEST_SEED"
KINDS = (
    (CHAT, {"model": "gpt-4o"}),
    (CHAT, {"model": "gpt-4o", "stream": True}),
    (MESSAGES, {"model": "claude-sonnet-4-6", "stream": True}),
    (CHAT, {"model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}}),
    (MESSAGES, {"model": "claude-sonnet-4-6"}),
    (CHAT, {"model": "fake-big-400"}),
    (CHAT, {"model": "gpt-4o", "padding": "p" * 1_500_000}),
)
# The large kinds are rarer: they would leave no room for the others.
WEIGHTS = (8, 8, 4, 4, 4, 1, 1)
ENDINGS = (b"data: [DONE]\n\n", b'"type":"message_stop"}\n\n')


@dataclass
class Seen:
    """What clients have received whole: by id, the digests of request and response."""

    replies: dict[str, tuple[str, str]] = field(default_factory=dict)
    begun: int = 0
    wrong: list[str] = field(default_factory=list)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def call_until_killed(url: str, seed: int, seen: Seen) -> None:
    """One connection. Streams count as received at their terminal event, as they do for SDKs."""
    choose = random.Random(seed)
    number = 0
    try:
        with RawClient(url) as client:
            while True:
                number += 1
                path, ask = choose.choices(KINDS, WEIGHTS)[0]
                body = encoded(ask, f"{seed}-{number}")
                client.request(path, body, {"Content-Type": "application/json"})
                seen.begun += 1
                receive(client, body, seen)
    except (Ended, OSError):
        return


def encoded(ask: dict[str, Any], mark: str) -> bytes:
    return json.dumps({**ask, "messages": [{"role": "user", "content": mark}]}).encode()


def receive(client: RawClient, request: bytes, seen: Seen) -> None:
    reply = client.head()
    try:
        read_body(client, reply)
    finally:
        streamed = reply.body.endswith(ENDINGS)
        if reply.end == "clean" or streamed:
            if reply.status != 200:
                seen.wrong.append(f"{reply.status} {reply.body[:200]!r}")
            seen.replies[reply.id] = (digest(request), digest(reply.body))


def read_body(client: RawClient, reply: Reply) -> None:
    if reply.first("content-length") is None:
        while client.frame(reply):
            pass
        return
    reply.body = client.read_exactly(int(reply.first("content-length") or 0))
    reply.end = "clean"


def one_round(appliance: Appliance, random_: random.Random, seen: Seen) -> None:
    """Load, kill, and let the clients read what had reached them."""
    threads = [
        threading.Thread(
            target=call_until_killed, args=(appliance.url, random_.getrandbits(32), seen)
        )
        for _ in range(CONNECTIONS)
    ]
    killer = threading.Event()
    for thread in threads:
        thread.start()
    killer.wait(random_.uniform(*LOAD_S))
    appliance.kill()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


ROWS = """
SELECT request_id::VARCHAR AS id, count(*) AS rows, min(outcome) AS outcome,
       min(derive_error) AS derive_error
FROM requests GROUP BY 1
"""
BODIES = """
SELECT request_id::VARCHAR AS id, sha256(request) AS request, sha256(response) AS response
FROM bodies WHERE exchange_id >= '{}'
"""
FIRST = "00000000-0000-0000-0000-000000000000"


def check(appliance: Appliance, seen: Seen, where: str, since: str = FIRST) -> None:
    """All rows, and the bodies of those from `since` on (ids grow with time)."""
    rows = {row["id"]: row for row in appliance.query(ROWS)}
    missing = [name for name in seen.replies if name not in rows]
    assert not missing, f"{where}: {len(missing)} of {len(seen.replies)} missing"
    # Nothing that was never asked for, either: at most one row for each call.
    assert len(rows) <= seen.begun
    assert all(row["rows"] == 1 for row in rows.values())
    found = {row["id"]: row for row in appliance.query(BODIES.format(since))}
    for name, digests in seen.replies.items():
        assert (rows[name]["outcome"], rows[name]["derive_error"]) == ("complete", None)
        if name >= since:
            assert (found[name]["request"], found[name]["response"]) == digests, (where, name)


def kill_rounds(directory: Path, provider: Provider, rounds: int) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or int.from_bytes(os.urandom(4), "big"))
    print(f"{SEED_VARIABLE}={seed}")
    random_ = random.Random(seed)
    appliance = Appliance(directory, provider)
    seen = Seen()
    for number in range(1, rounds + 1):
        where = f"seed {seed}, round {number}"
        before = set(seen.replies)
        appliance.start()
        one_round(appliance, random_, seen)
        assert not seen.wrong, where
        since = min(seen.replies.keys() - before, default=FIRST)
        if random_.random() < 0.5:
            check(appliance, seen, where + ", offline", since)
        else:
            appliance.start()
            try:
                check(appliance, seen, where + ", restarted", since)
            finally:
                appliance.kill()
    assert len(seen.replies) > 10 * rounds
    with appliance:
        check(appliance, seen, f"seed {seed}, at the end")
    assert "Traceback" not in appliance.log


@pytest.mark.timeout(120)
def test_ten_rounds(tmp_path: Path, provider: Provider) -> None:
    kill_rounds(tmp_path, provider, 10)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_rounds(tmp_path: Path, provider: Provider) -> None:
    kill_rounds(tmp_path, provider, 200)
