"""`dev`: a server of one's own on loopback, its calls on a screen as they end, and a summary."""

from __future__ import annotations

import signal
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
NEWEST: Final = "SELECT max(recorded_at)::VARCHAR AS newest FROM requests"


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
    with (
        ended_in_order(),
        own_server(config, flags, options_of(config), config.data_dir) as server,
    ):
        newest = server.rows(NEWEST)[0]["newest"]
        began_s = time.monotonic()
        with stopped_by_signals():
            watch(server, as_json=as_json)
        which = f"recorded_at > TIMESTAMP '{newest}'" if newest else "true"
        try:
            wait_for_calls(server)
            summary = summed_up(
                server, which, duration_s=round(time.monotonic() - began_s, 3), exit_code=0,
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


def watch(server: Reached, *, as_json: bool) -> None:
    """Show calls as they end, until interrupted, or until the server has gone."""
    with server.client() as client:
        result = LiveSource(client, "us").rows("tail", {})
        rows = all_rows(result)
        if as_json or not sys.stdout.isatty():
            print_note(f"listens on {server.url}; Ctrl-C ends it")
            printer = TailPrinter(result.columns, as_json=as_json)
            for row in rows:
                printer.show(row)
            return
        draw(server.url, [name for name, _ in result.columns], rows)


def draw(url: str, names: list[str], rows: Iterator[Any]) -> None:
    """On a screen of its own, behind which the terminal is as it was."""
    # Here: it is for a person alone.
    from rich.console import Console
    from rich.live import Live

    from appliance.dev_screen import Screen

    board = Board()
    screen = Screen(board, url)
    with Live(screen, console=Console(), screen=True, refresh_per_second=REFRESHES_PER_S):
        for row in rows:
            with screen.lock:
                board.add(dict(zip(names, row, strict=True)))
