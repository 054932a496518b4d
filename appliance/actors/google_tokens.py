"""Access tokens for service accounts: bought when first needed, kept until shortly before their
end.

A plain object: who finds no token buys one, and whoever needs the same meanwhile waits for it.
Where tokens are bought is Google's address or the configuration's, never one that a stored key
names. Closed: without a token the call is refused, and others go on. Nothing here is logged.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import trio

from appliance.core.provider_credentials import Secret
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Watch
from appliance.providers.google_token import (
    TOKENS_MAX,
    ServiceAccount,
    TokenCache,
    TokenRequest,
    read_account,
    read_token,
    token_request,
)
from appliance.upstream.pool import ScopeWake
from appliance.wire import Woken

# How long buying a token may take, and how long a request waits for one that is being bought.
BUY_S: Final = 8.0
WAIT_S: Final = 10.0
# Tokens bought at once: each is a connection and a signature.
PURCHASES_MAX: Final = 64
# A "no" is believed for so long, and a failure for as long as the requests behind it need to hear.
REFUSED_S: Final = 10.0
FAILED_S: Final = 1.0
# A token that replaced one which a provider did not take is kept so long, even if it is not taken
# either: an account without rights would buy one with each request. It also keeps the new one where
# several calls were under way with the old.
REPLACED_S: Final = 10.0
REPLY_BYTES_MAX: Final = 64 * 1024
FAILED: Final = "provider_token_failed"

Post = Callable[[TokenRequest], Awaitable[tuple[int, bytes]]]


class _No(NamedTuple):
    """Why there is no token, until when that is not asked again."""

    status: int
    code: str
    message: str
    until_s: float


class GoogleTokens:
    """`buy` sends a request to the token endpoint: status and body, or UpstreamFailed, Refusal."""

    def __init__(
        self,
        buy: Post,
        *,
        buy_s: float = BUY_S,
        wait_s: float = WAIT_S,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._post = buy
        self._buy_s = buy_s
        self._wait_s = wait_s
        self._clock_s = clock_s
        self._tokens = TokenCache()
        self._noes: dict[str, _No] = {}
        self._forgotten_s: dict[str, float] = {}
        self._purchases: dict[str, trio.Event] = {}

    async def token(self, secret: Secret, watch: Watch) -> str:
        """A token of the service account that this secret is. Raises Refusal 401, 502, 503, 504;
        Woken when the client has gone meanwhile, or its time is up."""
        account = read_account(secret.parts()[0])
        found = self._tokens.get(account.id, self._clock_s())
        if found:
            return found
        watch.enter("connect", self._wait_s + 1)
        with trio.move_on_after(self._wait_s) as scope:
            watch.upstream = ScopeWake(scope)
            try:
                return await self._bought(account)
            finally:
                watch.upstream = None
        if watch.gone or watch.expired:
            raise Woken
        raise _late()

    def forget(self, secret: Secret) -> None:
        """A provider did not take the token: the next call buys another, unless it has just been
        bought in place of one."""
        if not secret.is_document:
            return
        account_id, now_s = read_account(secret.parts()[0]).id, self._clock_s()
        since_s = now_s - self._forgotten_s.get(account_id, float("-inf"))
        if 0 <= since_s < REPLACED_S:  # a clock that went back says nothing
            return
        self._forgotten_s.pop(account_id, None)
        if len(self._forgotten_s) >= TOKENS_MAX:
            del self._forgotten_s[next(iter(self._forgotten_s))]
        self._forgotten_s[account_id] = now_s
        self._tokens.forget(account_id)

    async def _bought(self, account: ServiceAccount) -> str:
        while True:
            now_s = self._clock_s()
            found = self._tokens.get(account.id, now_s)
            if found:
                return found
            no = self._noes.get(account.id)
            if no is not None and now_s < no.until_s:
                raise Refusal(no.status, no.code, no.message)
            purchase = self._purchases.get(account.id)
            if purchase is None:
                return await self._buy(account)
            # Whoever buys may give up with its client: then another of those who wait does it.
            await purchase.wait()

    async def _buy(self, account: ServiceAccount) -> str:
        if len(self._purchases) >= PURCHASES_MAX:
            raise Refusal(
                503, FAILED, "Too many access tokens are being bought just now. Try again.",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        purchase = self._purchases[account.id] = trio.Event()
        try:
            with trio.move_on_after(self._buy_s):
                return await self._ask(account)
            raise _late()
        except Refusal as refusal:
            self._remember(account.id, refusal)
            raise
        finally:
            del self._purchases[account.id]
            purchase.set()

    async def _ask(self, account: ServiceAccount) -> str:
        # A signature takes a millisecond or two, and the first one loads what it is made with.
        request = await trio.to_thread.run_sync(token_request, account, self._clock_s())
        try:
            status, body = await self._post(request)
            token = read_token(status, body, self._clock_s())
        except UpstreamFailed as failure:
            raise Refusal(502, FAILED, f"No access token: {failure.message}.") from None
        self._tokens.put(account.id, token)
        self._noes.pop(account.id, None)
        return token.value

    def _remember(self, account_id: str, refusal: Refusal) -> None:
        lasts_s = REFUSED_S if refusal.status == 401 else FAILED_S
        self._noes.pop(account_id, None)
        if len(self._noes) >= TOKENS_MAX:
            del self._noes[next(iter(self._noes))]
        until_s = self._clock_s() + lasts_s
        self._noes[account_id] = _No(refusal.status, refusal.code, refusal.message, until_s)


async def _buy_none(request: TokenRequest) -> tuple[int, bytes]:
    raise UpstreamFailed("connect_failed", "tokens are bought by a server alone")


# For whoever keeps keys and calls nobody.
NO_TOKENS: Final = GoogleTokens(_buy_none)


def _late() -> Refusal:
    return Refusal(504, FAILED, "Google's token endpoint gave no access token in time.")
