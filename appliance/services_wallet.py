"""The wallets as the REST API sees them: the same desks that the commands use, by region.

Thin: whose wallet it is is asked of the key rings, what happens is decided at the desk.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import trio

from appliance.actors.wallet_batch import WalletDown
from appliance.api.services import Account
from appliance.commands_wallet import list_budgets, shown
from appliance.core.admin_access import AdminGate
from appliance.core.keys import DEFAULT_ORGANIZATION
from appliance.core.ledger_credits import DISALLOWED_MAX, CreditState
from appliance.core.money import usd_text
from appliance.core.stripe_events import Disputed, Ignored, Paid, Refunded, read_event
from appliance.errors import Refusal

if TYPE_CHECKING:
    from appliance.actors.wallet_desk import WalletDesk
    from appliance.process import Server

T = TypeVar("T")

KINDS = {"credit": "top_up", "debit": "debit"}
NOT_TOLD = "no payment of this intent or charge was told to this server"


class WalletsOf:
    """All wallets of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._gate = AdminGate(server.config.admin_key)

    def check_admin(self, authorization: bytes | None, address: str) -> None:
        """Closed: admin_key, compared in constant time, so often a minute."""
        self._gate.check(authorization, address, trio.current_time())

    async def account(self, org: str, region: str = "") -> Account:
        """The organisation of this id. The default one is in every region: it is that of the first
        unless another is named."""
        try:
            wanted = uuid.UUID(org)
        except ValueError:
            raise Refusal(400, "org_invalid", "org: expected an organisation's id") from None
        regions = self._server.regions
        if region and region not in regions:
            raise Refusal(400, "region_invalid", f"region: expected one of {', '.join(regions)}")
        for name in [region] if region else regions:
            if await self._knows(name, wanted):
                return Account(name, wanted.bytes)
        raise Refusal(
            404, "unknown_org", "org: no organisation has this id; `orgs list` shows them"
        )

    async def _knows(self, region: str, wanted: uuid.UUID) -> bool:
        if wanted.bytes == DEFAULT_ORGANIZATION:
            return True
        ring = self._server.rings.by_region[region]
        rows = await ring.ask(lambda state: state.organizations())
        return any(row.id == str(wanted) for row in rows)

    async def state(self, account: Account) -> tuple[CreditState, list[dict[str, Any]]]:
        """Asked of the store first: what is in memory by then holds for both."""
        desk = self._desk(account)
        rows = await _asked(desk.page(account.org, "disallow_list", 0, DISALLOWED_MAX))
        return desk.state(account.org), rows

    async def page(
        self, account: Account, table: str, page: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """A page of a table, and how many rows it has in all."""
        desk = self._desk(account)
        rows = await _asked(desk.page(account.org, table, page, size))
        return rows, await _asked(desk.total(account.org, table))

    async def modify(
        self,
        account: Account,
        kind: Literal["credit", "debit"],
        amount_pico: int,
        event_id: str,
        reason: str,
    ) -> bool:
        """Money in or out, once per event id; the same id for something else is refused."""
        desk = self._desk(account)
        move = desk.top_up if kind == "credit" else desk.debit
        applied = await _asked(move(account.org, amount_pico, event_id, reason))
        if not applied:
            known = await _asked(desk.event(event_id))
            if known is None or known[1:4] != (account.org, KINDS[kind], amount_pico):
                raise Refusal(
                    409, "reference_taken", "referenceId: it stands for another change. Give each "
                    "change an id of its own; said again with the same fields it counts once.",
                )  # fmt: skip
        self._tell(account, kind, amount_pico, applied=applied)
        return applied

    async def allow(self, account: Account, provider: str, model: str) -> bool:
        """Take a model off the disallow list."""
        return await _asked(self._desk(account).allow(account.org, provider, model))

    async def budgets(self, account: Account) -> list[dict[str, Any]]:
        """As the command lists them."""
        return await list_budgets(self._desk(account), account.org, {})

    async def set_budget(
        self, account: Account, *, scope: str, name: str, value: str, period: str, limit_pico: int
    ) -> dict[str, Any]:
        """As the command sets one."""
        made = self._desk(account).set_budget(
            account.org, scope=scope, name=name, value=value, period=period, limit_pico=limit_pico
        )
        return shown(await _asked(made, status=422))

    async def drop_budget(self, account: Account, budget_id: str) -> dict[str, Any] | None:
        """As the command removes one."""
        desk = self._desk(account)
        found = [one for one in desk.known_budgets(account.org) if one.id == budget_id]
        if not found or not await _asked(desk.drop_budget(account.org, budget_id)):
            return None
        return shown(found[0])

    # -- Stripe

    def webhook_secret(self) -> str:
        """Closed without one."""
        secret = self._server.config.stripe_webhook_secret
        if secret is None:
            raise Refusal(
                500, "webhook_closed",
                "No webhook is expected here: set stripe_webhook_secret in the configuration.",
            )  # fmt: skip
        return secret

    async def stripe(self, event: object) -> str:
        """What a signed event says. Its sender tells it again until it is answered with 200."""
        event_id, told = read_event(event, self._server.config.stripe_product_id)
        if isinstance(told, Paid):
            reason = await self._paid(told, event_id)
        elif isinstance(told, Ignored):
            reason = told.why
        else:
            reason = await self._about_payment(told, event_id)
        self._server.log.info("stripe", applied=not reason, reason=reason or None)
        return reason

    async def _paid(self, paid: Paid, event_id: str) -> str:
        account = await self._payer(paid)
        if account is None:
            return "metadata.orgId names no organisation, and the customer has not paid before"
        desk = self._desk(account)
        reason = await _asked(desk.payments.pay_in(paid, account.org, event_id))
        if not reason:
            self._tell(account, "credit", paid.credits_cents * 10**10, applied=True)
        return reason

    async def _payer(self, paid: Paid) -> Account | None:
        """By `metadata.orgId`, else the one organisation that this customer has paid for before.
        Raises Refusal 400 where an organisation is named that is not here, or must be."""
        if paid.org:
            try:
                return await self.account(paid.org)
            except Refusal as refusal:
                if refusal.status not in (400, 404):
                    raise
                text = f"data.object.metadata.orgId: {refusal.message}"
                raise Refusal(400, "stripe_event", text) from None
        found = [
            Account(name, org)
            for name, region in self._server.regions.items()
            for org in await _asked(region.desk.payments.payers(paid.customer))
        ]
        if len(found) == 1:
            return found[0]
        if found or self._server.config.stripe_product_id is not None:
            raise Refusal(
                400, "stripe_event",
                "data.object.metadata.orgId: is missing, and the customer does not tell for which "
                "organisation this was paid",
            )  # fmt: skip
        return None

    async def _about_payment(self, told: Refunded | Disputed, event_id: str) -> str:
        for region in self._server.regions.values():
            payments = region.desk.payments
            if await _asked(payments.known(told.intent, told.charge)) is None:
                continue
            if isinstance(told, Refunded):
                return await _asked(payments.refund(told, event_id))
            return await _asked(payments.dispute(told, event_id))
        return NOT_TOLD

    def _desk(self, account: Account) -> WalletDesk:
        desk = self._server.regions[account.region].desk
        try:
            desk.check_up()
        except WalletDown as down:
            raise down.refusal() from None
        return desk

    def _tell(self, account: Account, kind: str, amount_pico: int, *, applied: bool) -> None:
        self._server.log.info(
            "wallet", org=str(uuid.UUID(bytes=account.org)), change=kind, applied=applied,
            amount_usd=usd_text(amount_pico),
        )  # fmt: skip


async def _asked(done: Awaitable[T], *, status: int = 400) -> T:
    """Closed: what cannot be, or cannot be stored, is told. Raises Refusal `status`, 503."""
    try:
        return await done
    except ValueError as error:
        raise Refusal(status, "invalid", str(error)) from None
    except WalletDown as down:
        raise down.refusal() from None
