"""The provider that a container under test calls: `container_provider.py PORT`, in the container's
own network, where it is loopback. A request with `slow` in it gets a stream that never ends.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from appliance.selftest_provider import EVENTS, REPLY

PIECE_S = 0.2


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        slow = "slow" in json.loads(asked)["messages"][0]["content"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if slow else "application/json")
        if not slow:
            self.send_header("Content-Length", str(len(REPLY)))
            self.end_headers()
            self.wfile.write(REPLY)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # whoever asked is gone
            while True:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(EVENTS[0]), EVENTS[0]))
                time.sleep(PIECE_S)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Servers under test are killed."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print("ready", flush=True)
    server.serve_forever()
