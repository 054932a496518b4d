"""Exchanges on their way to a collector: all of them, once, whatever becomes of it or of us."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from appliance.core.otlp_wire import Span, protobuf_spans
from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.otlp_spans import as_protobuf, span
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
EU_KEY = "sk-helicone-eu-abcdefg-hijklmn-opqrstu-vwxyzab"


class Collector:
    """Answers with `status`; keeps what it has taken."""

    def __init__(self) -> None:
        self.status = 200
        self.asked = 0
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.asked += 1
                status = collector.status
                if status == 200 and self.path == "/v1/traces":
                    collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                    collector.spans += protobuf_spans(body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    @property
    def ids(self) -> list[str]:
        return [span.attributes["helicone.request_id"] for span in self.spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


def config(collector: Collector, more: str = "") -> str:
    return f'[otlp]\nendpoint = "{collector.url}"\n{more}'


def test_every_call_is_sent_with_its_counts(
    collector: Collector, provider: Provider, tmp_path: Path
) -> None:
    told = config(collector, 'headers = { "x-team" = "blue" }\n')
    with Appliance(tmp_path, provider, config=told) as appliance:
        ids = [appliance.call(CHAT, ASK).id for _ in range(5)]
        until(lambda: len(collector.spans) == 5)
        assert sorted(collector.ids) == sorted(ids)
        sent = collector.spans[0]
        assert (sent.name, sent.status) == ("chat gpt-4o", 0)
        assert sent.attributes["gen_ai.usage.input_tokens"] == 19
        assert sent.attributes["gen_ai.usage.cost"] > 0
        assert not any("value" in name for name in sent.attributes)
        assert collector.headers[0]["x-team"] == "blue"
        metrics = appliance.call("/metrics", None, method="GET").body.decode()
        assert 'otlp_exported_total{region="us"} 5' in metrics


def test_a_restart_loses_none_and_repeats_none(
    collector: Collector, provider: Provider, tmp_path: Path
) -> None:
    with Appliance(tmp_path, provider, config=config(collector)) as appliance:
        ids = [appliance.call(CHAT, ASK).id for _ in range(3)]
        until(lambda: len(collector.spans) == 3)
        collector.status = 503
        ids += [appliance.call(CHAT, ASK).id for _ in range(3)]
        asked = collector.asked
        until(lambda: collector.asked > asked)
        appliance.restart()  # killed with three that nobody has taken
        ids.append(appliance.call(CHAT, ASK).id)
        collector.status = 200
        until(lambda: len(collector.spans) >= 7)
        assert sorted(collector.ids) == sorted(ids)


def test_a_collector_that_is_away_holds_up_nobody(
    collector: Collector, provider: Provider, tmp_path: Path
) -> None:
    collector.status = 503
    with Appliance(tmp_path, provider, config=config(collector)) as appliance:
        ids = [appliance.call(CHAT, ASK).id for _ in range(3)]
        until(lambda: collector.asked > 1)
        assert appliance.call(CHAT, ASK).status == 200
        health = appliance.call("/healthcheck", None, method="GET").json
        assert "503" in str(health)
        collector.status = 200
        until(lambda: len(collector.spans) == 4)
        assert set(ids) < set(collector.ids)
        until(lambda: "otlp" not in str(
            appliance.call("/healthcheck", None, method="GET").json.get("reasons", "")
        ))  # fmt: skip


def test_what_the_collector_refuses_is_counted_and_left_out(
    collector: Collector, provider: Provider, tmp_path: Path
) -> None:
    collector.status = 400
    with Appliance(tmp_path, provider, config=config(collector)) as appliance:
        appliance.call(CHAT, ASK)
        until(lambda: collector.asked == 1)
        collector.status = 200
        last = appliance.call(CHAT, ASK)
        until(lambda: collector.ids == [last.id])
        metrics = appliance.call("/metrics", None, method="GET").body.decode()
        assert 'otlp_dropped_total{region="us"} 1' in metrics


def test_bodies_when_asked_for(collector: Collector, provider: Provider, tmp_path: Path) -> None:
    told = config(collector, "bodies = true\n")
    with Appliance(tmp_path, provider, config=told) as appliance:
        appliance.call(CHAT, ASK)
        appliance.call(CHAT, {**ASK, "padding": "p" * 2_000_000})
        until(lambda: len(collector.spans) == 2)
        assert '"Hello"' in collector.spans[0].attributes["input.value"]
        assert len(collector.spans[1].attributes["input.value"]) == 64 * 1024


def test_spans_that_came_in_do_not_go_out(collector: Collector, tmp_path: Path) -> None:
    with Appliance(tmp_path, config=config(collector)) as appliance:
        kind = {"Content-Type": "application/x-protobuf"}
        assert appliance.call("/v1/traces", as_protobuf([span("s")]), kind).status == 200
        log = {
            "providerRequest": {"url": "u", "json": {"model": "m"}, "meta": {}},
            "providerResponse": {"status": 200, "json": {}},
        }
        logged = appliance.call("/custom/v1/log", log)
        until(lambda: collector.spans)
        assert collector.ids == [logged.id]


def test_the_eu_stays_where_it_is(collector: Collector, provider: Provider, tmp_path: Path) -> None:
    told = f'eu_data_dir = "{tmp_path}/europe"\n' + config(collector)
    with Appliance(tmp_path, provider, config=told) as appliance:
        eu = appliance.call(CHAT, ASK, {"Helicone-Auth": f"Bearer {EU_KEY}"})
        us = appliance.call(CHAT, ASK)
        until(lambda: collector.spans)
        assert collector.ids == [us.id]
        assert eu.status == 200
