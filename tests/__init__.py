"""The suite. It runs the sources, or the program in the directory that a variable names."""

import os

# `scripts/compiled` makes such a directory. To the program the variable would be an unknown option,
# so it goes on to processes that run tests under another name.
TAKEN = "TEST_PROGRAM_PATH"
PROGRAM_PATH = os.environ.pop(f"HELICONE_APPLIANCE_{TAKEN}", "") or os.environ.get(TAKEN, "")
os.environ[TAKEN] = PROGRAM_PATH
