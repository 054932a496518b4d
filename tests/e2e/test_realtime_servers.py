"""WebSocket sessions through servers that are set up, ended and asked for keys."""

from __future__ import annotations

import json
from pathlib import Path

import trio
from trio_websocket import (
    WebSocketConnection,
)

from tests.e2e.realtime_kit import (
    CA,
    end_of,
    gone,
    hear,
    id_of,
    newest,
    say,
    session,
)
from tests.fakes.appliance import OAI, Appliance
from tests.fakes.fronts import TlsFront
from tests.fakes.provider import Provider


async def test_too_large_a_message_ends_both_sides(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config='message_bytes_max = "64KiB"\n') as appliance:
        for kind, more in (("mine", {"text": "x" * 70_000}), ("fake.say", {"size": 70_000})):
            async with session(appliance) as socket:
                record, request = id_of(socket), newest(provider)
                await hear(socket)
                await say(socket, kind, **more)
                reason = await end_of(socket)
                assert (reason.code, reason.reason) == (1009, "a message over message_bytes_max")
            await gone(request)
            assert request.room.closes() == [(1009, "a message over message_bytes_max")]
            row = appliance.row(record)
            assert (row["outcome"], row["error"]) == ("cut", "message_too_large")


async def test_a_session_is_told_that_the_server_ends(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance:
        async with session(appliance) as socket:
            record, request = id_of(socket), newest(provider)
            await hear(socket)
            appliance.terminate()
            assert (await end_of(socket)).code == 1001
        await gone(request)
        assert request.room.closes() == [(1001, "the server is shutting down")]
        assert appliance.wait() == 0
        row = appliance.row(record)
        assert (row["outcome"], row["error"], row["status"]) == ("cut", "shutdown", 200)


async def test_over_tls_on_both_sides(provider: Provider, tmp_path: Path) -> None:
    """Both directions at once, as fast as they go."""
    certificate, key = CA.issue("127.0.0.1").write(tmp_path, "server")
    with TlsFront(provider.url, CA.issue("127.0.0.1"), tmp_path) as front:
        config = f'tls_cert = "{certificate}"\ntls_key = "{key}"\n'
        config += (
            f'[providers.openai]\nbase_url = "{front.url}"\nca_file = "{CA.write(tmp_path)}"\n'
        )
        with Appliance(tmp_path / "own", config=config) as appliance:
            async with session(appliance, max_message_size=1 << 20) as socket:
                record = id_of(socket)
                await hear(socket)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(say_many, socket, 300)
                    for number in range(300):
                        assert (await hear(socket))["event"]["number"] == number
                await socket.aclose(4000)
            row = appliance.row(record)
            assert (row["outcome"], row["error"]) == ("complete", "close_4000_by_client")
            said = json.loads(appliance.body(record)["request"])["messages"]
            assert [item["content"]["number"] for item in said] == list(range(300))


async def say_many(socket: WebSocketConnection, count: int) -> None:
    for number in range(count):
        await say(socket, "one", number=number, text="x" * (number * 37 % 5000))


async def test_keys_that_are_lent(provider: Provider, tmp_path: Path) -> None:
    helicone = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
    environ = {"OPENAI_API_KEY": "sk-env"}
    with Appliance(tmp_path, provider, environ=environ, lends=True) as appliance:
        for lines, offered in (
            ([(b"Helicone-Auth", b"Bearer " + helicone.encode())], ["realtime"]),
            ([(b"Authorization", b"Bearer " + helicone.encode())], ["realtime"]),
            ([], ["realtime", f"openai-insecure-api-key.{helicone}"]),
        ):
            path = "/v1/realtime?model=gpt-realtime"
            async with session(appliance, path, lines, subprotocols=offered) as socket:
                assert socket.subprotocol == "realtime"
                request = newest(provider)
                assert request.values(b"authorization") == [b"Bearer sk-env"]
                assert helicone.encode() not in request.head
    for secret in ("sk-env", helicone):
        assert secret not in appliance.log


async def test_azure_by_resource_and_deployment(provider: Provider, tmp_path: Path) -> None:
    config = f'[providers.azure]\nbase_url = "{provider.url}"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        path = OAI + "/realtime?resource=mine&deployment=d-1"
        async with session(appliance, path) as socket:
            await hear(socket)
            record, request = id_of(socket), newest(provider)
        assert request.target == (b"/openai/realtime?api-version=2024-10-01-preview&deployment=d-1")
        assert request.first(b"api-key") == b"sk-own"
        assert request.first(b"authorization") is None
        assert appliance.row(record)["provider"] == "AZURE"
