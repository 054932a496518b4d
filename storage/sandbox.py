"""The process in which user SQL runs: `python -m storage.sandbox`, its socket as stdin.

The kernel limits its memory and what it writes; it has no secrets in its environment, no way to
other files, and a database in memory that is new for each query. Whoever started it kills it when a
query takes too long, or nobody waits for it any more. It knows nothing of the server.
"""

import array
import base64
import json
import os
import resource
import select
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import duckdb

from storage.manifest import LakeView
from storage.sandbox_dialect import MACROS, macro_statements, rewrite
from storage.sandbox_results import TooMuch, Writer, write_result
from storage.sandbox_rules import Asked, SqlRefused, check
from storage.sandbox_tables import (
    BODY_COLUMNS,
    SHOWN,
    create_tables_of,
    files_view,
    read_parquet,
)
from storage.sandbox_wire import (
    DATA,
    DONE,
    FILES_MAX,
    FRAME_BYTES_MAX,
    HEAD,
    JOB_BYTES_MAX,
    LENGTH,
    NEEDS_BODIES,
    READY,
    REFUSED,
    Hot,
    Job,
    LakeFiles,
    decode_job,
)
from storage.schema import STORE, ViewState

# A frozen executable has no `-m`: it is started again with this first argument instead.
ARGUMENT: Final = "sql-sandbox"
MEMORY_BYTES_MAX: Final = 512 * 2**20  # private memory that can be written, by the kernel
# DuckDB's own account; what it does not count (texts, lists) has the rest. The interpreter and the
# library take 95 MiB.
DUCKDB_BYTES_MAX: Final = 288 * 2**20
# It writes one file at most, which lives in memory.
FILE_BYTES_MAX: Final = 256 * 2**20
NICE: Final = 19
STACK_BYTES: Final = 256 * 1024
WORDS_MAX: Final = 600


class Gone(Exception):  # noqa: N818
    """Nobody is at the other end."""


def main() -> int:
    """Serves jobs until the socket is closed."""
    channel = socket.socket(fileno=os.dup(0))
    limit_process()
    threading.stack_size(STACK_BYTES)
    threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
    try:
        send(channel, READY, b"")
        while True:
            job, files = receive(channel)
            try:
                serve(channel, job, files)
            finally:
                for descriptor in files:
                    os.close(descriptor)
    except Gone:
        return 0


def limit_process() -> None:
    """Limits that this process cannot raise again."""
    os.nice(NICE)
    if hasattr(os, "SCHED_IDLE"):  # whoever proxies goes first, at once
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    for kind, most in (
        (resource.RLIMIT_DATA, MEMORY_BYTES_MAX),
        (resource.RLIMIT_FSIZE, FILE_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 4096),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _end_with(channel: socket.socket) -> None:
    """The query at work is of no use to anybody once the server is gone."""
    poll = select.poll()
    poll.register(channel, getattr(select, "POLLRDHUP", 0x2000))
    while not any(event & ~select.POLLNVAL for _, event in poll.poll()):
        pass
    os._exit(0)


# -- the socket


def receive(channel: socket.socket) -> tuple[Job, list[int]]:
    """The next job and the descriptors of its files. Raises Gone."""
    files = array.array("i")
    data, ancillary, _, _ = channel.recvmsg(LENGTH.size, socket.CMSG_SPACE(FILES_MAX * 4))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(content[: len(content) - len(content) % files.itemsize])
    data += _exactly(channel, LENGTH.size - len(data)) if data else b""
    if not data:
        raise Gone
    (length,) = LENGTH.unpack(data)
    assert length <= JOB_BYTES_MAX
    return decode_job(_exactly(channel, length)), list(files)


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            raise Gone
        data += piece
    return bytes(data)


def send(channel: socket.socket, kind: bytes, data: bytes) -> None:
    """One frame. Raises Gone."""
    try:
        channel.sendall(HEAD.pack(kind, len(data)) + data)
    except OSError:
        raise Gone from None


# -- one query


def serve(channel: socket.socket, job: Job, files: Sequence[int]) -> None:
    """Answers a job. Raises Gone; ends the process when its memory is at an end."""

    def say(data: bytes) -> None:
        for start in range(0, len(data), FRAME_BYTES_MAX):
            send(channel, DATA, data[start : start + FRAME_BYTES_MAX])

    try:
        run(job, files, say, channel)
    except SqlRefused as refused:
        _refuse(channel, refused.code, refused.details, job.root)
    except TooMuch as error:
        _refuse(channel, "RESULT_LIMIT_EXCEEDED", str(error), job.root)
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        details = "" if isinstance(error, MemoryError) else str(error).partition("\n")[0]
        _refuse(channel, "MEMORY_LIMIT_EXCEEDED", details, job.root)
        raise Gone from None  # what is left of its memory serves nobody
    except duckdb.Error as error:
        code = code_of(error)
        _refuse(channel, code, str(error), job.root)
        if isinstance(error, duckdb.InternalException | duckdb.FatalException):
            raise Gone from None


def run(job: Job, files: Sequence[int], say: Writer, channel: socket.socket) -> None:
    """Raises SqlRefused, TooMuch, and what DuckDB raises."""
    sql = rewrite(job.sql)
    connection = duckdb.connect(":memory:", config=_config())
    output = os.memfd_create("result") if job.form == "parquet" else None
    try:
        asked = check(connection, sql, tables=SHOWN, macros=MACROS, body_columns=BODY_COLUMNS)
        if asked.bodies and not job.hot.has_bodies:
            send(channel, NEEDS_BODIES, b"")
            return
        prepare(connection, job, files, asked, output)
        done = write_result(
            connection, asked.sql, job, say, is_limited=asked.is_limited, output=output
        )  # fmt: skip
    finally:
        connection.close()
        if output is not None:
            os.close(output)
    send(channel, DONE, json.dumps(asdict(done)).encode())


def prepare(
    connection: duckdb.DuckDBPyConnection,
    job: Job,
    files: Sequence[int],
    asked: Asked,
    output: int | None,
) -> None:
    """Views of this organisation, over files that may be read; then nothing can be changed."""
    connection.execute("SET TimeZone = 'UTC'")
    paths = {number: f"/proc/self/fd/{descriptor}" for number, descriptor in enumerate(files)}
    lake = _lake_view(job.lake) if job.lake else None
    readable = [*paths.values()]
    if output is not None:
        readable.append(f"/proc/self/fd/{output}")
    if lake is not None and asked.tables:
        readable += [str(path) for found in lake.files.values() for path in found]
    connection.execute("SET allowed_paths = $1", [readable])
    connection.execute("SET enable_external_access = false")
    if asked.tables:
        if lake is not None:
            for statement in lake.key_statements():
                connection.execute(statement)
        for statement in _hot_tables(job.hot, paths):
            connection.execute(statement)
        state = ViewState(
            lake,
            edited=job.hot.edited,
            repriced=job.hot.repriced,
            superseded=job.hot.superseded,
            hidden=job.hot.hidden,
        )
        for statement in create_tables_of(job.organization, state, bodies=asked.bodies):
            connection.execute(statement)
    if asked.bodies:
        # It takes a text for as long as a number, and would hold all bodies rather than all rows.
        connection.execute("SET disabled_optimizers = 'build_side_probe_side'")
    for statement in macro_statements(asked.functions):
        connection.execute(statement)
    connection.execute("SET lock_configuration = true")


def _hot_tables(found: Hot, paths: dict[int, str]) -> list[str]:
    def of(table: str) -> list[str]:
        return [paths[number] for number in found.files.get(table, ())]

    statements = [f"ATTACH ':memory:' AS {STORE}"]
    statements += [files_view(table, of(table)) for table in ("requests", "bodies", "edits")]
    statements += [
        f"CREATE TABLE {STORE}.{table} AS SELECT * FROM {read_parquet(of(table))}"  # noqa: S608
        for table in ("hidden", "superseded")
        if of(table)
    ]
    return statements


def _lake_view(files: LakeFiles) -> LakeView:
    return LakeView(
        files.generation,
        {table: [Path(name) for name in names] for table, names in files.files.items()},
        files.upto_segment,
        {Path(name): epoch for name, epoch in files.epochs.items()},
        {int(epoch): base64.b64decode(key) for epoch, key in files.keys.items()},
        {Path(name): version for name, version in files.versions.items()},
    )


def _config() -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": "1",
        "memory_limit": f"{DUCKDB_BYTES_MAX}B",
        "temp_directory": "",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }


def code_of(error: duckdb.Error) -> str:
    """DuckDB's exceptions in Helicone's words."""
    text = str(error)
    if isinstance(error, duckdb.ParserException | duckdb.SyntaxException):
        return "SYNTAX_ERROR"
    if isinstance(error, duckdb.BinderException):
        unknown = "not found in FROM clause" in text or "does not have a column" in text
        return "UNKNOWN_COLUMN" if unknown else "SYNTAX_ERROR"
    if isinstance(error, duckdb.CatalogException):
        return "INVALID_STATEMENT"
    return "EXECUTION_FAILED"


def _refuse(channel: socket.socket, code: str, details: str, root: str) -> None:
    if root:
        details = details.replace(root, "…")
    # What follows is a drawing of the place within the text.
    details = details.partition("\n\nLINE ")[0].strip()[:WORDS_MAX]
    send(channel, REFUSED, json.dumps({"code": code, "details": details}).encode())


if __name__ == "__main__":
    sys.exit(main())
