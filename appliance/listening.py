"""Where the server listens, and the file that tells others once it does."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from appliance.config import Config, ConfigError
from appliance.door.listener import BACKLOG


def own_address(listener: socket.socket) -> tuple[str, int]:
    """Address and port of a listener."""
    name = listener.getsockname()
    return str(name[0]), int(name[1])


def listen(config: Config) -> list[socket.socket]:
    """Bind the port on every address of `host`. Raises OSError that names it."""
    try:
        return _bound(config)
    except OSError as error:
        place = f"{config.host}:{config.port}"
        raise OSError(f"cannot listen on {place}: {error.strerror or error}") from None


def _bound(config: Config) -> list[socket.socket]:
    found = socket.getaddrinfo(
        config.host or None, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    port = config.port
    for family, kind, protocol, _, address in dict.fromkeys(found):
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind((address[0], port, *address[2:]))
        except OSError:
            sock.close()
            for other in listeners:
                other.close()
            raise
        sock.listen(BACKLOG)
        port = port or sock.getsockname()[1]
        listeners.append(sock)
    return listeners


def forget_ready(path: Path) -> None:
    """Before the start: a file of an earlier run must not be taken for this one's."""
    if not path.parent.is_dir():
        raise ConfigError(f"ready_file: {path.parent} is not a directory")
    path.unlink(missing_ok=True)


def write_ready(path: Path, url: str) -> None:
    """The ready file appears whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    # Never through a link that lies there: the folder may be one that everybody writes to (/tmp).
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o644), "w") as file:
        file.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    temporary.replace(path)
