"""Where a command gets its answer: from the server that holds the data directory, through its
control socket, else from the directory itself, opened by this process. Blocking.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol

from appliance.banner import server_url
from appliance.commands_audit import changes, write_down
from appliance.commands_keys import STATE_COMMANDS
from appliance.commands_provider_keys import RING_COMMANDS
from appliance.commands_wallet import WALLET_COMMANDS
from appliance.config import Config
from appliance.control_client import ControlClient, RemoteRows
from appliance.control_wire import Columns, RowConverter, encoded
from appliance.output import ResultRows

# What is written down though it is not done to the state alone.
AUDITED = frozenset({*RING_COMMANDS, *WALLET_COMMANDS, "reprice", "vault.rotate"})
Progress = Callable[[dict[str, Any]], None]


class OfflineQuery(Protocol):
    """A running query of an offline root (`storage.query.Query`)."""

    @property
    def columns(self) -> Columns: ...

    def fetch(self, rows_max: int) -> list[Any]: ...

    def close(self) -> None: ...


class OfflineRoot(Protocol):
    """A data directory that this process holds itself, caught up with its journal."""

    @property
    def state(self) -> Any: ...  # noqa: ANN401 - storage.state.State, which is slow to import

    def query(self, sql: str) -> OfflineQuery: ...

    def run(self, command: str, arguments: dict[str, Any], progress: Progress) -> Any: ...  # noqa: ANN401


class Source(Protocol):
    """Whoever answers."""

    live: bool

    def query(self, sql: str) -> AbstractContextManager[ResultRows]:
        """Rows of a reading query."""

    def call(self, command: str, arguments: dict[str, Any], progress: Progress) -> object:
        """One value of any other command; `progress` hears of it while it runs."""


@contextmanager
def open_source(config: Config, region: str = "us") -> Iterator[Source]:
    """The server if there is one, also one that starts meanwhile; else the directory."""
    client = connect(config, region)

    def found() -> bool:
        nonlocal client
        client = connect(config, region)
        return client is not None

    if client is None:
        # Imported here: it opens DuckDB, which a running server spares us.
        from appliance.offline import ServerFound, open_root

        with suppress(ServerFound), open_root(config, region, server_found=found) as root:
            yield OfflineSource(root, region, server_url(config, config.port))
            return
    assert client is not None, "found, or no exception had come"
    with client:
        yield LiveSource(client, region)


def connect(config: Config, region: str, *, reply_s: float | None = None) -> ControlClient | None:
    """The server of a region. One process holds both regions; its socket may lie in either root.
    `reply_s`: the longest wait for a piece of an answer, None for as long as it takes."""
    roots = dict.fromkeys((config.root(region), config.data_dir))
    found = (ControlClient.connect(root, reply_s=reply_s) for root in roots)
    return next((client for client in found if client is not None), None)


class LiveSource:
    """Commands go to a server."""

    live = True

    def __init__(self, client: ControlClient, region: str) -> None:
        self._client = client
        self._region = region

    @contextmanager
    def query(self, sql: str) -> Iterator[RemoteRows]:
        yield self._client.rows("query", {"sql": sql, "region": self._region})

    def rows(self, command: str, arguments: dict[str, Any]) -> RemoteRows:
        return self._client.rows(command, {**arguments, "region": self._region})

    def call(self, command: str, arguments: dict[str, Any], progress: Progress) -> object:
        """The last value counts; a map with only `progress` in it tells how far it is."""
        found = None
        for reply in self._client.replies(command, {**arguments, "region": self._region}):
            if reply.get("kind") != "value":
                continue
            value = reply.get("value")
            if isinstance(value, dict) and value.keys() == {"progress"}:
                progress(value["progress"])
            else:
                found = value
        return found


class OfflineSource:
    """Commands are done here."""

    live = False

    def __init__(self, root: OfflineRoot, region: str, base: str = "") -> None:
        self._root = root
        self._region = region
        self._base = base

    @contextmanager
    def query(self, sql: str) -> Iterator["OfflineRows"]:
        encoded({"sql": sql})
        running = self._root.query(sql)
        try:
            yield OfflineRows(running)
        finally:
            running.close()

    def call(self, command: str, arguments: dict[str, Any], progress: Progress) -> object:
        given = {**arguments, "region": self._region}
        encoded(given)  # what could not be asked of a server cannot be done here
        action = STATE_COMMANDS.get(command)
        if action is None and command not in AUDITED:
            return self._root.run(command, given, progress)
        state = self._root.state
        value = (
            self._root.run(command, given, progress)
            if action is None
            else action(state, {**given, "base": self._base})
        )
        if changes(command):
            write_down(state, command, given, value)
        return value


class OfflineRows:
    """Rows of our own DuckDB in the form in which a server would have sent them."""

    def __init__(self, running: OfflineQuery) -> None:
        self._running = running
        self.columns = [(str(name), str(kind)) for name, kind in running.columns]
        self._converter = RowConverter(self.columns)
        self.ending: dict[str, Any] = {}

    def fetch(self, rows_max: int) -> list[list[Any]]:
        return self._converter.convert(self._running.fetch(rows_max))
