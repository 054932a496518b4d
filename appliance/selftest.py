"""`selftest`: whether this installation works, by using it. Without any network but loopback and in
a directory of its own: a server as users start it, a provider beside it, calls, and what was kept.

Every check is a function that returns what it found in a few words, or raises. The next is made all
the same: what a failure is about shows in which others fail with it.
"""

from __future__ import annotations

import secrets
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance import selftest_checks as checks
from appliance.selftest_provider import FakeProvider, self_signed
from appliance.selftest_rig import Failed, Server

Named = tuple[str, Callable[[], str]]
Of = tuple[tuple[str, Callable[[Server], str]], ...]
PLAIN: Of = (
    ("start", checks.start), ("reply", checks.reply), ("stream", checks.stream),
    ("limits", checks.limits), ("journal", checks.journal), ("rows", checks.rows),
    ("bodies", checks.bodies), ("ingest helper", checks.batches), ("sql sandbox", checks.sandbox),
    ("pages", checks.pages), ("rest", checks.rest), ("kill -9", checks.killed),
    ("parquet", checks.parquet), ("verify", checks.verify), ("stop", checks.stop),
    ("query offline", checks.offline),
)  # fmt: skip
# Everything switched on that a plain server does without.
SEALED: Of = (
    ("tls start", checks.start), ("tls reply", checks.reply), ("tls stream", checks.stream),
    ("http/2", checks.http2), ("encrypted rows", checks.rows),
    ("encrypted parquet", checks.parquet), ("encrypted kill -9", checks.killed),
    ("encrypted sandbox", checks.sandbox), ("nothing readable", checks.unreadable),
    ("encrypted verify", checks.verify), ("encrypted stop", checks.stop),
    ("encrypted offline", checks.offline),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one; `detail` in a few words, `seconds` that it took."""

    name: str
    ok: bool
    detail: str
    seconds: float


@dataclass(slots=True)
class Outcome:
    """`log`: what servers wrote last, for when something failed."""

    checks: list[Check] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def report(self) -> dict[str, Any]:
        """For machines."""
        frozen = bool(getattr(sys, "frozen", False))  # the executable that needs no Python
        told = [asdict(check) for check in self.checks]
        return {"ok": self.ok, "version": __version__, "frozen": frozen, "checks": told}


def selftest(hear: Callable[[Check], None]) -> Outcome:
    """Make all checks, one after the other; `hear` gets each as it is done."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="helicone-appliance-selftest-") as name:
        for of in (_plain(Path(name), outcome.log), _sealed(Path(name), outcome.log), _code()):
            for title, check in of:
                outcome.checks.append(_made(title, check))
                hear(outcome.checks[-1])
    return outcome


def _made(name: str, check: Callable[[], str]) -> Check:
    began_s = time.monotonic()
    try:
        ok, detail = True, check()
    except Exception as error:  # whatever it is, it is what there is to tell
        words = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        ok, detail = False, " ".join(words.split())
    return Check(name, ok, detail, round(time.monotonic() - began_s, 3))


def _plain(folder: Path, log: list[str]) -> Iterator[Named]:
    with FakeProvider() as provider:
        config = f'[providers.openai]\nbase_url = "{provider.url}"\nauth = "none"\n'
        yield from _in_turn(Server(folder / "plain", config), PLAIN, log)


def _sealed(folder: Path, log: list[str]) -> Iterator[Named]:
    pem = folder / "certificate-and-key.pem"
    pem.write_bytes(self_signed())
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(pem)
    with FakeProvider(own) as provider:
        config = (
            f'http2 = true\ntls_cert = "{pem}"\ntls_key = "{pem}"\n'
            f'[providers.openai]\nbase_url = "{provider.url}"\nauth = "none"\nca_file = "{pem}"\n'
        )
        key = {"HELICONE_APPLIANCE_MASTER_KEY": secrets.token_hex(16)}
        yield from _in_turn(Server(folder / "sealed", config, environ=key, roots=pem), SEALED, log)


def _in_turn(server: Server, of: Of, log: list[str]) -> Iterator[Named]:
    try:
        for name, check in of:
            yield name, partial(check, server)
    finally:
        server.kill()
        log += server.log_lines()


def _code() -> Iterator[Named]:
    yield "modules", checks.modules
