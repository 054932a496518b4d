"""The commands about money: parsed here, done in `commands_wallet.py`."""

from typing import Annotated

import typer

from appliance.cli_options import AsJson, ConfigFile, DataDir, Region, value

wallet = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Credits: what an organisation has paid in and may spend with the platform's keys.",
)  # fmt: skip
budgets = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Budgets: what keys, users and properties may spend in a day, a week or a month.",
)  # fmt: skip
GROUPS = {wallet: "wallet", budgets: "budgets"}

Org = Annotated[str, typer.Option("--org", metavar="ORG", help="An organisation's id or name.")]
Amount = Annotated[str, typer.Argument(metavar="USD", help="Such as 25 or 0.5.")]
Event = Annotated[
    str,
    typer.Option("--event-id", metavar="ID", help="Said again it counts once, as of a payment."),
]
Reference = Annotated[str, typer.Option("--reference", help="What it was for.")]


@wallet.command("show")
def wallet_show(
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Balance, holds, terms."""
    value(data_dir, config, region, "wallet.show", {"org": org}, as_json)


@wallet.command("top-up")
def wallet_top_up(
    amount: Amount,
    event_id: Event = "",
    reference: Reference = "",
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Money was paid in. Example: wallet top-up 25 --org acme --event-id pay_123"""
    given = {"amount": amount, "event_id": event_id, "reference": reference, "org": org}
    value(data_dir, config, region, "wallet.top-up", given, as_json)


@wallet.command("debit")
def wallet_debit(
    amount: Amount,
    event_id: Event = "",
    reference: Reference = "",
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Money goes back, at most what is neither spent nor held."""
    given = {"amount": amount, "event_id": event_id, "reference": reference, "org": org}
    value(data_dir, config, region, "wallet.debit", given, as_json)


@wallet.command("credit-line")
def wallet_credit_line(
    amount: Amount,
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """How far a wallet may go below nothing; 0 ends it."""
    value(data_dir, config, region, "wallet.credit-line", {"amount": amount, "org": org}, as_json)


@wallet.command("allow")
def wallet_allow(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER")],
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Pay for a model from credits again, though the cost of a call could not be told once."""
    given = {"provider": provider, "model": model, "org": org}
    value(data_dir, config, region, "wallet.allow", given, as_json)


@wallet.command("flags")
def wallet_flags(
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """List what somebody should look at: calls whose cost could not be told, budgets passed."""
    value(data_dir, config, region, "wallet.flags", {"org": org}, as_json)


@budgets.command("set")
def budgets_set(
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="key, user, or property:NAME.")],
    limit: Annotated[str, typer.Argument(metavar="USD", help="Such as 25 or 0.5.")],
    period: Annotated[
        str, typer.Option("--per", metavar="PERIOD", help="day, week or month, in UTC.")
    ] = "month",
    only: Annotated[
        str, typer.Option("--value", help="One key's id, user or value; else each for itself.")
    ] = "",
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Set a limit, or change one: what was spent stays counted.

    Example: budgets set property:team 100 --per month --value search
    """
    given = {"scope": scope, "limit": limit, "period": period, "value": only, "org": org}
    value(data_dir, config, region, "budgets.set", given, as_json)


@budgets.command("list")
def budgets_list(
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """List limits, with what was spent and is held in the period that runs."""
    value(data_dir, config, region, "budgets.list", {"org": org}, as_json)


@budgets.command("remove")
def budgets_remove(
    budget: Annotated[str, typer.Argument(metavar="ID", help="See: budgets list.")],
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Remove a limit."""
    value(data_dir, config, region, "budgets.remove", {"budget": budget, "org": org}, as_json)
