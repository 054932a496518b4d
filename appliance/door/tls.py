"""TLS for clients: the server's context, and new certificates without a restart.

1.3 is preferred and 1.2 the floor; `h2` is offered only when the full lane may speak it.
"""

import ssl
from pathlib import Path

from appliance.upstream.tls import load_key_pair
from appliance.upstream.tls_wire import TlsWire
from appliance.wire import Wire

# For TLS 1.2 only forward secret, authenticated ciphers (what HTTP/2 demands anyway, RFC 9113
# 9.2.2); those of 1.3 are all of that kind.
CIPHERS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServerTls:
    """`wrap` uses the `context` of the moment, which another reading of the files may replace;
    connections that are open keep theirs."""

    def __init__(self, certificate: Path, key: Path | None, *, http2: bool) -> None:
        """Read the files. Raises ValueError with one line: missing, no PEM, key does not fit."""
        self._certificate = certificate
        self._key = key
        self._http2 = http2
        self.context = self._read()

    async def wrap(self, wire: Wire) -> TlsWire:
        """Shake hands with a client. Raises OSError (ssl.SSLError is one) and Woken; the wire is
        left open, to be closed by its owner."""
        secure = TlsWire(wire, self.context, server_side=True)
        await secure.handshake()
        return secure

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # as upstream
        context.set_ciphers(CIPHERS_1_2)
        context.set_alpn_protocols(["h2", "http/1.1"] if self._http2 else ["http/1.1"])
        load_key_pair(context, "tls_cert, tls_key", self._certificate, self._key)
        return context
