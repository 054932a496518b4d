"""`mcp` as an assistant talks to it: a process, its stdin and stdout."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.core.mcp import answer
from tests.e2e.starting import until
from tests.e2e.ui_kit import on_record
from tests.fakes.appliance import CHAT, ROOT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


class Assistant:
    """One that waits for each answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._count = 0

    def says(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def asks(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}
        found = self.says(json.dumps(message))
        assert (found["jsonrpc"], found["id"]) == ("2.0", self._count)
        return found

    def calls(self, tool: str, *, fails: bool = False, **arguments: Any) -> Any:
        result = self.asks("tools/call", name=tool, arguments=arguments)["result"]
        assert result["isError"] is fails, result
        (content,) = result["content"]
        return content["text"] if fails else json.loads(content["text"])


@contextmanager
def assistant(url: str, key: str = "", *arguments: str) -> Iterator[Assistant]:
    environ = {"PATH": os.environ["PATH"], "HELICONE_BASE_URL": url, "HELICONE_API_KEY": key}
    command = [sys.executable, "-m", "appliance.cli", "mcp", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield Assistant(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def test_an_assistant_asks_and_calls(tmp_path: Path, provider: Provider) -> None:
    environ = {"OPENAI_API_KEY": "sk-env-openai"}
    with (
        Appliance(tmp_path, provider, lends=True, environ=environ) as appliance,
        assistant(appliance.url) as one,
    ):
        hello = one.asks("initialize", protocolVersion="2025-06-18", capabilities={})["result"]
        assert hello["protocolVersion"] == "2025-06-18"
        assert hello["serverInfo"]["name"] == "helicone-appliance"
        tools = one.asks("tools/list")["result"]["tools"]
        assert [tool["name"] for tool in tools] == [
            "query_requests", "query_sessions", "use_ai_gateway",
        ]  # fmt: skip
        asked = {**ASK, "sessionId": "s-1", "sessionName": "trial", "userId": "u-1"}
        said = one.calls("use_ai_gateway", **asked, customProperties={"team": "search"})
        assert said["choices"][0]["message"]["content"]
        streamed = one.calls("use_ai_gateway", **ASK, stream=True)
        whole = said["choices"][0]["message"]["content"]
        assert streamed["content"] == whole.replace(" ", "")  # as the fake streams it
        on_record(appliance, 2)
        first, second = one.calls("query_requests", sort={"created_at": "asc"})
        assert (first["request_user_id"], second["request_user_id"]) == ("u-1", None)
        assert first["request_properties"]["team"] == "search"
        assert "request_body" not in first
        (alone,) = one.calls(
            "query_requests", limit=1, includeBodies=True,
            filter={"request_response_rmt": {"user_id": {"equals": "u-1"}}},
        )  # fmt: skip
        assert alone["request_body"]["messages"] == ASK["messages"]
        now_ms = int(time.time() * 1000)
        span = {"startTimeUnixMs": now_ms - 3_600_000, "endTimeUnixMs": now_ms + 3_600_000}
        (session,) = one.calls("query_sessions", **span, timezoneDifference=0, search="trial")
        assert session["session_id"] == "s-1"


def test_what_is_wrong_is_told_and_the_talk_goes_on(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance, assistant(appliance.url) as one:
        assert one.says("{")["error"]["code"] == -32700
        assert one.says("[]")["error"]["code"] == -32600
        assert one.asks("resources/list")["error"]["code"] == -32601
        assert one.asks("tools/call", name="rm")["error"]["code"] == -32602
        assert "filter" in one.calls("query_requests", filter={"nothing": 1}, fails=True)
        assert "limit" in one.calls("query_requests", limit=5000, fails=True)
        assert "startTimeUnixMs" in one.calls("query_sessions", fails=True)
        assert "messages" in one.calls("use_ai_gateway", model="gpt-4o", fails=True)
        bad = {"a: b\r\nX-Evil": "1"}
        assert "property" in one.calls("use_ai_gateway", **ASK, customProperties=bad, fails=True)
        assert one.asks("ping")["result"] == {}
    with assistant(appliance.url) as one:
        assert "does not answer" in one.calls("query_requests", fails=True)


def test_nothing_that_is_said_ends_the_talk(tmp_path: Path, provider: Provider) -> None:
    """What a model writes into a call, and what others wrote into what was recorded."""
    environ = {"OPENAI_API_KEY": "sk-env-openai"}
    with (
        Appliance(tmp_path, provider, lends=True, environ=environ) as appliance,
        assistant(appliance.url) as one,
    ):
        assert one.says("[" * 100_000)["error"]["code"] == -32700
        for limit in ("1e999", "-1e999", "NaN", "9" * 400):
            arguments = f'{{"name": "query_requests", "arguments": {{"limit": {limit}}}}}'
            said = one.says(f'{{"id": 1, "method": "tools/call", "params": {arguments}}}')
            assert said["result"]["isError"], limit
            assert "limit: expected" in said["result"]["content"][0]["text"]
        assert one.calls("query_requests", limit=None, offset=None) == []
        span = '"startTimeUnixMs": 1e999, "endTimeUnixMs": 1, "timezoneDifference": 0'
        call = f'{{"name": "query_sessions", "arguments": {{{span}}}}}'
        said = one.says(f'{{"id": 1, "method": "tools/call", "params": {call}}}')
        assert "startTimeUnixMs" in said["result"]["content"][0]["text"]
        half = {**ASK, "messages": [{"role": "user", "content": "cut \ud83d"}]}
        one.calls("use_ai_gateway", **half, sessionId="s-1", sessionName="旅行")
        on_record(appliance, 1)
        (found,) = one.calls("query_requests", includeBodies=True)
        assert "cut" in str(found["request_body"])
        assert found["request_properties"]["Helicone-Session-Name"] == "旅行"
        assert "\ud83d" in one.asks("\ud83d")["error"]["message"]
        assert one.asks("ping")["result"] == {}


def test_several_messages_may_come_at_once(tmp_path: Path, provider: Provider) -> None:
    """Of version 2025-03-26, which is spoken."""
    ping = {"jsonrpc": "2.0", "method": "ping"}
    with Appliance(tmp_path, provider) as appliance, assistant(appliance.url) as one:
        said: Any = one.says(json.dumps([{**ping, "id": 1}, ping, 5, {**ping, "id": "x"}]))
        assert [part["id"] for part in said] == [1, None, "x"]


@pytest.mark.parametrize(
    ("body", "kind", "why"),
    [
        (b'data: {"error": {"message": "overloaded"}}\n\n', "text/event-stream", "overloaded"),
        (b"data: {\n\n", "text/event-stream", "none of chat chunks"),
        (b"data: 5\n\n", "text/event-stream", "none of chat chunks"),
        (b"{", "application/json", "no JSON"),
        (b"", "gone", "does not answer"),
    ],
)
def test_what_answers_may_be_anything(body: bytes, kind: str, why: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    reply = b"HTTP/1.1 what\r\n\r\n" if kind == "gone" else head.encode() + body
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer_once, args=(listener, reply))
        answering.start()
        with assistant(f"http://127.0.0.1:{listener.getsockname()[1]}") as one:
            assert why in one.calls("use_ai_gateway", **ASK, fails=True)
        answering.join(PATIENCE_S)


def test_chunks_that_say_nothing_are_passed_over() -> None:
    lines = ['{"id": "c-1", "choices": 5}', '{"choices": [5, {"delta": 5}]}']
    lines += ['{"choices": [{"delta": {"content": "so"}}]}', "[DONE]"]
    stream = "".join(f"data: {line}\n\n" for line in lines)
    params = {"name": "use_ai_gateway", "arguments": ASK}
    line = json.dumps({"id": 1, "method": "tools/call", "params": params})
    said = json.loads(answer(line, lambda *_: stream) or "")
    assert json.loads(said["result"]["content"][0]["text"]) == {"id": "c-1", "content": "so"}


def answer_once(listener: socket.socket, reply: bytes) -> None:
    listener.settimeout(PATIENCE_S)
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(reply)


def test_with_keys_and_without(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider, config='access = "keys"\n') as appliance:
        key = appliance.command("keys.create", name="assistant")["key"]
        assert appliance.call(CHAT, ASK, {"Helicone-Auth": f"Bearer {key}"}).status == 200
        with assistant(appliance.url) as one:
            assert "HELICONE_API_KEY" in one.calls("query_requests", fails=True)
        with assistant(appliance.url, key) as one:
            until(lambda: len(one.calls("query_requests")) == 1)


def test_the_server_of_the_directory_is_found(tmp_path: Path, provider: Provider) -> None:
    """On whatever port it listens."""
    with (
        Appliance(tmp_path, provider) as appliance,
        assistant("", "", "--data-dir", str(appliance.data)) as one,
    ):
        assert one.calls("query_requests") == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8585"])
def test_an_address_that_is_none(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "mcp", "--url", url], cwd=ROOT, check=False,
        capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert "http://" in done.stderr
