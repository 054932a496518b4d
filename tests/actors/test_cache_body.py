"""Keys of bodies in memory and in spill files: the same body has the same key wherever it lies."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.actors import cache_body as module
from appliance.actors.cache_body import key_of
from appliance.actors.spill import RequestSink
from appliance.actors.spill_budget import SpillBudget
from appliance.core.cache_key import KeyHead
from appliance.exchange import Body
from storage.blobs import Blobs, BlobUnreadable
from tests.actors.cache_kit import MIB

LARGE = msgspec.json.encode({"user": "ann", "input": "planted " * (MIB // 4)})


def head(**other: Any) -> KeyHead:
    given: dict[str, Any] = {
        "secret": b"s", "region": "us", "org": b"o" * 16, "method": b"POST", "url": b"u",
        "headers": [],
    }  # fmt: skip
    return KeyHead(**given, **other)


async def spilled(path: Path, data: bytes) -> Body:
    (path / "tmp").mkdir(exist_ok=True)
    sink = RequestSink(Blobs(path), SpillBudget(), 64 * MIB)
    for at in range(0, len(data), 100_000):
        await sink.write(data[at : at + 100_000])
    body = await sink.close([])
    assert body.spill is not None
    return body


async def test_a_body_in_memory() -> None:
    assert await key_of(head(), Body(b"x", length=1)) == head().key(b"x")


@pytest.mark.parametrize("ignored", [(), ("user",)])
async def test_a_spilled_body(tmp_path: Path, ignored: tuple[str, ...]) -> None:
    body = await spilled(tmp_path, LARGE)
    try:
        assert await key_of(head(ignored=ignored), body) == head(ignored=ignored).key(LARGE)
    finally:
        body.spill.close()


@pytest.mark.parametrize(
    ("name", "ignored"), [("BODY_BYTES_MAX", ()), ("PARSED_BYTES_MAX", ("user",))]
)
async def test_too_large_a_body_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ignored: tuple[str, ...]
) -> None:
    body = await spilled(tmp_path, LARGE)
    try:
        monkeypatch.setattr(module, name, len(LARGE))
        assert await key_of(head(ignored=ignored), body) is not None
        monkeypatch.setattr(module, name, len(LARGE) - 1)
        assert await key_of(head(ignored=ignored), body) is None
    finally:
        body.spill.close()


async def test_a_lost_body_is_an_error(tmp_path: Path) -> None:
    body = await spilled(tmp_path, LARGE)
    [path] = (tmp_path / "tmp").iterdir()
    path.write_bytes(b"cut")
    with pytest.raises(BlobUnreadable):
        await key_of(head(), body)
    body.spill.close()
