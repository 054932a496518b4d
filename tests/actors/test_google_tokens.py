"""Tokens for service accounts: bought once, kept, given up in time. The desk is played here; over
a socket it is in tests/e2e/test_gateway_vertex.py."""

import json
from collections.abc import Callable

import pytest
import trio
import trio.testing

from appliance.actors import google_tokens
from appliance.actors.google_tokens import FAILED_S, REFUSED_S, REPLACED_S, GoogleTokens
from appliance.core.provider_credentials import Secret
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Watch
from appliance.providers.google_token import RENEW_BEFORE_S
from appliance.wire import Woken
from tests.fakes.provider_google_token import account

START_S = 1_780_000_000.0
KEY = Secret(json.dumps(account()))
OTHER = Secret(json.dumps(account(client_email="other@project-1.iam.gserviceaccount.com")))


class Desk:
    """What is asked, and answers in order; the last one for good. Waits where it is `shut`."""

    def __init__(self, *answers: tuple[int, dict[str, object]] | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.now_s = START_S
        self.shut: trio.Event | None = None
        self.arrived = trio.Event()

    async def __call__(self, request: object) -> tuple[int, bytes]:
        self.asked += 1
        self.arrived.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.shut is not None:
            await self.shut.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer[0], json.dumps(answer[1]).encode()

    def tokens(self, **more: float) -> GoogleTokens:
        return GoogleTokens(self, clock_s=lambda: self.now_s, **more)


def good(value: str) -> tuple[int, dict[str, object]]:
    return 200, {"access_token": value, "expires_in": 3600}


NO = (400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})


async def test_a_token_is_kept_until_shortly_before_its_end():
    desk = Desk(good("one"), good("two"))
    tokens = desk.tokens()
    assert await tokens.token(KEY, Watch(None)) == "one"
    desk.now_s += 3600 - RENEW_BEFORE_S - 1
    assert await tokens.token(KEY, Watch(None)) == "one"
    desk.now_s += 1
    assert await tokens.token(KEY, Watch(None)) == "two"
    assert desk.asked == 2


async def test_those_who_wait_together_buy_once(nursery):
    desk = Desk(good("one"))
    desk.shut = trio.Event()
    tokens = desk.tokens()
    found = []

    async def ask() -> None:
        found.append(await tokens.token(KEY, Watch(None)))

    for _ in range(20):
        nursery.start_soon(ask)
    await desk.arrived.wait()
    await trio.testing.wait_all_tasks_blocked()
    desk.shut.set()
    await wait_until(lambda: len(found) == 20)
    assert (desk.asked, set(found)) == (1, {"one"})


async def test_another_buys_when_the_first_gives_up(nursery):
    desk = Desk(good("one"))
    desk.shut = trio.Event()
    tokens = desk.tokens()
    found, ended = [], trio.Event()

    async def leave(scope: trio.CancelScope) -> None:
        with scope:
            await tokens.token(KEY, Watch(None))
        ended.set()

    async def ask() -> None:
        found.append(await tokens.token(KEY, Watch(None)))

    scope = trio.CancelScope()
    nursery.start_soon(leave, scope)
    await desk.arrived.wait()
    nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel("the client has gone")
    await ended.wait()
    desk.shut.set()
    await wait_until(lambda: bool(found))
    assert (desk.asked, found) == (2, ["one"])


async def test_a_no_is_believed_for_a_while():
    desk = Desk(NO, good("one"))
    tokens = desk.tokens()
    for _ in range(3):
        with pytest.raises(Refusal, match="Invalid JWT Signature") as refusal:
            await tokens.token(KEY, Watch(None))
        assert (refusal.value.status, desk.asked) == (401, 1)
    # Another account has nothing to do with it.
    assert await tokens.token(OTHER, Watch(None)) == "one"
    desk.now_s += REFUSED_S
    assert await tokens.token(KEY, Watch(None)) == "one"


@pytest.mark.parametrize(
    "failure", [(503, {}), UpstreamFailed("connect_failed", "tokens.test refuses connections")]
)
async def test_a_failure_is_asked_again_soon(failure):
    desk = Desk(failure, good("one"))
    tokens = desk.tokens()
    for _ in range(2):
        with pytest.raises(Refusal, match="No access token") as refusal:
            await tokens.token(KEY, Watch(None))
        assert (refusal.value.status, refusal.value.code) == (502, "provider_token_failed")
    assert desk.asked == 1
    desk.now_s += FAILED_S
    assert await tokens.token(KEY, Watch(None)) == "one"


@pytest.mark.parametrize("limits", [{"buy_s": 0.05}, {"wait_s": 0.05}])
async def test_a_desk_that_is_silent(limits):
    desk = Desk(good("one"))
    desk.shut = trio.Event()
    with pytest.raises(Refusal, match="in time") as refusal:
        await desk.tokens(**limits).token(KEY, Watch(None))
    assert refusal.value.status == 504


async def test_a_client_that_goes_is_told_apart(nursery):
    desk = Desk(good("one"))
    desk.shut = trio.Event()
    tokens = desk.tokens()
    watch = Watch(None)
    ended = trio.Event()

    async def ask() -> None:
        with pytest.raises(Woken):
            await tokens.token(KEY, watch)
        ended.set()

    nursery.start_soon(ask)
    await desk.arrived.wait()
    watch.hang_up()
    with trio.fail_after(5):
        await ended.wait()
    assert watch.upstream is None


async def test_purchases_are_bounded(nursery, monkeypatch):
    monkeypatch.setattr(google_tokens, "PURCHASES_MAX", 1)
    desk = Desk(good("one"))
    desk.shut = trio.Event()
    tokens = desk.tokens()
    nursery.start_soon(tokens.token, KEY, Watch(None))
    await desk.arrived.wait()
    with pytest.raises(Refusal, match="Too many") as refusal:
        await tokens.token(OTHER, Watch(None))
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "1"})
    desk.shut.set()


async def test_what_is_no_service_account():
    desk = Desk(good("one"))
    tokens = desk.tokens()
    with pytest.raises(Refusal, match="client_email"):
        await tokens.token(Secret("{}"), Watch(None))
    tokens.forget(Secret("sk-plain"))  # nothing was bought for it
    assert desk.asked == 0


async def test_a_token_that_was_not_taken_is_forgotten():
    desk = Desk(good("one"), good("two"))
    tokens = desk.tokens()
    assert await tokens.token(KEY, Watch(None)) == "one"
    tokens.forget(KEY)
    assert await tokens.token(KEY, Watch(None)) == "two"


async def test_the_one_that_was_bought_instead_is_kept_for_a_while():
    """By calls that were under way with the old one, and where no token helps."""
    desk = Desk(good("one"), good("two"), good("three"))
    tokens = desk.tokens()
    await tokens.token(KEY, Watch(None))
    for _ in range(20):
        tokens.forget(KEY)
        assert await tokens.token(KEY, Watch(None)) == "two"
    assert desk.asked == 2
    desk.now_s += REPLACED_S
    tokens.forget(KEY)
    assert await tokens.token(KEY, Watch(None)) == "three"
    desk.now_s -= 3600  # set right by hand
    tokens.forget(KEY)
    assert await tokens.token(OTHER, Watch(None)) == "three"
    assert desk.asked == 4


async def test_what_is_remembered_of_refused_tokens_is_bounded(monkeypatch):
    monkeypatch.setattr(google_tokens, "TOKENS_MAX", 3)
    tokens = Desk(good("one")).tokens()
    for number in range(9):
        tokens.forget(Secret(json.dumps(account(client_email=f"{number}@p.iam"))))
    assert len(tokens._forgotten_s) == 3


async def wait_until(condition: Callable[[], bool]) -> None:
    """The signature is made in a thread."""
    with trio.fail_after(10):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.001)
