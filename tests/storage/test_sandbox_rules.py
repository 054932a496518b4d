"""What user SQL may be: every line of it is refused with a word, or runs."""

import duckdb
import pytest

from storage.sandbox_dialect import MACROS, macro_statements, rewrite
from storage.sandbox_functions import ALLOWED, ALLOWED_TABLES
from storage.sandbox_rules import Asked, SqlRefused, check

TABLES = frozenset(("t", "bodies"))


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        "CREATE TABLE t AS SELECT 7 AS a, 'model-1' AS model, 'asked-1' AS asked,"
        " MAP {'k': 'v'} AS properties, TIMESTAMP '2026-01-07 13:44:55' AS made,"
        ' \'{"x": {"y": 3}, "s": "text"}\' AS request_body'
    )
    connection.execute("CREATE TABLE bodies AS SELECT 1 AS request")
    return connection


def checked(database: duckdb.DuckDBPyConnection, sql: str) -> Asked:
    return check(
        database, rewrite(sql), tables=TABLES, macros=MACROS,
        body_columns=frozenset(("request_body",)),
    )  # fmt: skip


def asked(database: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    found = checked(database, sql)
    for statement in macro_statements(found.functions):
        database.execute(statement.replace("CREATE MACRO", "CREATE OR REPLACE MACRO"))
    return database.execute(found.sql).fetchall()


@pytest.mark.parametrize(
    ("sql", "code", "words"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "INVALID_TABLE", "read_csv"),
        ("SELECT * FROM read_text('/etc/passwd')", "INVALID_TABLE", "read_text"),
        ("SELECT * FROM 'file.parquet'", "INVALID_TABLE", "file.parquet"),
        ("SELECT * FROM glob('/*')", "INVALID_TABLE", "glob"),
        ("SELECT * FROM t, read_blob('/etc/passwd')", "INVALID_TABLE", "read_blob"),
        ("SELECT * FROM t WHERE 1 IN (FROM read_json('/x'))", "INVALID_TABLE", "read_json"),
        ("SELECT (SELECT content FROM read_text('/etc/passwd'))", "INVALID_TABLE", "read_text"),
        ("SELECT * FROM query('SELECT 1')", "INVALID_TABLE", "query"),
        ("SELECT * FROM query_table('t')", "INVALID_TABLE", "query_table"),
        ("SELECT * FROM duckdb_settings()", "INVALID_TABLE", "duckdb_settings"),
        ("SELECT * FROM duckdb_tables", "INVALID_TABLE", "duckdb_tables"),
        ("SELECT * FROM sqlite_master", "INVALID_TABLE", "sqlite_master"),
        ("SELECT * FROM information_schema.tables", "INVALID_TABLE", "information_schema"),
        ("SELECT * FROM store.hot_requests", "INVALID_TABLE", "store.hot_requests"),
        ("SELECT * FROM memory.main.t", "INVALID_TABLE", "memory.main.t"),
        ("COPY (SELECT 1) TO '/tmp/x'", "INVALID_STATEMENT", "only SELECT"),
        ("ATTACH '/tmp/x.db'", "INVALID_STATEMENT", "only SELECT"),
        ("INSTALL httpfs", "INVALID_STATEMENT", "only SELECT"),
        ("LOAD httpfs", "INVALID_STATEMENT", "only SELECT"),
        ("PRAGMA version", "INVALID_STATEMENT", "only SELECT"),
        ("SET threads = 8", "INVALID_STATEMENT", "only SELECT"),
        ("CALL pragma_version()", "INVALID_STATEMENT", "only SELECT"),
        ("EXPLAIN ANALYZE SELECT 1", "INVALID_STATEMENT", "only SELECT"),
        ("DROP TABLE t", "INVALID_STATEMENT", "only SELECT"),
        ("SELECT 1; DROP TABLE t", "", ""),
        ("SELECT 1; SELECT 2", "INVALID_STATEMENT", "found 2"),
        ("", "INVALID_STATEMENT", "found 0"),
        ("-- nothing", "INVALID_STATEMENT", "found 0"),
        ("DESCRIBE t", "INVALID_STATEMENT", "DESCRIBE"),
        ("SUMMARIZE t", "INVALID_STATEMENT", "SUMMARIZE"),
        ("SHOW TABLES", "INVALID_STATEMENT", "SHOW"),
        ("SELECT getenv('HOME')", "INVALID_STATEMENT", "getenv"),
        ("SELECT getvariable('x')", "INVALID_STATEMENT", "getvariable"),
        ("SELECT current_setting('memory_limit')", "INVALID_STATEMENT", "current_setting"),
        ("SELECT json_serialize_plan('SELECT 1')", "INVALID_STATEMENT", "json_serialize_plan"),
        ("SELECT error(model) FROM t", "INVALID_STATEMENT", "error"),
        ("SELECT sleep_ms(1000)", "INVALID_STATEMENT", "sleep_ms"),
        ("SELECT pg_sleep(10)", "INVALID_STATEMENT", "pg_sleep"),
        ("SELECT nextval('s')", "INVALID_STATEMENT", "nextval"),
        ("SELECT write_log('x')", "INVALID_STATEMENT", "write_log"),
        ("SELECT main.upper('x')", "INVALID_STATEMENT", "main.upper"),
        ("SELECT sum(getenv('HOME')) OVER ()", "INVALID_STATEMENT", "getenv"),
        ("SELECT a FROM t ORDER BY getenv('HOME')", "INVALID_STATEMENT", "getenv"),
        ("SELECT a FROM t LIMIT getvariable('n')", "INVALID_STATEMENT", "getvariable"),
        ("SELECT $1", "INVALID_STATEMENT", "parameters"),
        ("SELECT ?", "INVALID_STATEMENT", "parameters"),
        ('WITH "x.parquet" AS (SELECT 1) SELECT * FROM "x.parquet"', "INVALID_STATEMENT", "WITH"),
        (
            "(WITH duckdb_views AS (SELECT 1) SELECT 1) UNION SELECT 1 FROM duckdb_views",
            "INVALID_STATEMENT", "WITH",
        ),
        ("SELECT a FROM t WHERE", "SYNTAX_ERROR", "syntax error"),
        ("SELECT '\0'", "SYNTAX_ERROR", "NUL"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "", ""),
        ("SELECT " + "1," * 60_000 + "1", "INVALID_STATEMENT", "longer than"),
        ("SELECT * FROM t AT (VERSION => 1)", "INVALID_STATEMENT", "AT"),
    ],
)  # fmt: skip
def test_refused(database: duckdb.DuckDBPyConnection, sql: str, code: str, words: str) -> None:
    with pytest.raises(SqlRefused) as refused:
        checked(database, sql)
    assert refused.value.code == code or not code
    assert words in refused.value.details


def test_a_name_of_a_part_counts_as_a_table(database: duckdb.DuckDBPyConnection) -> None:
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) FROM n"
    assert len(asked(database, sql)) == 4


@pytest.mark.parametrize(
    ("sql", "bodies"),
    [
        ("SELECT * FROM t", True),
        ("FROM t", True),
        ("SELECT COLUMNS('a') FROM t", True),
        ("SELECT x.* FROM t AS x JOIN t AS y USING (a)", True),
        ("SELECT a FROM t WHERE request_body LIKE '%x%'", True),
        ("WITH p AS (SELECT request_body AS b FROM t) SELECT b FROM p", True),
        ("SELECT 1 FROM bodies", True),
        ("SELECT count(*), count() FROM t", False),
        ("SELECT * FROM (SELECT a FROM t)", False),
        ("SELECT a * 2 FROM t", False),
    ],
)
def test_bodies_are_joined_only_where_they_are_read(
    database: duckdb.DuckDBPyConnection, sql: str, bodies: bool
) -> None:
    assert checked(database, sql).bodies is bodies


def test_a_limit_of_ones_own_is_seen(database: duckdb.DuckDBPyConnection) -> None:
    assert checked(database, "SELECT a FROM t LIMIT 3").is_limited
    assert checked(database, "SELECT a FROM t UNION SELECT 1 LIMIT 3").is_limited
    assert not checked(database, "SELECT a FROM (SELECT a FROM t LIMIT 3)").is_limited


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SELECT toStartOfHour(made)::VARCHAR FROM t", "2026-01-07 13:00:00"),
        ("SELECT toStartOfDay(made)::VARCHAR FROM t", "2026-01-07 00:00:00"),
        ("SELECT toStartOfFifteenMinutes(made)::VARCHAR FROM t", "2026-01-07 13:30:00"),
        # A Wednesday: the week began on Sunday, or with mode 1 on Monday.
        ("SELECT toStartOfWeek(made)::VARCHAR FROM t", "2026-01-04"),
        ("SELECT toStartOfWeek(made, 1)::VARCHAR FROM t", "2026-01-05"),
        ("SELECT toStartOfWeek(toDate('2026-01-04'))::VARCHAR", "2026-01-04"),
        ("SELECT toStartOfMonth(made)::VARCHAR FROM t", "2026-01-01"),
        ("SELECT toStartOfInterval(made, INTERVAL 6 HOUR)::VARCHAR FROM t", "2026-01-07 12:00:00"),
        ("SELECT toDate(made) = '2026-01-07' FROM t", True),
        ("SELECT made > toDateTime64('2026-01-07 13:00:00', 3) FROM t", True),
        ("SELECT made > now() - INTERVAL 7 DAY OR made < now() FROM t", True),
        ("SELECT dateDiff('hour', made, made + INTERVAL 3 HOUR) FROM t", 3),
        ("SELECT formatDateTime(made, '%Y-%m-%d %H:%i') FROM t", "2026-01-07 13:44"),
        ("SELECT toYYYYMM(made) FROM t", 202601),
        ("SELECT toUnixTimestamp(toDateTime('1970-01-02 00:00:00'))", 86400),
        ("SELECT COUNT() FROM t", 1),
        ("SELECT countIf(a > 5) FROM t", 1),
        ("SELECT sumIf(a, a > 5) FROM t", 7),
        ("SELECT avgIf(a, a > 9) FROM t", None),
        ("SELECT uniq(model) FROM t", 1),
        ("SELECT uniqExact(model, a) FROM t", 1),
        ("SELECT any(model) FROM t", "model-1"),
        ("SELECT 7 = ANY (SELECT a FROM t)", True),
        ("SELECT quantile(0.95)(a) FROM t", 7.0),
        ("SELECT quantiles(0.5, 0.9)(a) FROM t", [7.0, 7.0]),
        ("SELECT quantileExact( 0.5 ) (a + (1)) FROM t", 8),
        ("SELECT groupArray(a) FROM t", [7]),
        ("SELECT has(properties, 'k') FROM t", True),
        ("SELECT has([1, 2], 3)", False),
        ("SELECT mapContains(properties, 'z') FROM t", False),
        ("SELECT properties['k'] FROM t", "v"),
        ("SELECT properties['z'] FROM t", None),
        ("SELECT `model` FROM `t`", "model-1"),
        ("SELECT multiIf(a > 9, 'x', a > 5, 'y', 'z') FROM t", "y"),
        ("SELECT if(a > 9, 'x', 'y') FROM t", "y"),
        ("SELECT JSONExtractString(request_body, 's') FROM t", "text"),
        ("SELECT JSONExtractInt(request_body, 'x', 'y') FROM t", 3),
        ("SELECT toFloat64OrZero('no')", 0.0),
        ("SELECT empty(''), notEmpty('x')", True),
        ("SELECT 'quantile(0.5)(x) any(' AS text; ", "quantile(0.5)(x) any("),
        ("SELECT a -- any(x)\n FROM t /* ; */;", 7),
    ],
)
def test_clickhouses_spellings(
    database: duckdb.DuckDBPyConnection, sql: str, value: object
) -> None:
    assert asked(database, sql)[0][0] == value


def test_every_macro_can_be_made(database: duckdb.DuckDBPyConnection) -> None:
    for statement in macro_statements(MACROS):
        database.execute(statement.replace("CREATE MACRO", "CREATE OR REPLACE MACRO"))
    made = database.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'macro'"
    ).fetchall()
    wanted = {statement.split("MACRO ")[1].split("(")[0] for statement in macro_statements(MACROS)}
    assert {name.lower() for name in wanted} <= {name.lower() for (name,) in made}


def test_a_name_in_group_by_is_the_expressions(database: duckdb.DuckDBPyConnection) -> None:
    """As in ClickHouse, also where a column has the same name."""
    assert asked(database, "SELECT 'ü', asked AS model, count() FROM t GROUP BY model, 1") == [
        ("ü", "asked-1", 1)
    ]
    assert asked(database, "SELECT model, count() AS n FROM t GROUP BY model") == [("model-1", 1)]


def test_allowed_functions_are_ones_that_there_are(database: duckdb.DuckDBPyConnection) -> None:
    rows = database.execute("SELECT DISTINCT function_name, function_type FROM duckdb_functions()")
    kinds: dict[str, set[str]] = {}
    for name, kind in rows.fetchall():
        kinds.setdefault(name.lower(), set()).add(kind)
    assert not ALLOWED - kinds.keys()
    assert not [name for name in ALLOWED if "pragma" in kinds[name]]
    as_tables = {name for name in ALLOWED if "table" in kinds[name]}
    assert as_tables <= ALLOWED_TABLES | {"histogram", "repeat"}
    for word in ("read_", "env", "setting", "variable", "query", "sleep", "log_", "plan", "glob"):
        assert not [name for name in ALLOWED | ALLOWED_TABLES if word in name], word
