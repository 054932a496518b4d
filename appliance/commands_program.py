"""`run`: a program whose calls go through a server, under a key, a session and a budget of its own,
and what they came to.
"""

import json
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from appliance.commands import open_source
from appliance.commands_run import expected
from appliance.config import Config, load_config
from appliance.control_client import ControlError
from appliance.core.base_urls import RUN_PROPERTY, program_environment
from appliance.output import OutputError
from appliance.output_lines import print_error, print_note
from appliance.program_child import ended_in_order, find_program, run_program
from appliance.program_server import Reached, reach
from appliance.program_summary import Summary, lines_of, plain_usd, summed_up

# A program that was killed in the middle of a stream leaves calls that are ended in a moment.
UNDER_WAY_S = 2.0
POLL_S = 0.05
KEY_NAME_CHARACTERS_MAX = 64
CODE_UNKNOWN = 1  # of a program that ended well, where nobody can say what it called
# The property that the run's calls bear. Not its key: programs that were written for Helicone send
# one of their own, which goes before the one in the path (proxy.md 3), and must not cost more.
MARK = RUN_PROPERTY
CALLS_OF = f"map_extract_value(properties, '{MARK}') = '{{}}'"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    command: Sequence[str]
    environ: Mapping[str, str]
    session: str = ""
    budget: str = ""
    strict: bool = False
    record: Path | None = None
    replay: Path | None = None
    replay_timing: bool = False
    as_json: bool = False

    @property
    def name(self) -> str:
        """Of the session: where none was given, that of the program, which a file system lets be
        of any characters."""
        plain = (char if char.isprintable() else "_" for char in Path(self.command[0]).name)
        return self.session or "".join(plain)

    @property
    def mode(self) -> str:
        """What becomes of calls: `live`, `record` or `replay`."""
        return "record" if self.record else "replay" if self.replay else "live"

    def options(self) -> dict[str, str]:
        """Further options of `serve`."""
        found: dict[str, str] = {}
        if self.record is not None:
            found["record"] = str(self.record.absolute())
        if self.replay is not None:
            found["replay"] = str(self.replay.absolute())
        if self.replay_timing:
            found["replay_timing"] = "true"
        return found


def run_wished(flags: Mapping[str, str], wish: Wish) -> int:
    """Run the program; its exit code. Raises OutputError, Refusal, ControlError, ConfigError before
    it has begun; afterwards what fails is said, and its code is given all the same, but for 0."""
    config = load_config(flags)
    find_program(wish.command[0], wish.environ)  # before a server is started for it
    session_id = str(uuid.uuid4())
    with (
        ended_in_order(),
        reach(config, flags, wish.options(), strict=wish.strict) as server,
        key_of_run(config, server, wish, session_id) as key,
    ):
        tags = (
            f"helicone-session-id={session_id}/helicone-session-name={quote(wish.name, '')}"
            f"/helicone-property-{MARK}={session_id}"
        )
        base = f"{server.url}/{key}/{tags}"
        directory = wish.record or wish.replay
        place = str(directory.absolute()) if directory else ""
        environ = program_environment(wish.environ, base, wish.mode, place)
        began_s = time.monotonic()
        code = run_program(wish.command, environ)
        took_s = round(time.monotonic() - began_s, 3)
        try:
            wait_for_calls(server)
            if wish.record is not None:
                tell_of_holes(server)
            summary = summed_up(
                server, CALLS_OF.format(session_id), duration_s=took_s, exit_code=code,
                session_id=session_id, session_name=wish.name, mode=wish.mode,
                budget_usd=plain_usd(wish.budget) if wish.budget else None,
            )  # fmt: skip
        except (OutputError, ControlError) as error:
            print_error(f"what it called is not known: {error}")
            code = code or CODE_UNKNOWN
        else:
            print_summary(summary, as_json=wish.as_json)
    return code


@contextmanager
def key_of_run(config: Config, server: Reached, wish: Wish, session_id: str) -> Iterator[str]:
    """A Helicone key for this run alone, and its budget, which counts whatever bears the run's
    mark. Both are taken out of use behind it. Raises ControlError for what the server refuses, such
    as a budget that is none."""
    name = f"run {wish.name}"[:KEY_NAME_CHARACTERS_MAX]
    made = server.value("keys.create", name=name)
    budget = ""
    try:
        if wish.budget:
            given = {"scope": f"property:{MARK}", "value": session_id, "period": "month"}
            given["limit"] = wish.budget
            budget = server.value("budgets.set", **given)["id"]
        yield made["key"]
    finally:
        if budget:
            take_back(config, server, "budgets.remove", "budget", budget)
        take_back(config, server, "keys.revoke", "key", made["id"])


def take_back(config: Config, server: Reached, command: str, what: str, name: str) -> None:
    """Of the server; where it has ended before its time of the directory, unless that goes too."""
    try:
        server.value(command, **{what: name})
    except (OutputError, ControlError):
        if server.root != config.data_dir:
            return
        try:
            with open_source(config) as source:
                source.call(command, {what: name}, lambda _: None)
        except Exception as error:
            why = expected(error)
            if why is None:
                raise
            by_hand = f"{command.replace('.', ' ')} {name}"
            print_error(f"the {what} of this run is still there ({why}): `{by_hand}` ends it")


def wait_for_calls(server: Reached) -> None:
    """Until nothing is under way, or for a moment: another program may use the server too."""
    until_s = time.monotonic() + UNDER_WAY_S
    while server.value("status")["calls_under_way"] and time.monotonic() < until_s:
        time.sleep(POLL_S)


def tell_of_holes(server: Reached) -> None:
    """What could not be recorded. Raises ControlError, OutputError."""
    for part in server.value("status")["degraded"]:
        if part["part"] == "cassettes":
            print_error(f"not all is recorded: {part['detail']}")


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """To stderr: stdout is the program's."""
    if as_json:
        print(json.dumps(summary.as_map(), default=str), file=sys.stderr, flush=True)
        return
    for line in lines_of(summary):
        print_note(line)
