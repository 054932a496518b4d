"""`import`, as a person types it."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli_options import AsJson, ConfigFile, DataDir, Region, option_flags

KEY_VARIABLE = "HELICONE_API_KEY"


def import_records(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="JSON lines, JSON or CSV.")
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A Helicone instead of a file."),
    ] = None,
    org: Annotated[
        str | None, typer.Option("--org", metavar="ORG", help="Whose calls they are (default's).")
    ] = None,
    skip: Annotated[
        int, typer.Option("--skip", metavar="N", min=0, help="Leave out the first rows.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Take in what others have recorded: Helicone's export or its API (with the key in
    HELICONE_API_KEY), LiteLLM's spend logs, Langfuse's observations.

    Example: helicone-appliance import requests.jsonl
    """
    import os

    from appliance.commands_import_run import run_import

    flags = option_flags(data_dir, config)
    key = os.environ.get(KEY_VARIABLE)
    good = run_import(flags, region, file, url=url, key=key, org=org, skip=skip, as_json=as_json)
    if not good:
        raise typer.Exit(1)
