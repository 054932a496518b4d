"""What a service manager hands over at the start: a socket that listens already (`LISTEN_FDS`), and
where it wants to hear how the start and the end go (`NOTIFY_SOCKET`). As systemd has it:
sd_listen_fds(3), sd_notify(3). And what `run` does: for whom it has started this server. Knows
nothing of what is served.
"""

import os
import socket
import stat
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.config_options import ConfigError
from appliance.run_lease import VARIABLE as LEASE

FIRST = 3  # the descriptor behind stdin, stdout and stderr: SD_LISTEN_FDS_START
VARIABLES = (
    "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", LEASE,
)  # fmt: skip
TELL_S = 1.0


@dataclass(frozen=True, slots=True)
class Manager:
    """Who started us, as far as it wants to be told; without one nothing of this does anything."""

    listener: socket.socket | None = None
    address: str = ""
    lease: Path | None = None  # the server ends once nobody has a share in it

    @property
    def flags(self) -> Mapping[str, str]:
        """`host` and `port` as the socket has them: who may call follows from where it listens,
        not from what the configuration says of a place that is not listened on."""
        if self.listener is None:
            return {}
        host, port = self.listener.getsockname()[:2]
        return {"host": str(host).partition("%")[0], "port": str(port)}

    def ready(self, url: str) -> None:
        """The start, or a reload, is done."""
        self._tell("READY=1", f"STATUS=listens on {url}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1", "STATUS=open replies are finished")

    def _tell(self, *lines: str) -> None:
        """One datagram. A manager that does not listen is its own misfortune."""
        if not self.address:
            return
        place = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TELL_S)
            sock.sendto("\n".join(lines).encode(), place)


NOBODY = Manager()


def take_over(environ: MutableMapping[str, str] = os.environ) -> Manager:
    """What was handed to this process. The variables go, so that no child takes them for its own.
    Raises ConfigError with one line for what cannot be served on."""
    given = {name: environ.pop(name) for name in VARIABLES if name in environ}
    told = given.get("NOTIFY_SOCKET", "")
    lease = Path(given[LEASE]) if given.get(LEASE) else None
    return Manager(_listener(given), told if told[:1] in ("/", "@") else "", lease)


def _listener(given: Mapping[str, str]) -> socket.socket | None:
    """None where nothing was handed to us: a variable may be left over from a parent."""
    if given.get("LISTEN_PID") != str(os.getpid()):
        return None
    number = given.get("LISTEN_FDS", "0")
    if not number.isdecimal() or int(number) > 1:
        raise ConfigError(
            f"LISTEN_FDS = {number[:20]}: one socket is served; leave one ListenStream= in the"
            " socket unit"
        )
    return _adopted(FIRST) if int(number) else None


def _adopted(descriptor: int) -> socket.socket:
    """A socket that takes TCP connections already. Others are left alone: they are not ours."""
    what = f"descriptor {descriptor}, handed over by LISTEN_FDS,"
    try:
        is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        raise ConfigError(f"{what} is not open: start it by its socket unit") from None
    if not is_socket:
        raise ConfigError(f"{what} is no socket: the socket unit needs ListenStream= and a port")
    sock = socket.socket(fileno=descriptor)
    wrong = _wrong_with(sock)
    if wrong:
        sock.detach()
        raise ConfigError(f"{what} {wrong}")
    sock.set_inheritable(False)
    return sock


def _wrong_with(sock: socket.socket) -> str:
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return "is no TCP socket: the socket unit needs ListenStream= with a port or address:port"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen: the socket unit needs Accept=no, which is its default"
    return ""
