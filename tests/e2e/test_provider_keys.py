"""Stored provider keys, as an operator stores them with commands, and what providers then see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anthropic
import openai
import pytest

from tests.fakes.appliance import ANTHROPIC, OAI, ROOT, Appliance
from tests.fakes.provider import Provider

PLANTED = "sk-planted-secret-0123456789"


def command(appliance: Appliance, *arguments: str, given: str = "", fails: bool = False) -> str:
    """Run a command beside the server; what it printed (stderr of one that `fails`)."""
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", *arguments, "--data-dir", str(appliance.data)],
        cwd=ROOT, env={**os.environ, **appliance.environ}, input=given, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode != 0) is fails, done.stderr
    return done.stderr if fails else done.stdout


def client(appliance: Appliance, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{appliance.url}{OAI}/v1", max_retries=0)


def ask(one: openai.OpenAI) -> None:
    one.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])


def seen(provider: Provider) -> bytes | None:
    return provider.received[-1].first(b"authorization")


def test_a_stored_key_from_add_to_remove(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, lends=True) as appliance:
        org = json.loads(command(appliance, "orgs", "create", "acme", "--json"))
        key = command(appliance, "keys", "create", "k", "--org", "acme").strip()
        theirs = client(appliance, key)
        with pytest.raises(openai.AuthenticationError, match="provider-keys add openai"):
            ask(theirs)
        added = command(
            appliance, "provider-keys", "add", "openai", "--org", "acme", given=PLANTED + "\n"
        )
        assert PLANTED not in added
        ask(theirs)
        assert seen(provider) == b"Bearer " + PLANTED.encode()
        assert key.encode() not in provider.received[-1].head
        with pytest.raises(openai.AuthenticationError):  # the default organisation has none
            client(appliance, "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd").models.list()
        listed = json.loads(command(appliance, "provider-keys", "list", "--org", "acme", "--json"))
        assert [row["provider"] for row in listed] == ["openai"]
        appliance.kill()
        appliance.start()
        theirs = client(appliance, key)
        ask(theirs)
        command(appliance, "provider-keys", "rotate", "openai", "--org", "acme", given="sk-2")
        ask(theirs)
        assert seen(provider) == b"Bearer sk-2"
        limited = ("--limit", "1;w=3600", "--json")
        made = json.loads(
            command(appliance, "proxy-keys", "create", "openai", "--org", "acme", *limited)
        )
        ask(client(appliance, made["key"]))
        assert seen(provider) == b"Bearer sk-2"
        with pytest.raises(openai.RateLimitError):
            ask(client(appliance, made["key"]))
        command(appliance, "provider-keys", "remove", "openai", "--org", "acme")
        for one in (theirs, client(appliance, made["key"])):
            with pytest.raises(openai.AuthenticationError):
                ask(one)
        rows = appliance.query("SELECT organization_id, count(*) AS n FROM requests GROUP BY 1")
        assert {str(row["organization_id"]): row["n"] for row in rows}[org["id"]] >= 5
    for path in appliance.data.rglob("*"):
        if path.is_file():
            assert PLANTED.encode() not in path.read_bytes(), path
    assert PLANTED not in appliance.log


def test_keys_of_the_environment(provider: Provider, tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-env", "ANTHROPIC_API_KEY": "sk-ant-env"}
    with Appliance(tmp_path, provider, environ=environ, lends=True) as appliance:
        with appliance.client() as raw:
            raw.send(b"GET " + OAI.encode() + b"/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert raw.reply().status == 200
        assert seen(provider) == b"Bearer sk-env"
        helicone = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
        one = anthropic.Anthropic(api_key=helicone, base_url=appliance.url + ANTHROPIC)
        one.messages.create(
            model="claude-sonnet-4-6", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
        assert provider.received[-1].first(b"x-api-key") == b"sk-ant-env"
        assert "(environment)" in command(appliance, "provider-keys", "list")
    assert "sk-env" not in appliance.log


def test_noise_over_the_state_file_leaves_stored_keys_in_use(
    provider: Provider, tmp_path: Path
) -> None:
    with Appliance(tmp_path, provider, lends=True) as appliance:
        command(appliance, "provider-keys", "add", "openai", given="sk-stays")
        command(appliance, "provider-keys", "add", "anthropic", given="sk-goes")
        command(appliance, "provider-keys", "remove", "anthropic")
        appliance.kill()
        for path in appliance.data.glob("state.sqlite*"):
            path.write_bytes(b"noise" * 5000)
        appliance.start()
        with appliance.client() as raw:
            for path, status in ((OAI + "/v1/models", 200), (ANTHROPIC + "/v1/models", 401)):
                raw.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert raw.reply().status == status, path
            assert seen(provider) == b"Bearer sk-stays"
            raw.send(b"GET /healthcheck HTTP/1.1\r\nHost: localhost\r\n\r\n")
            health = json.loads(raw.reply().body)
        assert health["status"] == "degraded"
        assert any("provider-keys" in reason["part"] for reason in health["reasons"])
        said = command(appliance, "provider-keys", "add", "groq", given="k", fails=True)
        assert said.startswith("error: ")
        appliance.kill()
