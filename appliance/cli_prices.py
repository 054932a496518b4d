"""`reprice` and `what-if`, as a person types them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from appliance.cli_options import (
    AsJson,
    ConfigFile,
    DataDir,
    Form,
    Org,
    Output,
    Region,
    Since,
    Until,
    option_flags,
)  # fmt: skip


def reprice(
    since: Since,
    until: Until = "",
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


def what_if(
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="TOML with [[prices]], tried before ours."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="OLD=NEW", help="Another model's price; OLD may have *."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="POLICY", help="Who would have been refused, and when."),
    ] = None,
    by: Annotated[
        Literal["model", "user"], typer.Option("--by", help="Whose sums, for costs.")
    ] = "model",
    since: Since = "",
    until: Until = "",
    org: Org = "",
    form: Form = "table",
    output: Output = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Say what recorded calls had cost by other prices, or met under another limit.

    Example: helicone-appliance what-if --limit "100;w=60;s=user" --since 7d
    """
    from appliance.commands_what_if import Wanted, run_what_if

    wanted = Wanted(
        prices, model or [], limit or [], by, since, until, org,
        "json" if as_json else form, output,
    )  # fmt: skip
    run_what_if(option_flags(data_dir, config), region, wanted)
