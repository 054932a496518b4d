"""The own log: one line whatever the values hold, no secrets, never in the way."""

import json
import logging
import os
import threading
from datetime import UTC, datetime

import pytest

from appliance.log import WAITING_MAX, LibraryHandler, Log, render

AT = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"


def lines(say, **options) -> list[str]:
    reading, writing = os.pipe()
    log = Log(descriptor=writing, clock=lambda: AT, **options)
    say(log)
    log.close()
    os.close(writing)
    with open(reading, encoding="utf-8") as stream:
        return stream.read().splitlines()


def test_text() -> None:
    said = lines(lambda log: log.refused(401, "unknown_key", 'no "such" key\n\x1b[31m'))
    assert said == [
        "2026-01-02T03:04:05.678Z WARNING refused status=401 code=unknown_key "
        "message=\"no 'such' key\\n\\x1b[31m\""
    ]


def test_json() -> None:
    (said,) = lines(lambda log: log.failure("journal", "disk\nfull"), form="json")
    assert json.loads(said) == {
        "time": "2026-01-02T03:04:05.678Z", "level": "error", "event": "failure",
        "part": "journal", "message": "disk\nfull",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_levels(level, count) -> None:
    def say(log: Log) -> None:
        for method in (log.debug, log.info, log.warning, log.error):
            method("x", n=1, ok=True, nothing=None)

    said = lines(say, level=level)
    assert len(said) == count
    assert said[-1].endswith("ERROR x n=1 ok=true")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "secret", [KEY, "Bearer abc.def", "sk-ant-api03-abcdefghijkl", "eyJhbGciOiJI.eyJz"]
)
def test_secrets_are_masked(form, secret) -> None:
    line = render(form, AT, "error", "x", {"message": f"bad {secret} here"}).decode()
    assert secret not in line
    assert "*** here" in line


def test_long_values_are_cut() -> None:
    assert len(render("text", AT, "error", "x", {"message": "y" * 10_000})) < 700


def test_a_bug_is_one_line_with_its_trace() -> None:
    def say(log: Log) -> None:
        try:
            raise ExceptionGroup("several", [ValueError(KEY)])
        except ExceptionGroup as error:
            log.bug("request crashed", error, lane="fast")

    (said,) = lines(say)
    assert "error=ExceptionGroup" in said
    assert "ValueError" in said
    assert KEY not in said


@pytest.mark.parametrize("quote", ["", "'"])
def test_a_trace_shows_no_bytes_that_somebody_sent(quote) -> None:
    """Parsers put what they choke on into their errors: packed headers with keys of any shape."""
    sent = f"\x00api-key \x140123456789{quote}abcdef".encode()

    def say(log: Log) -> None:
        try:
            raise KeyError(sent) from ValueError(sent, b"short")
        except KeyError as error:
            log.bug("connection", error)

    (said,) = lines(say)
    assert "KeyError: b'***'" in said
    assert "abcdef" not in said
    assert "b'short'" in said


def test_a_key_at_the_cut_of_a_trace_is_masked(monkeypatch) -> None:
    monkeypatch.setattr("appliance.log.TRACE_CHARACTERS_MAX", 30)
    (said,) = lines(lambda log: log.bug("x", ValueError(KEY + " after")))
    assert "ddddddd" not in said
    assert "*** after" in said


def test_keys_in_the_words_of_a_library_are_masked() -> None:
    def say(log: Log) -> None:
        record = logging.LogRecord("lib", logging.ERROR, "", 0, "sent %s", (KEY,), None)
        LibraryHandler(log).emit(record)

    (said,) = lines(say)
    assert said.endswith("ERROR sent *** library=lib")


def test_a_reader_that_stalls_costs_lines_not_time() -> None:
    reading, writing = os.pipe()
    log = Log(descriptor=writing, clock=lambda: AT)
    for _ in range(3 * WAITING_MAX + 1000):
        log.info("x" * 400)
    assert log.dropped > 0
    drained = threading.Thread(
        target=lambda: [None for _ in iter(lambda: os.read(reading, 65536), b"")]
    )
    drained.start()
    log.close()
    os.close(writing)
    drained.join()
    os.close(reading)


def test_a_closed_stderr_is_survived() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = Log(descriptor=writing, clock=lambda: AT)
    log.error("nobody listens")
    log.close()
    log.error("after the end")
    assert not any(thread.name == "log" for thread in threading.enumerate())
    os.close(writing)


def test_what_libraries_say() -> None:
    def say(log: Log) -> None:
        handler = LibraryHandler(log)
        for level in (logging.INFO, logging.WARNING, logging.CRITICAL):
            handler.emit(logging.LogRecord("lib", level, "", 0, "hello %s", ("you",), None))
        error = ValueError("v")
        info = (ValueError, error, None)
        handler.emit(logging.LogRecord("lib", logging.ERROR, "", 0, "broke", None, info))

    said = [line.split(" ", 1)[1] for line in lines(say)]
    assert said[0] == "INFO hello you library=lib"
    assert [line.split()[0] for line in said] == ["INFO", "WARNING", "ERROR", "ERROR"]
    assert "trace=" in said[3]
