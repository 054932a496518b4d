"""What a call is paid from, where something that it rests on is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from appliance.actors.recorder import no_capture
from appliance.actors.wallet_batch import WalletDown
from appliance.commands_wallet import allow, remove_budget
from appliance.core.derive import Bill
from appliance.core.ledger import Hold, Settled
from appliance.errors import Refusal
from appliance.exchange import Body
from appliance.features.pay import Call, Payment, Wallets, pay
from tests.fakes.bare_exchange import bare_exchange


class Purse:
    """A wallet that must not be asked for a hold, and keeps what it is told."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.told: list[tuple[str, int | None]] = []

    def concerns(self, org: bytes, *, pass_through: bool = False) -> bool:
        return True

    def settle(self, hold: Hold, cost_pico: int | None) -> Settled:
        self.told.append((hold.id.decode(), cost_pico))
        return Settled(True)

    def release(self, hold: Hold) -> Settled:
        self.told.append((hold.id.decode(), 0))
        return Settled(True)


def hold_named(name: bytes) -> Hold:
    return Hold(name, b"o" * 16, [], 0, 0, (1, 0))


@pytest.mark.parametrize(("strict", "pass_through"), [(True, False), (False, True)])
async def test_what_could_not_be_charged_is_not_called(strict: bool, pass_through: bool) -> None:
    """The reply cannot be kept, so nobody could tell what it has cost."""
    tap = SimpleNamespace(capture=no_capture())
    x = bare_exchange(org=b"o" * 16, body=Body(b"{}", None, 2), tap=tap)
    purse: Any = Purse(strict=strict)
    nothing: Any = None
    wallets = Wallets({"us": purse}, nothing, nothing, nothing, nothing)
    with pytest.raises(Refusal) as caught:
        await pay(x, wallets, "openai", pass_through=pass_through)
    assert (caught.value.status, caught.value.code) == (503, "reply_not_kept")


@pytest.mark.parametrize(
    ("lost", "last", "expected"),
    [([], 5, 5), ([3], 5, 8), ([3, 4], 0, 7), ([None], 5, None), ([3, None], 0, None),
     ([3], None, None)],
)  # fmt: skip
def test_a_hold_pays_for_all_calls_on_it(
    lost: list[int | None], last: int | None, expected: int | None
) -> None:
    purse: Any = Purse(strict=False)
    payment = Payment(purse, lambda *_: pytest.fail("asked"))  # type: ignore[arg-type]
    payment.enter(hold_named(b"h1"), Call("openai", "gpt-x", "", pass_through=False))
    for cost_pico in lost:
        payment.lose(cost_pico)
    payment._bill = Bill(last, 0)
    x = bare_exchange(outcome="cut")
    assert payment.told({}, x, no_capture()) == [(b"h1", expected)]
    payment.settle(x)
    payment.settle(x)
    payment.release()
    assert purse.told == [("h1", expected)]
    assert payment.told({}, x, no_capture()) == [(b"h1", expected)]


def test_a_target_that_is_given_up_costs_what_broke_off() -> None:
    purse: Any = Purse(strict=False)
    payment = Payment(purse, lambda *_: pytest.fail("asked"))  # type: ignore[arg-type]
    payment.lose(9)  # without a hold nothing is paid
    for name, lost in ((b"h1", [7]), (b"h2", []), (b"h3", [None])):
        payment.enter(hold_named(name), Call("openai", "gpt-x", "", pass_through=False))
        for cost_pico in lost:
            payment.lose(cost_pico)
        payment.release()
    expected = [(b"h1", 7), (b"h2", 0), (b"h3", None)]
    assert payment.told({}, bare_exchange(), no_capture()) == expected
    assert purse.told == [(name.decode(), cost) for name, cost in expected]


class DownDesk:
    """A desk whose wallet goes down under it."""

    def check_up(self) -> None:
        return

    def budgets(self, org: bytes) -> list[Any]:
        return [(SimpleNamespace(id="b1"), [])]

    async def allow(self, org: bytes, provider: str, model: str) -> bool:
        raise WalletDown("disk I/O error")

    async def drop_budget(self, org: bytes, budget_id: str) -> bool:
        raise WalletDown("disk I/O error")


@pytest.mark.parametrize("command", [allow, remove_budget])
async def test_a_command_says_that_the_wallet_is_down(command: Any) -> None:
    with pytest.raises(Refusal) as caught:
        await command(DownDesk(), b"o" * 16, {"provider": "p", "model": "m", "budget": "b1"})
    assert (caught.value.status, caught.value.code) == (503, "wallet_down")
