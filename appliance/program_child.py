"""A program run in our place: stdin, stdout and stderr are its own, signals reach it, and its exit
code is ours. Blocking; it knows nothing of servers or calls.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from appliance.output import OutputError

# What is sent to us is meant for the program. Ctrl-Z stops us both, as we are one job.
PASSED_ON = {
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGWINCH, signal.SIGCONT,
}  # fmt: skip
# A terminal tells every process of the job, the program too: these it has heard already.
FROM_TERMINAL = {signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH, signal.SIGHUP, signal.SIGCONT}
ENDING = (signal.SIGTERM, signal.SIGHUP)
SENT_BY_KERNEL = 1  # si_code above 0 (sigaction(2))
SHELL_SIGNAL_BASE = 128
CODE_NOT_RUN, CODE_NOT_FOUND = 126, 127
# The variable that the frozen executable sets for itself, and where it keeps what was in it.
LIBRARY_PATH = ("LD_LIBRARY_PATH", "LD_LIBRARY_PATH_ORIG")


class ProgramMissing(OutputError):  # noqa: N818 - a condition of the command line
    """There is no such program, or it may not be run: `code` is what a shell would exit with."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def find_program(name: str, environ: Mapping[str, str]) -> str:
    """Its path, looked for as a shell does. Raises ProgramMissing."""
    found = shutil.which(name, path=environ.get("PATH"))
    if found is not None:
        return found
    if Path(name).exists():
        raise ProgramMissing(f"{name} may not be run: it is no program", CODE_NOT_RUN)
    raise ProgramMissing(f"{name} was not found: is it on the PATH?", CODE_NOT_FOUND)


def run_program(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run it to its end; the code that a shell would give: 128 and the signal's number where one
    ended it. Raises ProgramMissing where it cannot be started."""
    program = find_program(command[0], environ)
    waited_for = {*PASSED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        try:
            process = subprocess.Popen(
                list(command), executable=program, env=outside(environ), preexec_fn=unblock
            )
        except OSError as error:
            why = error.strerror or error
            raise ProgramMissing(f"{command[0]} cannot be run: {why}", CODE_NOT_RUN) from None
        code = _wait(process, waited_for)
    finally:
        unblock()
    return SHELL_SIGNAL_BASE - code if code < 0 else code


def outside(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was around the frozen executable, whose own libraries are for it alone
    and whose variables another executable of that kind would take for its own."""
    if not getattr(sys, "frozen", False):
        return dict(environ)
    found = {
        name: value
        for name, value in environ.items()
        if not name.startswith("_PYI_") and name not in ("_MEIPASS2", *LIBRARY_PATH)
    }
    path, original = LIBRARY_PATH
    if original in environ:
        found[path] = environ[original]
    return found


def _wait(process: subprocess.Popen[bytes], waited_for: set[signal.Signals]) -> int:
    while (code := process.poll()) is None:
        found = signal.sigwaitinfo(waited_for)
        number = signal.Signals(found.si_signo)
        heard = number in FROM_TERMINAL and found.si_code >= SENT_BY_KERNEL
        if number in PASSED_ON and not heard and process.poll() is None:
            process.send_signal(number)
    # What came with its end, such as Ctrl-C, was for it: it is not to end us before we have told.
    while signal.sigtimedwait(waited_for, 0) is not None:
        pass
    return code


@contextmanager
def ended_in_order() -> Iterator[None]:
    """TERM and HUP that come while no program of ours runs end us as an exception: keys are revoked
    and directories removed on the way. A signal that is ignored stays so (nohup)."""

    def end(number: int, _: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)  # once is enough: what is under way cleans up
        raise SystemExit(SHELL_SIGNAL_BASE + number)

    wanted = [one for one in ENDING if signal.getsignal(one) is signal.SIG_DFL]
    before = {one: signal.signal(one, end) for one in wanted}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
