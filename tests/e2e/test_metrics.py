"""Metrics of the running program: every family that is promised, that it moves, and that no label
is of another kind than the documented ones."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider

# What is promised, by the family that shows it.
PROMISED = """
requests_total request_seconds first_byte_seconds loop_lag_seconds loop_longest_stall_seconds
connections connections_accepted_total connections_refused_total pool_used_connections
pool_idle_connections pool_dialled_total pool_reused_total journal_write_seconds
journal_fsync_seconds journal_unsynced_bytes journal_backlog_bytes ingest_lag_frames
ingest_lag_seconds duckdb_reopened_total roll_age_seconds disk_free_bytes failed_open_total
journal_late_records_total journal_bodies_dropped_total journal_records_dropped_total
webhook_sent_total webhook_failed_total webhook_retried_total webhook_dropped_total webhook_waiting
"""
LABELS = {"provider", "outcome", "status", "region", "actor", "feature", "lane", "phase", "le"}
ASK = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'
SAMPLE = re.compile(r"helicone_appliance_(\w+)(?:\{(.*)\})? (\S+)")


def read(appliance: Appliance) -> dict[str, float]:
    """By name with labels, as written."""
    text = appliance.call("/metrics", None, None, method="GET").body.decode()
    found = {}
    for row in text.splitlines():
        if row.startswith("#"):
            continue
        sample = SAMPLE.fullmatch(row)
        assert sample is not None, row
        name, labels, value = sample.groups()
        for label in re.findall(r'(\w+)="[^"]*"', labels or ""):
            assert label in LABELS, row
        found[f"{name}{{{labels}}}" if labels else name] = float(value)
    return found


def test_every_promised_family_is_there_and_moves(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance:
        # Names that a client makes up must not become labels.
        odd = {"Helicone-Property-Team": "blue", "Helicone-User-Id": "joe"}
        appliance.call(CHAT, ASK, odd)
        appliance.call(CHAT, ASK, odd)
        before = read(appliance)
        families = {re.sub(r"\{.*|_(?:bucket|sum|count)(?=\{)", "", name) for name in before}
        assert set(PROMISED.split()) - families == set()
        with appliance.client() as client:
            client.call(CHAT, ASK)
            client.call(CHAT, ASK)
        after = read(appliance)
        grown = {
            name: after[name] - before.get(name, 0)
            for name in after
            if after[name] > before.get(name, 0)
        }
        good = 'provider="openai",outcome="complete",status="2xx",region="us"'
        assert grown[f"requests_total{{{good}}}"] == 2
        assert grown['request_seconds_count{provider="openai"}'] == 2
        assert grown['first_byte_seconds_count{provider="openai"}'] == 2
        assert grown['journal_write_seconds_count{region="us"}'] == 2
        assert 0 < grown['journal_write_seconds_sum{region="us"}'] < 60
        assert grown['journal_frames_total{region="us"}'] == 2
        assert grown["connections_accepted_total"] >= 2
        assert grown.get("pool_dialled_total", 0) + grown.get("pool_reused_total", 0) == 2
        assert grown['roll_age_seconds{region="us"}'] > 0
        assert after["loop_longest_stall_seconds"] >= after["loop_lag_seconds"]
        assert after['disk_free_bytes{region="us"}'] > 1e6
        until_s = time.monotonic() + PATIENCE_S
        while (calm := read(appliance))['ingest_lag_frames{region="us"}'] or calm[
            'journal_unsynced_bytes{region="us"}'
        ]:
            assert time.monotonic() < until_s, calm
        assert calm['journal_fsync_seconds_count{region="us"}'] > 0


def test_connections_to_providers_in_use_are_counted(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance, appliance.client() as client:
        assert read(appliance)["pool_used_connections"] == 0
        client.request(CHAT, ASK, {"x-fake": "fake-stall"})
        until_s = time.monotonic() + PATIENCE_S
        while read(appliance)["pool_used_connections"] != 1:
            assert time.monotonic() < until_s
