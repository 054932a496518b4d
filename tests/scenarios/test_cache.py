"""Each line of the cache's table, from memory and over a restart; and what must not be anywhere."""

from pathlib import Path

import pytest

from appliance.actors.response_cache import ResponseCache
from storage.cache_store import CacheStore
from tests.scenarios.cache import BY, TABLE, Call, Counter, Scenario

NOW_US = 1_700_000_000_000_000
MIB = 1024 * 1024


def cache(path: Path | None = None) -> ResponseCache:
    """The last bucket is always the one that is drawn."""
    store = CacheStore(path, 64 * MIB, free_bytes_min=0) if path is not None else None
    return ResponseCache(8 * MIB, store, now_us=lambda: NOW_US, draw=lambda: 0.999)


async def check(scenario: Scenario, path: Path | None) -> None:
    counter = Counter(cache(path), NOW_US)
    hits = 0
    for number, call in enumerate(scenario.calls, 1):
        if path is not None:  # another process each time
            counter.cache = cache(path)
            assert await counter.cache.flush()
        answer = await counter.answer(call)
        assert answer.cache == call.cache, f"call {number}"
        names = dict(answer.headers)
        if call.cache == "HIT":
            hits += 1
            filler = scenario.calls[int(answer.facts["cache_reference_id"][3:]) - 1]
            assert answer.chunks == filler.reply
            assert names[b"Helicone-Cache-Bucket-Idx"] == b"%d" % call.bucket
            assert names[b"Content-Type"] == filler.reply_headers["Content-Type"].encode()
            latency_ms = int(names[b"Helicone-Cache-Latency"])
            assert answer.facts["cached_latency_us"] == latency_ms * 1000 > 0
        else:
            assert names.get(b"Helicone-Cache", b"").decode() == call.cache.strip("50")
            assert not any(name.startswith(b"Helicone-Cache-") for name in names)
            assert answer.facts == {}
        if path is not None:
            assert await counter.cache.flush()
    refused = sum(call.cache == "500" for call in scenario.calls)
    assert counter.asked == len(scenario.calls) - hits - refused


@pytest.mark.parametrize("scenario", TABLE, ids=lambda scenario: scenario.name)
async def test_from_memory(scenario: Scenario) -> None:
    await check(scenario, None)


@pytest.mark.parametrize("scenario", TABLE, ids=lambda scenario: scenario.name)
async def test_from_disk(scenario: Scenario, tmp_path: Path) -> None:
    await check(scenario, tmp_path / "cache")


async def test_a_cookie_is_the_first_callers_own() -> None:
    counter = Counter(cache(), NOW_US)
    headers = {"Content-Type": "application/json", "Set-Cookie": "s=1", "openai-version": "2"}
    assert (b"Set-Cookie", b"s=1") in (
        await counter.answer(Call("", reply_headers=headers))
    ).headers
    answer = await counter.answer(Call(""))
    assert (b"openai-version", b"2") in answer.headers
    assert b"set-cookie" not in [name.lower() for name, _ in answer.headers]


async def test_no_key_text_is_kept(tmp_path: Path) -> None:
    counter = Counter(cache(tmp_path / "cache"), NOW_US)
    await counter.answer(Call("", BY, body=b'{"planted":"prompt"}'))
    assert await counter.cache.flush()
    text = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert b"hello" in text
    for secret in (b"sk-provider", b"sk-helicone", b"planted", b"chat/completions"):
        assert secret not in text


def test_the_table_names_each_line_once() -> None:
    names = [scenario.name for scenario in TABLE]
    assert len(set(names)) == len(names)
