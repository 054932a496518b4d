"""Rows about people: bounds, what goes with what, and a log that is only added to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import accounts as book
from storage import audit as audit_log
from storage.audit import Act, add_act, read_acts
from storage.sign_in_links import Link, add_link, find_link, use_link
from storage.state import DEFAULT_ORGANIZATION_ID as ORG
from storage.state import State
from storage.state_tables import StateTables

MONTH_US = 30 * 86_400 * 1_000_000


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[StateTables]:
    opened = StateTables.open(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def signed_in(connection: sqlite3.Connection, user_id: str | None, token: str = "t") -> str:
    return book.add_session(
        connection, token, user_id=user_id, key_hash="" if user_id else "k", organization_id=ORG,
        lasts_us=MONTH_US, address="", agent="",
    )  # fmt: skip


def member(connection: sqlite3.Connection, email: str, role: str = "owner") -> book.User:
    user = book.add_user(connection, email, "")
    book.put_member(connection, ORG, user.id, role)
    return user


def test_sessions_end_by_time_and_by_rest(
    tables: StateTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tables.write(lambda c: member(c, "a@x"))
    tables.write(lambda c: signed_in(c, user.id))
    start_us = book.now_us()
    rest_us = 7 * 86_400 * 1_000_000
    assert tables.read(lambda c: book.find_session(c, "t", rest_us)) is not None
    assert tables.read(lambda c: book.find_session(c, "u", rest_us)) is None
    monkeypatch.setattr(book, "now_us", lambda: start_us + rest_us + 10**6)
    assert tables.read(lambda c: book.find_session(c, "t", rest_us)) is None
    found = tables.read(lambda c: book.find_session(c, "t", MONTH_US))
    assert found is not None
    tables.write(lambda c: book.touch_session(c, found.id))
    assert tables.read(lambda c: book.find_session(c, "t", rest_us)) is not None
    monkeypatch.setattr(book, "now_us", lambda: start_us + MONTH_US + 10**6)
    assert tables.read(lambda c: book.find_session(c, "t", 10 * MONTH_US)) is None


def test_sessions_are_bounded_and_the_oldest_goes(
    tables: StateTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "SESSIONS_PER_USER_MAX", 3)
    user = tables.write(lambda c: member(c, "a@x"))
    other = tables.write(lambda c: member(c, "b@x"))
    tables.write(lambda c: signed_in(c, other.id, "other"))
    start_us = book.now_us()
    for number in range(5):
        monkeypatch.setattr(book, "now_us", lambda number=number: start_us + number)
        tables.write(lambda c, number=number: signed_in(c, user.id, f"t{number}"))
    left = [t for t in ("t0", "t1", "t2", "t3", "t4", "other")
            if tables.read(lambda c, t=t: book.find_session(c, t, MONTH_US))]  # fmt: skip
    assert left == ["t2", "t3", "t4", "other"]


def test_who_leaves_is_signed_out_everywhere_else_nobody(tables: StateTables) -> None:
    ann = tables.write(lambda c: member(c, "a@x"))
    bob = tables.write(lambda c: member(c, "b@x", "viewer"))
    for user, token in ((ann, "a"), (bob, "b")):
        tables.write(lambda c, user=user, token=token: signed_in(c, user.id, token))
    assert tables.write(lambda c: book.drop_member(c, ORG, bob.id))
    assert not tables.write(lambda c: book.drop_member(c, ORG, bob.id))
    assert tables.read(lambda c: book.find_session(c, "b", MONTH_US)) is None
    assert tables.read(lambda c: book.find_session(c, "a", MONTH_US)) is not None
    tables.write(lambda c: book.drop_user(c, ann))
    assert tables.read(lambda c: book.find_session(c, "a", MONTH_US)) is None


def test_bounds(tables: StateTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "USERS_MAX", 2)
    monkeypatch.setattr(book, "MEMBERS_MAX", 1)
    ann = tables.write(lambda c: member(c, "a@x"))
    with pytest.raises(ValueError, match="already"):
        tables.write(lambda c: book.add_user(c, "a@x", ""))
    bob = tables.write(lambda c: book.add_user(c, "b@x", ""))
    with pytest.raises(ValueError, match="at most 2 users"):
        tables.write(lambda c: book.add_user(c, "c@x", ""))
    with pytest.raises(ValueError, match="at most 1 members"):
        tables.write(lambda c: book.put_member(c, ORG, bob.id, "viewer"))
    with pytest.raises(ValueError, match="last owner"):
        tables.write(lambda c: book.put_member(c, ORG, ann.id, "admin"))


def test_a_link_works_once_and_takes_the_place_of_the_older_one(tables: StateTables) -> None:
    def made(connection: sqlite3.Connection, token: str) -> Link:
        return add_link(
            connection, token, "invite", email="a@x", organization_id=ORG, role="viewer",
            lasts_us=MONTH_US, created_by="",
        )  # fmt: skip

    tables.write(lambda c: made(c, "one"))
    tables.write(lambda c: made(c, "two"))
    assert tables.read(lambda c: find_link(c, "one")) is None
    assert tables.write(lambda c: use_link(c, "two")) is not None
    assert tables.write(lambda c: use_link(c, "two")) is None


def test_the_log_is_only_added_to(tables: StateTables, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        tables.write(lambda c, n=number: add_act(c, Act(ORG, "user:u", f"act.{n}", "x" * 5000)))
    for sql in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit WHERE id = 1"):
        with pytest.raises(ValueError, match="only added to"):
            tables.write(lambda c, sql=sql: c.execute(sql))
    rows = tables.read(lambda c: read_acts(c, ORG))
    assert [row["action"] for row in rows] == ["act.2", "act.1", "act.0"]
    assert all(len(row["target"]) == 512 for row in rows)
    assert tables.read(lambda c: read_acts(c, "another")) == []
    assert len(tables.read(lambda c: read_acts(c, ORG, action="act.1"))) == 1
    large = Act(ORG, "a", "large", detail={"x": "y" * 5000})
    tables.write(lambda c: add_act(c, large))
    assert tables.read(lambda c: read_acts(c, ORG, limit=1))[0]["detail"] == {"cut": True}


def test_the_oldest_acts_go_in_the_end(tables: StateTables) -> None:
    rows_max = audit_log.AUDIT_ROWS_MAX
    tables.write(lambda c: add_act(c, Act(ORG, "a", "first")))
    tables.write(lambda c: c.execute("UPDATE sqlite_sequence SET seq = ?", (rows_max,)))
    tables.write(lambda c: add_act(c, Act(ORG, "a", "last")))
    assert [row["action"] for row in tables.read(lambda c: read_acts(c, ORG))] == ["last"]


def test_state_reads_and_writes_the_same(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    with pytest.raises(ZeroDivisionError):
        state.write(lambda c: (member(c, "a@x"), 1 // 0))
    assert state.read(book.count_users) == 0
    state.write(lambda c: member(c, "a@x"))
    assert state.read(book.count_users) == 1
    state.close()
