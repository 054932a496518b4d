"""The commands about money: parsed here, done in `commands_wallet.py`."""

from typing import Annotated

import typer

from appliance.cli_options import Asked, Org, asking, command_group

wallet = command_group(
    "Credits: what an organisation has paid in and may spend with the platform's keys."
)
budgets = command_group(
    "Budgets: what keys, users and properties may spend in a day, a week or a month."
)
GROUPS = {wallet: "wallet", budgets: "budgets"}

Amount = Annotated[str, typer.Argument(metavar="USD", help="Such as 25 or 0.5.")]
Event = Annotated[
    str,
    typer.Option("--event-id", metavar="ID", help="Said again it counts once, as of a payment."),
]
Reference = Annotated[str, typer.Option("--reference", help="What it was for.")]


@wallet.command("show")
@asking
def wallet_show(asked: Asked, org: Org = "") -> None:
    """Balance, holds, terms.

    Example: helicone-appliance wallet show --org acme
    """
    asked.value("wallet.show", {"org": org})


@wallet.command("top-up")
@asking
def wallet_top_up(
    asked: Asked,
    amount: Amount,
    event_id: Event = "",
    reference: Reference = "",
    org: Org = "",
) -> None:
    """Money was paid in.

    Example: helicone-appliance wallet top-up 25 --org acme --event-id pay_123
    """
    given = {"amount": amount, "event_id": event_id, "reference": reference, "org": org}
    asked.value("wallet.top-up", given)


@wallet.command("debit")
@asking
def wallet_debit(
    asked: Asked,
    amount: Amount,
    event_id: Event = "",
    reference: Reference = "",
    org: Org = "",
) -> None:
    """Money goes back, at most what is neither spent nor held.

    Example: helicone-appliance wallet debit 5 --reference refund
    """
    given = {"amount": amount, "event_id": event_id, "reference": reference, "org": org}
    asked.value("wallet.debit", given)


@wallet.command("credit-line")
@asking
def wallet_credit_line(
    asked: Asked,
    amount: Amount,
    org: Org = "",
) -> None:
    """How far a wallet may go below nothing; 0 ends it.

    Example: helicone-appliance wallet credit-line 25 --org acme
    """
    asked.value("wallet.credit-line", {"amount": amount, "org": org})


@wallet.command("allow")
@asking
def wallet_allow(
    asked: Asked,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER")],
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    org: Org = "",
) -> None:
    """Pay for a model from credits again, though the cost of a call could not be told once.

    Example: helicone-appliance wallet allow openai gpt-4o
    """
    given = {"provider": provider, "model": model, "org": org}
    asked.value("wallet.allow", given)


@wallet.command("flags")
@asking
def wallet_flags(asked: Asked, org: Org = "") -> None:
    """List what somebody should look at: calls whose cost could not be told, budgets passed.

    Example: helicone-appliance wallet flags --org acme
    """
    asked.value("wallet.flags", {"org": org})


@budgets.command("set")
@asking
def budgets_set(
    asked: Asked,
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="key, user, or property:NAME.")],
    limit: Annotated[str, typer.Argument(metavar="USD", help="Such as 25 or 0.5.")],
    period: Annotated[
        str, typer.Option("--per", metavar="PERIOD", help="day, week or month, in UTC.")
    ] = "month",
    only: Annotated[
        str, typer.Option("--value", help="One key's id, user or value; else each for itself.")
    ] = "",
    org: Org = "",
) -> None:
    """Set a limit, or change one: what was spent stays counted.

    Example: helicone-appliance budgets set property:team 100 --per month --value search
    """
    given = {"scope": scope, "limit": limit, "period": period, "value": only, "org": org}
    asked.value("budgets.set", given)


@budgets.command("list")
@asking
def budgets_list(asked: Asked, org: Org = "") -> None:
    """List limits, with what was spent and is held in the period that runs.

    Example: helicone-appliance budgets list --org acme
    """
    asked.value("budgets.list", {"org": org})


@budgets.command("remove")
@asking
def budgets_remove(
    asked: Asked,
    budget: Annotated[str, typer.Argument(metavar="ID", help="See: budgets list.")],
    org: Org = "",
) -> None:
    """Remove a limit.

    Example: helicone-appliance budgets remove 7 --org acme
    """
    asked.value("budgets.remove", {"budget": budget, "org": org})
