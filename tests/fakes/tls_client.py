"""The raw client over TLS. The context is the test's: which CA, which versions, which protocols."""

from __future__ import annotations

import ssl
from typing import Any

from tests.certificates import Authority
from tests.fakes.raw_client import RawClient


def trusting(authority: Authority, *protocols: str) -> ssl.SSLContext:
    """A client's context that knows this CA, offering `protocols` by ALPN."""
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class TlsClient(RawClient):
    """One connection; `secure` tells version, certificate and protocol."""

    def __init__(self, url: str, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(url, **options)
        try:
            self.secure = context.wrap_socket(self.sock, server_hostname="127.0.0.1")
        except OSError:
            self.sock.close()
            raise
        self.sock = self.secure
