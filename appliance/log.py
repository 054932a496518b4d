"""The program's own log: to stderr, as text or JSON, one line per refusal or failure.

Lines never hold a body or a header value; whatever looks like a key is masked besides. A thread
writes, so that a stderr that nobody reads never stops the loop: then lines are dropped and counted.
"""

import contextlib
import json
import logging
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from traceback import format_exception
from typing import Literal

from appliance.column_types import visible

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["text", "json"]
LEVELS: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
WAITING_MAX = 1000
VALUE_CHARACTERS_MAX = 500
TRACE_CHARACTERS_MAX = 20_000
CLOSE_S = 1.0
STDERR = 2
SECRET = re.compile(
    r"\b(?:sk|pk|gsk|xai|hf|r8|pplx|nvapi|AKIA|ASIA|AIza|ya29|eyJ)[-._A-Za-z0-9]{10,}"
    r"|(?i:\bbearer)\s+\S+"
)
# In a trace, what libraries show of bytes is what somebody sent: heads, bodies, packed headers.
BYTES = re.compile(r"\bb(?:'(?:[^'\\\n]|\\.){16,}+'|\"(?:[^\"\\\n]|\\.){16,}+\")")
PLAIN = re.compile(r"[^\s=\"\\]+")
Value = str | int | float | bool | None


def utc_now() -> datetime:
    return datetime.now(UTC)


class Log:
    """`log.warning("refused", status=401, code="unknown_key")`: an event, and facts about it."""

    def __init__(
        self,
        level: str = "info",
        form: str = "text",
        *,
        descriptor: int | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._least = LEVELS[level]
        self._form = form
        # Python has no stderr object where the process was started without one.
        own = sys.stderr.fileno() if sys.stderr is not None else STDERR
        self._descriptor = own if descriptor is None else descriptor
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._writer: threading.Thread | None = None
        self.dropped = 0
        self._dropped_untold = 0

    def debug(self, event: str, **facts: Value) -> None:
        self.write("debug", event, facts)

    def info(self, event: str, **facts: Value) -> None:
        self.write("info", event, facts)

    def warning(self, event: str, **facts: Value) -> None:
        self.write("warning", event, facts)

    def error(self, event: str, **facts: Value) -> None:
        self.write("error", event, facts)

    def refused(self, status: int, code: str, message: str) -> None:
        """A request that was answered with no."""
        self.write("warning", "refused", {"status": status, "code": code, "message": message})

    def failed(self, name: str, message: str) -> None:
        """A provider that failed; `name` is a fixed word."""
        self.write("warning", "upstream failed", {"name": name, "message": message})

    def failure(self, part: str, message: str) -> None:
        """A part of ours that failed and goes on."""
        self.write("error", "failure", {"part": part, "message": message})

    def bug(self, event: str, error: BaseException, **facts: Value) -> None:
        """An exception that should not have been: the whole group with its traces, in one line."""
        trace = BYTES.sub("b'***'", SECRET.sub("***", "".join(format_exception(error))))
        trace = trace[-TRACE_CHARACTERS_MAX:]
        self._put("error", event, {**facts, "error": type(error).__name__}, trace)

    def write(self, level: Level, event: str, facts: dict[str, Value]) -> None:
        if LEVELS[level] >= self._least:
            self._put(level, event, facts, None)

    def close(self) -> None:
        """Write what waits, for a second at most."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._writer is not None:
            self._writer.join(CLOSE_S)

    def _put(self, level: Level, event: str, facts: dict[str, Value], trace: str | None) -> None:
        line = render(self._form, self._clock(), level, event, facts, trace)
        with self._wake:
            if self._closed:
                return
            if len(self._waiting) >= WAITING_MAX:
                self.dropped += 1
                self._dropped_untold += 1
                return
            if self._dropped_untold:
                count, self._dropped_untold = self._dropped_untold, 0
                told: dict[str, Value] = {"lines": count}
                self._waiting.append(
                    render(self._form, self._clock(), "warning", "log lines dropped", told)
                )
            self._waiting.append(line)
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="log", daemon=True)
                self._writer.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if not self._waiting:
                    return
                data = b"".join(self._waiting)
                self._waiting.clear()
            self._write_out(data)

    def _write_out(self, data: bytes) -> None:
        # A closed or full stderr must not end the program that complains on it.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]


def render(
    form: str,
    at: datetime,
    level: str,
    event: str,
    facts: dict[str, Value],
    trace: str | None = None,
) -> bytes:
    """One line, whatever the values hold."""
    when = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = SECRET.sub("***", event)  # a library's words
    shown = {name: _shown(value) for name, value in facts.items() if value is not None}
    if trace is not None:
        shown["trace"] = trace
    if form == "json":
        line = json.dumps({"time": when, "level": level, "event": event, **shown})
    else:
        words = [when, level.upper(), visible(event)]
        words += [f"{name}={_quoted(value)}" for name, value in shown.items()]
        line = " ".join(words)
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _shown(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    masked = SECRET.sub("***", value[: 2 * VALUE_CHARACTERS_MAX])
    return masked if len(masked) <= VALUE_CHARACTERS_MAX else masked[:VALUE_CHARACTERS_MAX] + "…"


def _quoted(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if PLAIN.fullmatch(text):
        return visible(text)
    return '"' + visible(text).replace('"', "'") + '"'


class LibraryHandler(logging.Handler):
    """What libraries say through `logging`, in our lines: `logging.basicConfig(handlers=[…])`."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        by_number: tuple[tuple[int, Level], ...] = ((10, "debug"), (20, "info"), (30, "warning"))
        level: Level = next((name for most, name in by_number if record.levelno <= most), "error")
        if record.exc_info and record.exc_info[1] is not None:
            self._log.bug(record.getMessage(), record.exc_info[1], library=record.name)
        else:
            self._log.write(level, record.getMessage(), {"library": record.name})
