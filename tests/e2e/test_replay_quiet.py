"""A replay calls nobody: not the provider, and none of those who are told of calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from appliance import assembly
from appliance.config import load_config
from appliance.errors import UpstreamFailed
from appliance.upstream.address import Origin
from appliance.upstream.dial import dial
from tests.e2e.hooks_kit import Receiver, add_webhook, data, rest
from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, Appliance, providers_toml
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
TELLING = ("webhooks", "notices", "scheduler", "otlp")


def config_of(receiver: Receiver) -> str:
    return (
        f'webhook_allow = ["127.0.0.1"]\n[otlp]\nendpoint = "http://127.0.0.1:{receiver.port}/otlp"\n'
        f'[smtp]\nhost = "127.0.0.1"\nport = {receiver.port}\nsecurity = "none"\n'
    )


def asks_to_tell(appliance: Appliance, receiver: Receiver) -> tuple[str, Any]:
    """A call that a webhook and PostHog are to be told of; its id, and the webhook's row."""
    webhook = add_webhook(appliance, receiver)
    headers = {
        "Helicone-Cassette": "one", "Helicone-Posthog-Key": "phc_key",
        "Helicone-Posthog-Host": f"http://127.0.0.1:{receiver.port}/posthog",
    }  # fmt: skip
    reply = appliance.call(CHAT, ASK, headers)
    assert reply.status == 200, reply.body
    return reply.id, webhook


def told(receiver: Receiver) -> set[str]:
    """Who was told: the first part of each path."""
    return {got.path.split("/")[1].partition("?")[0] for got in list(receiver.got)}


def actors(appliance: Appliance) -> set[str]:
    return {actor["name"] for actor in appliance.command("status")["actors"]}


def test_nobody_is_told_of_what_is_replayed(provider: Provider, tmp_path: Path) -> None:
    receiver, tapes = Receiver(), str(tmp_path / "tapes")
    with receiver.listening():
        config = config_of(receiver)
        with Appliance(
            tmp_path / "recording", provider, config=config, flags=("--record", tapes)
        ) as recording:
            asks_to_tell(recording, receiver)
            until(lambda: {"in", "otlp"} <= told(receiver) and len(told(receiver)) > 2)
            assert actors(recording) >= set(TELLING)
        receiver.got.clear()
        replaying = Appliance(
            tmp_path / "replaying", config=config + providers_toml(provider),
            flags=("--replay", tapes),
        )  # fmt: skip
        with replaying:
            request_id, webhook = asks_to_tell(replaying, receiver)
            replaying.row(request_id)
            assert not actors(replaying) & set(TELLING)
            tried = data(rest(replaying, "POST", f"/v1/webhooks/{webhook['id']}/test"))
            assert tried["success"] is False
            metrics = replaying.call("/metrics", method="GET").body.decode()
            assert "posthog_sent_total 0" in metrics
        assert receiver.got == []


async def test_no_way_of_ours_leads_out_of_a_replay(tmp_path: Path) -> None:
    flags = {"replay": str(tmp_path), "data_dir": str(tmp_path / "data")}
    dialling = assembly.parts_of(load_config(flags, {}), []).dialling
    ways = (
        dialling.for_tokens(""), dialling.for_hooks(), dialling.for_clients(),
        dialling.for_operator("http://127.0.0.1:9"),
    )  # fmt: skip
    for settings in ways:
        with pytest.raises(UpstreamFailed, match="calls nobody"), trio.fail_after(5):
            await dial(Origin("http", "127.0.0.1", 9), settings)


async def test_a_token_of_google_s_is_made_up(tmp_path: Path) -> None:
    from appliance.providers.google_token import TokenRequest, read_token

    flags = {"replay": str(tmp_path), "data_dir": str(tmp_path / "data")}
    parts = assembly.parts_of(load_config(flags, {}), [])
    request = TokenRequest("http://127.0.0.1:9/token", "application/json", b"{}")
    status, body = await assembly.buy_token(parts, request)
    assert read_token(status, body, 0.0).value == "replayed"
