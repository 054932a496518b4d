"""Who dials for a server that records, replays or makes faults. For every other one it is `dial`
itself, and nothing of this is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from appliance.config import Config, ConfigError
from appliance.core import headers as names
from appliance.exchange import Exchange
from appliance.log import Log
from appliance.upstream.pool import Dial

Handle = Callable[[Exchange], Awaitable[None]]
# Set by whoever starts several servers at once, each of which writes cassettes of its own: pytest
# with workers (pytest_plugin.py).
APART = "HELICONE_RUN_CASSETTES_APART"


def plays(config: Config) -> bool:
    """Whether it is such a server."""
    return config.record is not None or config.replay is not None or config.faults


def dialled(config: Config, dial: Dial, log: Log) -> Dial:
    """The pool's way to a connection. Raises ConfigError for a directory that is not there."""
    if not plays(config):
        return dial
    from appliance.core.cassette_scrub import Scrubber
    from appliance.upstream.cassettes import FaultyDial, RecordDial, ReplayDial

    scrubber = Scrubber(config.cassette_scrub)
    if config.replay is not None:
        if not config.replay.is_dir():
            raise ConfigError(f"replay: {config.replay} is not a directory")
        return ReplayDial(config.replay, scrubber, timed=config.replay_timing)
    if config.record is not None:
        _check_room(config.record)
        _claim(config.record)

        def failed(reason: str) -> None:
            log.error("cassette", reason=reason)

        return RecordDial(dial, config.record, scrubber, failed)
    return FaultyDial(dial)


def _check_room(directory: Path) -> None:
    """Before the first call is made, and paid, for nothing. Raises ConfigError."""
    import tempfile  # no other server needs it

    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"record: {directory} cannot be written to: {why}") from None


def _claim(directory: Path) -> None:
    """Two servers that write one cassette lose each other's calls. The descriptor stays open to the
    end of the process, and no lock file lies among cassettes that people keep. Raises ConfigError.
    """
    import fcntl

    kind = fcntl.LOCK_SH if os.environ.get(APART) else fcntl.LOCK_EX
    # A file system without such locks: recorded all the same, and unguarded.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigError(f"record: another server records to {directory}") from None


def told_whose(config: Config, handle: Handle) -> Handle:
    """The pipeline; for such a server, so that whoever dials knows for which call."""
    if not plays(config):
        return handle
    from appliance.upstream.cassettes import playing

    if config.faults:
        return playing(handle, {names.FAULT})
    return playing(handle, {names.FAULT, names.CASSETTE, names.CASSETTE_TAKE})
