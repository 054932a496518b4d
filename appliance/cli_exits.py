"""What the exit codes of each command mean, for the manual. Those that are the same everywhere: 0
done, 2 wrong usage or configuration, 130 Ctrl-C."""

from typing import Final

FAILED: Final = "it failed, and says why in one line"
# What 1 means where it means more than that.
ONE: Final = {
    "doctor": "a check has failed",
    "healthcheck": "it does not serve",
    "import": "some rows were refused, or it failed",
    "restore": "it failed, or what was restored is damaged",
    "selftest": "a check has failed",
    "serve": "it could not start, or a part of it failed for good",
    "status": "no server runs, or something is not well",
    "upgrade-check": "this version could not go on from it, or it failed",
    "verify": "damage was found, or it failed",
}
# Where there is more than these.
MORE: Final = {"run": "else the code of the program that was run"}


def exit_codes(name: str) -> str:
    """A sentence for the manual."""
    more = f"; {MORE[name]}" if name in MORE else ""
    return f"Exit codes: 0 done; 1 {ONE.get(name, FAILED)}; 2 wrong usage or configuration{more}."
