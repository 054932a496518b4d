"""The program as tests want it on a machine that runs them, clients, a provider and others besides.

Its journal takes no disk for slow: a write may be held up for 20 ms here, and replies would then go
before their records are written, and say so. Nor do its provider keys, which would be told as a
trouble for a minute. Its helper processes wait for no processor that others
want. Both have tests of their own; no other must meet them by chance.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

from appliance import assembly, cli
from appliance.actors import batch_helper, lake_helper, provider_key_tiers
from appliance.actors.region import RegionOptions
from appliance.config import Config

PATIENCE_S = 60.0
EAGER = """
import os, runpy, sys
os.nice = lambda by: 0
runpy.run_module(sys.argv[1], run_name="__main__")
"""

options_of = assembly.region_options


def patient_options(config: Config, name: str) -> RegionOptions:
    options = options_of(config, name)
    journal = replace(options.journal, slow_write_s=PATIENCE_S, slow_sync_s=PATIENCE_S)
    return replace(options, journal=journal)


def eager(command: Callable[[], list[str]]) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-c", EAGER, command()[-1]]


def be_patient() -> None:
    """Before the program runs."""
    assembly.region_options = patient_options
    for limit in ("SQLITE_S", "SNAPSHOT_S", "WRITE_S"):
        setattr(provider_key_tiers, limit, PATIENCE_S)
    batch_helper.helper_command = eager(batch_helper.helper_command)
    lake_helper.helper_command = eager(lake_helper.helper_command)


if __name__ == "__main__":
    be_patient()
    sys.exit(cli.main())
