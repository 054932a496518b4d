"""Which options a server takes over while it runs, when it is told to read its configuration again.
Pure: the configuration that holds and the one that was read in, the one that is to hold out.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from appliance.config import Config
from appliance.config_options import options_of

# What follows from these is made anew as a whole; nothing that stays open depends on them.
RELOADED: Final = (
    "allow_hosts", "allow_origins", "allow_targets", "guard_model", "metrics_allow", "prices",
    "providers", "routers", "trusted_proxies", "webhook_allow",
)  # fmt: skip


class Reread(NamedTuple):
    """`config` is to hold; `changed` is new in it, `later` was changed and waits for a start."""

    config: Config
    changed: list[str]
    later: list[str]


def reread(holds: Config, read: Config) -> Reread:
    """What may change is taken from `read`, all else from `holds`."""
    taken = {name: getattr(read, name) for name in RELOADED}
    sources = [holds.sources, read.sources]
    given = {name.partition(".")[0] for named in sources for name in named}
    others = [attribute for name, (attribute, _) in options_of(Config).items() if name in given]
    return Reread(
        replace(holds, **taken, sources=read.sources),
        _differing(holds, read, RELOADED),
        _differing(holds, read, [name for name in others if name not in RELOADED]),
    )


def _differing(holds: Config, read: Config, names: Iterable[str]) -> list[str]:
    return [name for name in names if getattr(holds, name) != getattr(read, name)]
