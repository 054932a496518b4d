"""With a master key nothing that was said can be read in the data directory, ever."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import zstandard

from storage.segment import segment_numbers
from tests.e2e.storage_kit import (
    MIB,
    Traffic,
    control,
    files_with,
    offline,
    told_on_stderr,
    wait_until,
)
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_scripts import END, STREAM_HEAD, chunk, whole

MASTER = "HELICONE_APPLIANCE_MASTER_KEY"
KEY = "a passphrase that nobody guesses"


def planted(provider: Provider, text: str) -> None:
    """Replies of three sizes with a text in them: buffered, streamed, and too large for memory."""

    async def small(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(whole(b'{"model":"gpt-4o","text":"%b"}' % text.encode()))

    async def large(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(whole(b'{"text":"%b"}' % (text.encode() + b" ") * 60_000))

    async def streamed(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(STREAM_HEAD)
        for _ in range(3):
            await talk.send(chunk(b'data: {"text":"%b"}\n\n' % text.encode()))
        await talk.send(chunk(b"data: [DONE]\n\n") + END)

    for script in (small, large, streamed):
        provider.add(f"fake-planted-{script.__name__}", script)


def speak(appliance: Appliance, text: str) -> int:
    """The text in every place that a request has. How many exchanges."""
    headers = {
        "helicone-user-id": text,
        "helicone-session-id": text,
        "helicone-session-path": f"/{text}",
        "helicone-property-topic": text,
    }
    ask: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    count = 0
    for script in ("small", "large", "streamed"):
        for more in ("", text * (2 * MIB // len(text))):
            named = {**headers, "x-fake": f"fake-planted-{script}"}
            reply = appliance.call(f"{CHAT}?q={text}", {**ask, "user": more}, named)
            assert reply.status == 200
            assert text.encode() in reply.body
            count += 1
    cut = {**headers, "x-fake": "fake-cut-after-3"}
    appliance.call(CHAT, {**ask, "stream": True}, cut)
    return count + 1


def unreadable(appliance: Appliance, text: str) -> None:
    """Nothing: not in the clear, and nothing that zstd opens."""
    assert files_with(appliance.data, text.encode()) == []
    for path in appliance.data.rglob("*"):
        if path.is_file():
            assert not any(text.encode() in found for found in unpacked(path.read_bytes())), path


def unpacked(data: bytes) -> list[bytes]:
    """What lies in zstd frames somewhere in the data."""
    found, at = [], -1
    while (at := data.find(b"\x28\xb5\x2f\xfd", at + 1)) >= 0:
        try:
            found.append(zstandard.ZstdDecompressor().decompressobj().decompress(data[at:]))
        except zstandard.ZstdError:
            continue
    return found


@pytest.mark.parametrize("key", [None, KEY])
def test_nothing_can_be_read(tmp_path: Path, provider: Provider, key: str | None) -> None:
    """Without a key it can: that shows that the search would find it."""
    text = f"planted-{uuid.uuid4().hex}"
    planted(provider, text)
    appliance = Appliance(tmp_path, provider, environ={MASTER: key} if key else {})
    appliance.start()
    count = speak(appliance, text)
    rows = f"SELECT count(*) AS n FROM bodies WHERE request LIKE '%{text}%'"
    assert appliance.query(rows) == [{"n": count}]
    if key is None:
        assert len(files_with(appliance.data, text.encode())) > 2
        appliance.kill()
        return
    unreadable(appliance, text)
    assert control(appliance, "roll")["segments"] == 1
    unreadable(appliance, text)
    count += speak(appliance, text)
    assert appliance.query(rows) == [{"n": count}]
    appliance.kill()
    unreadable(appliance, text)
    assert appliance.query(rows) == [{"n": count}]
    offline(appliance, "verify")
    unreadable(appliance, text)
    with appliance:
        count += speak(appliance, text)
        assert appliance.query(rows) == [{"n": count}]
    unreadable(appliance, text)
    assert text not in appliance.log


def test_a_body_on_its_way_is_sealed_too(tmp_path: Path, provider: Provider) -> None:
    """While a large request waits for its reply, and while a large reply is only half there."""
    text = f"planted-{uuid.uuid4().hex}"
    arrived = f"half-{text}"

    async def half(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(STREAM_HEAD)
        await talk.send(chunk(b"data: " + text.encode() * 40_000 + b"\n\n"))
        await talk.gate(arrived)
        await talk.send(chunk(b"data: [DONE]\n\n") + END)

    provider.add("fake-half", half)
    with Appliance(tmp_path, provider, environ={MASTER: KEY}) as appliance:
        with appliance.client() as client:
            body = {"model": "gpt-4o", "user": text * 50_000}
            client.request(CHAT, body, {"x-fake": "fake-half"})
            wait_until(lambda: len(list((appliance.data / "tmp").iterdir())) == 2)
            unreadable(appliance, text)
            appliance.kill()
        unreadable(appliance, text)
        appliance.start()
        assert list((appliance.data / "tmp").iterdir()) == []
        provider.open_gate(arrived)


@pytest.mark.parametrize("key", ["another passphrase, a wrong one", None])
def test_a_wrong_key_is_one_line(tmp_path: Path, provider: Provider, key: str | None) -> None:
    with Appliance(tmp_path, provider, environ={MASTER: KEY}) as appliance:
        Traffic(appliance).send(2)
    environ = {MASTER: key} if key else {}
    for command in (["serve", "--port", "0"], ["query", "SELECT 1"], ["verify"]):
        told = told_on_stderr(appliance.data, *command, environ=environ)
        assert told.returncode == 1
        assert told.stdout == ""
        assert "master_key" in told.stderr
        assert told.stderr.count("\n") == 1
    assert segment_numbers(appliance.data) == [1]  # nothing was touched
