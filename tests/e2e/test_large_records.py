"""What large bodies mean is worked out where nobody waits for it."""

from __future__ import annotations

import gzip
import re
import uuid
from pathlib import Path

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.patience import soonest
from tests.fakes.provider import Provider

# What each of these took on the loop was over a second.
STALL_S_MAX = 0.4
USAGE = b'"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}'


def dense(count: int) -> bytes:
    """JSON that is all structure: ten times as slow to read as text of the same size."""
    message = b'{"role":"user","content":[{"type":"text","text":"hi"}]}'
    return b'{"model":"gpt-4o","messages":[%b]}' % b",".join([message] * count)


def reply(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: application/json", *headers]
    return b"\r\n".join(lines) + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def stall_s(appliance: Appliance) -> float:
    text = appliance.call("/metrics", method="GET").body.decode()
    found = re.search(r"^helicone_appliance_loop_longest_stall_seconds (\S+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_large_bodies_hold_up_nobody(provider: Provider, tmp_path: Path) -> None:
    def once() -> float:
        with Appliance(tmp_path / str(uuid.uuid4()), provider) as appliance:
            ask_for_large_ones(appliance, provider)
            return stall_s(appliance)

    soonest(once, STALL_S_MAX)


def ask_for_large_ones(fresh: Appliance, provider: Provider) -> None:
    small = reply(b'{"model":"gpt-4o","choices":[],%b}' % USAGE)
    large = dense(150_000)
    pieces = b"".join(b"[%d]," % number + b"[]," * 200 for number in range(10_000))
    coded = gzip.compress(b'{"model":"gpt-4o","choices":[],"x":[%b0],%b}' % (pieces, USAGE))
    assert len(large) > 8_000_000
    assert 6_000_000 / 200 < len(coded) < 256 * 1024
    json_type = {"content-type": "application/json"}
    calls = [
        (large, provider.add("small", small)),
        (b'{"model":"gpt-4o"}', provider.add("coded", reply(coded, b"Content-Encoding: gzip"))),
    ]
    for body, script in calls:
        answer = fresh.call(CHAT, body, {"x-fake": script, **json_type})
        assert answer.status == 200
        found = fresh.call(f"/v1/request/{answer.id}", method="GET")  # before its row is there
        assert (found.status, found.json["data"]["request_model"]) == (200, "gpt-4o")
        row = fresh.row(answer.id)
        assert (row["model"], row["prompt_tokens"], row["derive_error"]) == ("gpt-4o", 7, None)
        assert row["request_bytes"] == len(body)
    kept = fresh.query("SELECT max(length(request)) AS q, max(length(response)) AS r FROM bodies")
    assert kept == [{"q": len(large), "r": len(gzip.decompress(coded))}]


def test_a_record_too_large_for_little_memory_stops_no_other(
    provider: Provider, tmp_path: Path
) -> None:
    """The database gets 44 MB here and takes no text of 31 MB: it stood still from there on."""
    answer = {"x-fake": provider.add("small", reply(b'{"model":"gpt-4o",%b}' % USAGE))}
    with Appliance(tmp_path, provider, config='memory_bytes_max = "256MiB"\n') as appliance:
        body = b'{"model":"gpt-4o","x":"%b"}' % (b"x" * (31 * 2**20))
        large = appliance.call(CHAT, body, answer)
        after = appliance.call(CHAT, {"model": "gpt-4o"}, answer)
        row = appliance.row(after.id)
        assert (row["prompt_tokens"], row["derive_error"]) == (7, None)
        row = appliance.row(large.id)
        assert (row["prompt_tokens"], row["outcome"]) == (7, "complete")
        assert "MemoryError" in row["derive_error"]
