"""One region: its data directory with lock, vault, journal, blobs, lake and analytics, and the
actors that keep them going. Two regions share nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from appliance.actors.batch_helper import BatchHelper
from appliance.actors.frame_rows import LARGE_BYTES, FrameDeriver, weight_of_frame
from appliance.actors.ingest import Ingest
from appliance.actors.lake_helper import Helper
from appliance.actors.prompts import PromptBook
from appliance.actors.rate_limiter import BUCKETS_MAX, RateLimiter
from appliance.actors.recent import Recent
from appliance.actors.response_cache import ResponseCache
from appliance.actors.roller import Roller
from appliance.actors.roller_options import RollerOptions
from appliance.actors.spill import BlobSink, RequestSink
from appliance.actors.spill_budget import SpillBudget
from appliance.actors.tables import Tables
from appliance.actors.wallet import Wallet
from appliance.actors.wallet_desk import WalletDesk
from appliance.core.derive import PriceOf
from appliance.errors import Refusal
from appliance.providers.price_eras import DeriveByEra
from storage import price_eras
from storage.analytics import Analytics
from storage.analytics_failure import remove, set_aside
from storage.batch import FrameRows
from storage.blobs import Blobs
from storage.cache_store import CacheStore
from storage.dataset_tables import drop_aged
from storage.directory import Root
from storage.frames import Part, Position, unpack
from storage.journal import Journal, JournalOptions
from storage.lake import Lake
from storage.ledger import LedgerStore
from storage.price_eras import Era, Prices
from storage.reader import FrameUnreadable, read_frame
from storage.segment import FRAME_BYTES, SEAL_BYTES
from storage.state_tables import StateTables
from storage.vault import Vault
from storage.webhook_tables import forget_exchanges

log = logging.getLogger(__name__)

DELETION_PURPOSE = b"deletion"
LIMITS_PURPOSE = b"rate limits"
CACHE_PURPOSE = b"response cache"
# Exchanges that ingest has not reached, by request id: a bound for the time it stands still.
RECENT_MAX = 50_000
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """What a region is opened with."""

    name: str
    directory: Path
    journal: JournalOptions
    master_key: str | None
    duckdb_bytes_max: int
    record_bytes_max: int
    roller: RollerOptions
    prices: Prices = field(default_factory=list)
    cache_bytes_max: int = 64 * 2**20
    budgets_strict: bool = False
    buckets_max: int = BUCKETS_MAX
    prepare: Callable[[], None] = lambda: None  # before the first rows are derived here; may block
    cache_disk_bytes_max: int = 2**30
    cache_coalesce: bool = False


class _Every:
    """Holds all exchanges."""

    def __contains__(self, _exchange_id: object) -> bool:
        return True


EVERY = _Every()


class Region:
    """Opened blocking, before anything is served; its actors are started afterwards."""

    def __init__(self, options: RegionOptions, price: PriceOf, *, wait_s: float = 10.0) -> None:
        """Raises RootBusy, RootRefused, VaultError, JournalRefused, ErasUnreadable, OSError."""
        self.name = options.name
        self.directory = options.directory
        self.options = options
        self.root = Root.open(options.directory, wait_s=wait_s)
        try:
            self.vault = Vault.open(options.directory, options.master_key)
            self.keys = self.vault.segment_keys
            self.deletion_key = self.vault.stable_key(DELETION_PURPOSE)
            self.blobs = Blobs(options.directory, self.keys)
            self.lake = Lake.open(options.directory, keys=self.keys, deletion_key=self.deletion_key)
            self.journal = Journal.open(
                options.directory,
                region=options.name,
                options=options.journal,
                keyring=self.keys,
                before_sync=self.blobs.sync,
            )
            self._eras = self._known_eras()
        except BaseException:
            self.root.close()
            raise
        self.spill = SpillBudget()
        store = CacheStore(options.directory / "cache", options.cache_disk_bytes_max, self.keys)
        self.cache = ResponseCache(options.cache_bytes_max, store, coalesce=options.cache_coalesce)
        self.cache_secret = self.vault.stable_key(CACHE_PURPOSE)
        secret = self.vault.stable_key(LIMITS_PURPOSE)
        self.limiter = RateLimiter(options.directory, secret, buckets_max=options.buckets_max)
        state = options.directory / "state.sqlite"
        self.on_forget: list[Callable[[], Awaitable[None]]] = []  # who else has copies drops them
        self.tables = Tables(partial(StateTables.open, state, region=options.name))
        self.prompts = PromptBook(self.tables)
        self.wallet = Wallet(
            partial(LedgerStore.open, state, region=options.name),
            strict=options.budgets_strict,
            journal_at=lambda: self.journal.written,
        )
        self.desk = WalletDesk(self.wallet)
        job = price_eras.as_job(self._eras)
        self.deriver = FrameDeriver(DeriveByEra(job["eras"], price), self.read_parts)
        self.batch_helper = BatchHelper(options.directory, job, self.keys)
        self.ingest = Ingest(
            self.journal,
            options.directory,
            self.deriver,
            open_analytics=self._open_analytics,
            rebuild=self._set_aside,
            remove=self._remove,
            helper=self.batch_helper,
            keys=self.keys,
            prepare=options.prepare,
        )
        self.roller = Roller(
            self.lake,
            self.journal,
            self.ingest,
            helper=Helper(pass_fds=[self.root.lock_descriptor]),
            rebuild_hot=self.ingest.renew,
            forget_cached=self._forget_cached,
            retain_copies=self._retain_copies,
            job=job,
            options=options.roller,
        )
        self._frame_bytes = FRAME_BYTES + (SEAL_BYTES if self.keys is not None else 0)
        self._recent = Recent(RECENT_MAX)
        # What the recorder calls on every exchange: the journal's own method, nothing between.
        self.append = self.journal.append
        self.settle = self.journal.settle

    def _known_eras(self) -> list[Era]:
        """What was recorded by other prices, before the last stop, keeps them."""
        known = price_eras.read(self.directory)
        self._eras = self._with_era(known, self.options.prices, since_us=0)
        if self._eras != known:
            self.keep_prices()
        return self._eras

    def _with_era(self, eras: list[Era], prices: Prices, since_us: int) -> list[Era]:
        era = Era(self.journal.written, since_us, prices)
        return price_eras.with_era(eras, era, self.lake.manifest.upto_segment)

    def price_by(self, prices: Prices, price: PriceOf, since_us: int) -> None:
        """Calls that came at `since_us` or later cost by these rows, in helper processes too.
        `keep_prices` has to follow."""
        self._eras = self._with_era(self._eras, prices, since_us)
        job = price_eras.as_job(self._eras)
        self.deriver.derive = DeriveByEra(job["eras"], price)
        self.batch_helper.work_by(job)
        self.roller.work_by(job)

    def keep_prices(self) -> None:
        """So that the next start knows what holds now. Blocking. On a full disk calls go on."""
        try:
            price_eras.write(self.directory, self._eras)
        except OSError as error:
            log.warning("the price list of now is not kept, a later one may hold: %s", error)

    def _open_analytics(self) -> Analytics:
        encrypted = self.keys is not None
        return Analytics.open(
            None if encrypted else self.directory / "analytics.duckdb",
            memory_bytes_max=self.options.duckdb_bytes_max,
            threads=2,
            lake=self.lake.view,
            temporary=None if encrypted else self.directory / "tmp",
            deletion_key=self.deletion_key,
        )

    async def _retain_copies(self, now_us: int) -> None:
        """In datasets, of what is too old. Raises OSError."""
        options = self.options.roller
        if options.retention_days is None or not options.retention_datasets:
            return
        before_us = now_us - int(options.retention_days * DAY_US)
        try:
            await self.tables.write(partial(drop_aged, before_us=before_us))
        except Refusal as refusal:  # tried again with the rest of retention
            raise OSError(f"datasets: {refusal.message}") from None

    async def _forget_cached(self, exchange_ids: frozenset[bytes] | None) -> None:
        """What deleted exchanges left in the response cache, in the log of webhooks and in results
        of queries. None: it is not known which they are, so all goes, which costs a few calls.
        Raises OSError."""
        await self.cache.forget(None, EVERY if exchange_ids is None else exchange_ids)
        try:
            await self.tables.write(partial(forget_exchanges, exchange_ids=exchange_ids))
        except Refusal as refusal:  # tried again with the rest of the deletion
            raise OSError(f"deliveries of webhooks: {refusal.message}") from None
        for drop in self.on_forget:
            await drop()

    def _set_aside(self) -> None:
        set_aside(self.directory / "analytics.duckdb", self.directory / "quarantine")

    def _remove(self) -> None:
        remove(self.directory / "analytics.duckdb")

    def read_parts(self, parts: list[Part]) -> bytes:
        """A body as it travelled, from the parts of its frame. Blocking where they are blobs."""
        return unpack(parts, self.blobs.read)

    def note_recent(self, org: bytes, request_id: str, payload_bytes: int) -> None:
        """The frame that was just appended can be read before ingest has seen it. Forgotten once
        its row is in."""
        end = self.journal.written
        begin = Position(end.segment, end.offset - self._frame_bytes - payload_bytes)
        self._recent.note(org, request_id, begin, self.ingest.position)

    @property
    def degraded(self) -> str | None:
        """The journal's word for it: records are not safe as promised."""
        return self.journal.degraded

    def find_recent(self, org: bytes, request_id: str) -> Position | None:
        """Where the newest exchange of this id lies, if its row is not in the database yet."""
        # Later edits are the database's: a row that is there must not be read from its frame.
        self._recent.forget(self.ingest.position)
        return self._recent.find(org, request_id)

    def read_rows(self, position: Position) -> FrameRows | None:
        """The rows of one frame, straight from the journal; None when it is so large that making
        them here would hold the loop up: ingest's helper process does. Blocking. Raises LookupError
        when it is not there any more."""
        try:
            frame = read_frame(self.directory, position, self.keys)
        except (FrameUnreadable, OSError) as error:
            raise LookupError(str(error)) from None
        if weight_of_frame(frame) >= LARGE_BYTES:
            return None
        return self.deriver(frame)

    def blob_sink(self) -> BlobSink:
        """For a reply's body that leaves memory."""
        return BlobSink(self.blobs)

    def request_sink(self) -> RequestSink:
        """For a request body as it comes."""
        return RequestSink(self.blobs, self.spill, self.options.record_bytes_max)

    async def start(self, nursery: trio.Nursery) -> None:
        """Start the actors. They end when the nursery is cancelled, or after `close`."""
        await nursery.start(self.journal.run)
        await nursery.start(self.ingest.run)
        await nursery.start(self.roller.run)

    async def close(self) -> None:
        """Flush and end, in the order of the data: journal, ingest, then the lock."""
        self.roller.close()
        await self.journal.close()
        self.ingest.close()
        await self.tables.close()

    def unlock(self) -> None:
        """The very last."""
        self.root.close()


Opener = Callable[[str], Region]
