"""What tests of the ring of provider keys share: a root with state and vault, rings over it, and
ways to spoil the state file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from appliance.actors.provider_keys import Entry, ProviderKeys
from appliance.core.keys import DEFAULT_ORGANIZATION
from appliance.core.provider_credentials import Found
from appliance.providers.table import ProviderTable
from storage.state import State
from storage.vault import Vault

T = TypeVar("T")

ORG = DEFAULT_ORGANIZATION
OTHER_ORG = bytes(15) + b"\x02"
PLANTED = "planted-7f3a9c-secret"
SECOND = "planted-7f3a9c-other-secret"
TABLE = ProviderTable.built_in()
NOISE = b"noise" * 4000


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Home:
    """A region's root. Each `ring()` is one start of the process."""

    path: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        State.open(self.state).close()
        self.vault = Vault.open(self.path)

    @property
    def state(self) -> Path:
        return self.path / "state.sqlite"

    @property
    def snapshot(self) -> Path:
        return self.path / "provider_keys.snapshot"

    def ring(self, **options: object) -> ProviderKeys:
        return ProviderKeys(
            self.path,
            self.vault,
            TABLE.by_id,
            clock_s=self.clock,
            **options,  # type: ignore[arg-type]
        )

    def spoil(self) -> dict[str, bytes]:
        """Noise in place of the state; gives what was there."""
        kept = {path.name: path.read_bytes() for path in self.path.glob("state.sqlite*")}
        for name in kept:
            (self.path / name).write_bytes(NOISE)
        return kept

    def put_back(self, kept: dict[str, bytes]) -> None:
        for path in self.path.glob("state.sqlite*"):
            path.unlink()
        for name, data in kept.items():
            (self.path / name).write_bytes(data)

    def lose(self) -> None:
        for path in self.path.glob("state.sqlite*"):
            path.unlink()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.state)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else can read or write the state meanwhile."""
        connection = sqlite3.connect(self.state, isolation_level=None)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
            connection.execute("PRAGMA locking_mode = NORMAL")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()

    def everything(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.path.rglob("*") if path.is_file())


@dataclass
class Gate:
    """Holds whoever passes through `wait` in a thread until it is opened."""

    opened: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)
    passed: int = 0

    def wait(self) -> None:
        self.waiting.set()
        assert self.opened.wait(30)
        self.passed += 1

    def before(self, real: Callable[..., T]) -> Callable[..., T]:
        """The same, after a wait here."""

        def held(*arguments: object) -> T:
            self.wait()
            return real(*arguments)

        return held


async def stored(ring: ProviderKeys, key: str = PLANTED, provider: str = "openai") -> str:
    """A key on file; gives its id."""
    return (await ring.add(ORG, provider, Entry(key))).id


async def text_of(ring: ProviderKeys, provider: str = "openai", key_id: str = "") -> str | None:
    """What a request would send, as the pipeline asks."""
    found = ring.find(ORG, provider, key_id) or await ring.load(ORG, provider, key_id)
    return shown(found)


def shown(found: Found | None) -> str | None:
    if found is None:
        return None
    assert found.secret is not None
    return found.secret.parts()[0]
