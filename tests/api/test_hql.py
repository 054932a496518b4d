"""HQL's endpoints: what they take, what they answer, and whose saved queries they show."""

from typing import Any

import pytest
import trio

from appliance.core.hql_errors import hql_error
from storage import hql_tables
from tests.api.kit import ORG, OTHER_ORG, House

SQL = "/v1/helicone-sql"
OTHER = ((b"authorization", b"Bearer other"),)
READER = ((b"authorization", b"Bearer reader"),)


async def test_rows_come_as_they_were_made(house: House) -> None:
    reply = await house.post(f"{SQL}/execute", {"sql": "SELECT 1"})
    assert reply.status == 200
    assert reply.json == {
        "data": {
            "rows": [{"a": 1}, {"a": 2}], "columns": [{"name": "a", "type": "INTEGER"}],
            "rowCount": 2, "elapsedMilliseconds": 1.5, "size": 15,
            "truncated": True,
        },
        "error": None,
    }  # fmt: skip
    assert house.hql.asked == [(ORG, "SELECT 1", "rows")]
    house.hql.result = house.hql.result._replace(stale_by_ms=12.0)
    assert (await house.post(f"{SQL}/execute", {"sql": "x"})).json["stale_by_ms"] == 12.0


async def test_the_organisation_is_the_keys(house: House) -> None:
    house.access.open = False
    for headers, org in ((OTHER, OTHER_ORG), (READER, ORG)):
        reply = await house.post(f"{SQL}/execute", {"sql": "SELECT 1"}, headers=headers)
        assert reply.status == 200
        assert house.hql.asked[-1][0] == org
    writer = ((b"authorization", b"Bearer writer"),)
    assert (await house.post(f"{SQL}/execute", {"sql": "x"}, headers=writer)).status == 403
    body = {"name": "n", "sql": "x"}
    assert (await house.post(f"{SQL}/saved-query", body, headers=READER)).status == 403


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("execute", {}, 400, "[HQL_MISSING_QUERY_SQL] sql: is required"),
        ("execute", {"sql": ""}, 400, "[HQL_MISSING_QUERY_SQL]"),
        ("execute", {"sql": 7}, 422, "sql: expected a text"),
        ("download", {"sql": "x", "format": "xlsx"}, 422, "format: expected one of csv, json"),
        ("download", {"sql": "x", "format": 5}, 422, "format:"),
        ("download", {"sql": "x", "format": [None]}, 422, "format:"),
        ("saved-query", {"sql": "x"}, 400, "[HQL_MISSING_QUERY_NAME]"),
        ("saved-query", {"name": 5, "sql": "x"}, 422, "name:"),
        ("saved-query", {"name": "n" * 256, "sql": "x"}, 400, "[HQL_QUERY_NAME_TOO_LONG]"),
        ("saved-query", {"name": "n", "sql": "x" * 100_001}, 422, "sql: at most"),
        ("saved-queries/bulk-delete", {}, 422, "ids: expected a list"),
        ("saved-queries/bulk-delete", {"ids": [1]}, 422, "ids: expected a list"),
        ("saved-queries/bulk-delete", {"ids": ["x"] * 1001}, 422, "ids: at most 1000"),
    ],
)
async def test_bad_input(house: House, path: str, body: Any, status: int, words: str) -> None:
    reply = await house.post(f"{SQL}/{path}", body)
    assert reply.status == status
    assert reply.json["data"] is None
    assert reply.json["error"].startswith(words)


async def test_errors_have_the_documented_form(house: House) -> None:
    async def refuse() -> None:
        raise hql_error("INVALID_TABLE", "no such thing")

    house.hql.works = refuse
    reply = await house.post(f"{SQL}/execute", {"sql": "x"})
    assert reply.status == 400
    assert reply.json["error"] == (
        "[HQL_INVALID_TABLE] This table cannot be queried: no such thing"
    )


async def test_a_client_that_leaves_ends_the_query(house: House) -> None:
    ended = trio.Event()

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    house.hql.works = work
    house.leaves = True
    with trio.fail_after(5):
        await house.post(f"{SQL}/execute", {"sql": "x"})
        await ended.wait()


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
async def test_a_download_is_a_link(house: House, form: str) -> None:
    reply = await house.post(f"{SQL}/download", {"sql": "x", "format": form})
    assert reply.status == 200
    url = reply.json["data"]
    assert url.startswith("http://127.0.0.1:8585/v1/signed/us/hql/f1?expires=")
    house.access.open = False
    target = url.removeprefix("http://127.0.0.1:8585")
    file = await house.get(target)
    assert (file.status, file.body) == (200, b"a\n1\n")
    assert file.headers[b"content-length"] == b"4"
    assert file.headers[b"content-disposition"].endswith(b'.%s"' % form.encode())
    assert (await house.get(target.replace("f1", "f2"))).status == 403
    house.hql.files.clear()
    gone = await house.get(target)
    assert gone.status == 404
    assert gone.json["error"].startswith("[HQL_CSV_EXPIRED]")
    house.links.now_s += 3601
    assert (await house.get(target)).status == 410


async def test_saved_queries(house: House) -> None:
    made = await house.post(f"{SQL}/saved-query", {"name": "daily", "sql": "SELECT 1"})
    assert made.status == 201
    (row,) = made.json["data"]
    assert (row["name"], row["sql"], row["created_at"]) == ("daily", "SELECT 1", row["updated_at"])
    one = f"{SQL}/saved-query/{row['id']}"
    assert (await house.get(one)).json["data"] == row
    again = await house.post(f"{SQL}/saved-query", {"name": "daily", "sql": "SELECT 2"})
    assert (again.status, again.json["error"]) == (
        409, "[HQL_QUERY_NAME_EXISTS] A saved query has this name already: daily",
    )  # fmt: skip
    (second,) = (await house.post(f"{SQL}/saved-query", {"name": "b", "sql": "x"})).json["data"]
    changed = await house.put(one, {"name": "daily", "sql": "SELECT 3"})
    assert (changed.status, changed.json["data"]["sql"]) == (200, "SELECT 3")
    assert (await house.put(one, {"name": "b", "sql": "x"})).status == 409
    listed = (await house.get(f"{SQL}/saved-queries")).json["data"]
    assert [found["name"] for found in listed] == ["daily", "b"]
    assert (await house.ask("DELETE", one)).json == {"data": None, "error": None}
    assert (await house.ask("DELETE", one)).status == 404
    assert (await house.get(one)).status == 404
    ids = [second["id"], row["id"], "no-uuid"]
    gone = await house.post(f"{SQL}/saved-queries/bulk-delete", {"ids": ids})
    assert gone.json == {"data": None, "error": None}
    assert (await house.get(f"{SQL}/saved-queries")).json["data"] == []


async def test_another_organisations_queries_are_not_there(house: House) -> None:
    house.access.open = False
    mine = ((b"authorization", b"Bearer both"),)
    body = {"name": "n", "sql": "SELECT 1"}
    (row,) = (await house.post(f"{SQL}/saved-query", body, headers=mine)).json["data"]
    one = f"{SQL}/saved-query/{row['id']}"
    assert (await house.get(one, headers=OTHER)).status == 404
    assert (await house.put(one, body, headers=OTHER)).status == 404
    assert (await house.ask("DELETE", one, headers=OTHER)).status == 404
    await house.post(f"{SQL}/saved-queries/bulk-delete", {"ids": [row["id"]]}, headers=OTHER)
    assert (await house.get(f"{SQL}/saved-queries", headers=OTHER)).json["data"] == []
    assert (await house.post(f"{SQL}/saved-query", body, headers=OTHER)).status == 201
    assert (await house.get(one, headers=mine)).json["data"] == row


async def test_so_many_are_saved(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hql_tables, "SAVED_MAX", 1)
    assert (await house.post(f"{SQL}/saved-query", {"name": "a", "sql": "x"})).status == 201
    reply = await house.post(f"{SQL}/saved-query", {"name": "b", "sql": "x"})
    assert (reply.status, reply.json["error"]) == (
        409, "[HQL_TOO_MANY_QUERIES] at most 1 queries are saved",
    )  # fmt: skip


async def test_the_schema(house: House) -> None:
    reply = await house.get(f"{SQL}/schema")
    assert reply.json == {"data": [{"table_name": "t", "columns": []}], "error": None}


async def test_an_id_that_is_none(house: House) -> None:
    reply = await house.get(f"{SQL}/saved-query/no-uuid")
    assert (reply.status, reply.json["error"]) == (
        404, "[HQL_QUERY_NOT_FOUND] There is no saved query with this id",
    )  # fmt: skip
