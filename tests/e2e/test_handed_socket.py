"""The socket belongs to whoever started the server: a restart refuses nobody."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import pytest

from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, ROOT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider
from tests.test_manager import HAND_OVER

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
CALLERS = 4


class Handed(Appliance):
    """A server that is given a socket which stays open when it ends."""

    def __init__(self, listener: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._descriptor = listener.fileno()
        self.environ["LISTEN_FDS"] = "1"

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", HAND_OVER, str(self._descriptor), *command],
            cwd=ROOT, env=self.environ, stdout=subprocess.DEVNULL, stderr=log,
            pass_fds=[self._descriptor],
        )  # fmt: skip


class Callers:
    """Threads that connect and call, one connection after the other, until they are stopped."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._over = threading.Event()
        self.answered: list[int] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(CALLERS)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _run(self, number: int) -> None:
        while not self._over.is_set():
            try:
                if number:
                    reply = self._appliance.call(CHAT, ASK)
                else:
                    reply = self._appliance.call("/healthcheck", method="GET")
                if reply.end != "clean":
                    self.failed.append(f"{number}: {reply.status} {reply.end}")
                self.answered.append(reply.status)
            except OSError as error:
                self.failed.append(f"{number}: {error!r}")
                return


def test_a_restart_refuses_no_connection(provider: Provider, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port = listener.getsockname()[1]
        appliance = Handed(listener, tmp_path, provider)
        appliance.start()
        assert appliance.url == f"http://127.0.0.1:{port}"
        pids = [appliance.pid]
        with Callers(appliance) as callers:
            for _ in range(3):
                count = len(callers.answered)
                until(lambda count=count: len(callers.answered) > count + 10)
                assert appliance.stop() == 0
                appliance.start()
                pids.append(appliance.pid)
            count = len(callers.answered)
            until(lambda: len(callers.answered) > count + 10)
        assert callers.failed == []
        assert set(callers.answered) == {200}
        assert len(set(pids)) == 4
        assert appliance.stop() == 0
        [row] = appliance.query_offline("SELECT count(*) AS calls FROM requests")
        assert 30 < row["calls"] <= len(callers.answered)
        assert "ERROR" not in appliance.log


def test_who_may_call_follows_from_the_socket(provider: Provider, tmp_path: Path) -> None:
    """The configuration's own host is loopback, where access would be open."""
    listener = socket.create_server(("0.0.0.0", 0))
    with listener, Handed(listener, tmp_path, provider) as appliance:
        assert appliance.call(CHAT, ASK).status == 401


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_one_socket_for_both_families(provider: Provider, tmp_path: Path) -> None:
    """systemd's own way with `ListenStream=8585`: who comes by IPv4 is known by that address."""
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with listener, Handed(listener, tmp_path, provider) as appliance:
        port = listener.getsockname()[1]
        appliance.url = f"http://127.0.0.1:{port}"
        assert appliance.call("/metrics", method="GET").status == 200  # loopback needs no key
        assert appliance.call(CHAT, ASK).status == 401


def test_the_manager_is_told_of_start_reload_and_end(tmp_path: Path) -> None:
    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place)
        manager.settimeout(PATIENCE_S)
        appliance = Appliance(tmp_path, environ={"NOTIFY_SOCKET": place})
        appliance.start()
        assert manager.recv(4096) == f"READY=1\nSTATUS=listens on {appliance.url}".encode()
        os.kill(appliance.pid, signal.SIGHUP)
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(4096).startswith(b"READY=1\n")
        appliance.terminate()
        assert manager.recv(4096).startswith(b"STOPPING=1\n")
        assert appliance.wait() == 0
