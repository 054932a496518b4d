"""One container under test, the provider in its network, and calls to it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench_report import Report
from container_engine import ROOT, Engine

CHAT = "/v1/gateway/oai/v1/chat/completions"
PROVIDER_PORT = 9090
READY_S, CALL_S = 30.0, 30.0
LOADERS = 4
# As the manual has it; the volume is named as the container is.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "-m", "1g")


class Answer(NamedTuple):
    status: int
    request_id: str
    body: bytes


class Box:
    """A container and its volume. Raises SystemExit with what does not work."""

    def __init__(self, engine: Engine, image: str, report: Report) -> None:
        self._engine, self._image, self._report = engine, image, report
        self.name = f"helicone-test-{secrets.token_hex(4)}"
        self.key = ""
        self.acknowledged: set[str] = set()  # ids of calls whose reply came whole
        self._address = ("127.0.0.1", free_port())
        self.first_s = self.first_of_process_s = 0.0

    def run(self) -> None:
        """Start it for the first time, its port on loopback."""
        self._engine.docker(
            "run", "-d", "--name", self.name, "-p", f"127.0.0.1:{self._address[1]}:8585",
            "-v", f"{self.name}:/data", *HARDENED, *self._provided(PROVIDER_PORT), self._image,
        )  # fmt: skip
        self.ready()

    def on_host(self, provider_port: int) -> None:
        """In this machine's network, where a provider waits already: how long until a first 200."""
        self.key = "sk-helicone-" + "-".join(secrets.token_hex(4)[:7] for _ in range(4))
        own = {
            "HOST": "127.0.0.1", "PORT": str(self._address[1]), "ACCESS": "keys",
            "BOOTSTRAP_KEY": self.key,
        }  # fmt: skip
        options = [f"-eHELICONE_APPLIANCE_{name}={value}" for name, value in own.items()]
        with provider([], provider_port):
            began_s = time.monotonic()
            self._engine.docker(
                "run", "-d", "--name", self.name, "--network", "host", "-v", f"{self.name}:/data",
                *HARDENED, *options, *self._provided(provider_port), self._image,
            )  # fmt: skip
            self._engine.wait(self._answers, "a first 200", READY_S)
            self.first_s = time.monotonic() - began_s
            now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            self.first_of_process_s = now_s - began_at_s(self.pid)

    def _answers(self) -> bool:
        with suppress(OSError, HTTPException):
            return self.chat("Hello").status == 200
        return False

    def _provided(self, port: int) -> list[str]:
        """A provider that wants no key."""
        prefix = "-eHELICONE_APPLIANCE_PROVIDERS__OPENAI__"
        return [f"{prefix}BASE_URL=http://127.0.0.1:{port}/v1", f"{prefix}AUTH=none"]

    def ready(self) -> None:
        """Wait until it takes calls."""

        def healthy() -> bool:
            return not self._engine.tried("exec", self.name, *PROGRAM, "healthcheck").returncode

        self._engine.wait(lambda: healthy() or not self.running, "ready", READY_S)
        if not self.running:
            raise SystemExit(f"it ended:\n{self.logs()}")

    @property
    def running(self) -> bool:
        return bool(self._engine.inspect("container", self.name)["State"]["Running"])

    @property
    def pid(self) -> int:
        """As this machine numbers it."""
        return int(self._engine.inspect("container", self.name)["State"]["Pid"])

    @property
    def volume(self) -> Path:
        """Where it lies on this machine."""
        return Path(self._engine.inspect("volume", self.name)["Mountpoint"])

    def logs(self) -> str:
        return self._engine.logs(self.name)

    def execute(self, *arguments: str) -> str:
        """A command in the container, by its name alone. What it printed."""
        return self._engine.docker("exec", self.name, *PROGRAM, *arguments)

    def remove(self) -> None:
        """With its volume, if they are there."""
        self._engine.tried("rm", "-f", "-v", self.name)
        self._engine.tried("volume", "rm", "-f", self.name)

    @contextmanager
    def provider(self) -> Iterator[None]:
        """One in the container's network, as long as this start of it lasts."""
        with provider(["nsenter", f"--net=/proc/{self.pid}/ns/net"], PROVIDER_PORT):
            yield

    # -- calls

    def call(self, path: str, body: object) -> Answer:
        """On a connection of its own. Raises OSError, HTTPException."""
        made = HTTPConnection(*self._address, timeout=CALL_S * self._engine.slower)
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Helicone-Auth"] = f"Bearer {self.key}"
        try:
            made.request("POST", path, json.dumps(body), headers)
            reply = made.getresponse()
            return Answer(reply.status, reply.headers.get("Helicone-Id", ""), reply.read())
        finally:
            made.close()

    def chat(self, text: str) -> Answer:
        """To the provider; remembered when all of it came."""
        answer = self.call(CHAT, asked(text))
        if answer.status == 200:
            self.acknowledged.add(answer.request_id)
        return answer

    def stream(self, text: str, begun: list[str]) -> None:
        """One that ends when the server ends it; its id goes to `begun` at once."""
        made = HTTPConnection(*self._address, timeout=CALL_S * self._engine.slower)
        headers = {"Content-Type": "application/json", "Helicone-Auth": f"Bearer {self.key}"}
        with suppress(OSError, HTTPException):
            made.request("POST", CHAT, json.dumps(asked(text) | {"stream": True}), headers)
            reply = made.getresponse()
            begun.append(reply.headers.get("Helicone-Id", ""))
            reply.read()
        made.close()

    def recorded(self) -> set[str]:
        """Ids that a query tells of."""
        told = self.execute("query", "select request_id from requests", "--format", "json")
        return {row["request_id"] for row in json.loads(told)}


class Load:
    """Calls, a few beside each other, until the server ends; with `slow` a stream too."""

    def __init__(self, box: Box, *, slow: bool = False) -> None:
        self._box, self._before = box, len(box.acknowledged)
        self._over = threading.Event()
        self._begun: list[str] = []
        self._threads = [threading.Thread(target=self._go, daemon=True) for _ in range(LOADERS)]
        if slow:
            target = lambda: box.stream("slow", self._begun)  # noqa: E731 - a thread's
            self._threads.append(threading.Thread(target=target, daemon=True))

    @property
    def count(self) -> int:
        """Calls whose reply came whole."""
        return len(self._box.acknowledged) - self._before

    @property
    def stream_id(self) -> str:
        return self._begun[0] if self._begun else ""

    def last(self, seconds: float) -> None:
        """Goes on for so long."""
        self._over.wait(seconds)

    def _go(self) -> None:
        while not self._over.is_set():
            with suppress(OSError, HTTPException):
                self._box.chat("Hello")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(CALL_S)


PROGRAM = ("helicone-appliance",)


def asked(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}


@contextmanager
def provider(within: list[str], port: int) -> Iterator[None]:
    """A process that answers on loopback."""
    script = str(ROOT / "scripts" / "container_provider.py")
    process = subprocess.Popen(
        [*within, sys.executable, script, str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("the provider does not start")
        yield
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """One that nobody has at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000


def began_at_s(pid: int) -> float:
    """When a process began, on the clock that counts since the machine did."""
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return started / os.sysconf("SC_CLK_TCK")
