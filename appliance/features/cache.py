"""The response cache around one target: an answer from it, or the provider's kept for others
(proxy.md 4).

Fails open: what cannot be looked up is asked for, what cannot be kept is passed on, and both are
told where the client asked for caching.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, TracebackType

import trio

from appliance import fence
from appliance.actors.cache_body import key_of
from appliance.actors.cache_collect import Collecting
from appliance.actors.cache_flights import WAIT_S, Flights, Follower, Lead
from appliance.actors.response_cache import Hit, ResponseCache
from appliance.core.cache_control import coalesces, reads, saves, why_unfit
from appliance.core.cache_entry import Entry, make_entry
from appliance.core.cache_key import CALLER_HEADERS, KeyHead
from appliance.core.cache_reply import (
    MISS,
    Replay,
    hit_facts,
    hit_headers,
    read_saved,
    replay_of,
)
from appliance.core.force_format import Gluer
from appliance.exchange import Exchange, Headers, TapLike, monotonic
from appliance.upstream.http1 import UpstreamReply
from appliance.wire import Woken

CACHE = "cache-enabled"
ACCEPT_ENCODING = b"accept-encoding"
TOO_LARGE = "cache-enabled;reason=body-too-large"


@dataclass(slots=True)
class Caches:
    """What the pipeline asks. `failed` counts a cache that broke."""

    by_region: Mapping[str, ResponseCache]
    secrets: Mapping[str, bytes]
    failed: Callable[[], None]


def wants_cache(x: Exchange) -> bool:
    """Whether either half of the cache is asked for, by somebody who is known, of a reply."""
    asks = x.asks
    if not (asks.cache_read or asks.cache_save):
        return False
    return not (x.identity.failed_open or x.route.switches)


def caching_of(x: Exchange, tap: TapLike, variant: bytes = b"") -> Caching | None:
    """The cache around one target, where it is wanted."""
    return Caching(x, tap, variant) if wants_cache(x) else None


def of_anybody(headers: Headers) -> Headers:
    """The header lines that a key knows, but for who asks: where the organisation's own keys are
    used, all of its callers are given one answer."""
    return [field for field in headers if field[0].lower() not in CALLER_HEADERS]


class StoredReply:
    """A kept reply, piece by piece as it came, in the place of a provider's."""

    __slots__ = ("_at", "_entry", "first", "reason", "status")

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._at = 0
        self.status = 200
        self.reason = entry.reason
        self.first = {name.lower(): value for name, value in entry.headers}

    @property
    def done(self) -> bool:
        """Whether all of it was given."""
        return self._at >= len(self._entry.chunks)

    async def piece(self) -> bytes:
        """The next piece of the body."""
        self._at += 1
        return self._entry.chunks[self._at - 1] if self._at <= len(self._entry.chunks) else b""

    def end_to_end(self) -> Headers:
        """Its header lines."""
        return list(self._entry.headers)


class Caching:
    """One exchange, one target. `with Caching(…) as caching:`; memory is given back on every way
    out. It stands in the tap's place for the relay, and passes everything on to it. `variant`:
    what else decides about the answer, beside what is called and with which body."""

    __slots__ = ("_cache", "_collecting", "_key", "_lead", "_tap", "_variant", "x")

    def __init__(self, x: Exchange, tap: TapLike, variant: bytes = b"") -> None:
        self.x = x
        self._tap = tap
        self._variant = variant
        self._cache: ResponseCache | None = None
        self._key = b""
        self._collecting: Collecting | None = None
        self._lead: Lead | None = None

    def __enter__(self) -> Caching:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        collecting, self._collecting = self._collecting, None
        if collecting is not None:
            fence.open_now(self.x, CACHE, None, NoneType, collecting.release)
        fence.open_now(self.x, CACHE, None, NoneType, self._land, None)

    async def answers(self, caches: Caches, fields: Headers | None = None) -> bool:
        """Whether the cache has answered. `fields` name the caller; None: anybody of the
        organisation. Open until its answer has begun."""
        x = self.x
        try:
            fields = of_anybody(x.head.headers) if fields is None else fields
            answered = await self.answered(await self.hit(caches, fields))
            assert isinstance(answered, bool), "it has, or it has not"
            return answered
        except Exception as error:
            if x.started or isinstance(error, fence.PROMISED):
                raise
            fence.broke(x, CACHE, error)
            return False

    async def hit(self, caches: Caches, fields: Headers) -> Hit | None:
        """The answer, if there is one. `fields` are the header lines that name the caller. Raises
        Woken while it waits for another's."""
        try:
            found = await self._look(caches, fields)
        except Exception as error:  # open: without the cache the provider is asked
            caches.failed()
            fence.broke(self.x, CACHE, error)
            self._cache = None
            return None
        cache = self._cache
        if found is None and cache is not None and cache.flights is not None:
            return await self._fly(cache.flights)
        return found

    async def _fly(self, flights: Flights) -> Hit | None:
        """Lead the misses that are the same, or wait for what their leader gets: its whole reply,
        or None to go on alone."""
        joined = flights.join(self._key) if coalesces(self.x.asks) else None
        if isinstance(joined, Lead):
            self._lead = joined
        elif joined is not None:
            entry = await _follow(joined, self.x)
            return Hit(entry, 0) if entry is not None else None
        return None

    async def _look(self, caches: Caches, fields: Headers) -> Hit | None:
        x, asks = self.x, self.x.asks
        head = self._head(caches, fields)
        if x.body.spill is None:
            found_key = await key_of(head, x.body)
        else:
            with trio.fail_after(fence.OPEN_S):
                found_key = await key_of(head, x.body)
        if found_key is None:
            fence.note(x, TOO_LARGE)
            return None
        cache = self._cache = caches.by_region[x.region]
        self._key = found_key
        if not reads(asks):
            return None
        now_us = time.time_ns() // 1000
        found = cache.lookup(found_key, asks.cache_buckets, now_us)
        if found is None or isinstance(found, Hit):
            return found
        with trio.fail_after(fence.OPEN_S):
            return await cache.fetch(found, now_us)

    def _head(self, caches: Caches, fields: Headers) -> KeyHead:
        """The part of the key that the head decides: worked out once for requests with the same
        head that are one organisation's and go the same way."""
        x, facts = self.x, self.x.facts
        aim = x.aim
        assert aim is not None, "aimed before"
        shared = aim is facts.aim and fields is x.head.headers and not self._variant
        if shared and aim is facts.cached_aim and x.org == facts.cached_org:
            known: KeyHead = facts.cache_head
            return known
        key = aim.key
        head = KeyHead(
            secret=caches.secrets[x.region], region=x.region, org=x.org, method=x.head.method,
            url=b"%b://%b:%d%b" % (
                key.scheme.encode(), key.host.encode(), key.port, x.route.path,
            ),
            headers=fields, seed=x.asks.cache_seed, ignored=x.asks.cache_ignore_keys,
            variant=self._variant,
        )  # fmt: skip
        if shared:
            facts.cache_head, facts.cached_aim, facts.cached_org = head, aim, x.org
        return head

    async def answered(self, hit: Hit | None) -> bool:
        """Send the hit. False: there is none that this client can be given, and if it asked for
        one it is told."""
        x = self.x
        if hit is not None:
            replay = fence.open_now(x, CACHE, None, (Replay, NoneType), self._replay, hit)
            if replay is not None:
                await self._send(hit, replay)
                return True
        self.missed()
        return False

    async def kept(self, caches: Caches) -> StoredReply | None:
        """A hit as if its provider said it again, to be put into this client's words; None when
        there is none. Open, as `answers`."""
        x = self.x
        try:
            hit = await self.hit(caches, of_anybody(x.head.headers))
            if hit is None:
                self.missed()
                return None
            stored = StoredReply(hit.entry)
            self._note(hit.entry)
        except Exception as error:
            if isinstance(error, fence.PROMISED):
                raise
            fence.broke(x, CACHE, error)
            return None
        x.reply_headers += hit_headers(hit.entry, hit.bucket)
        self._answers()
        return stored

    def missed(self) -> None:
        """There was no answer: a client that asked for one is told, and the one that comes is
        gathered where it is to be kept."""
        x = self.x
        if x.asks.cache_read and MISS not in x.reply_headers:
            x.reply_headers.append(MISS)
        if self._cache is not None and saves(x.asks):
            self._collecting = self._cache.collect()

    def _note(self, entry: Entry) -> None:
        """What the record says of a hit."""
        x = self.x
        assert x.aim is not None, "aimed before"
        known = {
            **x.asks.facts, "dialect": x.dialect, "gateway_provider": x.aim.provider.id,
            "path": x.aim.record_path,
        }  # fmt: skip
        read_saved(entry, known, x.body.data)
        x.hit = hit_facts(entry)

    def _answers(self) -> None:
        """A hit is what the client gets."""
        x = self.x
        if MISS in x.reply_headers:  # of a target before this one
            x.reply_headers.remove(MISS)
        x.outcome = "cache_hit"
        x.first_byte_s = monotonic()

    def _replay(self, hit: Hit) -> Replay | None:
        """What this client can be given, and what the record says of it."""
        x, entry = self.x, hit.entry
        replay = replay_of(entry, x.head.first.get(ACCEPT_ENCODING, b""))
        if replay is not None:
            self._note(entry)
        return replay

    async def _send(self, hit: Hit, replay: Replay) -> None:
        x, entry, tap = self.x, hit.entry, self._tap
        self._answers()
        x.http_status = 200
        x.response_type, x.response_coding = entry.content_type, replay.coding
        chunks = replay.chunks or (b"",)
        last = len(chunks) - 1
        events = entry.content_type.startswith("text/event-stream")
        gluer = Gluer() if x.asks.stream_force_format and events else None
        for index, piece in enumerate(chunks):
            tap.add(piece)
            if tap.heavy:
                await tap.unload()
            if index == last:
                await tap.seal("cache_hit")
            if gluer is not None:
                piece = gluer.flush(piece) if index == last else gluer.feed(piece)
            if not x.started:
                x.started = True
                headers = [*replay.headers, *hit_headers(entry, hit.bucket), *x.reply_headers]
                await x.reply.start(
                    200, entry.reason, headers, replay.length, piece,
                    last=index == last, trailers=list(entry.trailers),
                )  # fmt: skip
            elif index == last:
                await x.reply.finish(piece, list(entry.trailers))
            else:
                await x.reply.write(piece)

    def keep_reply(self, reply: UpstreamReply) -> None:
        """The provider's reply was passed on. Open: else nobody finds it again."""
        reply_headers = reply.end_to_end()
        fence.open_now(
            self.x, CACHE, None, NoneType,
            self.keep, reply.status, reply.reason, reply_headers, reply.trailers,
        )  # fmt: skip

    def keep(self, status: int, reason: bytes, headers: Headers, trailers: Headers) -> None:
        """The reply has ended: keep it for others, if it is whole and good."""
        x, collecting, cache = self.x, self._collecting, self._cache
        if collecting is None or cache is None or collecting.why_not:
            return
        body = b"".join(collecting.pieces)
        coding = x.response_coding
        if why_unfit(status, x.outcome, x.response_type, coding, x.dialect, body):
            return
        now_us = time.time_ns() // 1000
        entry = make_entry(
            org=x.org, exchange_id=x.exchange_id, request_id=x.request_id, created_at_us=now_us,
            age_s=x.asks.cache_age_s, latency_ms=int((monotonic() - x.started_s) * 1000),
            headers=headers, chunks=collecting.pieces,
            has_length=any(name.lower() == b"content-length" for name, _ in headers),
            reason=reason, content_type=x.response_type, coding=coding, trailers=trailers,
        )  # fmt: skip
        cache.save(self._key, entry, x.asks.cache_buckets, now_us)
        self._land(entry)

    def _land(self, entry: Entry | None) -> None:
        """Those who wait for this reply are given it, or told that there is none."""
        lead, self._lead = self._lead, None
        if lead is not None:
            lead.land(entry)

    # -- in the tap's place

    @property
    def heavy(self) -> bool:
        """The tap's."""
        return self._tap.heavy

    def add(self, piece: bytes) -> None:
        """A piece of the provider's reply, as it was received."""
        self._tap.add(piece)
        collecting = self._collecting
        if collecting is not None:
            try:
                collecting.add(piece)
                if collecting.why_not:
                    self._land(None)  # too large to be given to anybody
            except Exception as error:  # open: the reply goes on, and is not kept
                fence.broke(self.x, CACHE, error)
                self.__exit__(None, None, None)

    async def unload(self) -> None:
        """The tap's."""
        await self._tap.unload()

    async def seal(self, outcome: str) -> None:
        """The tap's."""
        await self._tap.seal(outcome)


async def _follow(follower: Follower, x: Exchange) -> Entry | None:
    """What the leader got. Raises Woken when a deadline passes or the client leaves meanwhile."""
    watch = x.reply.watch
    watch.upstream = follower
    watch.enter("wait", WAIT_S + 1)
    try:
        entry = await follower.wait()
    finally:
        watch.upstream = None
    if watch.gone or watch.expired:
        raise Woken
    watch.rest()
    return entry
