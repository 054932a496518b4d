"""Each actor that the supervisor has is killed under load: what callers see, what health, metrics
and `status` say, that it comes back with what it knew."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance.actors.supervisor import FIRST_WAIT_S
from tests.e2e.storage_kit import health, metric, reasons, wait_healthy, wait_until
from tests.e2e.test_status import status
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

ASK: dict[str, Any] = {
    "model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1000,
}  # fmt: skip
MORTAL = "tests.fakes.mortal_program"
PLATFORM_KEY = "sk-platform-0123456789"
STORED_KEY = "sk-stored-0123456789"
QUOTA = 100_000


class House:
    """A server with everything in use: credits, a stored key, stored limits, the cache."""

    def __init__(self, directory: Path, provider: Provider) -> None:
        self.provider = provider
        self.appliance = appliance = Appliance(directory, provider, lends=True, program=MORTAL)
        appliance.start()
        self.say = appliance.command
        platform = self.say("orgs.create", name="platform")["id"]
        self.say("provider-keys.add", provider="openai", secret=PLATFORM_KEY, org="platform")
        self.buyer = self.customer("buyer")
        self.owner = self.customer("owner")
        self.say("provider-keys.add", provider="openai", secret=STORED_KEY, org="owner")
        self.say("limits.set", policy=f"{QUOTA};w=31536000", org="owner")
        text = appliance.config.read_text()
        appliance.config.write_text(f'platform_org = "{platform}"\n' + text)
        appliance.restart()
        self.say("wallet.top-up", org="buyer", amount="5")
        self.names: list[str] = self.say("actors.names")

    def customer(self, name: str) -> str:
        self.say("orgs.create", name=name)
        return str(self.say("keys.create", name=name, org=name, rate_limited=True)["key"])

    def by_credits(self) -> Reply:
        """Paid by us from what the customer has paid in."""
        auth = {"Authorization": f"Bearer {self.buyer}"}
        return self.appliance.call("/v1/chat/completions", ASK, auth)

    def own(self, **headers: str) -> Reply:
        """With the key that the customer has stored, under the limits it has."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.appliance.call(CHAT, ASK, {"helicone-auth": f"Bearer {self.owner}", **named})

    def cached(self) -> Reply:
        return self.own(helicone_cache_enabled="true", helicone_user_id="kept")

    def actor(self, name: str) -> dict[str, Any]:
        (found,) = [one for one in health(self.appliance)["actors"] if one["name"] == name]
        return dict(found)

    def gauge(self, name: str, actor: str) -> int:
        text = self.appliance.call("/metrics", method="GET").body.decode()
        found = re.findall(rf'^helicone_appliance_{name}{{actor="{actor}"}} (\d+)$', text, re.M)
        assert len(found) == 1, (name, actor)
        return int(found[0])


@pytest.fixture
def house(tmp_path: Path, provider: Provider) -> Iterator[House]:
    made = House(tmp_path, provider)
    try:
        yield made
    except BaseException:
        made.appliance.kill()
        raise
    assert made.appliance.stop() == 0, made.appliance.log


@contextmanager
def load(house: House, clients: int = 3) -> Iterator[list[Reply]]:
    """Calls of whoever brings or has stored a key, without a pause; all their replies."""
    replies: list[Reply] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            replies.append(house.own(helicone_cache_enabled=("false", "true")[number % 2]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield replies
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.timeout(300)
def test_each_actor_killed_under_load(house: House) -> None:
    assert house.by_credits().status == 200
    assert house.cached().first("helicone-cache") == b"MISS"
    assert {"keys", "limits", "cache", "provider-keys", "wallet"} <= set(house.names)
    left = QUOTA
    with load(house) as replies:
        for name in house.names:
            house.say("actors.kill", name=name)
            # Down, and said so everywhere; a stranger would not be told the path.
            wait_until(lambda name=name: house.actor(name)["restarts"] >= 4)
            found = house.actor(name)
            assert found["state"] in ("down", "starting")
            assert found["last_error"].startswith("Killed: not to live yet")
            assert name in reasons(house.appliance)
            assert house.gauge("actor_up", name) == 0
            assert house.gauge("actor_restarts_total", name) >= 3
            code, told = status(house.appliance)
            assert (code, told["status"]) == (1, "degraded")
            assert name in {row["part"] for row in told["degraded"]}
            # Calls go on; what would cost us money does not.
            reply = house.own()
            assert reply.status == 200, (name, reply.body)
            remaining = int(reply.first("helicone-ratelimit-remaining") or -1)
            assert 0 < remaining < left, "limits go on counting, and nothing fills up"
            left = remaining
            before = len(seen(house.provider, PLATFORM_KEY))
            paid = house.by_credits()
            if name == "wallet":
                assert (paid.status, len(seen(house.provider, PLATFORM_KEY))) == (503, before)
                assert "not loaded" not in paid.body.decode()
            else:
                assert paid.status == 200, (name, paid.body)
            # It waits longer each time, and then comes back.
            lives = house.say("actors.lives", name=name)[1:4]
            waits = [late - soon for soon, late in pairwise(lives)]
            assert waits[0] >= 2 * FIRST_WAIT_S, name
            assert waits[1] >= 4 * FIRST_WAIT_S, name
            house.say("actors.spare", name=name)
            wait_until(lambda name=name: house.actor(name)["state"] == "running")
            assert house.gauge("actor_up", name) == 1
            assert house.actor(name)["restarts"] >= 3
            wait_healthy(house.appliance)
            # With what it knew: the entry, the balance, the stored key, the bucket.
            assert house.cached().first("helicone-cache") == b"HIT", name
            assert house.by_credits().status == 200
            before = len(seen(house.provider, STORED_KEY))
            assert house.own().status == 200
            assert len(seen(house.provider, STORED_KEY)) > before
    assert len(replies) > 20
    assert {reply.status for reply in replies} == {200}
    check_money(house)


def check_money(house: House) -> None:
    """What the wallet says was spent is what the records say, to the last digit."""

    def held() -> bool:
        return bool(house.say("wallet.show", org="buyer")["held_usd"] != "0")

    wait_until(lambda: not held())
    org = {row["name"]: row["id"] for row in house.say("orgs.list")}["buyer"]
    (row,) = house.appliance.query(
        f"SELECT sum(cost_usd) AS usd FROM requests WHERE organization_id = '{org}'"
    )
    shown = house.say("wallet.show", org="buyer")
    assert Decimal(shown["spent_usd"]) == Decimal(row["usd"]) > 0
    assert Decimal(shown["available_usd"]) == 5 - Decimal(row["usd"])


def seen(provider: Provider, key: str) -> list[Any]:
    wanted = b"Bearer " + key.encode()
    return [one for one in provider.received if one.first(b"authorization") == wanted]


@pytest.mark.parametrize(
    ("name", "method", "told"),
    [
        ("limits", "check", b"ratelimit-policy;reason=failed"),
        ("cache", "lookup", b"cache-enabled;reason=failed"),
    ],
)
def test_one_that_breaks_with_each_call_lets_calls_pass_and_marks_them(
    house: House, name: str, method: str, told: bytes
) -> None:
    before = metric(house.appliance, "failed_open_total")
    house.say("actors.deafen", name=name, method=method)
    reply = house.cached()
    assert reply.status == 200
    assert told in reply.values("helicone-not-applied")
    assert told.decode() in house.appliance.row(reply.id)["not_applied"]
    assert metric(house.appliance, "failed_open_total") == before + 1
    house.say("actors.mend", name=name, method=method)
    assert house.cached().values("helicone-not-applied") == []
