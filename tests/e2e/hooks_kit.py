"""Receivers of webhooks with real sockets, and what the documented check of a signature does."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.e2e.starting import until
from tests.fakes.appliance import Appliance
from tests.fakes.raw_client import Reply

NODE = shutil.which("node")
# A receiver parses the body, writes it anew with JSON.stringify and compares the HMAC of that.
VERIFY = """
const crypto = require('crypto');
const { body, key } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const again = JSON.stringify(JSON.parse(body));
process.stdout.write(crypto.createHmac('sha256', key).update(again).digest('hex'));
"""


@dataclass
class Got:
    """One delivery."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answers` are taken one by one, then `usual`: a status, or "hold" until `release` is set."""

    answers: list[int | str] = field(default_factory=list)
    usual: int | str = 200
    got: list[Got] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in/?from=appliance"

    def wait(self, count: int) -> list[Got]:
        until(lambda: len(self.got) >= count)
        return self.got

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(Got(self.path, dict(self.headers), body))
                answer = receiver.answers.pop(0) if receiver.answers else receiver.usual
                if answer == "hold":
                    receiver.release.wait(60)
                    answer = 200
                self.send_response(int(answer))
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Whoever was killed has hung up."""

        server = Server(("127.0.0.1", port), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.release.set()
            server.shutdown()
            thread.join()
            server.server_close()


def rest(appliance: Appliance, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return appliance.call(
        path, {} if body is None and method != "GET" else body, given, method=method
    )


def data(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    return reply.json["data"]


def add_webhook(appliance: Appliance, receiver: Receiver, **more: Any) -> Any:
    body = {"destination": receiver.url, **more}
    return data(rest(appliance, "POST", "/v1/webhooks", body))


def signed_by_node(got: Got, key: str) -> str:
    """What a receiver of the documentation's computes."""
    given = json.dumps({"body": got.body.decode(), "key": key})
    done = subprocess.run(
        [NODE or "node", "-e", VERIFY], input=given, capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    return done.stdout
