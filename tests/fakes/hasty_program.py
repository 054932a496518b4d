"""The program as tests want it, whose minute for alerts is a second."""

import sys

from appliance import assembly_hooks, cli
from tests.fakes.patient_program import be_patient

if __name__ == "__main__":
    be_patient()
    assembly_hooks.ALERTS_EVERY_S = 1  # type: ignore[misc]
    sys.exit(cli.main())
