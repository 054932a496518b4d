"""What may stand before a provider: TLS of a private CA, and a CONNECT proxy. Threads, blocking."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.certificates import Issued

WAIT_S = 10.0


class Front:
    """Accepts, lets `greet` prepare the connection, and joins it with the one that it names."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.errors: list[str] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        end(self._listener)
        self.hang_up()
        for thread in self._pumps:
            thread.join(WAIT_S)
        for sock in self._open:
            sock.close()

    def hang_up(self) -> None:
        """End the connections that are open. Closed they are once nobody is at work with them: TLS
        keeps the number, and would write its farewell to whoever has it next."""
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def greet(self, client: socket.socket) -> tuple[socket.socket, int] | None:
        """The client's connection as it is from now on, and the port to join it with."""
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(WAIT_S)
        try:
            greeted = self.greet(client)
        except (OSError, ValueError) as error:
            self.errors.append(str(error))
            client.close()
            return
        if greeted is None:
            client.close()
            return
        client, port = greeted
        client.settimeout(None)
        there = socket.create_connection(("127.0.0.1", port), WAIT_S)
        there.settimeout(None)
        self._open += [client, there]
        forth = threading.Thread(target=pump, args=(client, there), daemon=True)
        forth.start()
        self._pumps += [forth, threading.current_thread()]
        pump(there, client)


def end(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until the end, and the end too."""
    with suppress(OSError, ValueError):
        while data := source.recv(65536):
            sink.sendall(data)
    for sock in (source, sink):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


class TlsFront(Front):
    """TLS before a plain provider; with `client_ca` clients must show a certificate of it."""

    def __init__(
        self, url: str, issued: Issued, directory: Path, *, client_ca: Path | None = None
    ) -> None:
        super().__init__()
        self._target = urlsplit(url).port or 80
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*issued.write(directory, f"front-{self.port}"))
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self.shown: list[str] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def greet(self, client: socket.socket) -> tuple[socket.socket, int]:
        secure = self._context.wrap_socket(client, server_side=True)
        subject = (secure.getpeercert() or {}).get("subject", ())
        self.shown.append(str(subject))
        return secure, self._target


class ConnectProxy(Front):
    """A CONNECT proxy that knows where some hosts are, and may want user and password."""

    def __init__(self, ports: dict[str, int], *, login: str = "") -> None:
        super().__init__()
        self._ports = ports
        self._login = login
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def greet(self, client: socket.socket) -> tuple[socket.socket, int] | None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(1)
            if not more:
                return None
            head += more
        lines = head.decode().split("\r\n")
        self.asked.append(lines[0])
        wanted = "Basic " + base64.b64encode(self._login.encode()).decode()
        if self._login and f"Proxy-Authorization: {wanted}" not in lines:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return None
        port = self._ports.get(lines[0].split(" ")[1])
        if port is None:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return None
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return client, port


# Imported by the interpreter at its start: names mean what the file says, at each look-up anew.
NAMES_MODULE = """
import os, socket
_asked = socket.getaddrinfo

def getaddrinfo(host, port, *rest, **more):
    name = host.decode() if isinstance(host, bytes) else host
    with open(os.environ["TEST_NAMES"]) as file:
        known = dict(line.split() for line in file)
    if name in known:
        return _asked(known[name], port, *rest, **more)
    if name and name[0].isalpha() and "." in name:
        raise socket.gaierror(socket.EAI_NONAME, "unknown name")
    return _asked(host, port, *rest, **more)

socket.getaddrinfo = getaddrinfo
"""


class Names:
    """A resolver of our own for the process under test: `environ` is to be given to it."""

    def __init__(self, directory: Path) -> None:
        (directory / "sitecustomize.py").write_text(NAMES_MODULE)
        self._file = directory / "names.txt"
        self.environ = {"PYTHONPATH": str(directory), "TEST_NAMES": str(self._file)}
        self.tell({})

    def tell(self, known: dict[str, str]) -> None:
        """What each name means from now on; others are unknown."""
        self._file.write_text("".join(f"{name} {address}\n" for name, address in known.items()))
