"""The key store is noise: what needs nothing of ours goes on, all else is refused, and it mends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.storage_kit import metric, reasons, told_on_stderr, wait_healthy
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

LOCAL = "/v1/gateway/ollama/v1/chat/completions"
ASK = {"model": "gpt-4o", "messages": []}
OWN = {"authorization": "Bearer sk-of-the-provider"}
NOBODY = "00000000-0000-0000-0000-000000000000"
BOOTSTRAP = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"


def spoil(data: Path) -> dict[str, bytes]:
    """Noise in place of the state; gives what was there."""
    kept = {path.name: path.read_bytes() for path in data.glob("state.sqlite*")}
    for name in kept:
        (data / name).write_bytes(b"noise" * 4000)
    return kept


def made(appliance: Appliance) -> str:
    """A key on file."""
    told = told_on_stderr(appliance.data, "keys", "create", "test")
    assert told.returncode == 0, told.stderr
    return str(told.stdout.strip())


@pytest.fixture
def local(provider: Provider) -> Iterator[Provider]:
    """At the address of a built-in provider: one of a configured address is not built in."""
    with Provider(port=11434) as running:
        yield running


@pytest.mark.parametrize("access", ["open", "keys"])
def test_noise(tmp_path: Path, provider: Provider, local: Provider, access: str) -> None:
    environ = {"HELICONE_APPLIANCE_BOOTSTRAP_KEY": BOOTSTRAP} if access == "keys" else {}
    appliance = Appliance(tmp_path, provider, config=f'access = "{access}"\n', environ=environ)
    appliance.start()
    ours = {"helicone-auth": f"Bearer {made(appliance)}"}
    assert appliance.call(CHAT, ASK, {**OWN, **ours}).status == 200
    assert appliance.stop() == 0
    kept = spoil(appliance.data)
    with appliance:
        assert "state.sqlite" in reasons(appliance)["keys"]

        # To a place or on an account of ours: closed.
        for path, headers in (
            (CHAT, ours),
            (CHAT, {**OWN, **ours}),  # the configuration has moved this one
            ("/v1/x", {**OWN, **ours, "helicone-target-url": "https://api.openai.com"}),
        ):
            assert code(appliance.call(path, ASK, headers)) == (503, "key_store_broken")
        read = appliance.call("/v1/request/x", headers=ours, method="GET")
        assert read.status == 503
        assert "key store" in read.json["error"]

        if access == "open":
            passes_on_nobodys_account(appliance, ours)
        else:
            assert code(appliance.call(CHAT, ASK)) == (503, "key_store_broken")
            declared = appliance.call(CHAT, ASK, {**OWN, "helicone-auth": f"Bearer {BOOTSTRAP}"})
            assert declared.status == 200
            assert appliance.row(declared.id)["organization_id"] != NOBODY

        # The file is put back: it is read again without a restart.
        for name, data in kept.items():
            (appliance.data / name).write_bytes(data)
        wait_healthy(appliance)
        again = appliance.call(CHAT, ASK, {**OWN, **ours})
        assert appliance.row(again.id)["organization_id"] != NOBODY


def passes_on_nobodys_account(appliance: Appliance, ours: dict[str, str]) -> None:
    """With a credential of its own, to a provider built in."""
    through = appliance.call(LOCAL, ASK, {**OWN, **ours})
    assert through.status == 200
    assert appliance.row(through.id)["organization_id"] == NOBODY
    assert metric(appliance, "failed_open_total") == 1
    # Where no key was given none is missed.
    without = appliance.call(CHAT, ASK, OWN)
    assert appliance.row(without.id)["organization_id"] != NOBODY


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["error"]["code"]
