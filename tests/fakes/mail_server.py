"""A mail server: takes mails over SMTP, with TLS and accounts if it is told to."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mail:
    sender: str
    to: list[str]
    message: EmailMessage

    @property
    def text(self) -> str:
        return self.message.get_content()


@dataclass
class MailServer:
    """`account`: user and password. `refuses`: the status for each RCPT; `silent`: says nothing."""

    account: tuple[str, str] | None = None
    context: ssl.SSLContext | None = None
    at_once: bool = False  # TLS from the first byte
    refuses: int = 0
    silent: bool = False
    mails: list[Mail] = field(default_factory=list)
    port: int = 0
    asked: int = 0

    @contextmanager
    def listening(self) -> Iterator[MailServer]:
        mail_server, ended = self, threading.Event()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                mail_server.asked += 1
                if mail_server.silent:
                    ended.wait(60)
                    return
                if mail_server.at_once:
                    self._secure()
                _Talk(self, mail_server).run()

            def finish(self) -> None:
                super().finish()
                self.request.close()  # the wrapped one is known to nobody else

            def _secure(self) -> None:
                assert mail_server.context is not None
                self.request = mail_server.context.wrap_socket(self.request, server_side=True)
                self.setup()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                """A client that does not trust us."""

        server = Server(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            server.shutdown()
            thread.join()
            server.server_close()


class _Talk:
    def __init__(self, handler: socketserver.StreamRequestHandler, server: MailServer) -> None:
        self.handler, self.server = handler, server
        self.sender, self.to = "", []  # type: ignore[var-annotated]
        self.known = server.account is None

    def say(self, *lines: str) -> None:
        self.handler.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def run(self) -> None:
        self.say("220 mail")
        while line := self.handler.rfile.readline().decode().strip():
            word, _, rest = line.partition(" ")
            if word == "QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{word.lower()}", self.on_unknown)(rest)

    def on_unknown(self, _: str) -> None:
        self.say("502 what")

    def on_ehlo(self, _: str) -> None:
        more = ["250-STARTTLS"] if self.server.context and not self.server.at_once else []
        self.say("250-mail", *more, "250-SMTPUTF8", "250-8BITMIME", "250 AUTH PLAIN")

    def on_starttls(self, _: str) -> None:
        self.say("220 go")
        self.handler._secure()  # type: ignore[attr-defined]

    def on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        self.known = (user, password) == self.server.account
        self.say("235 welcome" if self.known else "535 no")

    def on_mail(self, rest: str) -> None:
        self.sender, self.to = rest, []
        self.say("250 ok" if self.known else "530 who are you")

    def on_rcpt(self, rest: str) -> None:
        self.to.append(rest.partition("<")[2].partition(">")[0])
        self.say(f"{self.server.refuses} no" if self.server.refuses else "250 ok")

    def on_rset(self, _: str) -> None:
        self.say("250 ok")

    def on_data(self, _: str) -> None:
        self.say("354 go")
        lines = []
        while (line := self.handler.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.server.mails.append(Mail(self.sender, self.to, message))
        self.say("250 taken")
