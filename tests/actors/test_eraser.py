"""Deletions that were asked for: carried out, tried again, taken up after a crash, forgotten."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.actors import eraser as module
from appliance.actors.eraser import Eraser
from storage import accounts as book
from storage import erasures
from storage.audit import read_acts
from storage.erasures import Erasure
from storage.state import DEFAULT_ORGANIZATION_ID as ORG
from storage.state import MIGRATIONS, State

REQUEST = "5d3e8f9a-0000-4000-8000-000000000001"
EXCHANGE = b"e" * 16
EVERYBODYS = ("organization", "span")


class Stores:
    """A real state store; what the roller would do is counted."""

    failures = (OSError,)

    def __init__(self, state: State) -> None:
        self.state = state
        self.forgotten: list[dict[str, Any]] = []
        self.fails = 0
        self.finished = 0
        self.closed: list[bytes] = []
        self.reloads = 0
        self.on_record: set[bytes] = set()

    async def read(self, work: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return self.state.read(work)

    async def write(self, work: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return self.state.write(work)

    async def find(self, row: Erasure, take: Any) -> None:
        if row.subject in ("a session", "a person", REQUEST) or row.kind in EVERYBODYS:
            await take([(REQUEST, EXCHANGE)])

    async def forget(self, selector: Mapping[str, Any]) -> int:
        await trio.lowlevel.checkpoint()
        if self.fails:
            self.fails -= 1
            raise OSError("disk full")
        self.forgotten.append(dict(selector))
        return 1

    async def finish(self) -> None:
        await trio.lowlevel.checkpoint()
        self.finished += 1
        if self.fails:
            self.fails -= 1
            raise OSError("disk full")

    async def kept(self, organization_id: str, exchange_ids: Any) -> set[bytes]:
        assert organization_id == ORG
        await trio.lowlevel.checkpoint()
        return set(exchange_ids) & self.on_record

    def marks(self, row: Erasure) -> list[bytes]:
        return [f"{row.kind} {row.subject}".encode()] if row.kind != "request" else []

    async def close_access(self, org: bytes) -> None:
        self.closed.append(org)

    async def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def stores(tmp_path: Path) -> Any:
    state = State.open(tmp_path / "state.sqlite")
    yield Stores(state)
    state.close()


@asynccontextmanager
async def running(stores: Stores) -> AsyncIterator[Eraser]:
    eraser = Eraser(stores)
    async with trio.open_nursery() as nursery:
        await nursery.start(eraser.run)
        yield eraser
        eraser.close()


def ask(stores: Stores, kind: Any, subject: str, org: str = ORG) -> Erasure:
    return stores.state.write(lambda c: erasures.ask(c, org, kind, subject, "user:u"))


def rows(stores: Stores, org: str = ORG) -> list[Erasure]:
    return stores.state.read(lambda c: erasures.listed(c, org, 10))


async def until_done(stores: Stores, org: str = ORG) -> None:
    with trio.fail_after(60):
        while any(row.state == "waiting" for row in rows(stores, org)):  # noqa: ASYNC110
            await trio.sleep(1)


@pytest.mark.parametrize(
    ("kind", "subject", "selector"),
    [
        ("session", "a session", {"session_id": "a session"}),
        ("user", "a person", {"user_id": "a person"}),
        ("request", REQUEST, {"exchange_ids": [EXCHANGE]}),
        ("span", "5000/7000", {"created_since_us": 5000, "created_until_us": 7000}),
        ("span", "/7000", {"created_since_us": None, "created_until_us": 7000}),
    ],
)
async def test_what_is_meant_goes_within_its_organisation(
    stores: Stores, autojump_clock: Any, kind: str, subject: str, selector: dict[str, Any]
) -> None:
    async with running(stores) as eraser:
        await trio.testing.wait_all_tasks_blocked()
        ask(stores, kind, subject)
        eraser.wake()
        await until_done(stores)
    assert stores.forgotten == [{"organization": uuid.UUID(ORG).bytes, **selector}]
    [row] = rows(stores)
    assert (row.state, row.found, row.subject) == ("done", 1, "")
    [act] = stores.state.read(lambda c: read_acts(c, ORG))
    assert (act["action"], act["actor"]) == ("deletion.done", "user:u")
    assert subject not in str(act)


async def test_requests_that_wait_together_are_forgotten_at_once(
    stores: Stores, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for those that are not on record, and for what another deletion stands between."""
    monkeypatch.setattr(module, "REQUESTS_AT_ONCE", 3)
    known = {str(uuid.UUID(int=n)): bytes([n]) * 16 for n in range(1, 6)}

    async def find(row: Erasure, take: Any) -> None:
        await take([(row.subject, known[row.subject])] if row.subject in known else [])

    monkeypatch.setattr(stores, "find", find)
    for n in (1, 2, 9, 3):
        ask(stores, "request", str(uuid.UUID(int=n)))
    ask(stores, "user", "a person")
    ask(stores, "request", str(uuid.UUID(int=4)))
    async with running(stores):
        await until_done(stores)
    ids = [one.get("exchange_ids", one.get("user_id")) for one in stores.forgotten]
    assert ids == [[b"\1" * 16, b"\2" * 16], [b"\3" * 16], "a person", [b"\4" * 16]]
    assert sorted(row.found for row in rows(stores)) == [0, 1, 1, 1, 1, 1]
    assert len(stores.state.read(lambda c: read_acts(c, ORG))) == 6


async def test_what_is_asked_for_meanwhile_tries_all_again(
    stores: Stores, autojump_clock: Any
) -> None:
    stores.fails = 6
    ask(stores, "session", "a session")
    async with running(stores) as eraser:
        while stores.fails:  # noqa: ASYNC110
            await trio.sleep(1)
        began_s = trio.current_time()
        assert eraser.trouble
        ask(stores, "user", "a person")
        eraser.wake()
        await until_done(stores)
        assert trio.current_time() - began_s < 2
        assert not eraser.trouble


async def test_of_a_span_copies_go_whose_requests_are_gone(
    stores: Stores, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of requests that are kept were not created in it, whenever they were recorded."""
    monkeypatch.setattr(module, "COPIES_AT_ONCE", 2)
    stores.on_record = {b"kept".ljust(16)}

    def copies(connection: Any) -> None:
        connection.execute("INSERT INTO datasets VALUES ('d', ?, 'd', '', 0)", (ORG,))
        for name, at_us in (("kept", 5), ("gone", 5), ("last", 6), ("later", 7), ("early", 4)):
            connection.execute(
                "INSERT INTO dataset_rows (id, organization_id, dataset_id, origin_request_id,"
                " exchange_id, created_at_us, recorded_at_us, stored_bytes, packed)"
                " VALUES (?, ?, 'd', ?, ?, 0, ?, 1, x'00')",
                (name, ORG, name, name.encode().ljust(16), at_us),
            )

    stores.state.write(copies)
    ask(stores, "span", "5/7")
    async with running(stores):
        await until_done(stores)
    left = stores.state.read(lambda c: c.execute("SELECT id FROM dataset_rows").fetchall())
    assert sorted(row[0] for row in left) == ["early", "kept", "later"]


def test_deletions_that_wait_outlive_the_new_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = MIGRATIONS[: [s.__name__ for s in MIGRATIONS].index("m059_erasures_of_spans")]
    path = tmp_path / "older.sqlite"
    with monkeypatch.context() as patched:
        patched.setattr("storage.state.MIGRATIONS", before)
        older = Stores(State.open(path))
        asked = ask(older, "user", "a person")
        with pytest.raises(ValueError, match="CHECK"):
            ask(older, "span", "/7")
        older.state.close()
    newer = Stores(State.open(path))
    assert rows(newer) == [asked]
    assert ask(newer, "span", "/7").kind == "span"
    newer.state.close()


async def test_a_request_that_is_not_there_is_done_at_once(
    stores: Stores, autojump_clock: Any
) -> None:
    ask(stores, "request", str(uuid.uuid4()))
    async with running(stores):
        await until_done(stores)
    assert stores.forgotten == []


async def test_what_cannot_be_found_is_done_when_nothing_is_left_half_done(
    stores: Stores, autojump_clock: Any
) -> None:
    stores.fails = 2
    ask(stores, "request", str(uuid.uuid4()))
    async with running(stores) as eraser:
        await trio.testing.wait_all_tasks_blocked()
        assert (eraser.trouble, eraser.inbox) == ("a deletion waits: OSError", 1)
        await until_done(stores)
    assert (stores.finished, stores.forgotten) == (3, [])


async def test_a_failure_is_tried_again(stores: Stores, autojump_clock: Any) -> None:
    stores.fails = 3
    ask(stores, "user", "a person")
    async with running(stores) as eraser:
        await trio.testing.wait_all_tasks_blocked()
        assert eraser.trouble == "a deletion waits: OSError"
        assert eraser.inbox == 1
        await until_done(stores)
        assert (eraser.trouble, eraser.inbox) == ("", 0)
    assert len(stores.forgotten) == 1


async def test_what_waits_is_carried_out_by_the_next_start(
    stores: Stores, autojump_clock: Any
) -> None:
    stores.fails = 100
    ask(stores, "user", "a person")
    async with running(stores):
        await trio.testing.wait_all_tasks_blocked()
    assert [row.state for row in rows(stores)] == ["waiting"]
    stores.fails = 0
    async with running(stores):
        await until_done(stores)


async def test_an_organisation_goes_with_its_keys_and_people(
    stores: Stores, autojump_clock: Any
) -> None:
    state = stores.state
    org = state.add_organization("acme").id
    state.add_api_key("k", "a" * 64, organization_id=org)
    state.add_api_key("other", "b" * 64)

    def people(connection: Any) -> None:
        for name, orgs in (("only", [org]), ("both", [org, ORG])):
            user = book.add_user(connection, f"{name}@x", "")
            for one in orgs:
                book.put_member(connection, one, user.id, "owner")

    def later(connection: Any) -> None:
        connection.execute("CREATE TABLE sets (id TEXT PRIMARY KEY, org BLOB)")
        connection.execute("CREATE TABLE a_row (set_id TEXT REFERENCES sets (id))")
        connection.execute("CREATE TABLE z_row (set_id TEXT REFERENCES sets (id))")
        connection.execute("INSERT INTO sets VALUES ('x', ?)", (uuid.UUID(org).bytes,))
        connection.execute("INSERT INTO a_row VALUES ('x')")
        connection.execute("INSERT INTO z_row VALUES ('x')")

    state.write(people)
    state.write(later)
    ask(stores, "organization", org, org)
    async with running(stores):
        await until_done(stores, org)
    assert stores.closed == [uuid.UUID(org).bytes]
    assert stores.reloads == 1
    for table in ("sets", "a_row", "z_row"):
        assert state.read(lambda c, t=table: c.execute(f"SELECT * FROM {t}").fetchall()) == []
    assert [key.name for key in state.api_keys(revoked=True)] == ["other"]
    assert [row.id for row in state.organizations()] == [ORG]
    assert [row["email"] for row in state.read(book.list_users)] == ["both@x"]
    assert stores.forgotten == [{"organization": uuid.UUID(org).bytes}]


def test_rows_that_name_a_request_go_wherever_they_lie(stores: Stores) -> None:
    """Also those of tables that nobody here has heard of; never those of another organisation."""

    def work(connection: Any) -> int:
        connection.execute("CREATE TABLE later (organization_id TEXT, origin_request_id TEXT)")
        connection.execute("CREATE TABLE sets (id TEXT PRIMARY KEY, org BLOB)")
        connection.execute(
            "CREATE TABLE set_rows (set_id TEXT REFERENCES sets (id), exchange_id BLOB)"
        )
        connection.execute("CREATE TABLE tags (organization_id TEXT, session_id TEXT)")
        connection.execute("CREATE TABLE nobodys (request_id TEXT)")
        connection.execute("INSERT INTO nobodys VALUES (?)", (REQUEST,))
        for org in (ORG, str(uuid.UUID(int=9))):
            connection.execute("INSERT INTO sets VALUES (?, ?)", (org, uuid.UUID(org).bytes))
            connection.execute("INSERT INTO set_rows VALUES (?, ?)", (org, EXCHANGE))
            connection.execute("INSERT INTO tags VALUES (?, 's')", (org,))
            for request_id in (REQUEST, "other"):
                connection.execute("INSERT INTO later VALUES (?, ?)", (org, request_id))
        connection.execute(
            "INSERT INTO ledger_disallowed VALUES (?, 'openai', 'm', ?, 1)",
            (uuid.UUID(ORG).bytes, REQUEST),
        )
        return erasures.erase_rows(connection, ORG, [(REQUEST, EXCHANGE)], "s")

    def count(table: str) -> int:
        found = stores.state.read(lambda c: c.execute(f"SELECT count(*) FROM {table}").fetchone())
        return int(found[0])

    assert stores.state.write(work) == 4
    left = {table: count(table) for table in ("later", "set_rows", "tags", "nobodys")}
    assert left == {"later": 3, "set_rows": 1, "tags": 1, "nobodys": 1}
    [label] = stores.state.read(
        lambda c: c.execute("SELECT request_id FROM ledger_disallowed").fetchall()
    )
    assert label == ("",)  # the model stays on the list


def test_the_same_is_asked_for_once_and_so_many_wait(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures, "WAITING_MAX", 2)
    first = ask(stores, "user", "a person")
    assert ask(stores, "user", "a person").id == first.id
    ask(stores, "session", "u")
    with pytest.raises(ValueError, match="wait to be carried out"):
        ask(stores, "user", "v")
