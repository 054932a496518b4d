"""Options that change what the running program does, each seen from outside."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.e2e.starting import run
from tests.fakes.appliance import CHAT, MESSAGES, OAI, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}


def table(name: str, *lines: str) -> str:
    return "\n".join([f"[providers.{name}]", *lines]) + "\n"


def test_deadlines_of_a_provider(provider: Provider, tmp_path: Path) -> None:
    config = table(
        "oai", f'base_url = "{provider.url}"', 'auth = "none"', 'deadlines.first_byte = "0.3s"'
    )
    config += table("slow", f'base_url = "{provider.url}"')
    with Appliance(tmp_path, config=config) as appliance:
        began_s = time.monotonic()
        reply = appliance.call(CHAT, ASK, {"x-fake": "fake-stall"})
        assert reply.status == 504
        assert time.monotonic() - began_s < 15
        assert "first_byte" in reply.json["error"]["message"]
        row = appliance.row(reply.id)
        assert (row["outcome"], row["status"]) == ("timeout_first_byte", 504)
        with appliance.client(timeout_s=0.8) as client:
            other = client.call(
                "/v1/gateway/slow/v1/chat/completions", ASK, {"x-fake": "fake-stall"}
            )
            assert other.end == "timeout"


def test_a_provider_of_ones_own(provider: Provider, tmp_path: Path) -> None:
    """Base path kept, written once; found by its id and by its hosts; named and priced."""
    config = table(
        "mine",
        f'base_url = "{provider.url}/deep/v1"',
        'dialect = "openai"',
        'name = "MY-OWN"',
        'hosts = ["llm.example.com", "*.llm.example.com"]',
        "prices = [{model = 'gpt-4o', input = 1000, output = 0}]",
    )
    with Appliance(tmp_path, config=config) as appliance:
        for path in ("/v1/gateway/mine/v1/chat/completions", "/mine/v1/chat/completions"):
            reply = appliance.call(path, ASK)
            assert reply.status == 200
            assert provider.received[-1].target == b"/deep/v1/chat/completions"
            row = appliance.row(reply.id)
            assert (row["provider"], row["gateway_provider"]) == ("MY-OWN", "mine")
            # 1,000 dollars for a million tokens of input, and nothing else.
            assert float(row["cost_usd"]) == row["prompt_tokens"] / 1000
    listed = json.loads(
        run(tmp_path, "providers", "--json", "--config", str(appliance.config)).stdout
    )
    assert [row["base_url"] for row in listed if row["id"] == "mine"] == [f"{provider.url}/deep/v1"]


def test_another_dialect(provider: Provider, tmp_path: Path) -> None:
    config = table("claude-like", f'base_url = "{provider.url}"', 'dialect = "anthropic"')
    with Appliance(tmp_path, config=config) as appliance:
        reply = appliance.call("/v1/gateway/claude-like/v1/messages", {**STREAM, "max_tokens": 9})
        row = appliance.row(reply.id)
        assert (row["outcome"], row["usage_source"]) == ("complete", "provider")


def test_the_own_prices_come_first(provider: Provider, tmp_path: Path) -> None:
    config = "[[prices]]\nprovider = 'openai'\nmodel = 'gpt-4o'\ninput = 2000\noutput = 0\n"
    with Appliance(tmp_path, provider, config=config) as appliance:
        row = appliance.row(appliance.call(CHAT, ASK).id)
        assert float(row["cost_usd"]) == row["prompt_tokens"] / 500


def test_body_limits(provider: Provider, tmp_path: Path) -> None:
    config = 'body_bytes_max = "100KiB"\nrecord_bytes_max = "64KiB"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        long = {**ASK, "pad": "x" * 90_000}
        assert appliance.call(CHAT, long).status == 200
        refused = appliance.call(CHAT, {**ASK, "pad": "x" * 110_000})
        assert refused.status == 413
        assert "body_bytes_max" in refused.json["error"]["message"]
        big = appliance.call(CHAT, {**ASK, "model": "fake-big-1500"})
        row = appliance.row(big.id)
        assert row["response_bytes"] == len(big.body)
        kept = appliance.body(big.id)["response"]
        assert len(kept) < len(big.body)
        assert big.body.decode().startswith(kept[: 64 * 1024])


def test_a_worker_type_for_every_name(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config='worker_type = "ANTHROPIC_PROXY"\n') as appliance:
        reply = appliance.call("/v1/messages", {**ASK, "max_tokens": 9})
        assert reply.json["type"] == "message"
        assert appliance.call("/healthcheck", method="GET").status == 200


def test_strict_durability(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config='durability = "strict"\n') as appliance:
        ids = [appliance.call(CHAT, ask).id for ask in (ASK, STREAM)]
        appliance.kill()
        found = {str(row["request_id"]) for row in appliance.query_offline(
            "SELECT request_id FROM requests")}  # fmt: skip
        assert found == set(ids)
        appliance.start()


def test_flag_before_environment_before_file(provider: Provider, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("json\n")
    environ = {"HELICONE_APPLIANCE_LOG_FORMAT_FILE": str(file), "HELICONE_APPLIANCE_ACCESS": "open"}
    appliance = Appliance(
        tmp_path, provider, config='access = "open"\nlog_format = "text"\n', environ=environ
    )
    appliance.start("--access", "keys")
    assert appliance.call(CHAT, ASK).status == 401
    assert appliance.stop() == 0
    assert json.loads(appliance.log)["status"] == 401


def test_other_names_and_origins(provider: Provider, tmp_path: Path) -> None:
    config = """
allow_hosts = ["box.lan", "*.home.example:8585"]
allow_origins = ["http://app.lan:3000"]
public_url = "https://llm.example.com"
"""
    with Appliance(tmp_path, provider, config=config) as appliance:

        def status(host: str, origin: str = "") -> int:
            with appliance.client() as client:  # the ready file has the URL of this machine
                client.host = host.encode()
                headers = {"Origin": origin} if origin else {}
                return client.call(CHAT, ASK, headers).status

        assert status("box.lan") == status("box.lan:8585") == 200
        assert status("a.home.example:8585") == status("llm.example.com") == 200
        assert status("a.home.example:1") == status("other.lan") == 403
        assert status("box.lan", "http://app.lan:3000") == 200
        assert status("llm.example.com", "https://llm.example.com") == 200
        assert status("box.lan", "http://app.lan") == 403


def test_both_sdk_bases_and_the_answers_of_unknown_doors(appliance: Appliance) -> None:
    for path in (OAI + "/v1/models", MESSAGES):
        assert appliance.call(path, ASK).status == 200
    assert appliance.call("/v1/gateway/nobody/v1", ASK).status == 400
    lost = appliance.call("/nowhere", ASK)
    assert lost.status == 404
    assert "Doors" in lost.json["error"]["message"]
