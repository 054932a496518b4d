"""What `dev` keeps of calls: sums that are exact, and never more than it may."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from appliance.core.dev_board import (
    CALLS_MAX,
    ERRORS_MAX,
    SESSIONS_MAX,
    STEPS_MAX,
    TEXT_CHARACTERS_MAX,
    Board,
)

CALL: dict[str, Any] = {
    "request_created_at": "2026-11-22T10:11:12.5", "model": "gpt-4o", "http_status": 200,
    "outcome": "complete", "prompt_tokens": 19, "completion_tokens": 11,
    "cost_usd": Decimal("0.000157500000"), "latency_ms": 250,
}  # fmt: skip


def board_of(*rows: dict[str, Any]) -> Board:
    board = Board()
    for row in rows:
        board.add({**CALL, **row})
    return board


def test_sums() -> None:
    board = board_of({}, {"cost_usd": None}, {"http_status": 500, "cost_usd": None})
    assert (board.total.calls, board.failed, board.without_price) == (3, 1, 1)
    assert (board.tokens_in, board.tokens_out) == (57, 33)
    assert board.total.cost_usd == Decimal("0.0001575")
    assert board.calls[0].at == "10:11:12"


def test_what_counts_as_an_error() -> None:
    board = board_of(
        {"http_status": 404, "error": "no such model"},
        {"outcome": "cut"},
        {"http_status": None},
        {"http_status": 429},
        {"http_status": 599},
        {},
    )
    assert [call.why for call in board.errors] == [
        "no such model", "cut", "no status", "Too Many Requests", "599 has no name",
    ]  # fmt: skip


def test_sessions_are_trees_of_their_paths() -> None:
    one = {"session_id": "s", "session_name": "trip"}
    board = board_of(
        {**one, "session_path": "/plan"}, {**one, "session_path": "/plan/search"},
        {**one, "session_path": "/plan"}, {"session_id": "other"}, {},
    )  # fmt: skip
    trip, other = board.sessions["s"], board.sessions["other"]
    assert (trip.name, trip.total.calls) == ("trip", 3)
    assert {path: step.calls for path, step in trip.steps.items()} == {
        "/plan": 2, "/plan/search": 1}  # fmt: skip
    assert (other.name, list(other.steps)) == ("other", ["/"])


def test_memory_is_bounded() -> None:
    board = Board()
    for number in range(1000):
        board.add({
            **CALL, "http_status": 500, "model": "m" * 10_000, "session_id": f"{number % 50}",
            "session_path": f"/{number}", "error": "e" * 10_000,
        })  # fmt: skip
    for number in range(1000):
        board.add({**CALL, "session_id": "last", "session_path": f"/{number}"})
    assert (len(board.calls), len(board.errors)) == (CALLS_MAX, ERRORS_MAX)
    assert len(board.sessions) == SESSIONS_MAX
    assert len(board.sessions["last"].steps) == STEPS_MAX
    assert board.sessions["last"].total.calls == 1000
    assert max(len(call.why) for call in board.errors) <= TEXT_CHARACTERS_MAX + 1
    assert board.total.calls == 2000


def test_what_a_terminal_would_obey_is_written_out() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J"
    board = board_of({
        "model": hostile, "session_id": hostile, "session_name": hostile, "error": hostile,
        "session_path": f"/{hostile}", "outcome": "cut", "http_status": 500,
    })  # fmt: skip
    texts = [*board.calls[0][1:4], board.calls[0].why, *board.sessions]
    for session in board.sessions.values():
        texts += [session.name, *session.steps]
    assert all("\x1b" not in text and "\x07" not in text for text in texts)
    assert board.calls[0].model.startswith("\\x1b]0;owned\\x07")
