"""The commands about prompts and datasets, as a person types them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from appliance.cli_options import (
    Asked,
    ConfigFile,
    DataDir,
    Org,
    Output,
    Region,
    asking,
    command_group,
    option_flags,
)

prompts = command_group("Stored prompts and their versions.")
datasets = command_group("Datasets of recorded calls.")
GROUPS = {prompts: "prompts", datasets: "datasets"}

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="Its id or name.")]


@prompts.command("list")
@asking
def prompts_list(asked: Asked, org: Org = "") -> None:
    """List prompts with the number of their versions and the one in production.

    Example: helicone-appliance prompts list --org acme
    """
    asked.value("prompts.list", {"org": org})


@prompts.command("show")
@asking
def prompts_show(
    asked: Asked,
    prompt: Prompt,
    version: Annotated[
        str, typer.Option("--version", help="1.2, an environment, or an id (else production).")
    ] = "",
    org: Org = "",
) -> None:
    """Show a version of a prompt, with its body.

    Example: helicone-appliance prompts show greeting --version staging --json
    """
    asked.value("prompts.show", {"prompt": prompt, "version": version, "org": org})


@prompts.command("diff")
@asking
def prompts_diff(
    asked: Asked,
    prompt: Prompt,
    old: Annotated[str, typer.Argument(metavar="FROM", help="1.2, an environment, or an id.")],
    new: Annotated[str, typer.Argument(metavar="TO", help="The same.")] = "production",
    org: Org = "",
) -> None:
    """Show what differs between two versions.

    Example: helicone-appliance prompts diff greeting 0.0 production
    """
    from appliance.commands_files import run_diff

    run_diff(asked.flags, asked.region, prompt, (old, new), org, as_json=asked.as_json)


@prompts.command("export")
@asking
def prompts_export(
    asked: Asked,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go.")],
    org: Org = "",
) -> None:
    """Write each prompt with all its versions into a file, to keep beside the code.

    Example: helicone-appliance prompts export prompts/
    """
    from appliance.commands_files import run_export_prompts

    run_export_prompts(asked.flags, asked.region, folder, org, as_json=asked.as_json)


@prompts.command("import")
@asking
def prompts_import(
    asked: Asked,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Files of prompts export, or folders.")
    ],
    org: Org = "",
) -> None:
    """Take in prompts that were exported, under the ids that they had.

    Example: helicone-appliance prompts import prompts/ --org acme
    """
    from appliance.commands_files import run_import_prompts

    run_import_prompts(asked.flags, asked.region, files, org, as_json=asked.as_json)


@datasets.command("list")
@asking
def datasets_list(asked: Asked, org: Org = "") -> None:
    """List datasets with the number of their rows.

    Example: helicone-appliance datasets list --json
    """
    asked.value("datasets.list", {"org": org})


@datasets.command("export")
def datasets_export(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Its id or name.")],
    shape: Annotated[
        Literal["raw", "openai", "anthropic"],
        typer.Option("--shape", help="Rows as they are, or as examples for fine-tuning."),
    ] = "raw",
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out rows that make no example.")
    ] = False,
    output: Output = None,
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, as without it.")] = False,
) -> None:
    """Write the rows of a dataset as JSON lines.

    Example: helicone-appliance datasets export support --shape openai --output train.jsonl
    """
    from appliance.commands_files import run_export_dataset

    flags = option_flags(data_dir, config)
    run_export_dataset(flags, region, dataset, org, shape, output, skips=skip)
