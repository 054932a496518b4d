"""The app over real desks on real files, and Stripe's signature."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from appliance.services_wallet import WalletsOf
from storage.state import State
from tests.actors.wallet_kit import Rig, running
from tests.api.kit import House, Reply

ADMIN_KEY = "an-administrators-key"
SECRET = "whsec_0123456789abcdef"
ADMIN = ((b"authorization", f"Bearer {ADMIN_KEY}".encode()),)


class Logged:
    """The server's log, kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, **facts: Any) -> None:
        self.lines.append(f"{event} {facts}")


class Ring:
    """Of the key ring what is asked here: organisations, from the state store itself."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, work: Callable[[State], Any]) -> Any:
        state = State.open(self._path)
        try:
            return work(state)
        finally:
            state.close()


class Till:
    """One server's API, with the wallets behind it."""

    def __init__(self, rigs: dict[str, Rig], **config: Any) -> None:
        self.rigs = rigs
        self.log = Logged()
        self.server = SimpleNamespace(
            config=SimpleNamespace(
                **{"admin_key": ADMIN_KEY, "stripe_webhook_secret": SECRET,
                   "stripe_product_id": None, **config}
            ),
            regions={name: SimpleNamespace(desk=rig.desk) for name, rig in rigs.items()},
            rings=SimpleNamespace(by_region={n: Ring(rig.path) for n, rig in rigs.items()}),
            log=self.log,
        )  # fmt: skip
        self.house = House(WalletsOf(cast(Any, self.server)))

    def org(self, name: str, region: str = "us") -> str:
        """A new organisation's id."""
        state = State.open(self.rigs[region].path)
        try:
            return state.add_organization(name, region=region).id
        finally:
            state.close()

    async def admin(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        data = b"" if body is None else json.dumps(body).encode()
        options.setdefault("headers", ADMIN)
        return await self.house.ask(method, path, data, **options)

    async def modify(self, org: str, **changes: Any) -> Reply:
        body = {"amount": 500, "type": "credit", "reason": "a gift", "referenceId": "ref_1"}
        return await self.admin("POST", f"/admin/wallet/{org}/modify-balance", {**body, **changes})

    async def stripe(self, event: Any, **options: Any) -> Reply:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        headers = ((b"stripe-signature", signature(body, **options)),)
        return await self.house.ask("POST", "/stripe/webhook", body, headers=headers)

    async def state(self, org: str) -> Any:
        return (await self.admin("GET", f"/admin/wallet/{org}/state")).json


@asynccontextmanager
async def till(folder: Path, *regions: str, **config: Any) -> AsyncIterator[Till]:
    """Wallets of `regions` (us alone by default) that work."""
    async with AsyncExitStack() as stack:
        made = Till(
            {name: await stack.enter_async_context(running(folder / f"{name}.sqlite"))
             for name in regions or ("us",)},
            **config,
        )  # fmt: skip
        stack.callback(made.house.analytics.close)
        yield made


def signature(body: bytes, *, secret: str = SECRET, at_s: float | None = None) -> bytes:
    """The header `stripe-signature`."""
    at = int(time.time() if at_s is None else at_s)
    mac = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}".encode()


def event(kind: str, found: Any, event_id: str = "") -> dict[str, Any]:
    return {
        "id": event_id or f"evt_{uuid.uuid4().hex}", "object": "event", "type": kind,
        "data": {"object": found},
    }  # fmt: skip


def payment(org: str, cents: int = 1000, number: int = 1, **changes: Any) -> dict[str, Any]:
    """`payment_intent.succeeded`."""
    metadata = {"orgId": org} if org else {}
    return event(
        "payment_intent.succeeded",
        {"id": f"pi_{number}", "amount_received": cents, "currency": "usd",
         "customer": "cus_1", "latest_charge": f"ch_{number}", "metadata": metadata, **changes},
    )  # fmt: skip


refund = partial(event, "refund.created")


def dispute(kind: str, status: str, number: int = 1, cents: int = 1000) -> dict[str, Any]:
    """`charge.dispute.…`"""
    return event(
        f"charge.dispute.{kind}",
        {"id": f"dp_{number}", "amount": cents, "currency": "usd", "charge": f"ch_{number}",
         "payment_intent": f"pi_{number}", "reason": "fraudulent", "status": status},
    )  # fmt: skip
