"""The live stream and the export: whole, in order, bounded, and resumed by a cursor."""

import csv
import io
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pyarrow.parquet
import pytest
import trio
import trio.testing

from appliance.api import request_export, request_live
from tests.api.kit import T0_US, House, Reply, body_row, request_id, request_row

OTHER = ((b"authorization", b"Bearer other"),)


def at(number: int, **changes: Any) -> tuple[Any, ...]:
    """A row that came a second after the one before."""
    moment = T0_US + number * 1_000_000
    return request_row(number, request_created_at=moment, recorded_at=moment, **changes)


def lines(reply: Reply) -> list[dict[str, Any]]:
    assert reply.status == 200, reply.body
    return [json.loads(line) for line in reply.body.splitlines()]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PAGE_ROWS", 3), ("PAGE_ROWS_WITH_BODIES", 2), ("SLICE_ROWS", 2)):
        monkeypatch.setattr(request_export, name, value)


@pytest.mark.usefixtures("small_pages")
async def test_ndjson_has_every_row_in_order_and_goes_on_behind_a_row(house: House) -> None:
    house.add(*(at(n) for n in range(8)))
    rows = lines(await house.get("/v1/export"))
    assert [row["request_id"] for row in rows] == [request_id(n) for n in range(8)]
    assert "request_body" not in rows[0]
    cursor = rows[4]["exchange_id"]
    rest = lines(await house.get(f"/v1/export?cursor={cursor}"))
    assert rest == rows[5:]
    assert lines(await house.get("/v1/export", headers=OTHER)) == []


@pytest.mark.usefixtures("small_pages")
async def test_bodies_come_also_where_a_page_of_them_is_too_large(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_export, "PAGE_BODY_BYTES_MAX", 30)
    house.add(*(at(n) for n in range(5)), bodies=(body_row(1, request='{\r\n"a": 1\n}'),))
    rows = lines(await house.get("/v1/export?bodies=true"))
    assert [row["request_body"] for row in rows] == [
        "question 0", {"a": 1}, "question 2", "question 3", "question 4",
    ]  # fmt: skip
    assert [row["response_body"] for row in rows] == [f"answer {n} ü" for n in range(5)]


async def test_spans_users_and_sessions(house: House) -> None:
    house.add(
        at(0, user_id="ada"), at(1, user_id="ada", session_id="s1"), at(2, session_id="s1"), at(3)
    )

    async def found(query: str) -> list[str]:
        return [row["request_id"] for row in lines(await house.get(f"/v1/export?{query}"))]

    second = "2026-01-01T00:00:01Z"
    assert await found(f"since={second}") == [request_id(n) for n in (1, 2, 3)]
    assert await found(f"until={second}") == [request_id(0)]
    assert await found("user=ada") == [request_id(0), request_id(1)]
    assert await found("session=s1&user=ada") == [request_id(1)]


WIDE = {"request_response_rmt": {"user_id": {"equals": "ada"}}}
OLDER = {"left": {"request": {"user_id": {"equals": "ada"}}}, "operator": "and",
         "right": {"response": {"status": {"equals": 200}}}}  # fmt: skip
BODY = {"request_response_rmt": {"request_body": {"contains": "needle"}}}
EDITED = {"properties": {"App": {"equals": "search"}}}


def with_filter(node: Any, **more: str) -> str:
    return "/v1/export?" + urlencode({"filter": json.dumps(node), **more})


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    "node", [WIDE, OLDER, BODY, EDITED], ids=["wide", "older", "body", "edited"]
)
@pytest.mark.parametrize("window", [1, 3, 100])
async def test_a_filter_narrows_it_and_a_cursor_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch, node: Any, window: int
) -> None:
    """Every third row is found; windows end before, at and behind one."""
    monkeypatch.setattr(request_export, "WINDOW_ROWS", window)
    found = [n for n in range(20) if n % 3 == 0]
    house.add(
        *(at(n, user_id="ada" if n in found else "bob",
             properties={"App": "search" if n in found else "mail"}) for n in range(20)),
        bodies=tuple(body_row(n, request=f'"a Needle {n}"') for n in found),
    )  # fmt: skip
    rows = lines(await house.get(with_filter(node)))
    assert [row["request_id"] for row in rows] == [request_id(n) for n in found]
    rest = await house.get(with_filter(node, cursor=rows[2]["exchange_id"]))
    assert lines(rest) == rows[3:]
    span = with_filter(node, since="2026-01-01T00:00:06Z", until="2026-01-01T00:00:15Z")
    assert lines(await house.get(span)) == rows[2:5]
    sheet = await house.get(with_filter(node, format="csv", bodies="true"))
    assert len(list(csv.reader(io.StringIO(sheet.body.decode(), newline="")))) == len(found) + 1
    parquet = await house.get(with_filter(node, format="parquet", bodies="true"))
    table = pyarrow.parquet.read_table(io.BytesIO(parquet.body))
    assert sorted(str(one) for one in table["request_id"].to_pylist()) == sorted(
        request_id(n) for n in found
    )
    assert lines(await house.get(with_filter(node), headers=OTHER)) == []


async def test_a_filter_of_everything_and_of_nothing(house: House) -> None:
    house.add(*(at(n) for n in range(3)))
    for node in ("all", {}, {"type": "all"}):
        assert len(lines(await house.get(with_filter(node)))) == 3
    assert lines(await house.get(with_filter({"request": {"user_id": {"equals": "eve"}}}))) == []
    missing = {"request_response_rmt": {"response_body": {"contains": "nowhere"}}}
    assert lines(await house.get(with_filter(missing))) == []


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("{", 400, "filter: not JSON"),
        ("[" * 5000, 400, "filter: nested too deeply"),
        ('{"nowhere": {}}', 422, "filter.nowhere: there is no such table here"),
        ('{"request": {"user_id": {"gt": 1}}}', 422, "filter.request.user_id.gt: this field takes"),
        ("null", 422, 'filter: expected an object or "all"'),
        ('"' + "x" * 16_384 + '"', 414, "filter: longer than 16384 bytes"),
    ],
)
async def test_a_filter_that_cannot_be_read_is_named(
    house: House, text: str, status: int, words: str
) -> None:
    for form in ("ndjson", "parquet"):
        reply = await house.get("/v1/export?" + urlencode({"filter": text, "format": form}))
        assert (reply.status, reply.json["error"].startswith(words)) == (status, True), reply.body
    assert house.app.state.export_streams.open == 0


async def test_csv_and_parquet_say_the_same(house: House) -> None:
    house.add(*(at(n, user_id='a "quoted", name\n') for n in range(4)))
    reply = await house.get("/v1/export?format=csv&bodies=true")
    assert reply.headers[b"content-type"].startswith(b"text/csv")
    assert b'filename="requests-' in reply.headers[b"content-disposition"]
    sheet = list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))
    assert [row["request_id"] for row in sheet] == [request_id(n) for n in range(4)]
    assert sheet[1]["request_user_id"] == 'a "quoted", name\n'
    assert json.loads(sheet[1]["properties"]) == {"Environment": "prod", "N": "1"}
    assert sheet[1]["response_body"] == "answer 1 ü"
    assert sheet[1]["cost"] == "0.000001000001"
    empty = await house.get("/v1/export?format=csv", headers=OTHER)
    assert empty.body.count(b"\r\n") == 1
    reply = await house.get("/v1/export?format=parquet&bodies=true")
    table = pyarrow.parquet.read_table(io.BytesIO(reply.body))
    assert sorted(str(one) for one in table["response"].to_pylist()) == [
        row["response_body"] for row in sheet
    ]
    assert set(table["cost_usd"].to_pylist()) == {Decimal(row["cost"]) for row in sheet}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("format=xlsx", "format: expected one of ndjson, csv, parquet"),
        ("since=yesterday", "since: expected a time"),
        ("until=1", "until: expected a time"),
        ("cursor=1", "cursor: expected a UUID"),
        ("bodies=maybe", "bodies: expected true or false"),
    ],
)
async def test_bad_parameters_name_the_field(house: House, query: str, words: str) -> None:
    reply = await house.get(f"/v1/export?{query}")
    assert (reply.status, reply.json["error"].startswith(words)) == (422, True), reply.body


async def test_only_so_many_exports_at_once(house: House) -> None:
    house.app.state.export_streams.open = request_export.STREAMS_MAX
    assert (await house.get("/v1/export")).status == 503


class Listening:
    """A client of the live stream: what it got, and how long it takes for a piece."""

    def __init__(self, house: House, query: str = "") -> None:
        self.house = house
        self.query = query
        self.events: list[tuple[str, Any]] = []
        self.raw = b""
        self.slow_s = 0.0
        self.gone = trio.Event()
        self.ended = False

    async def run(self) -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": "/v1/request/live", "raw_path": b"/v1/request/live",
            "query_string": self.query.encode(), "root_path": "", "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8585), "headers": [(b"host", b"127.0.0.1:8585")],
        }  # fmt: skip

        async def receive() -> Any:
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await trio.sleep(self.slow_s)
                self.raw += message["body"]

        await self.house.app(scope, receive, send)
        self.ended = True
        for block in self.raw.decode().split("\n\n"):
            if block.startswith("event: "):
                name, _, data = block[7:].partition("\ndata: ")
                self.events.append((name, json.loads(data)))


async def until_waiting() -> None:
    await trio.testing.wait_all_tasks_blocked(0.01)


async def test_listeners_hear_what_ends_from_now_on(house: House) -> None:
    house.add(at(0))
    ours, narrow = Listening(house), Listening(house, "user=ada")
    done = trio.Event()

    def arrive() -> None:
        house.add(at(1), at(2, user_id="ada"))

    async def changed(region: str, wait_s: float) -> bool:
        if done.is_set():
            await trio.sleep_forever()
        done.set()
        arrive()
        return True

    house.exports.changed = changed  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        for one in (ours, narrow):
            nursery.start_soon(one.run)
        await done.wait()
        await until_waiting()
        assert house.app.state.live_streams.open == 2
        ours.gone.set()
        narrow.gone.set()
    assert house.app.state.live_streams.open == 0
    assert [(name, data["request_id"]) for name, data in ours.events] == [
        ("request", request_id(1)), ("request", request_id(2)),
    ]  # fmt: skip
    assert "includeBody" in str(ours.events[0][1]["request_body"])
    assert len(narrow.events) <= 1


async def test_who_reads_too_slowly_is_told_and_dropped(
    house: House, autojump_clock: object
) -> None:
    listener = Listening(house)
    house.exports.arrivals.append(lambda: house.add(at(1)))
    listener.slow_s = request_live.SLOW_S + 1
    await listener.run()
    assert listener.ended
    assert listener.events[-1] == ("dropped", {"reason": "this client reads too slowly"})


async def test_more_than_can_be_sent_is_skipped_with_a_word(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_live, "EVENTS_AT_ONCE", 3)
    listener = Listening(house)
    house.exports.arrivals.append(lambda: house.add(*(at(n) for n in range(1, 9))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        await until_waiting()
        listener.gone.set()
    names = [name for name, _ in listener.events]
    assert names == ["request", "request", "request", "skipped"]
    assert listener.events[-1][1]["until"].startswith("2026-01-01 00:00:08")


async def test_only_so_many_listeners(house: House) -> None:
    house.app.state.live_streams.open = 16
    assert (await house.get("/v1/request/live")).status == 503
