"""SQL of users against a running server: the documented queries as they stand in the documents,
what must be refused, and what must end without anybody else noticing.
"""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import until
from tests.e2e.storage_kit import control
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

SAY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
# As they stand at docs.helicone.ai/features/hql.
DOCUMENTED = {
    "top costly": """
SELECT
  request_created_at,
  request_model,
  response_body,
  provider_total_cost
FROM request_response_rmt
WHERE request_created_at > now() - INTERVAL 7 DAY
ORDER BY provider_total_cost DESC
LIMIT 100
""",
    "error rate": """
SELECT
  COUNTIf(status BETWEEN 400 AND 599) AS error_count,
  COUNT() AS total_requests,
  ROUND(error_count / total_requests, 4) AS error_rate
FROM request_response_rmt
WHERE request_created_at >= toDateTime64(now(), 3) - INTERVAL 24 HOUR
""",
    "active users": """
SELECT
  toDate(request_created_at) AS day,
  COUNT(DISTINCT user_id) AS dau
FROM request_response_rmt
WHERE request_created_at >= toDateTime64(now(), 3) - INTERVAL 14 DAY
GROUP BY day
ORDER BY day
""",
    "sessions": """
SELECT
  properties['Helicone-Session-Id'] AS session_id,
  COUNT(*) AS requests,
  sum(cost) AS total_cost
FROM request_response_rmt
WHERE request_created_at >= toDateTime64(now(), 3) - INTERVAL 7 DAY
  AND properties['Helicone-Session-Id'] IS NOT NULL
GROUP BY session_id
ORDER BY total_cost DESC
LIMIT 100
""",
    "cost by model": """
SELECT
  request_model,
  sum(cost) AS total_cost,
  COUNT() AS request_count
FROM request_response_rmt
WHERE request_created_at >= toDateTime64(now(), 3) - INTERVAL 30 DAY
GROUP BY request_model
ORDER BY total_cost DESC
""",
}
REFUSED = [
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/hql-was-here'", "ATTACH '/tmp/x.db' AS x", "INSTALL httpfs",
    "LOAD httpfs", "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "PRAGMA database_list", "SET memory_limit = '100GB'", "SELECT getenv('HOME')",
    "SELECT * FROM glob('/**')", "SELECT * FROM 'file.parquet'",
    "SELECT 1 FROM request_response_rmt, duckdb_settings()", "SELECT 1; SELECT 2",
    "SELECT * FROM store.hot_requests", f"SELECT {'1 + ' * 300_000}1",
]  # fmt: skip
ENDLESS = "SELECT sum(hash(x)) FROM range(100000000000000) AS r(x)"
BOMBS = [
    "SELECT repeat('x', 1500000000)",
    "SELECT count(*) FROM range(100000000) AS a(x), range(100000000) AS b(y) WHERE x + y = 3",
    "WITH RECURSIVE t(n, s) AS (SELECT 1, 'x' UNION ALL SELECT n + 1, s || s FROM t)"
    " SELECT max(length(s)) FROM t",
]


@pytest.fixture(scope="module")
def house(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("hql"), provider) as appliance:
        for number in range(3):
            headers = {"Helicone-User-Id": f"user-{number}", "Helicone-Session-Id": "s-1"}
            assert appliance.call(CHAT, SAY, headers).status == 200
        yield appliance


def hql(appliance: Appliance, sql: str, path: str = "execute", **fields: Any) -> Reply:
    headers = fields.pop("headers", None)
    return appliance.call(f"/v1/helicone-sql/{path}", {"sql": sql, **fields}, headers)


def rows(appliance: Appliance, sql: str, **fields: Any) -> list[dict[str, Any]]:
    reply = hql(appliance, sql, **fields)
    assert reply.status == 200, reply.body
    data = json.loads(reply.body)["data"]
    assert data["rowCount"] == len(data["rows"])
    found: list[dict[str, Any]] = data["rows"]
    return found


def children(appliance: Appliance) -> set[int]:
    text = Path(f"/proc/{appliance.pid}/task/{appliance.pid}/children").read_text()
    every = [
        Path(f"/proc/{appliance.pid}/task/{task}/children").read_text()
        for task in os.listdir(f"/proc/{appliance.pid}/task")
    ]
    pids = {int(pid) for part in [text, *every] for pid in part.split()}
    return {pid for pid in pids if b"storage.sandbox" in _command(pid)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_queries_run_as_they_stand(house: Appliance, name: str) -> None:
    found = rows(house, DOCUMENTED[name])
    assert found
    if name == "sessions":
        assert found[0]["session_id"] == "s-1"
        assert found[0]["requests"] >= 3
    if name == "error rate":
        assert found[0]["total_requests"] >= 3
    if name == "top costly":
        assert "Hello from the fake provider" in found[0]["response_body"]


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_refused(house: Appliance, sql: str) -> None:
    reply = hql(house, sql)
    assert reply.status == 400, reply.body
    assert json.loads(reply.body)["error"].startswith("[HQL_INVALID_")
    assert b"/data" not in reply.body
    assert not Path("/tmp/hql-was-here").exists()


@pytest.mark.parametrize("sql", BOMBS)
def test_a_bomb_ends_that_query_alone(house: Appliance, sql: str) -> None:
    reply = hql(house, sql)
    assert reply.status == 503, reply.body
    assert json.loads(reply.body)["error"].startswith("[HQL_MEMORY_LIMIT_EXCEEDED]")
    assert house.call(CHAT, SAY).status == 200
    assert rows(house, "SELECT 1 AS one") == [{"one": 1}]


def test_what_has_just_ended_is_there(house: Appliance) -> None:
    for number in range(3):
        headers = {"Helicone-User-Id": "fresh"}
        assert house.call(CHAT, SAY, headers).status == 200
        until(lambda wanted=number + 1: count_of(house, "fresh") == wanted)  # type: ignore[misc]


def count_of(appliance: Appliance, user: str) -> int:
    sql = f"SELECT count() AS n FROM request_response_rmt WHERE user_id = '{user}'"
    return int(rows(appliance, sql)[0]["n"])


def test_a_client_that_leaves_kills_its_query(house: Appliance) -> None:
    rows(house, "SELECT 1 AS one")
    before = children(house)
    with socket.create_connection(("127.0.0.1", int(house.url.rpartition(":")[2]))) as client:
        body = json.dumps({"sql": ENDLESS}).encode()
        client.sendall(
            b"POST /v1/helicone-sql/execute HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        until(lambda: any(busy(pid) for pid in children(house)))
        at_work = {pid for pid in children(house) if busy(pid)}
    until(lambda: not at_work & children(house))
    assert before
    assert rows(house, "SELECT 1 AS one") == [{"one": 1}]


def busy(pid: int) -> bool:
    """It has used the processor for a while."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] == "R" and int(fields[11]) / os.sysconf("SC_CLK_TCK") > 1


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_download_needs_no_key(house: Appliance, form: str) -> None:
    sql = "SELECT user_id, cost FROM request_response_rmt WHERE user_id LIKE 'user-%' ORDER BY 1"
    reply = hql(house, sql, "download", format=form)
    assert reply.status == 200, reply.body
    with urllib.request.urlopen(json.loads(reply.body)["data"]) as file:
        data = file.read()
        assert int(file.headers["content-length"]) == len(data)
    if form == "csv":
        assert data.startswith(b"user_id,cost\nuser-0,")
    elif form == "json":
        assert [row["user_id"] for row in json.loads(data)] == ["user-0", "user-1", "user-2"]
    else:
        assert data[:4] == data[-4:] == b"PAR1"
    empty = hql(house, f"SELECT 1 FROM ({sql}) WHERE false", "download", format=form)
    assert empty.status == 404
    assert json.loads(empty.body)["error"].startswith("[HQL_NO_DATA_RETURNED]")


def test_the_schema_names_what_there_is(house: Appliance) -> None:
    reply = house.call("/v1/helicone-sql/schema", method="GET")
    tables = json.loads(reply.body)["data"]
    shown = [table["table_name"] for table in tables]
    assert shown == ["request_response_rmt", "requests", "bodies"]
    for table in tables:
        assert table["description"]
        names = [column["name"] for column in table["columns"]]
        assert "organization_id" not in names
        sql = f"SELECT {', '.join(names)} FROM {table['table_name']} LIMIT 1"
        assert rows(house, sql)
        found = rows(house, f"SELECT * FROM {table['table_name']} LIMIT 1")
        assert sorted(found[0]) == sorted(names)


def test_columns_are_told_where_there_are_no_rows(house: Appliance) -> None:
    sql = "SELECT user_id, count(*) AS n, 1 AS n FROM requests WHERE false GROUP BY 1"
    data = json.loads(hql(house, sql).body)["data"]
    assert (data["rows"], data["rowCount"]) == ([], 0)
    assert data["columns"] == [
        {"name": "user_id", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"},
        {"name": "n_1", "type": "INTEGER"},
    ]  # fmt: skip


def test_two_organisations_and_a_roll(provider: Provider, tmp_path: Path) -> None:
    """The same answers from hot rows and from the lake, encrypted too; each sees its own."""
    environ = {"HELICONE_APPLIANCE_MASTER_KEY": "a passphrase that nobody guesses"}
    with Appliance(tmp_path, provider, environ=environ) as appliance:
        keys = []
        for name in ("one", "two"):
            appliance.command("orgs.create", name=name)
            keys.append(appliance.command("keys.create", name=name, org=name)["key"])
            headers = {"Helicone-Auth": f"Bearer {keys[-1]}", "Helicone-User-Id": f"secret-{name}"}
            assert appliance.call(CHAT, SAY, headers).status == 200
        sql = "SELECT user_id, response_body FROM request_response_rmt"

        def seen() -> list[list[str]]:
            return [
                [
                    row["user_id"]
                    for row in rows(appliance, sql, headers={"Authorization": f"Bearer {key}"})
                    if "Hello" in row["response_body"]
                ]
                for key in keys
            ]

        until(lambda: seen() == [["secret-one"], ["secret-two"]])
        control(appliance, "roll")
        assert seen() == [["secret-one"], ["secret-two"]]
        headers = {"Authorization": f"Bearer {keys[0]}"}
        found = rows(
            appliance, "SELECT count() AS n FROM request_response_rmt"
            " WHERE CASE WHEN user_id = 'secret-two' THEN CAST('x' AS INTEGER) ELSE 1 END = 1",
            headers=headers,
        )  # fmt: skip
        assert found == [{"n": 1}]
        tmp = appliance.data / "tmp"
        assert not [path for path in tmp.rglob("*") if path.is_file()]


def test_a_query_that_takes_too_long_is_ended(house: Appliance) -> None:
    began_s = time.monotonic()
    with house.client(timeout_s=120) as client:  # more patient than the server
        reply = client.call("/v1/helicone-sql/execute", {"sql": ENDLESS})
    assert reply.status == 503
    assert json.loads(reply.body)["error"].startswith("[HQL_QUERY_TIMEOUT]")
    assert time.monotonic() - began_s >= 29


def test_queries_are_counted(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance:
        replies = [hql(appliance, "SELECT 1", "download") for _ in range(11)]
        assert [reply.status for reply in replies] == [200] * 10 + [429]
        assert json.loads(replies[-1].body)["error"].startswith("[HQL_RATE_LIMITED]")
        assert 0 < int(replies[-1].first("retry-after")) <= 60
