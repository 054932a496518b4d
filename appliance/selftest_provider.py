"""The provider that `selftest` calls: OpenAI's chat on loopback, buffered and streamed, with or
without TLS. Standard library alone, so that it shares no fault with what it is there to check.
"""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self

MODEL: Final = "gpt-4o-mini"
PROMPT_TOKENS: Final = 19
COMPLETION_TOKENS: Final = 4
BODY_BYTES_MAX: Final = 8 * 2**20
IDLE_S: Final = 60.0
_USAGE: Final = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}
_WORDS: Final = ("All ", "is ", "well ", "☕")


def _json(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, "created": 1764000000, **fields}, indent=2).encode()


def _event(**fields: object) -> bytes:
    made = {"id": "chatcmpl-s", "object": "chat.completion.chunk", "model": MODEL, **fields}
    return b"data: " + json.dumps(made, ensure_ascii=False).encode() + b"\n\n"


REPLY: Final = _json(
    id="chatcmpl-b",
    object="chat.completion",
    choices=[
        {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(_WORDS)},
            "finish_reason": "stop",
        }
    ],
    usage=_USAGE,
)
EVENTS: Final = (
    *(_event(choices=[{"index": 0, "delta": {"content": word}}]) for word in _WORDS),
    _event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    _event(choices=[], usage=_USAGE),
    b"data: [DONE]\n\n",
)


class FakeProvider:
    """Serves while the `with` block lasts, in threads; `url` is its base URL."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", 0)), BODY_BYTES_MAX)
        asked = json.loads(self.rfile.read(length))
        if self.path != "/v1/chat/completions":
            self.send_error(404)
        elif asked.get("stream"):
            self._stream()
        else:
            self._reply()

    def _reply(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(REPLY)))
        self.end_headers()
        self.wfile.write(REPLY)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in EVENTS:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged: what was not as it should be shows in the checks."""


def self_signed() -> bytes:
    """A certificate for 127.0.0.1 and its key, both PEM, for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "helicone-appliance selftest")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day)  # clocks may be set meanwhile
        .not_valid_after(now + day)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM) + private
