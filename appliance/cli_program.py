"""`run` and `dev`: parsed here, done in `commands_program.py` and `commands_dev.py`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli_options import AsJson, ConfigFile, DataDir, option_flags

SESSION_CHARACTERS_MAX = 200
Command = Annotated[
    list[str],
    typer.Argument(metavar="COMMAND…", help="The program and its arguments, best behind --."),
]
Session = Annotated[
    str, typer.Option("--session", metavar="NAME", help="Name of the session that its calls make.")
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", metavar="USD", help="What its calls may cost, such as 0.50."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="No call may pass the budget, whatever it may cost.")
]
Record = Annotated[
    Path | None, typer.Option("--record", metavar="DIR", help="Write calls and replies there.")
]
Replay = Annotated[
    Path | None, typer.Option("--replay", metavar="DIR", help="Answer from there, calling nobody.")
]
Timing = Annotated[
    bool, typer.Option("--replay-timing", help="Replay as slowly as it was recorded.")
]


def run(
    command: Command,
    session: Session = "",
    budget: Budget = None,
    strict: Strict = False,
    record: Record = None,
    replay: Replay = None,
    replay_timing: Timing = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Run a program with its LLM calls going through here, and say what they came to.

    Example: helicone-appliance run --budget 0.50 -- python agent.py
    """
    from appliance.commands_program import Wish, run_wished
    from appliance.output_lines import print_error
    from appliance.program_child import ProgramMissing

    if record and replay:
        raise typer.BadParameter("--record and --replay: give one of them")
    if budget is not None and not budget.strip():
        # As --budget "$LIMIT" is where nobody has set it: not the same as no limit.
        raise typer.BadParameter("--budget is empty: give USD such as 0.50, or leave it out")
    if len(session) > SESSION_CHARACTERS_MAX or not session.isprintable():
        raise typer.BadParameter("--session is a name of at most 200 printable characters")
    if strict and not budget:
        raise typer.BadParameter("--strict is about a budget: give --budget USD too")
    if replay_timing and not replay:
        raise typer.BadParameter("--replay-timing is about --replay DIR: give it too")
    wish = Wish(
        command, os.environ, session, budget or "", strict, record, replay, replay_timing, as_json
    )  # fmt: skip
    try:
        code = run_wished(option_flags(data_dir, config), wish)
    except ProgramMissing as error:
        print_error(str(error))
        code = error.code
    raise typer.Exit(code)


def dev(
    port: Annotated[
        int | None, typer.Option("--port", metavar="NUMBER", help="Port to listen on (8585).")
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Start a server on this machine alone and show its calls, until Ctrl-C.

    Example: helicone-appliance dev
    """
    from appliance.commands_dev import run_dev

    flags = option_flags(data_dir, config)
    run_dev(flags if port is None else {**flags, "port": str(port)}, as_json=as_json)
