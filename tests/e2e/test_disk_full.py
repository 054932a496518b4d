"""The disk fills up under a running server: calls go on, records wait, nothing promised is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.storage_kit import (
    MIB,
    Traffic,
    fill,
    metric,
    needs_root,
    reasons,
    small_disk,
    wait_healthy,
    wait_until,
)
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider

pytestmark = needs_root
LONG = "x" * 20_000


@pytest.fixture
def cramped(tmp_path: Path, provider: Provider) -> Iterator[Appliance]:
    """A server whose data directory has a disk of 128 MiB."""
    appliance = Appliance(tmp_path, provider)
    with small_disk(appliance.data, 128), appliance:
        yield appliance


def exhaust(traffic: Traffic) -> Path:
    """Fill the disk, and the reserve that is given up then, until records have to wait."""
    appliance = traffic.appliance
    filler = fill(appliance.data)
    traffic.until_degraded(user=LONG)
    wait_until(lambda: not (appliance.data / "journal" / "reserve").exists())
    fill(appliance.data)
    for _ in range(50):
        traffic.send(user=LONG)
        if metric(appliance, "journal_backlog_bytes") > 0:
            return filler
    raise AssertionError("nothing waits in the backlog")


def test_serves_says_so_and_recovers(cramped: Appliance) -> None:
    traffic = Traffic(cramped)
    traffic.send(5)
    assert reasons(cramped) == {}
    filler = exhaust(traffic)
    assert traffic.send().first("helicone-degraded") == b"journal;reason=no_space"
    assert reasons(cramped)["journal"] == "journal;reason=no_space"
    traffic.send(20, stream=True)
    filler.unlink()
    wait_healthy(cramped)
    assert traffic.send().first("helicone-degraded") is None
    assert metric(cramped, "journal_backlog_bytes") == 0
    assert metric(cramped, "journal_records_dropped_total") == 0
    traffic.check()


def test_killed_while_degraded(cramped: Appliance) -> None:
    traffic = Traffic(cramped)
    traffic.send(25)
    filler = exhaust(traffic)
    cramped.kill()
    cramped.start()  # on a disk that is still full
    assert len(traffic.safe) >= 25
    assert "journal" in reasons(cramped)
    after = Traffic(cramped, "after")
    after.send(3)
    assert len(after.degraded) == 3
    filler.unlink()
    wait_healthy(cramped)
    traffic.check(traffic.safe)
    after.check()


@pytest.mark.parametrize("key", [None, "planted passphrase of the vault"])
def test_large_bodies_on_a_full_disk(tmp_path: Path, provider: Provider, key: str | None) -> None:
    """They cannot be kept, so they pass unkept, and the record says so."""
    environ = {"HELICONE_APPLIANCE_MASTER_KEY": key} if key else {}
    appliance = Appliance(tmp_path, provider, environ=environ)
    with small_disk(appliance.data, 128), appliance:
        traffic = Traffic(appliance)
        traffic.send(3)
        filler = exhaust(traffic)
        asked = traffic.send(user="y" * 2 * MIB)
        assert len(provider.find(b"chat/completions").body) > 2 * MIB
        answered = traffic.send(script="fake-big-3072")
        assert len(answered.body) > 3 * MIB
        flooded = traffic.send(script="fake-flood-1", stream=True)
        filler.unlink()
        wait_healthy(appliance)
        kept = [i for i in traffic.texts if i not in (asked.id, answered.id, flooded.id)]
        traffic.check(kept)
        for reply in (asked, answered, flooded):
            row = appliance.row(reply.id)
            assert row["not_applied"] == ["bodies;reason=disk"]
            assert row["http_status"] == 200
            assert row["response_bytes"] == len(reply.body)
