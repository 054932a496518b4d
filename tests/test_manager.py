"""What a service manager hands over: which sockets are taken, and what is left for children."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.manager import take_over
from tests.e2e.starting import environment
from tests.fakes.appliance import ROOT
from tests.fakes.patience import PATIENCE_S

# In the place of a service manager: puts the descriptor where the next program looks for it, and
# becomes that program.
HAND_OVER = """
import os, sys
given = int(sys.argv[1])
if given != 3:
    os.dup2(given, 3)
    os.close(given)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
TELL = """
import json, os, subprocess, sys
from appliance.manager import take_over
manager = take_over()
child = "import json, os; print(json.dumps([sorted(os.environ), os.listdir('/proc/self/fd')]))"
done = subprocess.run([sys.executable, "-c", child], stdout=subprocess.PIPE, close_fds=False)
print(json.dumps([dict(manager.flags), manager.address, *json.loads(done.stdout)]))
"""


def handed(
    descriptor: int, *command: str, directory: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as a service manager would start it."""
    return subprocess.run(
        [sys.executable, "-c", HAND_OVER, str(descriptor), sys.executable, *command],
        cwd=ROOT,
        env=environment(directory, {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "x.socket", **more}),
        pass_fds=[descriptor],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_a_socket_is_taken_and_children_know_nothing_of_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = handed(listener.fileno(), "-c", TELL, directory=tmp_path, NOTIFY_SOCKET="@somewhere")
        assert done.returncode == 0, done.stderr
        flags, address, variables, descriptors = json.loads(done.stdout)
        assert flags == {"host": "127.0.0.1", "port": str(listener.getsockname()[1])}
    assert address == "@somewhere"
    assert [name for name in variables if name.startswith(("LISTEN_", "NOTIFY_"))] == []
    # 3 is what the child itself reads the folder with: nothing else is open there.
    assert set(descriptors) <= {"0", "1", "2", "3"}


def test_what_was_handed_to_another_process_is_not_taken() -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "HOME": "/"}
    manager = take_over(environ)
    assert manager.listener is None
    assert manager.flags == {}
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("told", ["vsock:2:1", "relative", ""])
def test_only_a_unix_socket_is_told(told: str) -> None:
    manager = take_over({"NOTIFY_SOCKET": told})
    manager.ready("http://127.0.0.1:1")
    assert manager.address == ""


def wrong_sockets() -> list[tuple[str, socket.socket, str]]:
    unheard = socket.socket()
    unheard.bind(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    return [
        ("udp", socket.socket(type=socket.SOCK_DGRAM), "is no TCP socket"),
        ("unix", unix, "is no TCP socket"),
        ("one connection", unheard, "Accept=no"),
    ]


def test_wrong_sockets_stop_the_start_with_one_line(tmp_path: Path) -> None:
    serve = ("-m", "appliance.cli", "serve", "--data-dir", str(tmp_path / "data"))
    for name, sock, said in wrong_sockets():
        with sock:
            done = handed(sock.fileno(), *serve, directory=tmp_path)
        assert done.returncode == 2, (name, done)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert said in done.stderr, (name, done.stderr)
    with (tmp_path / "file").open("w") as file:
        done = handed(file.fileno(), *serve, directory=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is no socket" in done.stderr
    assert not (tmp_path / "data").exists()


def test_several_sockets_stop_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for number in ("2", "-1", "many"):
            done = handed(
                listener.fileno(), "-m", "appliance.cli", "serve",
                directory=tmp_path, LISTEN_FDS=number,
            )  # fmt: skip
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
            assert "leave one ListenStream= in the socket unit" in done.stderr


def test_a_descriptor_that_is_not_there(tmp_path: Path) -> None:
    environ = {"LISTEN_FDS": "1"}
    code = "import os; os.environ['LISTEN_PID'] = str(os.getpid()); os.closerange(3, 9); "
    code += "from appliance.manager import take_over; take_over()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(tmp_path, environ),
        capture_output=True,
        text=True,
    )
    assert "ConfigError: descriptor 3, handed over by LISTEN_FDS, is not open" in done.stderr
