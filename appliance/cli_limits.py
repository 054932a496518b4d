"""The commands about stored rate limits: parsed here, done in `commands_limits.py`."""

from typing import Annotated

import typer

from appliance.cli_options import Asked, Org, asking, command_group, pairs_of

limits = command_group("Rate limits of organisations, for keys made with --rate-limited.")
GROUPS = {limits: "limits"}

Shape = "quota;w=seconds[;u=request|cents][;s=user|property]"


@limits.command("set")
@asking
def limits_set(
    asked: Asked,
    policy: Annotated[str, typer.Argument(metavar="POLICY", help=Shape)],
    org: Org = "",
) -> None:
    """Store a policy, instead of that of the same segment and unit if there is one.

    Example: helicone-appliance limits set "100;w=60;s=user" --org acme
    """
    asked.value("limits.set", {"policy": policy, "org": org})


@limits.command("list")
@asking
def limits_list(asked: Asked, org: Org = "") -> None:
    """List stored policies, in the order in which they are tried.

    Example: helicone-appliance limits list --org acme
    """
    asked.value("limits.list", {"org": org})


@limits.command("remove")
@asking
def limits_remove(
    asked: Asked,
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="Its id, or its text.")],
    org: Org = "",
) -> None:
    """Remove a stored policy.

    Example: helicone-appliance limits remove "100;w=60;s=user" --org acme
    """
    asked.value("limits.remove", {"policy": policy, "org": org})


@limits.command("explain")
@asking
def limits_explain(
    asked: Asked,
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
) -> None:
    """Say which policy a request would run under, why, and what is left. Takes nothing.

    Example: helicone-appliance limits explain --org acme --user u-17
    """
    given = {"key": key, "user": user, "policy": policy, "org": org}
    found = pairs_of(properties or [], "--property")
    asked.value("limits.explain", {**given, "properties": found})
