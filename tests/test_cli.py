"""Commands: as processes where starting matters, else in this one against a real control socket
or a directory that a stand-in holds open."""

import csv
import json
import os
import resource
import subprocess
import sys
import types
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import trio

from appliance import __version__, cli, exchange
from appliance.commands_export import parse_moment
from appliance.commands_keys import STATE_COMMANDS
from appliance.config import Config
from appliance.config_read import option_paths
from appliance.core.keys import hash_key
from appliance.door.control import serve_control
from appliance.errors import Refusal
from storage.query import QueryFailed
from storage.state import DEFAULT_ORGANIZATION_ID, State
from tests.fakes.patience import soonest

HELP_S_MAX = 0.25
HASH = "ab" * 32
# Where another program than the sources is tested, processes are of it too.
PYTHON_PATHS = {name: os.environ[name] for name in os.environ if name.startswith("PYTHON")}


def process(*arguments: str, environ: dict | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": ""} | PYTHON_PATHS | (environ or {}),
    )


# As processes.


def test_help_is_quick() -> None:
    def show() -> float:
        """Of the processor, which others may hold meanwhile."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    soonest(show, HELP_S_MAX)


def test_help_names_every_command() -> None:
    done = process("--help")
    words = done.stdout.split()
    commands = [
        "serve",
        "query",
        "tail",
        "export",
        "keys",
        "providers",
        "verify",
        "rebuild",
        "version",
    ]
    assert [name for name in commands if name not in words] == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, appliance.cli as c; c.main(['serve', '--help']);"
        "heavy = {'trio', 'duckdb', 'pyarrow', 'rich', 'httptools', 'fastapi', 'hypercorn'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for path in option_paths(Config):
        assert "--" + "-".join(path).replace("_", "-") in done.stdout


def test_version() -> None:
    compiled = not str(exchange.__file__).endswith(".py")
    how = "compiled" if compiled else "plain Python"
    assert process("version").stdout == f"helicone-appliance {__version__} ({how})\n"
    told = json.loads(process("version", "--json").stdout)
    assert (told["version"], told["compiled"]) == (__version__, compiled)


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["serve", "--prot", "1"], {}, "unknown option --prot: did you mean --port?"),
        (["query", "x", "--zzz"], {}, "unknown option --zzz; see helicone-appliance query --help"),
        (["serve", "--port", "x"], {}, 'port = "x": allowed is a whole number from 0 to 65535'),
        (["serve"], {"HELICONE_APPLIANCE_PROT": "1"}, "did you mean HELICONE_APPLIANCE_PORT?"),
        (["providers"], {"HELICONE_APPLIANCE_HTTP2": "?"}, "allowed is true or false"),
        (["qury"], {}, "No such command 'qury'"),
        (["query"], {}, "Missing argument 'SQL'"),
        (["serve", "--nope"], {}, "unknown option --nope; see"),
        (["query", "x", "--format", "xml"], {}, "'xml' is not one of 'table', 'csv'"),
    ],
)
def test_wrong_usage_is_one_line(arguments, environ, said) -> None:
    done = process(*arguments, environ=environ)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_no_arguments_show_help(capsys) -> None:
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


# In this process.


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("HELICONE_APPLIANCE_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


class HeldRoot:
    """A directory held by this process: a DuckDB in memory, a real state."""

    def __init__(self, data_dir: Path, sql: str = "") -> None:
        self.state = State.open(data_dir / "state.sqlite")
        self.duckdb = duckdb.connect()
        self.duckdb.execute(sql or "select 1")
        self.ran: list = []
        self.answer: object = None

    def query(self, sql: str):
        try:
            cursor = self.duckdb.cursor().execute(sql)
        except duckdb.Error as error:
            raise QueryFailed(str(error)) from None
        columns = [(column[0], str(column[1])) for column in cursor.description]
        return types.SimpleNamespace(columns=columns, fetch=cursor.fetchmany, close=cursor.close)

    def run(self, command, arguments, progress):
        self.ran.append((command, arguments))
        progress({"done": 1, "total": 2})
        return self.answer


@pytest.fixture
def held(data_dir, monkeypatch) -> HeldRoot:
    root = HeldRoot(data_dir, REQUESTS)

    @contextmanager
    def open_root(config: Config, region: str, **_: object):
        assert config.data_dir == data_dir
        yield root

    offline = types.ModuleType("appliance.offline")
    offline.open_root = open_root  # type: ignore[attr-defined]
    offline.ServerFound = KeyError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "appliance.offline", offline)
    return root


REQUESTS = """
create view requests as select ('00000000-0000-0000-0000-' || lpad(range::text, 12, '0'))::UUID
  as exchange_id, timestamp '2026-01-01' + to_hours(range::int) as request_created_at,
  (range * 0.1)::DECIMAL(38,12) as cost_usd from range(5000);
create view bodies as select exchange_id, '{"n":1}' as request, E'a\\nb' as response,
  'application/json' as request_type, 'text/plain' as response_type from requests
  where cost_usd <> 0;
"""


def test_query_without_a_server(held, capsys, tmp_path) -> None:
    assert cli.main(["query", "select 1.50::DECIMAL(4,2) as d, 'a' as s", "--json"]) == 0
    assert capsys.readouterr().out == '[\n{"d": 1.50, "s": "a"}\n]\n'
    assert cli.main(["query", "select 1 as n"]) == 0
    assert capsys.readouterr().out == "n\n1\n"
    out = tmp_path / "out.csv"
    assert cli.main(["query", "select 7 as n", "--format", "csv", "--output", str(out)]) == 0
    assert out.read_text() == "n\n7\n"


def test_a_failing_query_goes_to_stderr(held, capsys) -> None:
    assert cli.main(["query", "select nothing"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: Binder Error")
    assert "LINE 1" in said.err


async def in_thread(*arguments: str) -> int:
    return await trio.to_thread.run_sync(cli.main, list(arguments))


async def test_query_through_the_server(nursery, data_dir, capsys) -> None:
    asked = []

    async def query(arguments, reply) -> None:
        asked.append(arguments)
        if "bad" in arguments["sql"]:
            raise Refusal(400, "query_failed", "Parser Error: near \x1b[31mbad")
        await reply.columns([("at", "TIMESTAMP"), ("cost_usd", "DECIMAL(38,12)")])
        await reply.rows([(datetime(2026, 1, 1), 1)] * 3)
        reply.ending["stale_by_ms"] = 40

    await nursery.start(serve_control, data_dir / "control.sock", {"query": query})
    assert await in_thread("query", "select 1", "-f", "ndjson") == 0
    said = capsys.readouterr()
    assert said.out == '{"at": "2026-01-01T00:00:00Z", "cost_usd": 1}\n' * 3
    assert said.err == "note: calls of the last 40 ms may be missing\n"
    assert asked == [{"sql": "select 1", "region": "us"}]
    assert await in_thread("query", "bad", "--region", "eu") == 1
    assert capsys.readouterr().err == "error: Parser Error: near \\x1b[31mbad\n"
    assert asked[1]["region"] == "eu"


async def test_tail(nursery, data_dir, capsys) -> None:
    async def tail(arguments, reply) -> None:
        await reply.columns([
            ("request_created_at", "TIMESTAMP"), ("provider", "VARCHAR"), ("model", "VARCHAR"),
            ("http_status", "INTEGER"), ("outcome", "VARCHAR"), ("prompt_tokens", "BIGINT"),
            ("completion_tokens", "BIGINT"), ("cost_usd", "DECIMAL(38,12)"),
            ("latency_ms", "DOUBLE"), ("usage_source", "VARCHAR"),
        ])  # fmt: skip
        at = datetime(2026, 1, 1, 10, 20, 30)
        good = (at, "OPENAI", "gpt\x1b-4o", 200, "complete", 12, 34, "0.0001234", 56.7, "provider")
        await reply.rows([good])
        await reply.rows([(None, "X", None, None, "cut", None, None, None, None, "none")])
        await reply.rows([(None, "X", "m", -3, "client_gone", 7, 5, "1", 9.0, "estimated")])

    await nursery.start(serve_control, data_dir / "control.sock", {"tail": tail})
    assert await in_thread("tail") == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.split() == (
        [
            "10:20:30",
            "OPENAI",
            "gpt\\x1b-4o",
            "200",
            "complete",
            "12",
            "in",
            "34",
            "out",
            "$0.000123",
            "57",
            "ms",
        ]
    )
    assert second.split() == [
        "--------",
        "X",
        "-",
        "-",
        "cut",
        "?",
        "in",
        "?",
        "out",
        "no",
        "price",
        "-",
    ]
    assert third.split()[5:9] == ["~7", "in", "~5", "out"]
    assert await in_thread("tail", "--json") == 0
    calls = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert calls[0]["cost_usd"] == 0.0001234
    assert calls[1]["model"] is None


def test_tail_without_a_server(data_dir, capsys) -> None:
    assert cli.main(["tail"]) == 1
    assert "no server is running on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 5000),
        (["--since", "2026-01-02"], 4976),
        (["--since", "2026-01-02T00:00:00+01:00", "--until", "2026-01-02T00:00:00Z"], 1),
        (["--until", "2025-01-01"], 0),
    ],
)
def test_export_pages_through_everything(held, tmp_path, arguments, count) -> None:
    out = tmp_path / "out.jsonl"
    assert cli.main(["export", "--output", str(out), *arguments]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    ids = [row["exchange_id"] for row in rows]
    assert len(ids) == len(set(ids)) == count
    assert ids == sorted(ids)


def test_export_with_bodies(held, tmp_path) -> None:
    out = tmp_path / "out.csv"
    arguments = ["--with-bodies", "--format", "csv", "--until", "2026-02-01", "-o", str(out)]
    assert cli.main(["export", *arguments]) == 0
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 744
    assert rows[0]["request"] == ""  # an exchange without bodies keeps its row
    assert rows[1]["request"] == '{"n":1}'
    assert rows[1]["response"] == "a\nb"


def test_export_of_a_wrong_time(held, capsys) -> None:
    assert cli.main(["export", "--since", "yesterday"]) == 2
    assert '"yesterday" is no time' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:00:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("24h", datetime(2025, 12, 31, tzinfo=UTC)),
        ("7d", datetime(2025, 12, 25, tzinfo=UTC)),
    ],
)
def test_moments(text, expected) -> None:
    assert parse_moment(text, datetime(2026, 1, 1, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["", "soon", "d", "0001-01-01T00:00:00+05:00", "99999999d"])
def test_no_moments(text) -> None:
    with pytest.raises(Refusal, match="is no time"):
        parse_moment(text)


@pytest.mark.parametrize("until", ["2026-10-31", ""])
@pytest.mark.parametrize(
    "command", [("export",), ("reprice",), ("reprice", "--dry-run"), ("what-if", "--model", "a=b")]
)
def test_an_end_before_the_beginning(held, capsys, command, until) -> None:
    """An empty answer would be taken for one."""
    since = "2026-11-01" if until else "2999-01-01"
    given = ["--since", since, *(["--until", until] if until else [])]
    assert cli.main([*command, *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'--since "{since}" lies behind --until "{until or "now"}"' in line


def test_keys_from_birth_to_end(held, capsys) -> None:
    assert cli.main(["keys", "create", "first"]) == 0
    key = capsys.readouterr().out
    assert key.startswith("sk-helicone-")
    assert key.count("\n") == 1
    (stored,) = held.state.api_keys()
    assert (stored.name, stored.key_hash) == ("first", hash_key(key.strip()))
    assert cli.main(["keys", "create", "second", "--write-only", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["key"].startswith("pk-helicone-")
    assert made["permission"] == "w"
    assert cli.main(["keys", "list", "--json"]) == 0
    said = capsys.readouterr().out
    assert [row["name"] for row in json.loads(said)] == ["first", "second"]
    assert key.strip() not in said
    assert stored.key_hash not in said
    assert cli.main(["keys", "revoke", key.strip()]) == 0
    assert cli.main(["keys", "revoke", "first"]) == 1
    assert "no key in use" in capsys.readouterr().err
    assert [row.name for row in held.state.api_keys()] == ["second"]


OTHER_ORG = "00000000-0000-4000-8000-0000000000aa"


@pytest.mark.parametrize(
    ("text", "imported", "organization"),
    [
        (f'[{{"api_key_hash": "{HASH}", "api_key_name": "a"}}]', 1, DEFAULT_ORGANIZATION_ID),
        (f'{{"api_key_hash": "{HASH}", "organization_id": "{OTHER_ORG}"}}\n', 1, OTHER_ORG),
        (
            "id,api_key_hash,key_permissions,soft_delete\n"
            f"1,{HASH},w,f\n2,{'cd' * 32},rw,t\n3,{HASH},w,f\n",
            1, DEFAULT_ORGANIZATION_ID,
        ),
        (f"{HASH}\n{'cd' * 32}\n", 2, DEFAULT_ORGANIZATION_ID),
    ],
)  # fmt: skip
def test_keys_import(held, capsys, tmp_path, text, imported, organization) -> None:
    (tmp_path / "keys").write_text(text)
    assert cli.main(["keys", "import", str(tmp_path / "keys"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["imported"] == imported
    stored = next(row for row in held.state.api_keys() if row.key_hash == HASH)
    assert stored.organization_id == organization


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a JSON or CSV file with a column of"),
        ("name,id\na,b\n", "a JSON or CSV file with a column of"),
        ("[1]", "each entry"),
        ("[", "is not valid JSON"),
        ('{"api_key_hash": "xyz"}', "entry 1 has no hash"),
        (f'{{"hash": "{HASH}", "permission": "all"}}', "a permission is rw, r or w"),
        (f'{{"hash": "{HASH}", "organization_id": "x"}}', "is no UUID"),
        ("hash\na\rb\n", "is no CSV that can be read: new-line character"),
    ],
)
def test_keys_import_of_a_bad_file(held, capsys, tmp_path, text, said) -> None:
    (tmp_path / "keys").write_text(text)
    assert cli.main(["keys", "import", str(tmp_path / "keys")]) == 2
    assert said in capsys.readouterr().err
    assert held.state.api_keys() == []


async def test_keys_through_the_server(nursery, data_dir, capsys) -> None:
    state = State.open(data_dir / "state.sqlite")

    async def create(arguments, reply) -> None:
        await reply.value({"progress": {"done": 1, "total": 1}})
        await reply.value(STATE_COMMANDS["keys.create"](state, arguments))

    await nursery.start(serve_control, data_dir / "control.sock", {"keys.create": create})
    assert await in_thread("keys", "create", "live", "--region", "eu") == 0
    assert capsys.readouterr().out.startswith("sk-helicone-eu-")
    assert [row.region for row in state.api_keys()] == ["eu"]
    state.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ([{"check": "journal = rows", "ok": True}], 0),
        ([{"check": "journal = rows", "ok": True}, {"check": "bodies", "ok": False}], 1),
        ({"rows": 5}, 0),
    ],
)
def test_verify_says_by_its_exit_code(held, capsys, answer, code) -> None:
    held.answer = answer
    assert cli.main(["verify", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == answer
    assert cli.main(["verify"]) == code
    assert held.ran == [("verify", {"region": "us"})] * 2


def test_providers(data_dir, capsys, monkeypatch) -> None:
    monkeypatch.setenv("HELICONE_APPLIANCE_PROVIDERS__MINE__BASE_URL", "http://localhost:1/v1")
    assert cli.main(["providers", "--json"]) == 0
    listed = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["mine"]["configured"] is True
    assert listed["mine"]["standing"] == "own"
    openai, jan = listed["openai"], listed["jan"]
    assert (openai["standing"], openai["taken"]) == ("documented", "2026-11-22")
    assert openai["source"] == "https://github.com/openai/openai-python"
    assert (jan["standing"], jan["taken"]) == ("generic", "")
    monkeypatch.setenv("HELICONE_APPLIANCE_PROVIDERS__METRICS__BASE_URL", "http://localhost:1/v1")
    assert cli.main(["providers"]) == 2
    assert "metrics" in capsys.readouterr().err


def test_a_bug_is_not_hidden(held, monkeypatch) -> None:
    monkeypatch.setattr(held, "query", lambda sql: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["query", "select 1"])


def test_serve_hands_over_a_checked_config(data_dir, monkeypatch) -> None:
    ran = []
    module = types.ModuleType("appliance.process")
    module.run = lambda *given: ran.append(given) or 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "appliance.process", module)
    arguments = ["--port", "0", "--http2", "--no-access-log", "--deadlines-first-byte", "15m"]
    assert cli.main(["serve", *arguments]) == 3
    ((config, manager, read_again),) = ran
    assert manager.listener is None
    assert read_again() == config
    assert (config.port, config.http2, config.access_log) == (0, True, False)
    assert config.deadlines.first_byte_s == 900.0
    assert config.sources["deadlines.first_byte"] == "--deadlines-first-byte"
