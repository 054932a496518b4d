"""The suite. It runs the sources, or the program in the directory that a variable names."""

import os

# `scripts/compiled` makes such a directory. Taken out: no option of the program is named so.
PROGRAM_PATH = os.environ.pop("HELICONE_APPLIANCE_TEST_PROGRAM_PATH", "")
