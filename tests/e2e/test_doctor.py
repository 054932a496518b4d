"""`doctor`: what is wrong with an installation, and why a call was stopped."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import run, until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


def doctor(tmp_path: Path, *arguments: str, code: int = 0) -> Any:
    done = run(tmp_path, "doctor", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def by_name(checks: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    return {
        name: [one for one in checks if one["check"] == name]
        for name in {one["check"] for one in checks}
    }


def test_a_server_that_is_well(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        checks = doctor(tmp_path, "--data-dir", str(appliance.data), "--offline")
        found = by_name(checks)
        assert {one["state"] for one in found["server"] + found["disk us"]} == {"ok"}
        assert "runs as process" in found["server"][0]["detail"]
        hints = [one["detail"] for one in found["configuration"] if one["state"] == "warning"]
        assert any("public_url" in hint for hint in hints)
        assert not [name for name in found if name.startswith("provider")]


def test_what_is_wrong_is_named_with_what_to_do(tmp_path: Path) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    away = closed.getsockname()[1]
    closed.close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (tmp_path / "a.toml").write_text(
            f'port = {taken.getsockname()[1]}\n[providers.mine]\nbase_url = "http://127.0.0.1:{away}/v1"\n'
        )
        given = ("--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "a.toml"))
        found = by_name(doctor(tmp_path, *given, code=1))
    (port,), (mine,) = found["port"], found["provider mine"]
    assert (port["state"], mine["state"]) == ("failed", "failed")
    assert "host and port" in port["fix"]
    assert "base_url" in mine["fix"]
    assert {one["state"] for one in found["provider openai"]} <= {"ok", "warning"}


def test_a_provider_that_answers_tells_the_time(tmp_path: Path, provider: Provider) -> None:
    (tmp_path / "a.toml").write_text(f'[providers.mine]\nbase_url = "{provider.url}/v1"\n')
    given = ("--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "a.toml"))
    found = by_name(doctor(tmp_path, *given))
    assert "answers in" in found["provider mine"][0]["detail"]


def test_a_configuration_that_cannot_be_read_is_a_check_too(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("port = 'many'\n")
    (only,) = doctor(tmp_path, "--config", str(tmp_path / "a.toml"), code=1)
    assert only["state"] == "failed"
    assert "port" in only["detail"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    found = by_name(doctor(tmp_path, "--data-dir", str(tmp_path / "data"), "--offline", code=1))
    assert found["directory us"][0]["state"] == "failed"


def test_why_a_call_was_stopped(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        appliance.command(
            "budgets.set", scope="user", limit="0.000001", period="day", value="", org=""
        )
        policy = {"Helicone-RateLimit-Policy": "1;w=60;s=user", "Helicone-User-Id": "u-1"}
        spender = {"Helicone-User-Id": "u-2"}
        replies = [
            appliance.call(CHAT, ASK, headers) for headers in (policy, policy, spender, spender)
        ]
        assert [reply.status for reply in replies] == [200, 429, 200, 429]

        def why(reply: Any) -> dict[str, Any]:
            given = ("--data-dir", str(appliance.data), "--request", reply.id)
            return dict(doctor(tmp_path, *given))

        until(
            lambda: appliance.call("/v1/request/count/query", {"filter": "all"}).json["data"] == 4
        )
        done, limited, passed, stopped = map(why, replies)
        assert done["stopped_by"] == passed["stopped_by"] == "nothing: it was answered"
        assert limited["stopped_by"].startswith("a rate limit")
        assert "header" in limited["rule"]
        assert stopped["stopped_by"].startswith("a budget")
        assert "0.000001" in stopped["budget_1"]
    again = why(replies[3])  # and without a server
    assert again["stopped_by"] == stopped["stopped_by"]


def test_a_stored_limit_is_told_with_counter_and_reset(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider, config='access = "keys"\n') as appliance:
        appliance.command("limits.set", policy="1;w=3600", org="")
        key = appliance.command("keys.create", name="app", rate_limited=True)["key"]
        headers = {"Helicone-Auth": f"Bearer {key}"}
        assert appliance.call(CHAT, ASK, headers).status == 200
        reply = appliance.call(CHAT, ASK, headers)
        assert reply.status == 429
        given = ("--data-dir", str(appliance.data), "--request", reply.id)
        told = doctor(tmp_path, *given)
        assert told["rule"].startswith("1;w=3600")
        assert told["counter"].startswith("0 of 1 left now")
        assert told["reset"].endswith("Z")


def test_a_call_that_nobody_knows(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        given = ("--data-dir", str(appliance.data), "--request")
        for wanted, said in (
            ("00000000-0000-4000-8000-000000000000", "no call with this id"),
            ("x", "is no id"),
        ):
            done = run(tmp_path, "doctor", *given, wanted)
            assert done.returncode == 1
            assert said in done.stderr
