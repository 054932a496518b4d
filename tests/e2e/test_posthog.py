"""PostHog is told of calls that ask for it (proxy.md 7.7), and of nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = "phc_0123456789abcdef"


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                told.events.append((self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()


@pytest.fixture
def posthog() -> Iterator[Told]:
    told = Told()
    yield told
    told.server.shutdown()
    told.server.server_close()
    told.thread.join()


def test_a_call_is_captured(posthog: Told, provider: Provider, tmp_path: Path) -> None:
    asks = {
        "Helicone-Posthog-Key": KEY, "Helicone-Posthog-Host": posthog.url,
        "Helicone-User-Id": "ada", "Helicone-Property-Tier": "gold",
    }  # fmt: skip
    with Appliance(tmp_path, provider) as appliance:
        assert appliance.call(CHAT, ASK).status == 200
        reply = appliance.call(CHAT, ASK, asks)
        until(lambda: posthog.events)
        ((path, event),) = posthog.events
        assert path == "/capture/"
        assert (event["api_key"], event["event"], event["distinct_id"]) == (
            KEY, "helicone_request_response", "ada",
        )  # fmt: skip
        told = event["properties"]
        assert (told["model"], told["promptTokens"], told["completetionTokens"]) == (
            "gpt-4o", 19, 11,
        )  # fmt: skip
        assert told["cost"] == 0.0001575
        assert told["requestId"] == reply.id
        assert told["customProperties"]["tier"] == "gold"
        row = appliance.row(reply.id)
        assert row["properties"]["Helicone-Sent-To-Posthog"] == "true"
        assert KEY not in json.dumps(row, default=str)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in kept


def test_a_log_is_captured(posthog: Told, tmp_path: Path) -> None:
    meta = {"Helicone-Posthog-Key": KEY, "Helicone-Posthog-Host": posthog.url}
    log = {
        "providerRequest": {"url": "u", "json": {"model": "m"}, "meta": meta},
        "providerResponse": {"status": 200, "json": {}, "cost": 0.5},
    }
    with Appliance(tmp_path) as appliance:
        reply = appliance.call("/custom/v1/log", log)
        until(lambda: posthog.events)
        ((_, event),) = posthog.events
        assert event["properties"]["requestId"] == reply.id
        assert event["properties"]["cost"] == 0.5


def test_a_host_that_may_not_be_called_is_not(
    posthog: Told, provider: Provider, tmp_path: Path
) -> None:
    """With keys a client's word leads to no private address."""
    key = "sk-helicone-" + "-".join(["abcdefg"] * 4)
    config = f'access = "keys"\nbootstrap_key = "{key}"\n'
    asks = {
        "Helicone-Posthog-Key": KEY, "Helicone-Posthog-Host": posthog.url,
        "Helicone-Auth": f"Bearer {key}",
    }  # fmt: skip
    with Appliance(tmp_path, provider, config=config) as appliance:
        assert appliance.call(CHAT, ASK, asks).status == 200

        def failed() -> bool:
            text = appliance.call("/metrics", None, {"Authorization": f"Bearer {key}"},
                                  method="GET").body  # fmt: skip
            return b"posthog_failed_total 1" in text

        until(failed)
        assert posthog.events == []
