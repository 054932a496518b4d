"""A provider's key is in no log, error, repr, trace or file: planted, and looked for."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from pathlib import Path

import msgspec
import pytest

from appliance.actors import provider_keys as module
from appliance.actors.provider_keys import Entry
from appliance.core.provider_credentials import Secret
from appliance.errors import Refusal
from storage.provider_keys import ProviderKeyStore
from storage.state import StateBroken
from tests.actors.provider_keys_kit import ORG, PLANTED, SECOND, Home, text_of

DOCUMENT = json.dumps({
    "client_email": "a@b.example", "private_key": f"-----BEGIN PRIVATE KEY-----{PLANTED}",
})  # fmt: skip
WORD = "planted-7f3a9c"


async def test_nothing_on_the_disk_and_nothing_said_holds_a_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    home = Home(tmp_path)
    ring = home.ring(environment={"groq": Secret(f"{WORD}-env")})
    said: list[object] = []
    openai = await ring.add(ORG, "openai", Entry(PLANTED))
    said.append(await ring.add(ORG, "bedrock", Entry("AKIA" + WORD, SECOND, f"{WORD}-token")))
    said.append(await ring.add(ORG, "vertex", Entry(DOCUMENT)))
    proxy = await ring.add_proxy(ORG, openai.id, limits=["10;w=60"])
    said += [openai, proxy, await ring.list_keys(ORG), await ring.list_proxies(ORG)]
    for provider in ("openai", "bedrock", "vertex"):
        said.append(await ring.load(ORG, provider))
    home.vault.rotate()
    await ring.reseal()
    await ring.rotate(ORG, openai.id, Entry(f"{WORD}-rotated"))
    for work in (
        ring.add(ORG, "openai", Entry(f"{WORD} with blanks")),
        ring.add(ORG, "openai", Entry(WORD, second=WORD)),
        ring.add(ORG, "openai", Entry("{" + WORD)),
        ring.add(ORG, "openai", Entry(WORD * 9999)),
        ring.add(ORG, "no-such-provider", Entry(WORD)),
        ring.add(ORG, "openai", Entry("k"), name=f"{WORD}-{'x' * 60}"),
        ring.add(bytes(16), "openai", Entry(WORD)),
        ring.rotate(ORG, "no-such-key", Entry(WORD)),
    ):
        said.append(await refusal_of(work))

    def fails(*_: object) -> None:
        raise StateBroken("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(ProviderKeyStore, "put", fails)
        said.append(await refusal_of(ring.add(ORG, "openai", Entry(WORD), name="z")))
    kept = home.spoil()
    await ring.check()
    said += [ring.trouble, ring.stats, ring, ring.__dict__, vars(ring._tiers)]
    assert await text_of(ring) == f"{WORD}-rotated"
    home.put_back(kept)
    spoken = " ".join([repr(said), str(said), caplog.text])
    assert WORD not in spoken.replace(proxy.key, "")
    assert proxy.key not in spoken
    everything = home.everything()
    assert openai.id.encode() in everything
    assert WORD.encode() not in everything
    assert proxy.key.encode() not in everything


async def refusal_of(work: object) -> str:
    with pytest.raises(Refusal) as refusal:
        await work  # type: ignore[misc]
    lines = traceback.format_exception(refusal.value)
    return f"{refusal.value!r} {refusal.value.message} {''.join(lines)}"


async def test_the_snapshot_is_private_and_sealed_as_a_whole(tmp_path: Path) -> None:
    home = Home(tmp_path)
    await home.ring().add(ORG, "openai", Entry(PLANTED), name="a telling name")
    assert home.snapshot.stat().st_mode & 0o777 == 0o600
    content = home.snapshot.read_bytes()
    for words in (WORD, "a telling name", "openai"):
        assert words.encode() not in content


def test_a_secret_is_not_printed_copied_or_compared_by_looks() -> None:
    secret = Secret(PLANTED, SECOND, WORD)
    entry = Entry(PLANTED, SECOND, WORD)
    shown = [f"{secret}", f"{secret!r}", f"{secret!s:>10}", f"{entry}", repr([secret, entry])]
    shown += [str(module.Entry(WORD)), repr(dataclasses.replace(entry))]
    assert WORD not in " ".join(shown)
    for work in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode):
        with pytest.raises((TypeError, NotImplementedError)):
            work(secret)
    with pytest.raises(TypeError):
        hash(secret)
    assert secret == Secret(PLANTED, SECOND, WORD)
    assert secret != Secret(PLANTED, SECOND)
    assert secret != Secret("x", SECOND, WORD)
    assert secret != PLANTED
