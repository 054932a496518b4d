"""No option is passed over in silence: each is read somewhere, or named as without effect yet."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from appliance.config import NOT_BUILT, Config, load_config, without_effect
from appliance.config_options import Deadlines, ProviderOptions, options_of
from appliance.providers.table import USER_KEYS

ROOT = Path(__file__).parents[1] / "appliance"
# Those of the first issues; further ones appear with their features.
NAMES = """
host port data_dir access allow_targets allow_hosts allow_origins trusted_proxies public_url
tls_cert tls_key http2 memory_bytes_max connections_max backlog_bytes_max guard_fail durability
master_key retention_days retention_bytes retention_datasets body_bytes_max record_bytes_max
drain_s grace_s
worker_type eu_data_dir admin_key platform_org metrics_allow log_level log_format access_log
bootstrap_key stream_usage budget_mode ready_file config deadlines providers prices routers smtp
otlp message_bytes_max guard_model cache_disk_bytes_max cache_coalesce stripe_webhook_secret
stripe_product_id intake_bytes_max webhook_allow time_zone record replay replay_timing
cassette_scrub faults
"""
# Read where the configuration itself is made: as the share of each part, and as the file's name.
READ_IN_CONFIG = {"memory_bytes_max", "config"}


def sources() -> str:
    paths = [path for path in ROOT.rglob("*.py") if not path.name.startswith("config")]
    return "\n".join(path.read_text() for path in paths)


def test_all_names_are_there() -> None:
    assert set(options_of(Config)) == set(NAMES.split())


def test_every_option_is_read_or_named() -> None:
    text = sources()
    unread = [
        name
        for name, (attribute, _) in options_of(Config).items()
        if not re.search(rf"\bconfig\.{attribute}\b", text)
    ]
    idle = [name for name in unread if name not in READ_IN_CONFIG]
    assert all(NOT_BUILT.fullmatch(name) for name in idle), idle


@pytest.mark.parametrize("item", [item.name for item in fields(Deadlines)])
def test_every_deadline_is_kept(item: str) -> None:
    assert re.search(rf"\.{item}\b", sources()), item


def test_every_part_of_a_provider_is_known_to_the_table() -> None:
    assert set(options_of(ProviderOptions)) == set(USER_KEYS)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, []),
        ({"ADMIN_KEY": "x" * 16, "STRIPE_WEBHOOK_SECRET": "whsec_" + "x" * 16}, []),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, []),
        ({"OTLP__ENDPOINT": "http://collector:4318"}, []),
        ({"HTTP2": "true"}, ["http2 (without tls_cert)"]),
        ({"PROVIDERS__OAI__AUTH": "bearer", "PROVIDERS__OAI__API_KEY_ENV": "MY_KEY"}, []),
        ({"PROVIDERS__OAI__DEADLINES__GAP": "3s", "PROVIDERS__OAI__NAME": "X"}, []),
    ],
)
def test_what_has_no_effect_yet(tmp_path: Path, environ: dict[str, str], named: list[str]) -> None:
    given = {f"HELICONE_APPLIANCE_{name}": value for name, value in environ.items()}
    config = load_config({"data_dir": str(tmp_path)}, given)
    assert without_effect(config) == named
    assert len(config.warnings) == bool(named)
