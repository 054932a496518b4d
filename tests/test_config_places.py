"""Every option in every place that it may be given in: file, flag, environment, `…_FILE`; and what
is said when its value is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.config import Config, ConfigError, load_config
from appliance.config_read import Steps, find_option, option_paths

E = "HELICONE_APPLIANCE_"
KEY = "sk-helicone-" + "-".join(["a" * 7] * 4)
# A value for each, as it is written outside a file; lists with commas, tables with `=`.
VALUES = {
    "host": "127.0.0.2", "port": "9001", "data_dir": "/tmp/a", "eu_data_dir": "/tmp/b",
    "ready_file": "/tmp/ready", "access": "keys", "bootstrap_key": KEY,
    "admin_key": "an-administrator", "stripe_webhook_secret": "whsec_0123456789",
    "stripe_product_id": "prod_credits", "platform_org": "00000000-0000-4000-8000-000000000007",
    "allow_targets": "*.example.com,10.0.0.0/8", "allow_hosts": "proxy.example.com",
    "allow_origins": "https://app.example.com", "trusted_proxies": "10.1.0.0/16",
    "webhook_allow": "10.3.0.0/16", "time_zone": "Europe/Berlin",
    "metrics_allow": "10.2.0.0/16,192.0.2.7", "public_url": "https://llm.example.com",
    "tls_cert": "/tmp/c.pem", "tls_key": "/tmp/k.pem", "http2": "true",
    "worker_type": "GATEWAY_API", "memory_bytes_max": "512MiB", "connections_max": "64",
    "backlog_bytes_max": "2MiB", "body_bytes_max": "64MiB", "record_bytes_max": "2MiB",
    "message_bytes_max": "2MiB", "intake_bytes_max": "1MiB",
    "cache_disk_bytes_max": "32MiB", "cache_coalesce": "true",
    "durability": "strict", "retention_days": "7", "retention_bytes": "1GiB",
    "retention_datasets": "false",
    "master_key": "correct horse battery staple", "guard_fail": "closed", "stream_usage": "ask",
    "budget_mode": "strict",
    "record": "/tmp/cassettes", "replay": "/tmp/cassettes", "replay_timing": "true",
    "faults": "true", "cassette_scrub": "x-tenant,session",
    "drain_s": "3s", "grace_s": "4s", "log_level": "warning", "log_format": "json",
    "access_log": "true", "deadlines.connect": "2s", "deadlines.first_byte": "3m",
    "deadlines.gap": "4s", "deadlines.total": "2h", "deadlines.client_write": "6s",
    "deadlines.client_head": "7s", "deadlines.client_body": "8s", "deadlines.client_idle": "9s",
    "guard_model.provider": "groq", "guard_model.model": "guard", "guard_model.deadline": "2s",
    "smtp.host": "mail.example.com", "smtp.port": "25", "smtp.security": "tls",
    "smtp.username": "joe", "smtp.password": "secret", "smtp.sender": "joe@example.com",
    "otlp.endpoint": "http://127.0.0.1:4318", "otlp.headers": "x-team=blue",
    "otlp.bodies": "true", "otlp.eu": "true",
    "providers.mine.base_url": "http://localhost:11434/v1", "providers.mine.auth": "bearer",
    "providers.mine.api_key_env": "MY_KEY", "providers.mine.dialect": "openai",
    "providers.mine.name": "MINE", "providers.mine.hosts": "llm.example.com",
    "providers.mine.ca_file": "/tmp/ca.pem", "providers.mine.client_cert": "/tmp/cc.pem",
    "providers.mine.token_url": "https://tokens.test/token",
    "providers.mine.deadlines.gap": "5s",
}  # fmt: skip
# What has to stand beside it.
BESIDE = {
    "replay_timing": {"replay": "/tmp/cassettes"},
    "tls_cert": {"tls_key": "/tmp/k.pem"},
    "tls_key": {"tls_cert": "/tmp/c.pem"},
    **{f"smtp.{n}": {"smtp.host": "h"} for n in ("port", "security", "username", "password",
                                                 "sender")},
    "guard_model.provider": {"guard_model.model": "m"},
    "guard_model.model": {"guard_model.provider": "openai"},
    "guard_model.deadline": {"guard_model.provider": "openai", "guard_model.model": "m"},
    **{f"otlp.{n}": {"otlp.endpoint": "http://127.0.0.1:4318"} for n in ("headers", "bodies",
                                                                        "eu")},
}  # fmt: skip
# Any text will do for these; or the text is a name whose file is looked for later.
FREE = {"record", "replay", "ready_file", "data_dir", "eu_data_dir", "tls_cert", "tls_key",
        "smtp.username", "smtp.password", "providers.mine.ca_file",
        "providers.mine.client_cert"}  # fmt: skip

# Of one start alone: what lies in a file would hold for the next one too.
NOT_IN_FILE = {"record", "replay", "replay_timing", "faults"}


def steps_of(name: str) -> Steps:
    return tuple(name.split("."))


def value_at(config: Config, name: str) -> Any:
    """The attribute that holds an option; durations have theirs with the unit."""
    found: Any = config
    for step in steps_of(name):
        if isinstance(found, Config) or not hasattr(found, "get"):
            found = getattr(found, step, None) if hasattr(found, step) else getattr(
                found, f"{step}_s"
            )  # fmt: skip
        else:
            found = found[step] if step in found else found[f"{step}_s"]
    return found


def toml_of(values: dict[str, str]) -> str:
    lines = []
    for name, value in values.items():
        option = find_option(Config, steps_of(name))
        assert option is not None
        metavar = option.kind.metavar
        if metavar.endswith(",…"):
            pairs = [item.partition("=") for item in value.split(",")]
            words = [f'{key} = "{given}"' if mark else f'"{key}"' for key, mark, given in pairs]
            shown = "{" + ", ".join(words) + "}" if "=" in metavar else f"[{', '.join(words)}]"
        elif metavar == "true|false" or value.isdecimal():
            shown = value
        else:
            shown = f'"{value}"'
        lines.append(f"{name} = {shown}")
    return "\n".join(lines) + "\n"


def variable(name: str) -> str:
    return E + "__".join(steps_of(name)).upper()


def load(tmp_path: Path, place: str, values: dict[str, str]) -> Config:
    environ = {} if "data_dir" in values else {E + "DATA_DIR": str(tmp_path / "data")}
    flags: dict[str, str] = {}
    if place == "file":
        (tmp_path / "options.toml").write_text(toml_of(values))
        flags["config"] = str(tmp_path / "options.toml")
    elif place == "flag":
        flags = dict(values)
    elif place == "environment":
        environ |= {variable(name): value for name, value in values.items()}
    else:
        for name, value in values.items():
            path = tmp_path / name
            path.write_text(value + "\n")
            environ[variable(name) + "_FILE"] = str(path)
    return load_config(flags, environ)


def test_there_is_a_value_for_every_option() -> None:
    fixed = {".".join(steps) for steps in option_paths(Config)}
    assert fixed - {"config"} == {name for name in VALUES if not name.startswith("providers.")}


@pytest.mark.parametrize("name", VALUES)
def test_it_means_the_same_in_every_place(tmp_path: Path, name: str) -> None:
    given = {name: VALUES[name], **BESIDE.get(name, {})}
    places = ["environment", "value of a file"]
    if name not in NOT_IN_FILE:
        places.append("file")
    if not name.startswith("providers."):
        places.append("flag")  # tables by name have no flags
    found = [value_at(load(tmp_path, place, given), name) for place in places]
    assert found[0] is False or found[0] not in (None, "", 0, ())
    assert all(value == found[0] for value in found), found
    if name not in ("data_dir", *(n for n in VALUES if "." in n and not n.startswith("deadl"))):
        assert found[0] != value_at(load(tmp_path, "flag", {}), name), "the default was taken"


@pytest.mark.parametrize("name", sorted(VALUES.keys() - FREE))
@pytest.mark.parametrize("place", ["file", "environment"])
def test_a_wrong_value_is_one_line_that_names_it(tmp_path: Path, name: str, place: str) -> None:
    if place == "file" and name in NOT_IN_FILE:
        pytest.skip("not in a file")
    beside = BESIDE.get(name, {})
    (tmp_path / "options.toml").write_text(f'{name} = "\\u0001 not this"\n{toml_of(beside)}')
    environ = {variable(other): value for other, value in beside.items()}
    places = {
        "file": ({"config": str(tmp_path / "options.toml")}, {}),
        "environment": ({}, environ | {variable(name): "\x01 not this"}),
    }
    with pytest.raises(ConfigError) as caught:
        load_config(*places[place])
    said = str(caught.value)
    assert "\n" not in said
    assert "\x01" not in said
    assert said.startswith(f"{name} ")
    assert ("options.toml" if place == "file" else variable(name)) in said
