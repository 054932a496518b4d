"""What a call is paid from: money is set aside before it goes out and settled with its record.

Closed for credits and strict budgets: what cannot be held is not called. Open for other budgets,
and marked. How much is decided in `core/worst_case.py`, whether it fits by the wallet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import trio

from appliance import fence
from appliance.actors.wallet_batch import WalletDown
from appliance.core.budgets import Spender
from appliance.core.decoding import decode_body
from appliance.core.derive import Bill, PriceOf, bill_of
from appliance.core.json_reader import read_json
from appliance.core.ledger import Hold, Settled
from appliance.core.ledger_book import Wanted
from appliance.core.model_name import path_name, request_name
from appliance.core.pay_types import Captured, Expected, Record, Registry
from appliance.core.price_card import Card
from appliance.core.price_place import priced_as
from appliance.core.worst_case import HoldSize, read_asked, size_hold
from appliance.errors import Refusal
from appliance.exchange import Body, Exchange, Watch
from appliance.wire import Woken

# Larger bodies are parsed off the loop; beyond this they are judged by their length.
PARSED_HERE_BYTES_MAX = 256 * 1024
BODY_BYTES_MAX = 32 * 1024 * 1024
BUDGETS = "budgets"
NO_PRICE = "budgets;reason=no-price"
DOWN = "budgets;reason=wallet-down"
WEBSOCKET = "budgets;reason=websocket"

UNKNOWN = Bill(None, 0)

CardOf = Callable[[str, str, int], Card | None]


class Wallet(Protocol):
    """What is asked of a region's wallet."""

    @property
    def strict(self) -> bool:
        """Whether budgets hold what a call costs at worst."""

    @property
    def outputs(self) -> Expected:
        """What was learned of answers."""

    def concerns(self, org: bytes, *, pass_through: bool = False) -> bool:
        """Whether a call needs a hold."""

    async def hold(self, wanted: Wanted, watch: Watch | None = None) -> Hold | None:
        """Set money aside. Raises Refusal, WalletDown, Woken."""

    def settle(self, hold: Hold, cost_pico: int | None) -> Settled:
        """Post what the call cost."""

    def release(self, hold: Hold) -> Settled:
        """The call cost nothing."""

    def disallow(self, org: bytes, provider: str, model: str, request_id: str = "") -> bool:
        """No more of this model from credits."""


@dataclass(frozen=True, slots=True)
class Wallets:
    """What the pipeline pays with. `registry` is loaded by the first call that needs a hold;
    `failed` counts budgets that could not be applied."""

    by_region: Mapping[str, Wallet]
    registry: Callable[[], Awaitable[Registry]]
    card: CardOf
    price: PriceOf
    failed: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Call:
    """A call as far as money goes: what is asked of whom, for whom."""

    provider: str
    model: str
    user: str
    pass_through: bool


class Payment:
    """The holds of one exchange, target after target. The last one is open until the record says
    what it cost; the frame carries all of them, so that a crash settles none a second time."""

    __slots__ = ("_bill", "_call", "_ended", "_hold", "_lost", "_price", "_wallet")

    def __init__(self, wallet: Wallet, price: PriceOf) -> None:
        self._wallet = wallet
        self._price = price
        self._ended: list[tuple[bytes, int | None]] = []
        self._hold: Hold | None = None
        self._call: Call | None = None
        self._bill: Bill | None = None
        self._lost: list[int | None] = []  # of calls on this hold whose replies broke off

    def enter(self, hold: Hold, call: Call) -> None:
        """A call is about to go out on this hold."""
        self._hold, self._call = hold, call

    def release(self) -> None:
        """The call that was entered ended without an answer that a client is given: it costs what
        its replies that broke off do."""
        hold, self._hold = self._hold, None
        if hold is None:
            return
        cost_pico = self._with_lost(0)
        self._lost = []
        self._ended.append((hold.id, cost_pico))
        if cost_pico == 0:
            self._wallet.release(hold)
        else:
            self._wallet.settle(hold, cost_pico)

    def lose(self, cost_pico: int | None) -> None:
        """A reply to a call on this hold broke off, and this is what it cost; None: not known."""
        if self._hold is not None:
            self._lost.append(cost_pico)

    def _with_lost(self, cost_pico: int | None) -> int | None:
        costs = [cost_pico, *self._lost]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    async def look(self, x: Exchange, record: Record) -> None:
        """Read the bill of bodies that are large, or not in memory, off the loop."""
        captured = record.capture
        if self._hold is None or self._bill is not None or captured.dropped:
            return
        large = captured.seen_bytes + x.body.length > PARSED_HERE_BYTES_MAX
        if large or captured.in_blob or x.body.spill is not None:
            facts = record.facts()
            try:
                request = await _data(x.body, BODY_BYTES_MAX) or b""
                response = await captured.whole()
            except OSError:
                self._bill = UNKNOWN
                return
            self._bill = await trio.to_thread.run_sync(self._billed, facts, request, response)

    def told(self, facts: dict[str, Any], x: Exchange, captured: Captured) -> list[Any]:
        """Every hold with its cost, None where that cannot be told: what the frame carries."""
        if self._hold is None:
            return list(self._ended)
        if self._bill is None:
            if captured.dropped or captured.in_blob or x.body.spill is not None:
                self._bill = UNKNOWN  # cut in the middle of what is not in memory
            else:
                self._bill = self._billed(facts, x.body.data, captured.joined())
        return [*self._ended, (self._hold.id, self._with_lost(self._bill.cost_pico))]

    def settle(self, x: Exchange) -> None:
        """After the frame: post the cost. Does nothing the second time."""
        hold, call = self._hold, self._call
        bill = self._bill or UNKNOWN  # where not even that could be worked out
        if hold is None or call is None:
            return
        self._hold = None
        cost_pico = self._with_lost(bill.cost_pico)
        self._ended.append((hold.id, cost_pico))
        self._wallet.settle(hold, cost_pico)
        if bill.cost_pico is None and call.pass_through:
            self._wallet.disallow(x.org, call.provider, call.model, x.request_id)
        if bill.output_tokens and x.outcome == "complete":
            self._wallet.outputs.note(call.model, call.user, bill.output_tokens)

    def _billed(self, facts: dict[str, Any], request: bytes, response: bytes) -> Bill:
        try:
            return bill_of(facts, request, response, price=self._price)
        except Exception:  # what strangers sent: the input is charged, and flagged
            return UNKNOWN


def counts(x: Exchange, wallets: Wallets) -> bool:
    """Whether the next call of this exchange counts on a budget, or its last one did: asked of
    every call, and no more than that for most."""
    if x.payment is not None:
        return True
    if x.identity.failed_open:
        return False  # on nobody's account, where nobody has a budget
    return wallets.by_region[x.region].concerns(x.org, pass_through=False)


async def paid(
    x: Exchange, wallets: Wallets, provider: str, model: str = "", *, pass_through: bool = False
) -> None:
    """`pay`, within its time. Closed for credits, which are held before they can be spent, and
    where budgets are strict; other budgets open. Raises Refusal, Woken."""
    paying = pay(x, wallets, provider, model, pass_through=pass_through)
    if not (pass_through or wallets.by_region[x.region].strict):
        await fence.open_within(x, BUDGETS, fence.PAY_S, True, bool, paying)
        return
    try:
        with trio.fail_after(fence.PAY_S):
            done = await paying
        assert done is True, "or it was refused"
        assert x.payment is not None or not pass_through, "credits are held"
    except Woken:
        raise
    except Exception as error:
        raise fence.closed(x, BUDGETS, error) from error


async def pay(
    x: Exchange, wallets: Wallets, provider: str, model: str = "", *, pass_through: bool = False
) -> bool:
    """Hold what the next call of this exchange may cost; what its last one held is given back.
    True: the call is paid for, or need not be.

    Raises Refusal: 429 when it does not fit, 400 for what cannot be paid from credits, 503 when
    the wallet is down and must not be; Woken when the client has left while it waited.
    """
    payment: Payment | None = x.payment
    if payment is not None:
        payment.release()
    wallet = wallets.by_region[x.region]
    if not wallet.concerns(x.org, pass_through=pass_through):
        return True
    if x.aim is not None and x.aim.switches:
        if wallet.strict:
            raise Refusal(
                403, "websocket_not_counted",
                "What a WebSocket may cost cannot be held beforehand, and the budgets of this "
                'server are strict: set budget_mode = "normal", or use calls over HTTP.',
            )  # fmt: skip
        fence.note(x, WEBSOCKET)
        return True
    if not (x.body.length or pass_through):
        return True  # nothing is bought without a question: lists of models, files, health
    must = pass_through or wallet.strict
    if must and cast(Record, x.tap).capture.dropped:  # closed: nobody could tell what it has cost
        raise Refusal(
            503, "reply_not_kept",
            "This server cannot keep what is needed to charge for the reply at the moment (memory, "
            "or a part that failed; /healthcheck says which), so the call is not made. Try again.",
            headers={"Retry-After": "1"},
        )  # fmt: skip
    try:
        call, size = await _sized(x, wallets, wallet, provider, model, pass_through=pass_through)
        spender = Spender(
            x.identity.key_id, call.user,
            {name.lower(): value for name, value in x.asks.properties.items()},
        )  # fmt: skip
        wanted = Wanted(x.org, size, pass_through, spender, provider, call.model)
        hold = await wallet.hold(wanted, x.reply.watch)
    except (Refusal, Woken):
        raise
    except WalletDown as down:
        if must:
            raise down.refusal() from None
        wallets.failed()
        fence.note(x, DOWN)
        return True
    except Exception as error:
        if must:
            fence.broke(x, BUDGETS, error)
            raise Refusal(
                503, "wallet_failed",
                "What this call may cost could not be worked out, so it is not made. Try again, or "
                "use a provider key of your own.",
            ) from error  # fmt: skip
        wallets.failed()
        fence.broke(x, BUDGETS, error)
        return True
    if size is None:
        fence.note(x, NO_PRICE)
    if hold is not None:
        x.payment = payment = payment or Payment(wallet, wallets.price)
        payment.enter(hold, call)
    return True


async def _sized(
    x: Exchange,
    wallets: Wallets,
    wallet: Wallet,
    provider: str,
    model: str,
    *,
    pass_through: bool,
) -> tuple[Call, HoldSize | None]:
    """The call, and what to hold for it; None without a price."""
    body = x.sent or x.body
    data = await _data(body, BODY_BYTES_MAX) or b""
    coding = x.head.first.get(b"content-encoding", b"").decode("latin-1") if x.sent is None else ""
    if coding or len(data) > PARSED_HERE_BYTES_MAX:
        document, size = await trio.to_thread.run_sync(_read, data, coding)
    else:
        document, size = _read(data, "")
    if not model:
        kind = x.head.first.get(b"content-type", b"").decode("latin-1")
        asked = x.asks.model_override or request_name(document, data, kind)
        model = asked or path_name(x.route.path.decode("latin-1")) or ""
    user = x.asks.user_id
    call = Call(provider, model, user, pass_through)
    registry = await wallets.registry()
    # The book's word alone: by it the call is billed, whatever else would name a price.
    assert x.aim is not None, "aimed before"
    card = wallets.card(priced_as(provider, x.aim.record_url), model, x.created_at_us)
    if card is None:
        return call, None
    limits = registry.endpoint(model, provider)
    expects = not (pass_through or wallet.strict)
    return call, size_hold(
        read_asked(document, max(size, body.length)),
        card,
        context_tokens=limits.context_tokens if limits is not None else None,
        output_tokens_max=limits.max_output_tokens if limits is not None else None,
        output_tokens_expected=wallet.outputs.tokens(model, user) if expects else None,
    )


def _read(data: bytes, coding: str) -> tuple[dict[str, object], int]:
    """The request, {} where it is none in JSON, and its length without coding."""
    if coding:
        data = decode_body(data, coding).data
    document, _ = read_json(data) if data else (None, None)
    return document if isinstance(document, dict) else {}, len(data)


async def _data(body: Body, bytes_max: int) -> bytes | None:
    """The body, from wherever it lies; None for one that is too large to be read."""
    if body.spill is None:
        return body.data
    if body.length > bytes_max:
        return None
    spill = body.spill
    data: bytes = await trio.to_thread.run_sync(spill.begin, body.length)
    return data
