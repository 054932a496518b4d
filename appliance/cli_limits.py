"""The commands about stored rate limits: parsed here, done in `commands_limits.py`."""

from typing import Annotated

import typer

from appliance.cli_options import AsJson, ConfigFile, DataDir, Region, value

limits = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Rate limits of organisations, for keys made with --rate-limited.",
)  # fmt: skip
GROUPS = {limits: "limits"}

Org = Annotated[str, typer.Option("--org", metavar="ORG", help="An organisation's id or name.")]
Shape = "quota;w=seconds[;u=request|cents][;s=user|property]"


@limits.command("set")
def limits_set(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help=Shape)],
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Store a policy, instead of that of the same segment and unit if there is one.

    Example: helicone-appliance limits set "100;w=60;s=user" --org acme
    """
    value(data_dir, config, region, "limits.set", {"policy": policy, "org": org}, as_json)


@limits.command("list")
def limits_list(
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """List stored policies, in the order in which they are tried."""
    value(data_dir, config, region, "limits.list", {"org": org}, as_json)


@limits.command("remove")
def limits_remove(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="Its id, or its text.")],
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Remove a stored policy."""
    value(data_dir, config, region, "limits.remove", {"policy": policy, "org": org}, as_json)


@limits.command("explain")
def limits_explain(
    key: Annotated[str, typer.Option("--key", help="A key's id, name or text.")] = "",
    user: Annotated[str, typer.Option("--user", help="As Helicone-User-Id says it.")] = "",
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", metavar="NAME=VALUE", help="As Helicone-Property-NAME."),
    ] = None,
    policy: Annotated[
        str, typer.Option("--policy", help="As Helicone-RateLimit-Policy says it.")
    ] = "",
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Say which policy a request would run under, why, and what is left. Takes nothing.

    Example: helicone-appliance limits explain --org acme --user u-17
    """
    given = {"key": key, "user": user, "policy": policy, "org": org}
    found = _pairs(properties or [])
    value(data_dir, config, region, "limits.explain", {**given, "properties": found}, as_json)


def _pairs(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, mark, given = text.partition("=")
        if not mark or not name:
            raise typer.BadParameter(f"{text}: NAME=VALUE is expected", param_hint="--property")
        found[name.strip()] = given
    return found
