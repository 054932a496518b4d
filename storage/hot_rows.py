"""Hot rows as one transaction changes them: put in, replaced, taken out, and up to where the
journal is in. The caller has begun the transaction, ends it, and lets nobody else write.
"""
# ruff: noqa: S608 - names put into SQL are constants of ours, numbers are formatted, texts are bound

from typing import Any

import duckdb

from storage.arrow_block import Block
from storage.batch import Batch
from storage.frames import Position
from storage.rows import TABLES
from storage.schema import KEYED_HASH, STORE, ViewState, everything, hmac_pads, hot


class _Feed:
    """What the writer's `new_<table>` views read: the block of the batch at hand."""

    def __init__(self, table: str) -> None:
        self.block = Block(table, [])

    def __arrow_c_schema__(self) -> object:
        return self.block.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.block.__arrow_c_array__(requested_schema)


class HotRows:
    """The hot tables of one connection. What fails raises DuckDB's errors."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, deletion_key: bytes | None) -> None:
        self._connection = connection
        self._deletion_key = deletion_key
        self._feeds = {table: _Feed(table) for table in TABLES}

    def begin(self) -> None:
        """Once the tables are there."""
        for table, feed in self._feeds.items():
            self._connection.register(f"new_{table}", feed)

    def known(self, views: ViewState, exchange_ids: set[bytes]) -> list[str]:
        """Which of them have a row, hot or cold."""
        if not exchange_ids:
            return []
        rows = everything(views, "requests", ("exchange_id",))
        wanted = [id_text(exchange_id) for exchange_id in exchange_ids]
        sql = f"SELECT DISTINCT exchange_id::VARCHAR FROM ({rows}) WHERE exchange_id IN $1::UUID[]"
        return [row[0] for row in self._run(sql, [wanted]).fetchall()]

    def replace(self, views: ViewState, batch: Batch) -> bool:
        """Takes the hot rows of superseding exchanges away; whether others lie in the lake."""
        ids = [id_text(exchange_id) for exchange_id in batch.superseding]
        for table in ("requests", "bodies"):
            self._run(f"DELETE FROM {hot(table)} WHERE exchange_id IN $1::UUID[]", [ids])
        cold = self.known(views, set(batch.superseding))
        for exchange_id in cold:
            position = batch.superseding[_raw(exchange_id)]
            self._run(
                f"INSERT INTO {STORE}.superseded VALUES ($1::UUID, $2, $3)",
                [exchange_id, *position],
            )
        return bool(cold)

    def deleted(self, views: ViewState, batch: Batch) -> list[str]:
        """Ids whose keyed hashes the batch's deletions name, hot and cold: after a restore or a
        rebuild the rows are here again when the deletion is read."""
        if not batch.deletions or self._deletion_key is None:
            return []
        rows = everything(views, "requests", ("exchange_id",))
        inner, outer = hmac_pads(self._deletion_key)
        sql = f"SELECT DISTINCT exchange_id::VARCHAR FROM ({rows}) WHERE {KEYED_HASH} IN $3"
        hashes = [row[1].hex() for row in batch.deletions]
        return [row[0] for row in self._run(sql, [inner, outer, hashes]).fetchall()]

    def hide(self, ids: list[str]) -> None:
        """Takes rows out, and notes their ids: the lake may hold them still."""
        self._run(
            f"INSERT INTO {STORE}.hidden SELECT DISTINCT unnest($1::UUID[])"
            f" EXCEPT SELECT exchange_id FROM {STORE}.hidden",
            [ids],
        )
        for table in ("requests", "bodies", "edits"):
            self._run(f"DELETE FROM {hot(table)} WHERE exchange_id IN $1::UUID[]", [ids])

    def insert(self, table: str, block: Block, known: list[str]) -> None:
        """Without those exchanges that are `known`."""
        self._feeds[table].block = block
        sql = f"INSERT INTO {hot(table)} BY NAME FROM new_{table}"
        if known and table in ("requests", "bodies"):
            self._run(sql + " WHERE exchange_id NOT IN (SELECT unnest($1::UUID[]))", [known])
        else:
            self._run(sql)
        self._feeds[table].block = Block(table, [])

    def drop(self, upto_segment: int) -> None:
        """What a roll has put into the lake, and settled: what was replaced up to there too."""
        for table in TABLES:
            self._run(f"DELETE FROM {hot(table)} WHERE segment <= {upto_segment:d}")
        self._run(f"DELETE FROM {STORE}.superseded WHERE segment <= {upto_segment:d}")

    def count(self) -> int:
        """Of exchanges."""
        return int(self._run(f"SELECT count(*) FROM {hot('requests')}").fetchall()[0][0])

    def text_bytes(self) -> int:
        """Of all bodies that are there."""
        size = "coalesce(strlen(request), 0) + coalesce(strlen(response), 0)"
        found = self._run(f"SELECT coalesce(sum({size}), 0)::BIGINT FROM {hot('bodies')}")
        return int(found.fetchall()[0][0])

    def forget_hidden(self, views: ViewState) -> None:
        """Ids of deleted exchanges are kept no longer than the lake holds their rows."""
        if not self.any(f"SELECT 1 FROM {STORE}.hidden"):
            return
        rows = everything(views, "requests", ("exchange_id",))
        self._run(
            f"DELETE FROM {STORE}.hidden WHERE exchange_id NOT IN"
            f" (SELECT exchange_id FROM ({rows}) WHERE exchange_id IS NOT NULL)"
        )

    def any(self, select: str) -> bool:
        """Whether it finds a row."""
        return bool(self._run(f"SELECT 1 FROM ({select}) LIMIT 1").fetchall())

    def position(self, *, copied_from: str | None) -> Position:
        """Where it was left. `copied_from`: a database whose position, and what goes with it, is
        taken over."""
        if copied_from is not None:
            for table in ("ingest_state", "superseded", "hidden"):
                self._run(f"INSERT INTO {STORE}.{table} FROM {copied_from}.{table}")
        found = self._run(f"SELECT segment, frame_offset FROM {STORE}.ingest_state").fetchall()
        if found:
            return Position(*found[0])
        self._run(f"INSERT INTO {STORE}.ingest_state VALUES (0, 0, 0)")
        return Position(0, 0)

    def note_position(self, position: Position) -> None:
        """All before it is in."""
        self._run(
            f"UPDATE {STORE}.ingest_state SET segment = {position.segment:d},"
            f" frame_offset = {position.offset:d}"
        )

    def _run(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(sql, parameters)


def id_text(exchange_id: bytes) -> str:
    """As DuckDB reads a UUID."""
    return exchange_id.hex()


def _raw(exchange_id: str) -> bytes:
    return bytes.fromhex(exchange_id.replace("-", ""))
