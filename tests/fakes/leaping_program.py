"""The patient program, whose wall clock can be set: over the control socket (`clock.set`), or from
the start by the environment. What measures how long something takes goes on as before.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from appliance import cli
from appliance.control_commands import Commands
from appliance.door.control import Command, ControlReply
from tests.fakes.patient_program import be_patient

VARIABLE = "HELICONE_TEST_CLOCK_S"
NS = 1_000_000_000

real_time: Callable[[], float] = time.time
real_time_ns: Callable[[], int] = time.time_ns
table_of = Commands.table
ahead_s = int(os.environ.get(VARIABLE, "0"))


def table(commands: Commands) -> dict[str, Command]:
    async def set_clock(arguments: dict[str, Any], reply: ControlReply) -> None:
        global ahead_s
        ahead_s = int(arguments["ahead_s"])
        await reply.value(ahead_s)

    return {**table_of(commands), "clock.set": set_clock}


if __name__ == "__main__":
    Commands.table = table  # type: ignore[method-assign]
    time.time = lambda: real_time() + ahead_s
    time.time_ns = lambda: real_time_ns() + ahead_s * NS
    be_patient()
    sys.exit(cli.main())
