"""The comparison's page, and that only what really forwards is measured."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from bench_rig import CHAT_REPLY, Running
from compare import BUSY, machine
from compare_contenders import Contender, check
from compare_page import Row, table, write

ROW = Row("a proxy", "1.2", "nothing", 12345.6, 0.123, 4.5, 67.8, 0.9, 10.1, 111.9, 0)


def test_the_page_has_what_was_measured(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write(page, [ROW], machine(0.1), 5, 4.0)
    text = page.read_text(encoding="utf-8")
    assert "| a proxy | 1.2 | 12,346 | 0.12 | 4.50 | 68 | 0.90 | 10 | 112 |" in text
    assert "- a proxy 1.2: nothing." in text
    assert "count: 5, of 4 s each" in text
    assert BUSY not in text
    assert "{" not in text


def test_what_a_busy_machine_measured_says_so() -> None:
    assert machine(3.0).endswith(BUSY)


def test_errors_are_told() -> None:
    from dataclasses import replace

    assert "(7 errors)" in table([replace(ROW, errors=7)])[-1]


@contextmanager
def answering(body: str) -> Iterator[Contender]:
    """A server that gives this, whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield Contender("one", "1", "", url, Running(None, url))  # type: ignore[arg-type]
        finally:
            server.shutdown()
            thread.join()


def test_only_the_provider_s_words_are_forwarding() -> None:
    with answering(CHAT_REPLY) as who:
        check(who)
    with (
        answering('{"choices": [{"message": {"content": "mine"}}]}') as who,
        pytest.raises(SystemExit, match="does not forward"),
    ):
        check(who)
