"""Configuration: precedence, unknown names, limits, and what follows from them, as tables."""

from dataclasses import FrozenInstanceError, fields
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from appliance import config_limits
from appliance.config import (
    Config,
    ConfigError,
    Deadlines,
    MemoryTable,
    is_loopback,
    load_config,
    split_memory,
)
from appliance.config_kinds import Words, duration, host_pattern, listing, size
from appliance.config_options import Option, options_of
from appliance.config_read import option_paths

MIB = 1 << 20
E = "HELICONE_APPLIANCE_"


def load(tmp_path: Path, toml: str = "", env: dict | None = None, **flags: str) -> Config:
    environ = {E + "DATA_DIR": str(tmp_path / "data")} | (env or {})
    if toml:
        (tmp_path / "c.toml").write_text(toml)
        environ[E + "CONFIG"] = str(tmp_path / "c.toml")
    return load_config({name.replace("__", "."): value for name, value in flags.items()}, environ)


def complaint(tmp_path: Path, toml: str = "", env: dict | None = None, **flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, env, **flags)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(tmp_path), "TMP")


@pytest.mark.parametrize(
    ("toml", "env", "flags", "port", "source"),
    [
        ("", {}, {}, 8585, None),
        ("port = 1", {}, {}, 1, "c.toml"),
        ("port = 1", {E + "PORT": "2"}, {}, 2, E + "PORT"),
        ("port = 1", {E + "PORT": "2"}, {"port": "3"}, 3, "--port"),
        ("", {E + "PORT": "2"}, {"port": "0"}, 0, "--port"),
    ],
)
def test_precedence(tmp_path, toml, env, flags, port, source) -> None:
    config = load(tmp_path, toml, env, **flags)
    assert config.port == port
    assert config.sources.get("port", "").split("/")[-1] == (source or "")


@pytest.mark.parametrize(
    ("toml", "env", "flags", "expected"),
    [
        ("prot = 1", {}, {}, 'unknown option "prot" in TMP/c.toml: did you mean port?'),
        ("[deadlines]\nconect = 1", {}, {},
         'unknown option "deadlines.conect" in TMP/c.toml: did you mean connect?'),
        ("[providers.x]\nbase_uri = 'a'", {}, {},
         'unknown option "providers.x.base_uri" in TMP/c.toml: did you mean base_url?'),
        ("zzzzzz = 1", {}, {}, 'unknown option "zzzzzz" in TMP/c.toml'),
        ("config = 'x'", {}, {}, 'unknown option "config" in TMP/c.toml'),
        ("", {E + "PROT": "1"}, {},
         f"unknown option {E}PROT in the environment: did you mean {E}PORT?"),
        ("", {E + "DEADLINES__CONECT": "1"}, {},
         f"unknown option {E}DEADLINES__CONECT in the environment: "
         f"did you mean {E}DEADLINES__CONNECT?"),
        ("", {E + "PRICES": "[]"}, {},
         f"{E}PRICES: a list of tables is given in the file, [[prices]]"),
    ],
)  # fmt: skip
def test_unknown_names(tmp_path, toml, env, flags, expected) -> None:
    assert complaint(tmp_path, toml, env, **flags) == expected


@pytest.mark.parametrize(
    ("toml", "env", "flags", "parts"),
    [
        ("port = 70000", {}, {}, ["port = 70000", "from 0 to 65535", "TMP/c.toml"]),
        ("port = '80'", {}, {}, ['port = "80"', "a whole number"]),
        ("port = true", {}, {}, ["port = True"]),
        ("port = 80.5", {}, {}, ["port = 80.5"]),
        ("", {E + "PORT": "eight"}, {}, ['port = "eight"', f"from {E}PORT"]),
        ("", {E + "PORT": ""}, {}, ['port = ""']),
        ("", {}, {"port": "-1"}, ['port = "-1"', "from --port"]),
        ("http2 = 'yes'", {}, {}, ["http2", "true or false"]),
        ("access = 'none'", {}, {}, ["one of open, keys"]),
        ("body_bytes_max = '12 apples'", {}, {}, ["a size from 1 KiB to 4 GiB"]),
        ("body_bytes_max = 10", {}, {}, ["body_bytes_max = 10"]),
        ("memory_bytes_max = '64MiB'", {}, {}, ["from 256 MiB"]),
        ("[deadlines]\nconnect = 'soon'", {}, {}, ['deadlines.connect = "soon"', "a duration"]),
        ("", {}, {"deadlines__connect": "0"}, ["from --deadlines-connect"]),
        ("deadlines = 3", {}, {}, ["deadlines = 3", "a table"]),
        ("[providers]\nx = 1", {}, {}, ["providers.x = 1", "a table"]),
        ("[providers.'a b']\nname = 'x'", {}, {}, ["providers.a b", "a name is letters"]),
        ("[providers.x]\nbase_url = 'ftp://x'", {}, {}, ["providers.x.base_url", "absolute URL"]),
        ("prices = 1", {}, {}, ["[[prices]]"]),
        ("[[prices]]\ninput = 1", {}, {}, ["prices[1]", "model"]),
        ("[[prices]]\nmodel = 'm'\ninputs = 1", {}, {}, ["prices[1]", "inputs"]),
        ("[[providers.x.prices]]\nmodel = 'm'\ninput = -1", {}, {},
         ["providers.x.prices[1]", "input"]),
        ("[smtp]\nport = 25", {}, {}, ["smtp.host is missing"]),
        ("[routers.a]", {}, {}, ["routers.a.targets is missing", "[[routers.a.targets]]"]),
        ("[routers.a]\nstrategy = 'fast'", {}, {},
         ["routers.a.strategy", "one of weighted, latency, cost"]),
        ("[routers.a]\ntargets = 3", {}, {}, ["routers.a", "[[targets]]"]),
        ("[[routers.a.targets]]\nprovider = 'openai'\nweights = 3", {}, {},
         ['unknown option "routers.a.targets[1].weights"', "did you mean weight?"]),
        ("trusted_proxies = ['nowhere']", {}, {}, ["an address or network"]),
        ("allow_targets = ['http://x']", {}, {}, ["without a scheme"]),
        ("allow_origins = ['https://x/path']", {}, {}, ["an origin such as"]),
        ("tls_cert = 'a.pem'", {}, {}, ["tls_cert is given without tls_key"]),
        ("tls_key = 'a.pem'", {}, {}, ["tls_key is given without tls_cert"]),
        ("backlog_bytes_max = '1GiB'", {}, {}, ["at most a quarter"]),
        ("body_bytes_max = '1MiB'", {}, {}, ["record_bytes_max = 32 MiB", "body_bytes_max"]),
        ("port = ", {}, {}, ["TMP/c.toml is not valid TOML"]),
        ("", {E + "CONFIG": "/nowhere.toml"}, {}, ["config /nowhere.toml cannot be read: No such"]),
        ("", {E + "ADMIN_KEY_FILE": "/nowhere"}, {}, [f"{E}ADMIN_KEY_FILE", "No such file"]),
    ],
)  # fmt: skip
def test_wrong_values(tmp_path, toml, env, flags, parts) -> None:
    said = complaint(tmp_path, toml, env, **flags)
    assert [part for part in parts if part not in said] == [], said


def test_secrets_are_never_repeated(tmp_path) -> None:
    said = complaint(tmp_path, env={E + "MASTER_KEY": "too-short"})
    assert "too-short" not in said
    assert "master_key = ***" in said
    assert "a-long-enough-key" not in repr(load(tmp_path, master_key="a-long-enough-key"))


def test_value_from_a_file(tmp_path) -> None:
    (tmp_path / "key").write_text("a-long-enough-key\n")
    config = load(tmp_path, env={E + "MASTER_KEY_FILE": str(tmp_path / "key")})
    assert config.master_key == "a-long-enough-key"
    both = {E + "MASTER_KEY_FILE": str(tmp_path / "key"), E + "MASTER_KEY": "another-long-key"}
    assert "are both set" in complaint(tmp_path, env=both)


def test_an_option_that_ends_in_file_is_itself(tmp_path) -> None:
    config = load(tmp_path, env={E + "READY_FILE": "/x/ready"})
    assert config.ready_file == Path("/x/ready")


def test_bootstrap_key(tmp_path) -> None:
    key = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
    assert load(tmp_path, env={E + "BOOTSTRAP_KEY": key}).bootstrap_key == key
    assert "***" in complaint(tmp_path, env={E + "BOOTSTRAP_KEY": "Bearer x"})


TABLES = """
http2 = true
allow_targets = ["localhost:11434", "*.Corp.example", "10.0.0.0/8", "[::1]:80", "::1"]
[deadlines]
first_byte = "15m"
gap = 0.5
[providers.ollama]
base_url = "http://localhost:11434/v1/"
auth = "none"
[providers.ollama.deadlines]
first_byte = "1h"
[[providers.ollama.prices]]
model = "*"
input = 0.1
[[prices]]
provider = "openai"
model = "gpt-4o*"
input = 0.123456789012345678
from = 2026-01-01
until = 2026-02-01T00:00:00+02:00
[routers.main]
strategy = "latency"
open = "2s"
[[routers.main.targets]]
provider = "openai"
models = { fast = "gpt-4o-mini" }
[smtp]
host = "mail.example"
[otlp]
endpoint = "https://otel.example/v1/traces"
headers = { authorization = "x" }
"""


def test_tables(tmp_path) -> None:
    config = load(tmp_path, TABLES, {E + "PROVIDERS__OLLAMA__NAME": "OLLAMA"}, deadlines__gap="9s")
    assert config.http2 is True
    assert config.allow_targets == (
        "localhost:11434", "*.corp.example", "10.0.0.0/8", "[::1]:80", "::1",
    )  # fmt: skip
    assert config.deadlines == Deadlines(first_byte_s=900.0, gap_s=9.0)
    ollama = config.providers["ollama"]
    assert (ollama.base_url, ollama.auth, ollama.name) == (
        "http://localhost:11434/v1", "none", "OLLAMA",
    )  # fmt: skip
    assert ollama.prices == ({"model": "*", "input": Decimal("0.1")},)
    assert config.deadlines_of("ollama") == Deadlines(first_byte_s=3600.0, gap_s=9.0)
    assert config.deadlines_of("openai") is config.deadlines
    assert config.prices[0]["input"] == Decimal("0.123456789012345678")
    assert config.prices[0]["from"] == date(2026, 1, 1)
    main = config.routers["main"]
    assert (main.strategy, main.open_s, main.window_s) == ("latency", 2.0, 60.0)
    assert main.targets == ({"provider": "openai", "models": {"fast": "gpt-4o-mini"}},)
    assert config.smtp is not None
    assert config.smtp.port == 587
    assert config.otlp is not None
    assert config.otlp.headers == {"authorization": "x"}


@pytest.mark.parametrize(
    ("host", "access", "expected", "warned"),
    [
        ("127.0.0.1", None, "open", False),
        ("127.9.9.9", None, "open", False),
        ("::1", None, "open", False),
        ("localhost", None, "open", False),
        ("0.0.0.0", None, "keys", False),
        ("::", None, "keys", False),
        ("example.com", None, "keys", False),
        ("127.0.0.1", "keys", "keys", False),
        ("0.0.0.0", "open", "open", True),
    ],
)
def test_access(tmp_path, host, access, expected, warned) -> None:
    flags = {"host": host} | ({"access": access} if access else {})
    config = load(tmp_path, **flags)
    assert config.access == expected
    assert bool(config.warnings) is warned
    assert is_loopback(host) == (host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))


def test_direct_construction_fills_in_what_is_open(tmp_path) -> None:
    config = Config(data_dir=tmp_path, port=0)
    assert config.access == "open"
    assert config.root("") == tmp_path
    assert config.root("eu") == tmp_path / "eu"
    assert config.connections_max >= 16
    with pytest.raises(FrozenInstanceError):
        config.port = 1  # type: ignore[misc]
    with pytest.raises(ConfigError, match="give each its own"):
        Config(data_dir=tmp_path, eu_data_dir=tmp_path)


@pytest.mark.parametrize("total", [256 * MIB, 512 * MIB, 1024 * MIB, 8192 * MIB])
def test_memory_shares_fit(total) -> None:
    table = split_memory(total, min(64 * MIB, total // 8))
    shares = [getattr(table, item.name) for item in fields(MemoryTable) if item.name != "total"]
    assert sum(shares) <= total
    assert min(shares) > 0
    assert table.no_bodies_from == total * 9 // 10


@pytest.mark.parametrize("regions", [1, 2])
def test_the_share_of_rate_limits_bounds_their_buckets(tmp_path, regions) -> None:
    from appliance.actors.rate_limiter import BUCKET_BYTES, BUCKETS_MAX
    from appliance.assembly import region_options

    given = {"eu_data_dir": tmp_path / "eu"} if regions == 2 else {}
    sources = dict.fromkeys(given, "a test")
    few = Config(data_dir=tmp_path, memory_bytes_max=256 * MIB, sources=sources, **given)
    found = region_options(few, "us").buckets_max
    assert 0 < found * regions * BUCKET_BYTES <= few.memory.rate_limits
    many = Config(data_dir=tmp_path, memory_bytes_max=64 * 1024 * MIB, sources=sources, **given)
    most = min(BUCKETS_MAX, many.memory.rate_limits // regions // BUCKET_BYTES)
    assert region_options(many, "us").buckets_max == most > BUCKETS_MAX // 2


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/a/b\n", {"memory.max": "max", "a/memory.max": "512", "a/b/memory.max": "max"}, 512),
        ("0::/a\n", {"memory.max": "100", "a/memory.max": "200"}, 100),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("4:cpu:/x\n5:memory:/x\n", {"memory/x/memory.limit_in_bytes": "300\n"}, 300),
        ("5:memory:/x\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("5:memory:/../../x\n", {"memory/x/memory.limit_in_bytes": "7"}, 7),
        ("nonsense\n", {}, None),
    ],
)
def test_cgroup_limit(tmp_path, lines, files, expected) -> None:
    (tmp_path / "cgroup").write_text(lines)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    found = config_limits.cgroup_memory_limit(tmp_path / "cgroup", tmp_path / "fs")
    assert found == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, 1024 * MIB), (4096 * MIB, 1024 * MIB), (1024 * MIB, 512 * MIB), (9, 256 * MIB)],
)
def test_memory_default_follows_the_cgroup(monkeypatch, tmp_path, limit, expected) -> None:
    monkeypatch.setattr("appliance.config.cgroup_memory_limit", lambda: limit)
    config = Config(data_dir=tmp_path)
    assert config.memory_bytes_max == config.memory.total == expected


@pytest.mark.parametrize(("files", "expected"), [(300, 22), (65_536, 16_384), (4096, 1920)])
def test_connections_follow_the_file_limit(monkeypatch, tmp_path, files, expected) -> None:
    monkeypatch.setattr("appliance.config.file_limit", lambda: files)
    assert Config(data_dir=tmp_path).connections_max == expected


def test_raise_file_limit(monkeypatch) -> None:
    wished = []
    limits = (100, 4000)
    monkeypatch.setattr(config_limits.resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(config_limits.resource, "setrlimit", lambda _, pair: wished.append(pair))
    assert config_limits.raise_file_limit() == 4000
    assert wished == [(4000, 4000)]


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        (size(0, 1 << 50), "64MiB", 64 * MIB),
        (size(0, 1 << 50), "1.5 GiB", 1536 * MIB),
        (size(0, 1 << 50), "2MB", 2_000_000),
        (size(0, 1 << 50), 77, 77),
        (duration(0, 1e6), "15m", 900.0),
        (duration(0, 1e6), "250ms", 0.25),
        (duration(0, 1e6), Decimal("1.5"), 1.5),
        (listing(host_pattern()), Words("a.example, b:1 ,"), ("a.example", "b:1")),
        (listing(host_pattern()), Words(""), ()),
    ],
)
def test_quantities_and_lists(kind, raw, expected) -> None:
    assert kind.parse(raw) == expected


def test_every_default_is_allowed_and_documented() -> None:
    def check(table: type) -> None:
        for name, (attribute, option) in options_of(table).items():
            assert option.doc, name
            assert isinstance(option, Option)
            default = getattr(table(), attribute) if table in (Config, Deadlines) else None
            if option.shape == "value" and isinstance(default, int | float) and default:
                assert option.kind.parse(default if not isinstance(default, float)
                                         else Decimal(str(default))) == default  # fmt: skip
            if option.table is not None:
                check(option.table)

    check(Config)
    assert ("deadlines", "first_byte") in set(option_paths(Config))


def test_the_readme_shows_a_configuration_that_works(tmp_path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    example = readme.split("```toml\n")[1].split("```")[0]
    config = load(tmp_path, example)
    assert config.retention_days == 30
    assert config.providers["ollama"].base_url == "http://localhost:11434/v1"
    assert len(config.prices) == 1
