"""The load of chaos and soak: workers that call in every way, and remember what they saw."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from tests.e2e.shop_kit import Shop
from tests.fakes.appliance import CHAT, MESSAGES
from tests.fakes.raw_client import Ended, RawClient, Reply

OWN = {"Authorization": "Bearer sk-own-0123456789"}
# A terminal event ends a stream, as it does for SDKs, whatever comes behind it.
ENDINGS = (b"data: [DONE]\n\n", b'"type":"message_stop"}\n\n')
CACHED_TEXTS = 40
# A call that the provider does not answer is given up.
WAIT_S = 3.0
DELETED_AFTER = 10  # further calls of the same worker
DELETED_SHARE = 0.3  # each takes seconds in a sealed directory, whose database is made anew
STORM = (
    "fake-error-500", "fake-error-400", "fake-error-429", "fake-cut-after-3", "fake-no-done",
    "fake-reset-before-headers", "fake-close-before-headers", "fake-stall", "fake-stall-after-2",
    "fake-malformed-chunk", "fake-short-body", "fake-error-in-200", "fake-paced-30",
)  # fmt: skip


@dataclass
class Weather:
    """What goes wrong right now. A window is a time in which the disk fails; `lost` are those that
    ended with the process, so that what it had in memory alone is gone, as its replies said."""

    storm: bool = False
    window: int = 0  # its number, 0 outside
    lost: set[int] = field(default_factory=set)
    go: threading.Event = field(default_factory=threading.Event)
    ended: bool = False


@dataclass
class Call:
    """One call that a client saw finished."""

    id: str
    kind: str
    mark: str
    status: int
    request: str  # digests of the bodies
    response: str
    apart: bool  # the head came by itself: it was sent before there was a record
    degraded: bool
    faulty: str
    windows: frozenset[int]


@dataclass
class Seen:
    """What one worker saw. `unsure`: a deletion was asked for, and was not answered."""

    calls: dict[str, Call] = field(default_factory=dict)
    begun: int = 0
    paid: list[frozenset[int]] = field(default_factory=list)  # windows of calls on credits
    edits: dict[str, str] = field(default_factory=dict)
    deleted: dict[str, str] = field(default_factory=dict)  # and the marks of what they said
    unsure: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    took_s: list[tuple[float, float]] = field(default_factory=list)  # when, and how long


class Worker(threading.Thread):
    """Calls, one after the other, until the weather says that it has ended."""

    def __init__(
        self, shop: Shop, weather: Weather, seed: int, *, pause_s: float = 0.02,
        keeps: bool = True, writes: bool = True,
    ) -> None:  # fmt: skip
        """`keeps`: what was seen is remembered. `writes`: some calls are edited and deleted."""
        super().__init__(daemon=True, name=f"worker {seed}")
        self.shop, self.weather, self.seed = shop, weather, seed
        self.seen = Seen()
        self.idle = True
        self._keeps, self._pause_s = keeps, pause_s
        self._choose = random.Random(seed)
        self._mine: list[str] = []
        self._kinds: dict[str, tuple[int, Callable[[str], None]]] = {
            "proxy": (8, self._proxy), "stream": (8, self._stream), "claude": (4, self._claude),
            "paid": (6, self._paid), "paid stream": (6, self._paid_stream),
            "cached": (6, self._cached), "log": (4, self._log), "large": (1, self._large),
        }  # fmt: skip
        if writes:
            self._kinds |= {"edit": (3, self._edit), "delete": (1, self._erase_one)}

    def run(self) -> None:
        names = list(self._kinds)
        weights = [weight for weight, _ in self._kinds.values()]
        while not self.weather.ended:
            self.idle = True
            self.weather.go.wait()
            self.idle = False
            if not self.weather.go.is_set():
                continue
            (name,) = self._choose.choices(names, weights)
            self.seen.begun += 1
            try:
                self._kinds[name][1](f"{self.seed}-{self.seen.begun}-mark")
            except (Ended, OSError):
                time.sleep(0.05)  # it is down, or about to be
            time.sleep(self._choose.uniform(0, 2 * self._pause_s))
        self.idle = True

    # -- ways to call

    def _proxy(self, mark: str) -> None:
        self._chat("proxy", mark, CHAT, {"model": "gpt-4o"}, OWN)

    def _stream(self, mark: str) -> None:
        self._chat("stream", mark, CHAT, {"model": "gpt-4o", "stream": True}, OWN)

    def _claude(self, mark: str) -> None:
        ask = {"model": "claude-sonnet-4-6", "stream": True, "max_tokens": 100}
        self._chat("claude", mark, MESSAGES, ask, {"x-api-key": "sk-own"})

    def _paid(self, mark: str) -> None:
        self._on_credits("paid", mark, {"model": "gpt-4o/openai", "max_tokens": 1000})

    def _paid_stream(self, mark: str) -> None:
        ask = {"model": "gpt-4o/openai", "max_tokens": 1000, "stream": True}
        self._on_credits("paid stream", mark, ask)

    def _on_credits(self, kind: str, mark: str, ask: dict[str, object]) -> None:
        before = self.weather.window
        headers = {"Authorization": f"Bearer {self.shop.key}"}
        try:
            self._chat(kind, mark, "/v1/chat/completions", ask, headers)
        finally:
            self.seen.paid.append(frozenset({before, self.weather.window}))

    def _cached(self, _mark: str) -> None:
        mark = f"cached-{self._choose.randrange(CACHED_TEXTS)}-mark"
        self._chat("cached", mark, CHAT, {"model": "gpt-4o"}, {
            **OWN, "helicone-cache-enabled": "true"}, well=True)  # fmt: skip

    def _large(self, mark: str) -> None:
        self._chat(
            "large",
            mark + self._choose.randbytes(300_000).hex(),
            CHAT,
            {"model": "fake-big-400"},
            OWN,
            well=True,
        )

    def _chat(
        self, kind: str, mark: str, path: str, ask: dict[str, object], headers: dict[str, str],
        *, well: bool = False,
    ) -> None:  # fmt: skip
        """One call; `well` even in a storm."""
        faulty = ""
        if self.weather.storm and not well and self._choose.random() < 0.5:
            faulty = self._choose.choice(STORM)
            headers = {**headers, "x-fake": faulty}
        body = json.dumps({**ask, "messages": [{"role": "user", "content": mark}]}).encode()
        self._call(kind, mark, path, body, headers, faulty)

    def _log(self, mark: str) -> None:
        document = {
            "providerRequest": {
                "url": "custom-model-nopath",
                "json": {"model": "gpt-4o", "messages": [{"role": "user", "content": mark}]},
                "meta": {},
            },
            "providerResponse": {"status": 200, "headers": {}, "json": {"said": mark}},
            "timing": {
                "startTime": {"seconds": 1788000000, "milliseconds": 1},
                "endTime": {"seconds": 1788000001, "milliseconds": 1},
            },
        }
        self._call("log", mark, "/custom/v1/log", json.dumps(document).encode(), {}, "")

    def _call(
        self, kind: str, mark: str, path: str, body: bytes, headers: dict[str, str], faulty: str
    ) -> None:
        before, began_s = self.weather.window, time.monotonic()
        with RawClient(self.shop.appliance.url, timeout_s=WAIT_S if faulty else 30.0) as client:
            client.request(path, body, {"Content-Type": "application/json", **headers})
            reply = client.head()
            length = int(reply.first("content-length") or sys.maxsize)
            apart = len(client.data) < length
            client.rest(reply)
        if not (reply.end == "clean" or reply.body.endswith(ENDINGS)):
            return
        self.seen.took_s.append((began_s, time.monotonic() - began_s))
        windows = frozenset({before, self.weather.window})
        expected = (200, 400, 429, 500, 502, 503, 504) if faulty else (200,)
        if reply.status not in expected and windows == {0}:
            self.seen.wrong.append(f"{kind}: {reply.status} {reply.body[:200]!r}")
        name = reply.first("helicone-id")
        if self._keeps and name is not None and (reply.status == 200 or faulty):
            self._remember(kind, mark, body, reply, apart, name.decode(), faulty, windows)

    def _remember(
        self, kind: str, mark: str, body: bytes, reply: Reply, apart: bool, name: str, faulty: str,
        windows: frozenset[int],
    ) -> None:  # fmt: skip
        if name in self.seen.calls:
            self.seen.wrong.append(f"{kind}: id {name} was given twice")
        self.seen.calls[name] = Call(
            name, kind, mark, reply.status, sha256(body).hexdigest(),
            sha256(reply.body).hexdigest(), apart,
            reply.first("helicone-degraded") is not None, faulty, windows,
        )  # fmt: skip
        if kind == "proxy" and not faulty and windows == {0}:
            self._mine.append(name)

    # -- changes to what was called

    def _edit(self, mark: str) -> None:
        if not self._mine:
            return
        name, before = self._choose.choice(self._mine), self.weather.window
        had = self.seen.edits.pop(name, None)  # from now on, and until it is answered, unknown
        path, body = f"/v1/request/{name}/property", {"key": "chaos", "value": mark}
        with RawClient(self.shop.appliance.url) as client:
            status = client.call(path, body, method="PUT").status
        if self.weather.window == before == 0:
            if status == 200:
                self.seen.edits[name] = mark
            elif had is not None and 400 <= status < 500:  # a 5xx leaves open what became of it
                self.seen.edits[name] = had

    def _erase_one(self, _mark: str) -> None:
        if len(self._mine) <= DELETED_AFTER or self._choose.random() > DELETED_SHARE:
            return
        name, before = self._mine.pop(0), self.weather.window
        self.seen.unsure.add(name)
        self.seen.edits.pop(name, None)
        body = {"kind": "request", "id": name}
        with RawClient(self.shop.appliance.url) as client:
            status = client.call("/v1/appliance/deletions", body).status
        if self.weather.window == before == 0:
            self.seen.unsure.discard(name)
            if status == 202:
                self.seen.deleted[name] = self.seen.calls[name].mark
