"""The command line: parses and prints, nothing else. Heavy modules are imported inside commands, so
that `--help` answers at once.

Exit codes: 0 done, 1 failed (or `verify` found damage), 2 wrong usage or configuration, 130 Ctrl-C.
"""

import difflib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Literal

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError, NoSuchOption

from appliance import (
    cli_backup,
    cli_files,
    cli_import,
    cli_keys,
    cli_limits,
    cli_prices,
    cli_program,
    cli_report,
    cli_shell,
    cli_users,
    cli_wallet,
)
from appliance.cli_options import (
    AsJson,
    Asked,
    ConfigFile,
    DataDir,
    Form,
    Output,
    Region,
    Since,
    Until,
    asking,
    option_flags,
    plain_flags,
    takes_options,
)
from appliance.config_options import ConfigError

PROGRAM = "helicone-appliance"
CTRL_C = "Query interrupted"  # all that DuckDB says of a signal that came while it worked
SUGGESTION_MIN = 0.75  # how alike a name is that was meant: 1 is the same
app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="An LLM proxy that records every call, in one process and one directory.",
)
GROUPS = {
    **cli_keys.GROUPS, **cli_limits.GROUPS, **cli_files.GROUPS, **cli_users.GROUPS,
    **cli_wallet.GROUPS,
}  # fmt: skip
for group, title in GROUPS.items():
    app.add_typer(group, name=title)
app.command()(cli_users.audit)
app.command()(cli_users.delete)


@app.command(
    help="Run the server. Every option may also stand in the file or the environment.\n\n"
    "Example: helicone-appliance serve --port 8585 --data-dir /var/lib/helicone"
)
@takes_options
def serve(flags: dict[str, str]) -> None:
    raise typer.Exit(run_server(flags))


def run_server(flags: dict[str, str]) -> int:
    end_at_once_when_told()
    from functools import partial

    from appliance.config import load_config
    from appliance.manager import take_over

    manager = take_over()
    read_config = partial(load_config, {**flags, **manager.flags})
    config = read_config()
    # Imported here, and only once the configuration is known to be good: it is everything.
    from appliance.process import run

    return run(config, manager, read_config)


def end_at_once_when_told() -> None:
    """A server that does not serve yet has nothing to finish, whatever it waits for, and leaves
    behind what the next start goes on from. The running server takes the signals itself."""

    def end(number: int, _: FrameType | None) -> None:
        os._exit(130 if number == signal.SIGINT else 0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is nothing to read again


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Over the views requests and bodies.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    form: Form = "table",
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Ask about recorded calls, with or without a running server.

    Example: helicone-appliance query "select model, sum(cost_usd) from requests group by 1"
    """
    from appliance.commands_run import run_query

    run_query(option_flags(data_dir, config), region, sql, "json" if as_json else form, output)


@app.command()
def tail(
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Show calls as they end, until Ctrl-C.

    Example: helicone-appliance tail --json
    """
    from appliance.commands_run import run_tail

    run_tail(option_flags(data_dir, config), region, as_json=as_json)


@app.command()
def export(
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    since: Since = "",
    until: Until = "",
    with_bodies: Annotated[
        bool, typer.Option("--with-bodies", help="With requests and responses.")
    ] = False,
    form: Annotated[
        Literal["jsonl", "csv", "parquet"], typer.Option("--format", "-f", help="Kind of file.")
    ] = "jsonl",
    output: Output = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
) -> None:
    """Write all recorded calls of a time to a file.

    Example: helicone-appliance export --since 7d --format parquet --output week.parquet
    """
    from appliance.commands_run import run_export

    form = "jsonl" if as_json else form
    flags = option_flags(data_dir, config)
    run_export(flags, region, since, until, with_bodies=with_bodies, form=form, output=output)


app.command("import")(cli_import.import_records)
app.command()(cli_report.report)
app.command()(cli_prices.reprice)
app.command("what-if")(cli_prices.what_if)
app.command()(cli_report.doctor)
app.command()(cli_report.mcp)
app.command()(cli_backup.backup)
app.command()(cli_backup.restore)
app.command()(cli_backup.upgrade_check)
app.command()(cli_program.dev)
app.command()(cli_shell.completion)
app.command()(cli_shell.man)
# What stands behind the program's name is the program's.
app.command(context_settings={"allow_interspersed_args": False})(cli_program.run)


@app.command()
def providers(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the providers that are known and configured.

    Example: helicone-appliance providers --json
    """
    from appliance.commands_run import run_providers

    run_providers(option_flags(None, config), as_json=as_json)


@app.command()
@asking
def verify(asked: Asked) -> None:
    """Check that journal, rows, bodies and ledger agree. Exit code 1 when they do not.

    Example: helicone-appliance verify --data-dir /var/lib/helicone
    """
    asked.value("verify", {})


@app.command()
@asking
def rebuild(asked: Asked) -> None:
    """Make the database anew from the journal and the lake.

    Example: helicone-appliance rebuild --data-dir /var/lib/helicone
    """
    asked.value("rebuild", {})


@app.command()
@asking
def roll(asked: Asked) -> None:
    """Have a running server move what is in the journal into the lake, due or not.

    Example: helicone-appliance roll --data-dir /var/lib/helicone
    """
    asked.value("roll", {})


@app.command()
def status(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say how the server is, or what lies in the directory. Exit code 1 unless all is well.

    Example: helicone-appliance status --json
    """
    from appliance.commands_run import run_status

    if not run_status(option_flags(data_dir, config), as_json=as_json):
        raise typer.Exit(1)


@app.command()
def healthcheck(
    data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Say in one line whether a server takes calls, for containers. Exit code 1 unless it does; a
    degraded one does.

    Example: helicone-appliance healthcheck --data-dir /data
    """
    raise typer.Exit(told_health(option_flags(data_dir, config), as_json=as_json))


def told_health(flags: dict[str, str], *, as_json: bool) -> int:
    """The exit code."""
    from appliance.commands_run import run_healthcheck

    return 0 if run_healthcheck(flags, as_json=as_json) else 1


@app.command()
def selftest(as_json: AsJson = False) -> None:
    """Check this installation by using it: a server of its own, on loopback, in a directory of its
    own. Exit code 1 when something failed.

    Example: helicone-appliance selftest --json
    """
    from appliance.commands_run import run_selftest

    if not run_selftest(as_json=as_json):
        raise typer.Exit(1)


@app.command()
def version(
    licences: Annotated[
        bool, typer.Option("--licences", help="Print the licences of all that is in the binary.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the version, and whether the modules that matter are compiled.

    Example: helicone-appliance version --licences
    """
    from appliance.commands_run import run_licences, run_version

    if licences:
        run_licences(as_json=as_json)
    else:
        run_version(PROGRAM, as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what is expected to go wrong is one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if sys.stdout is None and given[:1] != ["serve"]:  # a server has nobody to tell
            _complain("standard output is closed: there is nowhere to write to")
            return 1
        return _ended(given)
    except KeyboardInterrupt:  # while modules were loaded, or once more than was waited for
        return 130


def _ended(given: list[str]) -> int:
    """The exit code."""
    try:
        code = _run(given)
    except NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except ClickException as error:
        _complain(_usage(error))
        return 2
    except ConfigError as error:
        _complain(str(error))
        return 2
    except Exception as error:
        from appliance.commands_run import expected, is_wrong_input

        if isinstance(error, RuntimeError) and str(error) == CTRL_C:
            return 130
        message = expected(error)
        if message is None:
            raise
        _complain(message)
        return 2 if is_wrong_input(error) else 1
    return code if isinstance(code, int) else 0


def _run(given: list[str]) -> object:
    if given[:1] == ["serve"]:
        flags = plain_flags(given[1:])
        if flags is not None:
            return run_server(flags)
    if given == ["healthcheck"]:  # asked twice a minute, it need not load what typer does
        return told_health({}, as_json=False)
    command = typer.main.get_command(app)
    if cli_shell.COMPLETE in os.environ:  # a shell asks what could stand here
        cli_shell.answer_shells()
    return command.main(args=given, prog_name=PROGRAM, standalone_mode=False)


def _complain(message: str) -> None:
    if message:
        from appliance.output_lines import print_error

        print_error(message)


def _usage(error: ClickException) -> str:
    """A usage error in one line; an unknown option comes with the nearest known one."""
    context = getattr(error, "ctx", None)
    if isinstance(error, NoSuchOption) and context is not None:
        known = [name for option in context.command.params for name in option.opts]
        close = difflib.get_close_matches(error.option_name, known, n=1, cutoff=SUGGESTION_MIN)
        hint = f": did you mean {close[0]}?" if close else f"; see {context.command_path} --help"
        return f"unknown option {error.option_name}{hint}"
    return " ".join(error.format_message().replace("Value error, ", "").split())


if __name__ == "__main__":
    sys.exit(main())
