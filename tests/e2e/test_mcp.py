"""`mcp` as an assistant talks to it: a process, its stdin and stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
def assistant(url: str, key: str = "") -> Iterator[Assistant]:
    environ = {"PATH": os.environ["PATH"], "HELICONE_BASE_URL": url, "HELICONE_API_KEY": key}
    with subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "mcp"], cwd=ROOT, env=environ, text=True,
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


def test_with_keys_and_without(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider, config='access = "keys"\n') as appliance:
        key = appliance.command("keys.create", name="assistant")["key"]
        assert appliance.call(CHAT, ASK, {"Helicone-Auth": f"Bearer {key}"}).status == 200
        with assistant(appliance.url) as one:
            assert "HELICONE_API_KEY" in one.calls("query_requests", fails=True)
        with assistant(appliance.url, key) as one:
            until(lambda: len(one.calls("query_requests")) == 1)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8585"])
def test_an_address_that_is_none(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "mcp", "--url", url], cwd=ROOT, check=False,
        capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert "http://" in done.stderr
