"""The control socket, both sides over a real socket: replies, refusals, cancelling, bounds."""

import os
import socket
import stat
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import trio

from appliance.control_client import ControlClient, ControlError
from appliance.control_wire import REQUEST_BYTES_MAX, frame, unframe
from appliance.door import control
from appliance.door.control import ControlReply, serve_control
from appliance.errors import Refusal

COLUMNS = [
    ("n", "BIGINT"), ("cost", "DECIMAL(38,12)"), ("at", "TIMESTAMP"), ("id", "UUID"),
    ("body", "BLOB"), ("map", "MAP(VARCHAR, VARCHAR)"), ("list", "STRUCT(a DECIMAL(2,1))[]"),
]  # fmt: skip
ROW = (
    1, Decimal("0.100000000000"), datetime(2026, 1, 2, 3, 4, 5), UUID(int=7), b"\x00\xff",
    {"k": "v"}, [{"a": Decimal("1.5")}],
)  # fmt: skip
WIRE = [
    1, "0.100000000000", "2026-01-02T03:04:05Z", str(UUID(int=7)), b"\x00\xff", {"k": "v"},
    [{"a": "1.5"}],
]  # fmt: skip


async def many(arguments: dict, reply: ControlReply) -> None:
    await reply.columns(COLUMNS)
    await reply.rows([ROW] * arguments["count"])
    reply.ending["stale_by_ms"] = 3


async def echo(arguments: dict, reply: ControlReply) -> None:
    await reply.value(arguments)


async def refuse(arguments: dict, reply: ControlReply) -> None:
    raise Refusal(400, "bad_sql", "no such column")


async def break_down(arguments: dict, reply: ControlReply) -> None:
    raise ZeroDivisionError("a bug")


COMMANDS = {"many": many, "echo": echo, "refuse": refuse, "break": break_down}


async def in_thread(function, *arguments):
    return await trio.to_thread.run_sync(function, *arguments)


def run_command(root: Path, name: str, arguments: dict) -> list[dict]:
    client = ControlClient.connect(root)
    assert client is not None
    with client:
        return list(client.replies(name, arguments))


@pytest.fixture
async def root(nursery, tmp_path: Path) -> Path:
    await nursery.start(serve_control, tmp_path / "control.sock", COMMANDS)
    return tmp_path


async def test_round_trip(root) -> None:
    def ask() -> tuple:
        client = ControlClient.connect(root)
        assert client is not None
        with client:
            result = client.rows("many", {"count": 1000})
            rows = []
            while part := result.fetch(300):
                assert len(part) <= 300
                rows += part
            value = client.value("echo", {"same": "connection"})
        return result.columns, rows, result.ending, value

    columns, rows, ending, value = await in_thread(ask)
    assert columns == COLUMNS
    assert rows == [WIRE] * 1000
    assert ending == {"kind": "done", "stale_by_ms": 3}
    assert value == {"same": "connection"}


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("refuse", "bad_sql", "no such column"),
        ("nonsense", "unknown_command", "this server knows: break, echo"),
        ("break", "internal", "ZeroDivisionError in break"),
    ],
)
async def test_failures_are_told_and_the_server_lives_on(root, command, code, words) -> None:
    with pytest.raises(ControlError, match=words) as caught:
        await in_thread(run_command, root, command, {})
    assert caught.value.code == code
    assert (await in_thread(run_command, root, "echo", {}))[-1] == {"kind": "done"}


async def test_a_bug_is_handed_to_the_log(nursery, tmp_path) -> None:
    heard = []
    await nursery.start(
        lambda task_status: serve_control(
            tmp_path / "control.sock",
            COMMANDS,
            on_bug=lambda name, error: heard.append((name, type(error))),
            task_status=task_status,
        )
    )
    with pytest.raises(ControlError):
        await in_thread(run_command, tmp_path, "break", {})
    assert heard == [("break", ZeroDivisionError)]


@pytest.mark.parametrize("out_of_turn", [False, True])
async def test_hanging_up_or_speaking_out_of_turn_cancels(nursery, tmp_path, out_of_turn) -> None:
    began, cancelled = trio.Event(), trio.Event()

    async def wait(arguments: dict, reply: ControlReply) -> None:
        try:
            began.set()
            await trio.sleep_forever()
        finally:
            cancelled.set()

    await nursery.start(serve_control, tmp_path / "control.sock", {"wait": wait})
    stream = await trio.open_unix_socket(tmp_path / "control.sock")
    async with stream:
        await stream.send_all(frame({"command": "wait", "arguments": {}}))
        with trio.fail_after(30):
            await began.wait()
            if out_of_turn:
                await stream.send_all(b"x")
                assert await stream.receive_some() == b""
            else:
                await stream.aclose()
            await cancelled.wait()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ((REQUEST_BYTES_MAX + 1).to_bytes(4, "big"), "at most"),
        (b"\0\0\0\0", "a message of 0 bytes"),
        (b"\0\0\0\x01\xc1", "protocol"),
        (b"\0\0\0\x01\x01", "no map"),
        (b"\0\0\0\x03\x81\x01\x02", "no map"),
        (frame({"command": 1}), "this server knows"),
        (frame({"command": "echo", "arguments": []}), "this server knows"),
    ],
)
async def test_bad_requests(root, sent, words) -> None:
    async with await trio.open_unix_socket(root / "control.sock") as stream:
        await stream.send_all(sent)
        with trio.fail_after(30):
            answer = await stream.receive_some()
        assert words in str(unframe(answer[4:]))


async def test_the_number_of_commands_is_bounded(root, monkeypatch) -> None:
    opened = [await trio.open_unix_socket(root / "control.sock") for _ in range(32)]
    with pytest.raises(ControlError, match="32 commands are running"):
        await in_thread(run_command, root, "echo", {})
    for stream in opened:
        await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert await in_thread(run_command, root, "echo", {})


def test_a_server_that_says_no_before_it_was_asked() -> None:
    server, connection = socket.socketpair()
    with ControlClient(connection) as client:
        server.sendall(frame({"kind": "error", "code": "busy", "message": "too many"}))
        server.close()
        with pytest.raises(ControlError, match="too many"):
            client.value("echo", {})


async def test_a_resting_connection_is_closed(monkeypatch, root) -> None:
    monkeypatch.setattr(control, "REST_S", 0.01)
    async with await trio.open_unix_socket(root / "control.sock") as stream:
        with trio.fail_after(30):
            assert await stream.receive_some() == b""


async def test_the_socket_is_the_owners_and_replaces_a_left_over_one(nursery, tmp_path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert ControlClient.connect(tmp_path) is None
    scope = await nursery.start(_scoped, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["control.sock"]
    assert await in_thread(run_command, tmp_path, "echo", {})
    scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert os.listdir(tmp_path) == []
    assert ControlClient.connect(tmp_path) is None


async def _scoped(path: Path, task_status) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_control, path, COMMANDS)
            task_status.started(scope)


async def test_paths_longer_than_sun_path(nursery, tmp_path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    await nursery.start(serve_control, deep / "control.sock", COMMANDS)
    assert await in_thread(run_command, deep, "echo", {})


async def test_a_server_that_ends_is_noticed(tmp_path) -> None:
    async with trio.open_nursery() as nursery:

        async def wait(arguments: dict, reply: ControlReply) -> None:
            nursery.cancel_scope.cancel("the server ends")
            await trio.sleep_forever()

        await nursery.start(serve_control, tmp_path / "control.sock", {"wait": wait})
        with trio.CancelScope(shield=True):
            with pytest.raises(ControlError) as caught:
                await in_thread(run_command, tmp_path, "wait", {})
            assert caught.value.code == "gone"


def test_no_directory_no_server(tmp_path) -> None:
    assert ControlClient.connect(tmp_path / "nowhere") is None


async def test_times_with_a_zone_travel_as_utc(nursery, tmp_path) -> None:
    async def now(arguments: dict, reply: ControlReply) -> None:
        await reply.columns([("t", "TIMESTAMP WITH TIME ZONE")])
        await reply.rows([(datetime(2026, 1, 1, tzinfo=UTC),)])

    await nursery.start(serve_control, tmp_path / "control.sock", {"now": now})
    replies = await in_thread(run_command, tmp_path, "now", {})
    assert replies[1]["rows"] == [["2026-01-01T00:00:00Z"]]
