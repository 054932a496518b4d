"""What the benchmark measures with: an upstream that streams, CPU with helpers, goals."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from bench_report import Figure  # noqa: E402
from bench_rig import cpu_us  # noqa: E402
from bench_sse import Stream  # noqa: E402


@pytest.mark.parametrize(
    ("value", "goal", "at_least", "met"),
    [
        (150.0, 150.0, False, True),
        (150.1, 150.0, False, False),
        (0.2, 0.2, True, True),
        (0.19, 0.2, True, False),
        (9e9, None, False, True),
    ],
)
def test_goals(value: float, goal: float | None, at_least: bool, met: bool) -> None:
    figure = Figure("requests", value, "us", goal, at_least)
    assert figure.is_met is met
    assert ("MISSED" in str(figure)) is not met


@pytest.mark.parametrize("pace_s", [0.0, 0.002])
def test_a_stream_has_all_its_chunks(pace_s: float) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        stream = Stream(theirs, 5, pace_s)
        for number in range(2):
            ours.sendall(b"POST /v1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo")
            assert stream.read()
            assert not stream.is_busy
            ours.sendall(b"dy")
            assert stream.read()
            now_s = stream.due_s
            for _ in range(20):
                stream.write(now_s)
                now_s += pace_s
            assert not stream.is_busy, number
            data = ours.recv(1 << 20)
            assert data.startswith(b"HTTP/1.1 200 OK\r\n")
            assert data.count(b'" at-') == 5
            assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_request_in_chunks_is_answered_once_it_is_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        stream = Stream(theirs, 5, 0.0)
        ours.sendall(b"POST /v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
        assert stream.read()
        assert not stream.is_busy
        ours.sendall(b"0\r\n\r\n")
        assert stream.read()
        assert stream.is_busy


def test_nothing_is_sent_before_its_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        stream = Stream(theirs, 5, 0.002)
        ours.sendall(b"GET / HTTP/1.1\r\n\r\n")
        stream.read()
        due_s = stream.due_s
        stream.write(due_s)
        assert stream.due_s == pytest.approx(due_s + 0.002)
        ours.recv(1 << 20)
        ours.setblocking(False)
        stream.write(due_s + 0.001)
        with pytest.raises(BlockingIOError):
            ours.recv(1)


def test_cpu_counts_helpers_that_run_and_that_have_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass\n"
    wait = f"{burn}print(flush=True); input()"
    both = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {burn!r}])\n"
        f"child = subprocess.Popen([sys.executable, '-c', {wait!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(flush=True); child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", both], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used_us = cpu_us(process.pid)
        process.communicate(b"\n")
    assert used_us > 300_000  # of 400,000, told in ticks
