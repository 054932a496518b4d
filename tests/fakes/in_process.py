"""The real server in a thread of this process, whose parts a test can replace while it runs."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

import trio

from appliance import process
from appliance.config import load_config
from appliance.log import Log
from tests.fakes.appliance import Appliance
from tests.fakes.patience import PATIENCE_S


class InProcess(Appliance):
    """Started and asked like a process of its own. `server` is the running one."""

    server: process.Server

    def __init__(self, directory: Path, *arguments: Any, **options: Any) -> None:
        super().__init__(directory, *arguments, **options)
        self._thread: threading.Thread | None = None

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self.stop()

    def start(self, *_: str) -> None:
        assert self._thread is None
        flags = {"config": str(self.config), "data_dir": str(self.data), "port": "0"}
        config = load_config(flags, self.environ)
        log_file = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        log = Log(config.log_level, config.log_format, descriptor=log_file)
        started, kit = threading.Event(), self

        class Server(process.Server):
            def _settle_down(self) -> None:
                """The collector is left as the tests have it."""

            async def _until_told(self, signals: Any) -> None:
                kit.server = self
                kit.token = trio.lowlevel.current_trio_token()
                kit.told = trio.Event()
                started.set()
                await kit.told.wait()

            async def _second_signal(self, signals: Any) -> None:
                await trio.sleep_forever()

        def run() -> None:
            nothing: Any = None
            signals = contextlib.nullcontext(nothing)
            with (
                patch.object(process, "Server", Server),
                patch.object(trio, "open_signal_receiver", lambda *_: signals),
                patch.dict(os.environ, self.environ),
            ):
                self.code = trio.run(process.serve, config, log)
            log.close()
            os.close(log_file)

        self._thread = threading.Thread(target=run, name="appliance")
        self._thread.start()
        assert started.wait(PATIENCE_S), self.log
        port = self.server.listeners[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> int:
        assert self._thread is not None
        self.token.run_sync_soon(self.told.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), self.log
        self._thread = None
        return self.code

    kill = stop  # type: ignore[assignment] # there is no process to kill

    @property
    def running(self) -> bool:
        return self._thread is not None

    def is_idle(self) -> bool:
        """Whether every exchange is over, with all that comes after its reply."""
        return not any(watch.in_flight for watch in list(self.server.door.sweeper.watches))

    def counted(self, name: str, **labels: str) -> int:
        """A counter as it is now."""
        counters = self.server.house.metrics._counters
        return counters.get((name, tuple(sorted(labels.items()))), 0)
