"""`doctor`: what is wrong with an installation, and why a call was stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.e2e.starting import run, until
from tests.e2e.ui_kit import on_record
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.fronts import ConnectProxy, TlsFront
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


def doctor(
    tmp_path: Path, *arguments: str, code: int = 0, environ: dict[str, str] | None = None
) -> Any:
    done = run(tmp_path, "doctor", "--json", *arguments, environ=environ)
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


def test_providers_are_reached_as_the_server_reaches_them(
    tmp_path: Path, provider: Provider
) -> None:
    """With the roots of `ca_file`, and through outbound proxies."""
    authority = Authority()
    with (
        TlsFront(provider.url, authority.issue("127.0.0.1"), tmp_path) as front,
        ConnectProxy({"plain.example.com:80": provider.port}) as proxy,
    ):
        (tmp_path / "a.toml").write_text(
            f'[providers.trusted]\nbase_url = "{front.url}"\n'
            f'ca_file = "{authority.write(tmp_path)}"\n'
            f'[providers.stranger]\nbase_url = "{front.url}"\n'
            '[providers.far]\nbase_url = "http://plain.example.com"\n'
        )
        given = ("--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "a.toml"))
        environ = {"HTTP_PROXY": proxy.url}
        found = by_name(doctor(tmp_path, *given, code=1, environ=environ))
        refused = by_name(doctor(tmp_path, *given, code=1, environ={"HTTP_PROXY": "gopher://x"}))
    assert found["provider trusted"][0]["state"] == "ok"
    assert "ca_file" in found["provider stranger"][0]["detail"]
    assert found["provider far"][0]["state"] == "ok"
    assert proxy.asked == ["CONNECT plain.example.com:80 HTTP/1.1"]
    assert "http_proxy" in refused["providers"][0]["detail"]


def test_a_server_that_hangs_is_what_is_found(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        os.kill(appliance.pid, signal.SIGSTOP)
        try:
            found = by_name(
                doctor(tmp_path, "--data-dir", str(appliance.data), "--offline", code=1)
            )
        finally:
            os.kill(appliance.pid, signal.SIGCONT)
    (server,) = found["server"]
    assert server["state"] == "failed"
    assert "does not answer" in server["detail"]


def test_a_provider_s_words_about_credit_are_the_provider_s(tmp_path: Path) -> None:
    said = b'{"error": {"message": "Your credit balance is too low to use this API."}}'
    head = f"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Appliance(tmp_path, config=openai_at(listener.getsockname()[1])) as appliance,
    ):
        answering = threading.Thread(target=answer_once, args=(listener, head.encode(), said))
        answering.start()
        reply = appliance.call(CHAT, ASK)
        answering.join(PATIENCE_S)
        assert reply.status == 400
        on_record(appliance, 1)
        told = doctor(tmp_path, "--data-dir", str(appliance.data), "--request", reply.id)
    assert told["stopped_by"].startswith("the provider")
    assert "credit balance" in told["answer"]


def test_through_the_gateway_too(tmp_path: Path, provider: Provider) -> None:
    """A provider's own 429 is no limit of ours, and an empty wallet is one."""
    environ = {"OPENAI_API_KEY": "sk-env-openai"}
    with Appliance(tmp_path, provider, lends=True, environ=environ) as appliance:
        limited = appliance.call("/v1/chat/completions", {**ASK, "model": "fake-error-429/openai"})
        assert limited.status == 429, limited.body
        appliance.command("budgets.set", scope="user", limit="0", period="day", value="", org="")
        poor = appliance.call("/v1/chat/completions", ASK, {"Helicone-User-Id": "u-1"})
        assert poor.status == 429, poor.body
        on_record(appliance, 2)
        given = ("--data-dir", str(appliance.data), "--request")
        told = doctor(tmp_path, *given, limited.id)
        assert not told["stopped_by"].startswith("a rate limit"), told
        told = doctor(tmp_path, *given, poor.id)
        assert told["stopped_by"].startswith("a budget"), told


def openai_at(port: int) -> str:
    return f'[providers.openai]\nbase_url = "http://127.0.0.1:{port}"\nauth = "none"\n'


def answer_once(listener: socket.socket, head: bytes, body: bytes) -> None:
    listener.settimeout(PATIENCE_S)
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(head + b"\r\n" + body)


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
        appliance.command(
            "budgets.set", scope="property:team", limit="5", period="day", value="u-2", org=""
        )
        appliance.command("budgets.set", scope="user", limit="5", period="month", value="u-2")
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
        assert limited["rule"].startswith("1;w=60;s=user (")
        assert "header" in limited["rule"]
        assert limited["counter"].startswith("0 of 1 left now")
        assert limited["reset"].endswith("Z")
        assert stopped["stopped_by"].startswith("a budget")
        assert stopped["rule"].startswith("budget of user *, per day (u-2)")
        assert "0.000001 USD now" in stopped["counter"]
        assert stopped["reset"].endswith("T00:00:00Z")
        assert "period month" in stopped["budget_1"]
        assert "budget_2" not in stopped, "that of a property does not count such a call"
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
        for wanted, code, said in (
            ("00000000-0000-4000-8000-000000000000", 1, "no call with this id"),
            ("x", 2, "is no id"),
        ):
            done = run(tmp_path, "doctor", *given, wanted)
            assert done.returncode == code
            assert said in done.stderr
