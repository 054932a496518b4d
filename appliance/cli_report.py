"""`report`, `doctor` and `mcp`, as a person types them."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli_options import (
    AsJson,
    ConfigFile,
    DataDir,
    Form,
    Org,
    Output,
    Region,
    option_flags,
)  # fmt: skip


def report(
    month: Annotated[
        str, typer.Option("--month", metavar="MONTH", help="2026-10, of UTC (default: this one).")
    ] = "",
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="user, key, model, provider, property:NAME.")
    ] = "model",
    org: Org = "",
    form: Form = "table",
    output: Output = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", metavar="CSV", help="A provider's usage, to put beside ours."),
    ] = None,
    name_column: Annotated[
        str, typer.Option("--name-column", metavar="COLUMN", help="What the CSV calls the names.")
    ] = "",
    cost_column: Annotated[
        str, typer.Option("--cost-column", metavar="COLUMN", help="What the CSV calls the USD.")
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Say what a month cost, and by whom; with a provider's own figures beside it.

    Example: helicone-appliance report --month 2026-10 --by property:team --format csv
    """
    from appliance.commands_report import Wanted, run_report

    wanted = Wanted(
        month, by, org, "json" if as_json else form, output, compare, name_column, cost_column
    )
    run_report(option_flags(data_dir, config), region, wanted)


def doctor(
    request: Annotated[
        str, typer.Option("--request", metavar="ID", help="Why this call was stopped, if it was.")
    ] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not try to reach any provider.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong, and say what to do. Exit code 1 when something has failed.

    Example: helicone-appliance doctor --request 01a20479-58ac-7000-8552-0680522130cf
    """
    from appliance.commands_doctor import run_doctor, run_request

    flags = option_flags(data_dir, config)
    if request:
        run_request(flags, region, request, as_json=as_json)
    elif not run_doctor(flags, offline=offline, as_json=as_json):
        raise typer.Exit(1)


def mcp(
    url: Annotated[
        str,
        typer.Option("--url", metavar="URL", help="The server (HELICONE_BASE_URL, else this one)."),
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="As ever: it speaks JSON alone.")] = False,
) -> None:
    """Let an assistant ask about recorded calls and use the gateway: MCP over stdin and stdout.

    Example: claude mcp add helicone -e HELICONE_API_KEY=sk-helicone-… -- helicone-appliance mcp
    """
    from appliance.commands_mcp import run_mcp

    run_mcp(option_flags(data_dir, config), url)
