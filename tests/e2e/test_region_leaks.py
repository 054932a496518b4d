"""Nothing of one region's is written outside of it, whatever its clients send and its server does.

Every file that is not the region's own is searched, the log, temporary files and the home directory
too; and what lies sealed or packed in the other region is read with the program's own readers.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.control_client import ControlError
from appliance.core.keys import hash_key
from tests.e2e.region_kit import Customer, Regions, plant
from tests.e2e.storage_kit import wait_until
from tests.e2e.test_regions import command
from tests.fakes.appliance import CHAT
from tests.fakes.provider import Provider

KEY = "a passphrase that nobody guesses"
GOOD = {
    "small", "large", "stream", "kept", "hit", "kept stream", "query", "gateway", "gateway stream",
    "translated", "router", "mock", "fallback", "proxy key", "cut",
}  # fmt: skip


def both(regions: Regions) -> tuple[Customer, Customer]:
    """A customer of each region, who have planted nothing yet."""
    mark = uuid.uuid4().hex[:12]
    return Customer(regions, "eu", f"planted-eu-{mark}"), Customer(
        regions, "us", f"planted-us-{mark}"
    )


def apart(regions: Regions, customers: tuple[Customer, Customer]) -> None:
    """No word of the one is found where the other's lie."""
    for one in customers:
        assert regions.leaks(one.region, one.words) == []


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_nothing_is_written_outside(tmp_path: Path, provider: Provider, key: str | None) -> None:
    regions = Regions(tmp_path, provider, {"HELICONE_APPLIANCE_MASTER_KEY": key} if key else {})
    appliance = regions.appliance
    with appliance:
        customers = both(regions)
        for one in customers:
            plant(provider, one.word)
            told = dict(one.speak())
            assert {name for name, status in told.items() if status == 200} >= GOOD, told
            assert told["no such model"] >= 400
            trio.run(one.converse)
        wait_until(lambda: all(list(d.rglob("cache/*")) for d in (regions.europe, appliance.data)))
        apart(regions, customers)
        asked(regions, customers)
        for one in customers:  # ended in the middle, and taken up again
            one.hold()
            apart(regions, customers)
            appliance.start()
        for one in customers:
            assert regions.command(one.region, "roll")["ok"]
            assert one.ask().status == 200
            assert regions.command(one.region, "rebuild")["ok"]
            assert regions.command(one.region, "verify")["ok"]
            assert one.word in regions.read(one.region)
        apart(regions, customers)
        assert appliance.stop() == 0
        if key is None:  # with a key there is no file of DuckDB's
            spoiled(regions)
        for one in customers:
            assert one.word in regions.read(one.region)
            other = regions.read("us" if one.region == "eu" else "eu")
            assert [word for word in one.words if word in other] == []
        apart(regions, customers)


def asked(regions: Regions, customers: tuple[Customer, Customer]) -> None:
    """What the server tells of itself to anybody: no word of anybody's."""
    appliance = regions.appliance
    for path in ("/metrics", "/healthcheck"):
        text = appliance.call(path, method="GET").body.decode()
        assert not [word for one in customers for word in one.words if word in text]


def spoiled(regions: Regions) -> None:
    """Both databases are damaged: they are set aside, each in its own region, and made anew."""
    appliance = regions.appliance
    for root in (regions.europe, appliance.data):
        os.truncate(root / "analytics.duckdb", 5000)
    appliance.start()
    for root in (regions.europe, appliance.data):
        wait_until(lambda root=root: list((root / "quarantine").iterdir()))
    assert appliance.stop() == 0


def test_the_search_would_find_it(tmp_path: Path, provider: Provider) -> None:
    """Asked of the wrong region, it finds the words in every kind of file that there is."""
    regions = Regions(tmp_path, provider, {})
    with regions.appliance:
        one, _ = both(regions)
        plant(provider, one.word)
        one.speak()
    found = {path for path, word in regions.leaks("us", [one.word])}
    kinds = {Path(path).relative_to(regions.europe).parts[0] for path in found}
    assert kinds >= {"journal", "cache", "state.sqlite", "analytics.duckdb", "blobs"}
    assert regions.leaks("us", [hash_key(one.key)])


def contents(root: Path) -> dict[Path, bytes]:
    """All that a root holds, but for locks, sockets and what SQLite's readers share.

    An `-shm` is no data: each reader puts its mark there, and it is made anew from the log.
    """
    files = (path for path in root.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if not path.name.endswith("-shm")}


def test_helper_processes_touch_their_own_region_alone(tmp_path: Path, provider: Provider) -> None:
    """Large bodies, a roll, a rebuild and a check of one: not a byte of the other changes."""
    regions = Regions(tmp_path, provider, {})
    appliance = regions.appliance
    with appliance:
        customers = both(regions)
        for one in customers:
            plant(provider, one.word)
            assert one.ask(x_fake=f"planted-large-{one.word}").status == 200
            assert regions.command(one.region, "roll")["ok"]
        assert appliance.stop() == 0
        appliance.start()
        for one, root in zip(customers, (appliance.data, regions.europe), strict=True):
            regions.read("us")  # what was left to be read in at the start is in
            regions.read("eu")
            before = contents(root)
            long = one.word * (8 * 2**20 // len(one.word))
            for _ in range(3):
                assert (
                    one.ask(more={"extra": long}, x_fake=f"planted-large-{one.word}").status == 200
                )
            for name in ("roll", "rebuild", "verify"):
                assert regions.command(one.region, name)["ok"]
            after = contents(root)
            assert [str(path) for path in after if before.get(path) != after[path]] == []
            assert before.keys() == after.keys()
            assert list(regions.temporary.iterdir()) == []
        assert appliance.stop() == 0


def refused(regions: Regions, region: str, name: str, /, **arguments: Any) -> str:
    with pytest.raises(ControlError) as caught:
        regions.command(region, name, **arguments)
    return str(caught.value)


def test_no_key_opens_the_other_region(tmp_path: Path, provider: Provider) -> None:
    regions = Regions(tmp_path, provider, {})
    with regions.appliance as appliance:
        customers = both(regions)
        ids = {}
        for one in customers:
            reply = one.ask()
            assert reply.status == 200
            auth = {"Helicone-Auth": f"Bearer {one.key}"}
            found = appliance.call(f"/v1/request/{reply.id}", None, auth, method="GET")
            assert found.status == 200
            ids[one.region] = reply.id
        for one in customers:
            other = "us" if one.region == "eu" else "eu"
            auth = {"Helicone-Auth": f"Bearer {one.key}"}
            gone = appliance.call(f"/v1/request/{ids[other]}", None, auth, method="GET")
            assert gone.status == 404
            listed = appliance.call("/v1/request/query", {"filter": "all"}, auth)
            assert ids[other] not in listed.body.decode()
            assert ids[one.region] in listed.body.decode()
            # by the commands, with the other region's ids and names
            for name, given in (
                ("wallet.show", {}),
                ("wallet.top-up", {"amount": "1", "event_id": "x"}),
                ("wallet.debit", {"amount": "1"}),
                ("budgets.set", {"scope": "user", "limit": "1", "period": "day", "value": ""}),
                ("budgets.list", {}),
                ("provider-keys.list", {}),
                ("provider-keys.add", {"provider": "openai", "secret": "sk-other"}),
                ("keys.create", {"name": "other"}),
            ):
                assert "organisation" in refused(regions, other, name, org=one.org, **given)
            for name, key in (
                ("provider-keys.remove", one.stored),
                ("provider-keys.rotate", one.stored),
                ("proxy-keys.create", one.stored),
                ("proxy-keys.remove", one.proxy_id),
                ("keys.revoke", f"key {one.word}"),
            ):
                refused(regions, other, name, key=key, secret="sk-x", name="x", limits=[])
            # a proxy key that says it is of the other region is none there
            eu, us = "sk-helicone-eu-proxy-", "sk-helicone-proxy-"
            mine, theirs = (eu, us) if one.region == "eu" else (us, eu)
            forged = one.proxy_key.replace(mine, theirs)
            assert forged != one.proxy_key
            told = appliance.call(CHAT, one.body(), {"Authorization": f"Bearer {forged}"})
            assert (told.status, told.json["error"]["code"]) == (401, "stand_in_unknown")
            # nor is one that comes beside a key of the other region
            beside = {"Helicone-Auth": f"Bearer {customers[one.region == 'eu'].key}"}
            told = appliance.call(
                CHAT, one.body(), {**beside, "Authorization": f"Bearer {one.proxy_key}"}
            )
            assert (told.status, told.json["error"]["code"]) == (401, "stand_in_unknown")
        assert json.loads(command(appliance, "orgs", "list", "--json", "--region", "eu"))


def test_an_eu_key_that_the_default_region_has_on_file_is_refused(
    tmp_path: Path, provider: Provider
) -> None:
    regions = Regions(tmp_path, provider, {})
    with regions.appliance as appliance:
        made = json.loads(command(appliance, "orgs", "create", "acme", "--region", "eu", "--json"))
        assert made["region"] == "eu"
        stray = "sk-helicone-eu-abcdefg-hijklmn-opqrstu-vwxyzab"
        auth = {"Helicone-Auth": f"Bearer {stray}"}
        text = f"api_key_hash,api_key_name\n{hash_key(stray)},stray\n"
        regions.command("us", "keys.import", text=text)
        for path, body, method in ((CHAT, {"model": "m"}, "POST"), ("/v1/request/x", None, "GET")):
            told = appliance.call(path, body, auth, method=method)
            assert told.status == 401
            assert "--region eu" in told.body.decode()
        regions.command("eu", "keys.import", text=text)
        path = f"/v1/request/{uuid.uuid4()}"
        assert appliance.call(path, None, auth, method="GET").status == 404
    for region, root in (("us", appliance.data), ("eu", regions.europe)):
        assert regions.read(region) == "[]", root
