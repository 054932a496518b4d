"""Tables of the configuration that have a language of their own: whoever reads them says what is
wrong. Pure; the readers are loaded where there is something to read.
"""

from appliance.config_options import ConfigError, PriceTables, RouterOptions


def check_prices(rows: PriceTables, where: str) -> None:
    """Price rows have a language of their own; whoever reads them says what is wrong."""
    if not rows:
        return
    # Imported here: commands that need no prices start without it.
    from appliance.core.price_rows import PriceRowError, parse_rows

    try:
        parse_rows(rows, where=where)
    except PriceRowError as error:
        raise ConfigError(str(error)) from None


def check_router(name: str, router: RouterOptions) -> None:
    """A router's targets are rows too."""
    # Imported here: few configurations have one.
    from appliance.core.router_plan import RouterPlanError, parse_targets

    try:
        parse_targets(router.targets, f"routers.{name}.targets")
    except RouterPlanError as error:
        raise ConfigError(str(error)) from None
