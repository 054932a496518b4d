"""`dev`: a server of one's own on loopback, its calls on a screen as they end, and a summary."""

from __future__ import annotations

import signal
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from appliance.commands import LiveSource, connect
from appliance.commands_program import print_summary, wait_for_calls
from appliance.config import Config, is_loopback, load_config
from appliance.control_client import ControlError
from appliance.core.dev_board import Board
from appliance.errors import Refusal
from appliance.output import OutputError, all_rows
from appliance.output_lines import TailPrinter, print_error, print_note
from appliance.program_child import ended_in_order
from appliance.program_server import Reached, own_server
from appliance.program_summary import summed_up

HOST: Final = "127.0.0.1"
SESSION: Final = "dev"
REFRESHES_PER_S: Final = 4
# Programs may call as soon as the port answers, which is before `tail` is asked for.
EARLY_MAX: Final = 1000


def run_dev(flags: Mapping[str, str], *, as_json: bool) -> None:
    """Until Ctrl-C. Raises OutputError, Refusal, ConfigError before it has begun."""
    config = load_config(flags)
    running = connect(config, "us")
    if running is not None:
        running.close()
        raise Refusal(
            409, "server_runs",
            f"a server runs on {config.data_dir}: `tail` shows its calls; or name another "
            "--data-dir, and --port",
        )  # fmt: skip
    if not is_loopback(config.host):
        given = config.sources.get("host", "the configuration")
        print_note(f"listens on {HOST} alone, not on {config.host} (from {given})")
    since = f"recorded_at >= TIMESTAMP '{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    with (
        ended_in_order(),
        own_server(config, flags, options_of(config), config.data_dir) as server,
    ):
        began_s = time.monotonic()
        with stopped_by_signals():
            watch(server, since, as_json=as_json)
        try:
            wait_for_calls(server)
            summary = summed_up(
                server, since, duration_s=round(time.monotonic() - began_s, 3), exit_code=0,
                session_id=str(uuid.uuid4()), session_name=SESSION, mode="live", budget_usd=None,
            )  # fmt: skip
        except (OutputError, ControlError) as error:
            print_error(f"what was called is not known: {error}")
        else:
            print_summary(summary, as_json=as_json)


def options_of(config: Config) -> dict[str, str]:
    """Of the server. Faults may be asked for by header, but where keys are asked for: then others
    are meant to use it."""
    found = {"host": HOST, "port": str(config.port)}
    if "access" not in config.sources or config.access == "open":
        found["faults"] = "true"
    return found


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end what is inside, and nothing else: once, since another one must not
    keep the terminal from being given back."""

    def stop(_: int, __: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(server: Reached, since: str, *, as_json: bool) -> None:
    """Show calls as they end, until interrupted, or until the server has gone. `since`: the
    condition of calls of this time, in SQL."""
    with server.client() as client:
        result = LiveSource(client, "us").rows("tail", {})
        names = [name for name, _ in result.columns]
        rows = from_the_start(server, since, names, all_rows(result))
        if as_json or not sys.stdout.isatty():
            print_note(f"listens on {server.url}; Ctrl-C ends it")
            printer = TailPrinter(result.columns, as_json=as_json)
            for row in rows:
                printer.show(row)
            return
        draw(server.url, names, rows)


def from_the_start(
    server: Reached, since: str, names: list[str], tail: Iterator[Any]
) -> Iterator[Any]:
    """What came before `tail` began, then its rows, none of them twice."""
    order = f"ORDER BY recorded_at, exchange_id LIMIT {EARLY_MAX}"
    early = server.rows(f"SELECT {', '.join(names)} FROM requests WHERE {since} {order}")  # noqa: S608
    known = {row["exchange_id"] for row in early}
    for row in early:
        yield [row[name] for name in names]
    which = names.index("exchange_id")
    yield from (row for row in tail if row[which] not in known)


def draw(url: str, names: list[str], rows: Iterator[Any]) -> None:
    """On a screen of its own, behind which the terminal is as it was."""
    # Here: it is for a person alone.
    from rich.console import Console
    from rich.live import Live

    from appliance.dev_screen import Screen

    board = Board()
    screen = Screen(board, url)
    live = Live(screen, console=Console(), screen=True, refresh_per_second=REFRESHES_PER_S)
    try:
        live.start(refresh=True)
        for row in rows:
            with screen.lock:
                board.add(dict(zip(names, row, strict=True)))
    finally:
        live.stop()  # also where Ctrl-C came while it began
