"""DuckDB: hot rows, the position up to which the journal is in, and views over hot rows and lake.

One writer at a time; every reader has a cursor. All calls block. Nothing here ever opens the
database file itself: closing that descriptor would drop DuckDB's lock.
"""
# ruff: noqa: S608 - names put into SQL are constants of ours, numbers are formatted, texts are bound

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from storage.analytics_failure import AnalyticsFailed, is_damage, set_aside, writing
from storage.analytics_place import Place, connect
from storage.batch import Batch
from storage.closing import close_connection
from storage.frames import Position
from storage.hot_rows import HotRows, id_text
from storage.manifest import LakeView, Span
from storage.memory_limit import MemoryLimit
from storage.query import (
    Moment,
    Query,
    QueryCancelled,
    QueryFailed,
    Reading,
    begin_reading,
    copying_statement,
    is_fatal,
    translated,
)
from storage.rows import TABLES
from storage.schema import (
    BASE,
    STORE,
    ViewState,
    create_tables,
    create_views,
    everything,
    narrowed,
)
from storage.statements import Statements
from storage.writing_room import ROOM_BYTES_USUAL, ROW_GROUP_ROWS, needs_room, room_after

__all__ = ["Analytics", "AnalyticsFailed", "set_aside"]

# DuckDB describes each column of each row group in memory, which no limit counts: about 110 bytes a
# row, until the lake has them. So they go there at 14 MB.
HOT_ROWS_MAX = 2**17


class Analytics:
    """One region's DuckDB. `broken` means every further call will fail until it is re-opened;
    `damaged`, that a reader met blocks of the file that cannot be read: it is to be made anew."""

    def __init__(self, place: Place, lake: LakeView | None) -> None:
        self.position = Position(0, 0)
        self.broken = False
        self.damaged = False
        self._closing = False
        self._place = place
        self._writing = threading.Lock()
        self._memory = MemoryLimit(place.memory_bytes_max, fixed=place.in_memory)
        # What goes in as a log of writes must fit when it is read again: or it never opens.
        self.row_bytes_max = place.memory_bytes_max // 3
        # Batches with so much text did not fit the writer's memory: what is learned from one.
        self.room_from_bytes = ROOM_BYTES_USUAL
        self._owes_checkpoint = False
        self._text_bytes = 0  # of bodies in memory
        self._row_count = 0  # hot rows, edits among them
        # Counts up whenever hot rows go or are replaced: a copy of them is then to be made anew.
        self.edition = 0
        self._statements = Statements()
        self._queries: dict[Reading, int] = {}
        self._holds: dict[object, int] = {}
        self._connection = connect(place)
        self._rows = HotRows(self._connection, place.deletion_key)
        try:
            self._views = self._set_up(lake)
            self._generation = self._generation_of(self._views)  # of what is committed
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        memory_bytes_max: int,
        threads: int,
        lake: LakeView | None,
        read_only: bool = False,
        temporary: Path | None = None,
        deletion_key: bytes | None = None,
    ) -> "Analytics":
        """`path` None: all in memory. `read_only`: the file is only read, what comes in by
        `ingest` stays in memory. `temporary`: where large queries may spill; None forbids it.
        `deletion_key`: with it the deletions that the journal holds take effect here."""
        place = Place(path, read_only, memory_bytes_max, threads, temporary, deletion_key)
        with writing():
            return cls(place, lake)

    def ingest(self, batch: Batch, upto: Position) -> None:
        """One transaction: rows, bodies, edits, deletions and the position `upto`. Rows that are
        known already are dropped or replaced as their frames' flags say."""
        if not batch.blocks:
            for _ in batch.pack():
                pass
        room = needs_room(batch, self.room_from_bytes)
        try:
            self._take_in(batch, upto, room=room)
            self._text_bytes += batch.text_bytes
            self._row_count += len(batch)
        except AnalyticsFailed as failure:
            # How much text fits depends on how well it is compressed. Not tried again here: after
            # a commit that failed so DuckDB has been seen to find its own blocks corrupt.
            if failure.wants_memory and not room:
                self.room_from_bytes = room_after(batch)
            raise

    def _take_in(self, batch: Batch, upto: Position, *, room: bool) -> None:
        with self._transaction(room=room) as views:
            known = self._rows.known(views, batch.rewritten)
            replaced = bool(batch.superseding) and self._replaced(views, batch)
            for table, block in batch.blocks.items():
                self._rows.insert(table, block, known)
            deleted = self._rows.deleted(views, batch)
            if deleted:
                self._hide(deleted)
            self._note_position(upto)
            self._show(
                replace(
                    views,
                    edited=views.edited or len(batch.edits) > batch.costs,
                    repriced=views.repriced or batch.costs > 0,
                    superseded=views.superseded or replaced,
                    hidden=views.hidden or bool(deleted),
                )
            )
        self.position = upto

    def pass_over(self, upto: Position) -> None:
        """Nothing before `upto` has rows: stored with the next batch. Does not block."""
        self.position = max(self.position, upto)

    def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        limit: int | None = None,
        into: Path | None = None,
        created: Span | None = None,
    ) -> Query:
        """Checks that `sql` is one reading statement; it runs when the query is first read from.
        `into`: its rows go into this Parquet file, their number is the answer. `created`, in µs:
        it says itself that it is about exchanges of this span alone, and files without any are left
        out. Raises QueryFailed."""
        with self._beginning():
            return self._begun(sql, parameters, limit, into, created)

    def _begun(
        self,
        sql: str,
        parameters: Sequence[Any],
        limit: int | None,
        into: Path | None,
        created: Span | None,
    ) -> Query:
        cursor = self._connection.cursor()
        try:
            statement = self._statements.reading(cursor, sql)
            if into is not None:
                statement = copying_statement(cursor, sql, into)
            self._memory.make_room(cursor)
        except BaseException:
            cursor.close()
            raise
        narrow = None if created is None else partial(self._narrowed, sql, created)
        query = Query(
            cursor, statement, parameters, limit=limit, on_close=self._forget, narrow=narrow
        )
        self._list(query)  # before it begins: it sees this generation or a later one
        try:
            begin_reading(cursor)
        except BaseException:
            query.close()
            raise
        return query

    def _narrowed(
        self, sql: str, created: Span, cursor: duckdb.DuckDBPyConnection
    ) -> duckdb.Statement | None:
        """For whoever reads, in their transaction. None: the files changed since, or just now.

        Asked in this order it is right: what is shown is noted before it is committed, so it is as
        new as what the transaction sees, or newer; of the same files a newer one leaves out more
        rows that were replaced or deleted, and joins edits where there were none."""
        found = cursor.execute(f"SELECT lake_generation FROM {STORE}.ingest_state").fetchone()
        views = self._views
        if found is None or views.lake is None or found[0] != self._generation_of(views):
            return None
        return self._statements.reading(cursor, narrowed(views, sql, created))

    def moment(self) -> Moment:
        """All of it as it is now; what is written meanwhile is not seen. To be closed soon. Raises
        QueryFailed."""
        with self._writing, self._beginning():
            cursor = self._connection.cursor()
            try:
                self._memory.make_room(cursor)
                begin_reading(cursor)
                cursor.execute(f"FROM {STORE}.ingest_state").fetchall()  # its first look counts
            except BaseException:
                cursor.close()
                raise
            moment = Moment(cursor, self._views, self.position, self.edition, self._forget)
            self._list(moment)
        return moment

    def hold_lake(self, holder: object, generation: int) -> None:
        """The lake's files of this generation, which is in use now, stay until `let_go`."""
        self._holds[holder] = generation

    def let_go(self, holder: object) -> None:
        """Safe to call twice."""
        self._holds.pop(holder, None)

    def swap_lake(self, view: LakeView, *, drop_upto_segment: int) -> None:
        """One transaction: views over the new files, hot rows of rolled segments deleted, the
        generation stored. Queries that run keep the old files: see `oldest_generation`."""
        with self._transaction(room=True) as views:
            self._adopt(replace(views, lake=view), drop_upto_segment)
            if self._place.in_memory:
                self._text_bytes = self._rows.text_bytes()
        self.position = max(self.position, Position(drop_upto_segment + 1, 0))

    def hide(self, exchange_ids: Sequence[bytes]) -> None:
        """Deleted exchanges: gone from the hot tables, and from the views though the lake still
        holds them."""
        with self._transaction(room=True) as views:
            self._hide([id_text(exchange_id) for exchange_id in exchange_ids])
            self._show(replace(views, hidden=True))

    @property
    def oldest_generation(self) -> int:
        """The oldest lake generation that a query in progress may still read."""
        held = [*list(self._queries.values()), *list(self._holds.values())]
        return min(held, default=self._generation)

    @property
    def is_read(self) -> bool:
        """Whether a query is in progress."""
        return bool(self._queries)

    @property
    def is_crowded(self) -> bool:
        """Whether hot rows take so much memory that it is time for the lake to have them: by their
        number, which costs memory even where they lie in a file, or by their bodies, where not."""
        in_memory = self._text_bytes if self._place.in_memory else 0
        much = in_memory > self._place.memory_bytes_max // 4
        return much or self._row_count >= HOT_ROWS_MAX

    @property
    def free_bytes(self) -> int:
        """What deleted rows have left empty in the file: used again, but seldom given back. They
        are in the file only after a checkpoint."""
        sql = (
            "SELECT free_blocks * block_size FROM pragma_database_size()"
            f" WHERE database_name = '{STORE}'"
        )
        with self._writing, writing():
            self._memory.make_room(self._connection.cursor(), reader=False)
            self._run(f"CHECKPOINT {STORE}")
            found = self._connection.cursor().execute(sql).fetchone()
        return int(found[0]) if found else 0

    def rest(self) -> None:
        """Give back memory that nobody uses any more. Does nothing while somebody writes."""
        if self._writing.acquire(blocking=False):
            try:
                with contextlib.suppress(duckdb.Error):  # it may have been closed
                    self._save_memory()
            finally:
                self._writing.release()

    def close(self) -> None:
        """Ends readers, and waits for whoever writes or rests."""
        self._closing = True
        close_connection(self._connection, self._writing, self._end_readers)

    def _list(self, reading: Reading) -> None:
        """What is listed is ended by `close`; what comes after it looked at the list ends itself.
        Raises QueryCancelled."""
        self._queries[reading] = self._generation
        if self._closing:
            reading.close()
            raise QueryCancelled

    @contextlib.contextmanager
    def _beginning(self) -> Iterator[None]:
        """What fails because the database closes meanwhile is nobody's fault: QueryCancelled."""
        try:
            with translated():
                yield
        except QueryFailed as error:
            if self._closing:
                raise QueryCancelled from error
            raise

    def _end_readers(self) -> None:
        for query in list(self._queries):
            query.end()

    # -- opening

    def _set_up(self, lake: LakeView | None) -> ViewState:
        self._run("SET GLOBAL TimeZone = 'UTC'")
        # Footers of the lake's files, read anew for each statement, are a third of what a page
        # costs. They go when the memory limit is reached; 12 MB for a million exchanges.
        self._run("SET GLOBAL parquet_metadata_cache = true")
        place = self._place
        target = ":memory:" if place.in_memory else str(place.path)
        self._run(f"ATTACH {_quoted(target)} AS {STORE} (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")
        views = ViewState(overlay=place.read_only and self._attach_base())
        self._run("BEGIN TRANSACTION")
        for statement in create_tables():
            self._run(statement)
        self.position = self._rows.position(copied_from=BASE if views.overlay else None)
        views = self._adopt(replace(views, lake=lake), lake.upto_segment if lake else 0)
        self._run("COMMIT")
        self._rows.begin()
        return views

    def _attach_base(self) -> bool:
        if self._place.path is None or not self._place.path.exists():
            return False
        self._run(f"ATTACH {_quoted(str(self._place.path))} AS {BASE} (READ_ONLY)")
        return True

    def _adopt(self, views: ViewState, upto_segment: int) -> ViewState:
        """Views over `views.lake`; hot rows that it holds go. Used at start and after each roll."""
        self.edition += 1
        if views.lake is not None:
            self._use_lake(views.lake)
        behind = self.position < Position(upto_segment + 1, 0)
        self._rows.drop(upto_segment)
        self._row_count = self._rows.count()
        if behind and upto_segment:
            # frames that were never ingested here lie in the lake
            self.position = Position(upto_segment + 1, 0)
            self._note_position(self.position)
        self._rows.forget_hidden(replace(views, hidden=False))
        self._run(f"UPDATE {STORE}.ingest_state SET lake_generation = {self._generation_of(views)}")
        edits = f"FROM ({everything(views, 'edits', ('kind',))}) WHERE kind"
        return self._create_views(
            replace(
                views,
                edited=self._rows.any(f"{edits} <> 'cost'"),
                repriced=self._rows.any(f"{edits} = 'cost'"),
                superseded=self._rows.any(f"SELECT 1 FROM {STORE}.superseded"),
                hidden=self._rows.any(f"SELECT 1 FROM {STORE}.hidden"),
            )
        )

    def _use_lake(self, lake: LakeView) -> None:
        """Keys, and a look at every table: what fails here is not the database file's fault."""
        try:
            for statement in lake.key_statements():
                self._run(statement)
            for table in TABLES:
                self._run(f"FROM ({lake.source(table)}) LIMIT 0")
        except duckdb.Error as error:
            raise AnalyticsFailed(f"lake: {error}", damaged=False) from error

    # -- within a transaction

    @contextlib.contextmanager
    def _transaction(self, *, room: bool) -> Iterator[ViewState]:
        """`room`: it may need as much memory as a reader."""
        with self._writing, writing():
            if room:
                self._memory.make_room(self._connection.cursor(), reader=False)
            else:
                self._save_memory()
            before, position = self._views, self.position
            try:
                self._run("BEGIN TRANSACTION")
                yield before
                self._run("COMMIT")
                self._generation = self._generation_of(self._views)
            except BaseException as error:
                self._views, self.position = before, position
                self.broken = self.broken or is_fatal(error)
                with contextlib.suppress(duckdb.Error):
                    self._run("ROLLBACK")
                raise
            if room:
                self._owes_checkpoint = not self._place.in_memory
                self._save_memory()

    def _save_memory(self) -> None:
        """Large texts lie in memory until a checkpoint, and 256 KiB for each row group that lost
        rows. Not while somebody reads: then DuckDB makes no checkpoint."""
        if self._queries:
            return
        if self._owes_checkpoint:
            try:
                self._run(f"CHECKPOINT {STORE}")
            except duckdb.Error as error:
                self.broken = self.broken or is_fatal(error)
                return
            self._owes_checkpoint = False
        self._memory.save(self._connection.cursor())

    def _replaced(self, views: ViewState, batch: Batch) -> bool:
        self.edition += 1
        return self._rows.replace(views, batch)

    def _hide(self, ids: list[str]) -> None:
        self.edition += 1
        self._rows.hide(ids)

    def _note_position(self, position: Position) -> None:
        self._rows.note_position(position)

    def _show(self, views: ViewState) -> None:
        """Replaces the views when what they depend on has changed."""
        if views != self._views:
            self._create_views(views)

    def _create_views(self, views: ViewState) -> ViewState:
        for statement in create_views(views):
            self._run(statement)
        self._views = views
        return views

    @staticmethod
    def _generation_of(views: ViewState) -> int:
        return views.lake.generation if views.lake is not None else 0

    def _forget(self, query: Reading) -> None:
        if query.failure is not None:
            self.damaged = self.damaged or is_damage(query.failure, self._place.path)
            self.broken = self.broken or self.damaged or is_fatal(query.failure)
        self._queries.pop(query, None)

    def _run(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(sql, parameters)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
