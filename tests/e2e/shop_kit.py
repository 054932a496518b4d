"""A server that sells access, for tests: the platform's keys, and a customer with a wallet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.fakes.appliance import Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

SAY = [{"role": "user", "content": "Say hello."}]
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": SAY, "max_tokens": 1000}
KEY = "sk-platform-0123456789"


class Shop:
    """A server that sells access: the platform's keys, and a customer with a wallet."""

    def __init__(
        self, directory: Path, provider: Provider, config: str = "", **options: Any
    ) -> None:
        """`options` are the server's."""
        self.provider = provider
        self.appliance = Appliance(directory, provider, config=config, lends=True, **options)
        self.appliance.start()
        platform = self.appliance.command("orgs.create", name="platform")["id"]
        self.org = self.appliance.command("orgs.create", name="acme")["id"]
        self.key = self.appliance.command("keys.create", name="k", org="acme")["key"]
        self.appliance.command("provider-keys.add", provider="openai", secret=KEY, org="platform")
        text = self.appliance.config.read_text()
        self.appliance.config.write_text(f'platform_org = "{platform}"\n' + text)
        self.appliance.restart()

    def ask(self, path: str = "/v1/chat/completions", **changes: Any) -> Reply:
        headers = {"Authorization": f"Bearer {self.key}", **changes.pop("headers", {})}
        return self.appliance.call(path, {**BODY, **changes}, headers)

    def show(self) -> dict[str, Any]:
        found: dict[str, Any] = self.appliance.command("wallet.show", org="acme")
        return found

    def top_up(self, amount: str, event_id: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.appliance.command(
            "wallet.top-up", org="acme", amount=amount, event_id=event_id
        )
        return found

    def settled(self) -> dict[str, Any]:
        """The wallet once nothing is held."""
        until_s = time.monotonic() + PATIENCE_S
        while (found := self.show())["held_usd"] != "0":
            assert time.monotonic() < until_s, found
            time.sleep(0.01)
        return found

    def spent_on_record(self) -> Decimal:
        sql = "SELECT coalesce(sum(cost_usd), 0) AS usd FROM requests WHERE organization_id = "
        (row,) = self.appliance.query(f"{sql}'{self.org}'")
        return Decimal(row["usd"])


@contextmanager
def shop(directory: Path, provider: Provider, config: str = "") -> Iterator[Shop]:
    made = Shop(directory, provider, config)
    try:
        yield made
    except BaseException:
        made.appliance.kill()
        raise
    else:
        assert made.appliance.stop() == 0, made.appliance.log
