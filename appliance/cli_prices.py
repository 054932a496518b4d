"""`reprice`, as a person types it."""

from typing import Annotated

import typer

from appliance.cli_options import AsJson, ConfigFile, DataDir, Region, option_flags


def reprice(
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="From 2026-11-01, or 24h ago.")
    ],
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="Before this time (default now).")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Work out anew what recorded calls cost, by the prices that hold now.

    Example: helicone-appliance reprice --since 2026-11-01 --dry-run
    """
    from appliance.commands_reprice import run_reprice

    flags = option_flags(data_dir, config)
    run_reprice(flags, region, since, until, dry_run=dry_run, as_json=as_json)
