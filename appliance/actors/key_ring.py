"""API keys in memory: hash → whose it is, and the rate limits of organisations. Plain look-ups
while requests run, durable changes.

Loaded from the state store at start. Until that has worked once the ring is `broken`: callers fail
open or closed (`core.access.identify`). Later trouble of the store (`failing`) does not touch
look-ups, since nobody else writes to it. Both are tried again.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar, cast

import trio

from appliance.actors.rate_policies import NONE, Policies, policies_of
from appliance.core.keys import (
    DEFAULT_ORGANIZATION,
    REGION_DEFAULT,
    KeyInfo,
    Permission,
    generate_key,
    hash_key,
    is_key_hash,
    parse_key,
)
from appliance.core.rate_policy import Policy
from appliance.errors import Refusal
from storage.rate_policies import RatePolicyRow
from storage.state import ApiKey, State, StateBroken

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
IMPORT_ROWS_MAX: Final = 100_000
BOOTSTRAP_ID: Final = "bootstrap"


class NewKey(NamedTuple):
    """A key just made; its text is shown this once."""

    key: str
    row: ApiKey


class KeyRing:
    """One per region. `open_state` opens the store; it blocks and may raise StateBroken."""

    def __init__(self, open_state: Callable[[], State], region: str = REGION_DEFAULT) -> None:
        self._open_state = open_state
        self._region = region
        self._state: State | None = None
        self._keys: dict[str, KeyInfo] = {}
        self._declared: dict[str, KeyInfo] = {}
        self._policies: Policies = {}
        # SQLite has one writer; the state is small, so one thread serves reads as well.
        self._limiter = trio.CapacityLimiter(1)
        self.broken = "not loaded yet"
        self.failing = ""
        self.failures = 0

    def lookup(self, key_hash: str) -> KeyInfo | None:
        """Whose key has this hash. Never blocks."""
        return self._keys.get(key_hash)

    def policies(self, org: bytes) -> Sequence[Policy] | None:
        """The stored rate limits of an organisation, in the order they are tried. None: they cannot
        be told, as the store was never read or holds what is no policy. Never blocks."""
        return None if self.broken else self._policies.get(org, NONE)

    @property
    def trouble(self) -> str:
        """What does not work, or ""."""
        return self.broken or self.failing or self.policies_trouble

    @property
    def waiting(self) -> int:
        """How many wait for the store, beside whoever uses it."""
        return self._limiter.statistics().tasks_waiting

    @property
    def policies_trouble(self) -> str:
        """Why rate limits on file are not enforced, or ""."""
        count = sum(found is None for found in self._policies.values())
        return f"the rate limits of {count} organisations cannot be read" if count else ""

    def __len__(self) -> int:
        return len(self._keys)

    def declare(self, key: str, *, org: bytes = DEFAULT_ORGANIZATION) -> None:
        """A key of the configuration: known while this process runs, and kept nowhere. Raises
        ValueError when it has not the shape of a key."""
        shape = parse_key(key)
        if shape is None or shape.stand_in:
            raise ValueError("the bootstrap key does not look like sk-helicone-… or pk-helicone-…")
        permission: Permission = "w" if shape.write_only else "rw"
        info = KeyInfo(org, BOOTSTRAP_ID, permission, self._region, BOOTSTRAP_ID)
        self._declared[hash_key(key)] = info
        self._keys.update(self._declared)

    async def load(self) -> bool:
        """Read all keys from the store, opening it when it is not. False: it is broken."""
        try:
            rows, policies = await self._in_thread(self._read)
        except StateBroken as error:
            self._fail(error)
            if self.broken:
                self.broken = str(error)
            await self.close()
            return False
        self._install(rows, policies)
        return True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load, then mend: a broken store is tried again with growing pauses."""
        await self.load()
        task_status.started()
        pause_s = RETRY_FIRST_S
        while True:
            await trio.sleep(pause_s)
            if not self.failing or await self.load():
                pause_s = RETRY_FIRST_S
            else:
                pause_s = min(pause_s * 2, RETRY_MAX_S)

    async def close(self) -> None:
        """Close the store; look-ups go on."""
        state, self._state = self._state, None
        if state is not None:
            await trio.to_thread.run_sync(state.close, limiter=self._limiter)

    async def change(self, work: Callable[[State], T]) -> T:
        """Let `work` change the store in a thread, and know what came of it before this ends,
        however it ends: a key that was revoked opens nothing, though whoever revoked it has gone.
        Raises Refusal 503 when broken, also for what cannot be read after a change; and what
        `work` raises."""

        def work_and_read(state: State) -> tuple[T, list[ApiKey], list[RatePolicyRow]]:
            return work(state), state.api_keys(), state.rate_policies()

        # One call of a thread, which is not cancelled half-way, and no wait behind it.
        result, rows, policies = await self._change(work_and_read)
        self._install(rows, policies)
        return result

    async def ask(self, work: Callable[[State], T]) -> T:
        """Let `work` read the store in a thread. Raises Refusal 503 when broken, and what `work`
        raises."""
        return await self._change(work)

    async def create(
        self,
        name: str,
        *,
        write_only: bool = False,
        org: bytes = DEFAULT_ORGANIZATION,
        stream_usage: str = "",
    ) -> NewKey:
        """Make a key; it works as soon as this returns. Raises Refusal 503 when broken."""
        key = generate_key(write_only=write_only, region=self._region)
        row = await self._change(
            lambda state: state.add_api_key(
                name,
                hash_key(key),
                organization_id=str(uuid.UUID(bytes=org)),
                permission="w" if write_only else "rw",
                region=self._region,
                stream_usage=stream_usage,
            )
        )
        self._keys[row.key_hash] = key_info(row, self._region)
        return NewKey(key, row)

    async def revoke(self, key_id: str) -> bool:
        """Take a key out of use at once. False when there is none of this id."""
        row = await self._change(lambda state: state.revoke_api_key(key_id))
        if row is None:
            return False
        self._keys.pop(row.key_hash, None)
        self._keys.update(self._declared)
        return True

    async def list_keys(self, *, revoked: bool = False) -> list[ApiKey]:
        """Keys on file, oldest first; never their text."""
        return await self._change(lambda state: state.api_keys(revoked=revoked))

    async def import_hashes(self, rows: Iterable[ApiKey]) -> int:
        """Put stored hashes of deployed keys on file; gives the number of new ones. Raises
        ValueError for a row that is no hash, and then nothing was added."""
        wanted = list(rows)
        if len(wanted) > IMPORT_ROWS_MAX:
            raise ValueError(f"{len(wanted)} keys: at most {IMPORT_ROWS_MAX} at a time")
        for number, row in enumerate(wanted, 1):
            if not is_key_hash(row.key_hash):
                raise ValueError(f"key {number}: its hash is not 64 hexadecimal digits")
        return await self.change(lambda state: state.import_api_keys(wanted))

    def _install(self, rows: list[ApiKey], policies: list[RatePolicyRow]) -> None:
        self._keys = {row.key_hash: key_info(row, self._region) for row in rows} | self._declared
        self._policies = policies_of(policies)
        self.broken = self.failing = ""

    def _read(self) -> tuple[list[ApiKey], list[RatePolicyRow]]:
        if self._state is None:
            self._state = self._open_state()
        return self._state.api_keys(), self._state.rate_policies()

    async def _change(self, work: Callable[[State], T]) -> T:
        state = self._state
        if state is None:
            why = self.failing or self.broken
            raise Refusal(503, "key_store_broken", f"The key store is broken: {why}")
        try:
            return await self._in_thread(lambda: work(state))
        except StateBroken as error:
            self._fail(error)
            raise Refusal(503, "key_store_broken", f"The key store is broken: {error}") from None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def _fail(self, error: StateBroken) -> None:
        if not self.failing:
            log.warning("keys: the state store cannot be used: %s", error)
        self.failing = str(error)
        self.failures += 1


class KeyRingTask:
    """The ring as one of the supervisor's actors: it mends a broken store."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._closing = False
        self._scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`: there is nothing to save."""
        if self._closing:
            task_status.started()
            return
        self._scope = trio.CancelScope()
        with self._scope:
            await self._ring.run(task_status=task_status)

    def close(self) -> None:
        """`run` returns; the store stays open for whoever is still answered."""
        self._closing = True
        self._scope.cancel("the server ends")

    @property
    def inbox(self) -> int:
        """Changes and readings that wait for the store."""
        return self._ring.waiting

    @property
    def trouble(self) -> str:
        """As the ring says."""
        return self._ring.trouble


def key_info(row: ApiKey, region: str) -> KeyInfo:
    """What requests need to know of a key on file. Its region is that of the store it lies in,
    whatever the row says: a store that was moved there brings rows of another."""
    assert row.permission in ("rw", "r", "w"), "the store checks what it takes"
    return KeyInfo(
        uuid.UUID(row.organization_id).bytes,
        row.id,
        cast(Permission, row.permission),
        region,
        row.name,
        row.stream_usage,
    )
