"""The program with a journal that takes no disk for slow.

A machine that runs tests, clients, a provider and the server on two cores may hold a write up for
20 ms. The journal would then do what it does for a slow disk: let replies go before their records
are written, and say so. That has its own tests; no other must meet it by chance.
"""

import sys
from dataclasses import replace

from appliance import assembly, cli
from appliance.actors.region import RegionOptions
from appliance.config import Config

PATIENCE_S = 60.0

options_of = assembly.region_options


def patient_options(config: Config, name: str) -> RegionOptions:
    options = options_of(config, name)
    journal = replace(options.journal, slow_write_s=PATIENCE_S, slow_sync_s=PATIENCE_S)
    return replace(options, journal=journal)


if __name__ == "__main__":
    assembly.region_options = patient_options
    sys.exit(cli.main())
