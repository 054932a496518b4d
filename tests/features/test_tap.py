"""The tap: exactly one record for each exchange, on every way out."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from appliance.actors.recorder import INLINE_BYTES_MAX, Recorder
from appliance.core.ask_types import Asks
from appliance.core.derive import Bill
from appliance.exchange import Attempt, Body, Exchange
from appliance.features.pay import Call, Payment
from appliance.features.tap import FLAG_SUPERSEDES, Tap
from storage.blobs import Blobs
from storage.frames import PART_BLOB, PART_INLINE, Part, decode_exchange, unpack
from storage.spool import Ticket
from tests.features.reply_kit import Diary, exchange_of
from tests.features.test_pay import Purse, hold_named


class Store:
    """Keeps frames; blobs are real files."""

    def __init__(self, directory: Any) -> None:
        (directory / "tmp").mkdir()
        self.blobs = Blobs(directory)
        self.frames: list[tuple[dict[str, Any], list[Part], list[Part], int]] = []
        self.settled = 0
        self.degraded: str | None = None
        self.journal = self

    def append(self, kind: int, org: bytes, payload: bytes, flags: int = 0) -> Ticket:
        self.frames.append((*decode_exchange(payload), flags))
        return Ticket(len(self.frames))

    async def settle(self, ticket: object) -> None:
        await trio.lowlevel.checkpoint()
        self.settled += 1

    def note_recent(self, *_: object) -> None:
        return

    def blob_sink(self) -> Any:
        from appliance.actors.spill import BlobSink

        return BlobSink(self.blobs)

    def response(self, number: int = -1) -> bytes:
        return unpack(self.frames[number][2], self.blobs.read)


class Spilled:
    """A request body on disk, as the tap sees it."""

    length = 7

    def __init__(self) -> None:
        self.closed = 0

    def parts(self, facts: dict[str, Any]) -> list[Part]:
        return []

    def begin(self, size: int) -> bytes:
        return b'{"a":1}'

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def store(tmp_path: Any) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.blobs.sync()


def tap_of(store: Store, **asks: Any) -> Tap:
    recorder = Recorder(64 << 20, 4 << 20)
    anything: Any = store
    recorder.stores["us"] = anything
    x = exchange_of(Diary())
    x.asks = Asks(**asks)
    x.identity = SimpleNamespace(key_id="")
    x.exchange_id, x.request_id = bytes(16), "id"
    return Tap(x, recorder)


async def test_sealed_once(store: Store) -> None:
    with tap_of(store) as tap:
        tap.add(b"hello")
        await tap.seal("complete")
        await tap.seal("complete")
    assert len(store.frames) == 1
    facts, _, _, flags = store.frames[0]
    assert (facts["outcome"], facts["response_bytes"], flags) == ("complete", 5, 0)
    assert store.response() == b"hello"
    assert store.settled == 1


WAYS: list[tuple[type[BaseException], bool, str]] = [
    (OSError, True, "client_gone"),
    (OSError, False, "cut"),
    (KeyError, False, "cut"),
]


@pytest.mark.parametrize(("error", "gone", "outcome"), WAYS)
async def test_whatever_escapes_is_on_record(
    store: Store, error: type[BaseException], gone: bool, outcome: str
) -> None:
    tap = tap_of(store)
    with pytest.raises(error), tap:  # noqa: PT012 - the tap must see it
        tap.add(b"half")
        tap.x.reply.watch.gone = gone
        raise error
    facts = store.frames[0][0]
    assert (facts["outcome"], facts["error"]) == (outcome, error.__name__)
    assert store.response() == b"half"
    assert len(store.frames) == 1


async def test_cancelled(store: Store) -> None:
    with trio.CancelScope() as scope, tap_of(store) as tap:
        tap.add(b"half")
        scope.cancel()
        await trio.sleep(1)
    assert store.frames[0][0]["outcome"] == "cut"


async def test_an_outcome_that_is_known_stays(store: Store) -> None:
    with tap_of(store) as tap:
        tap.x.outcome = "stalled"
    assert store.frames[0][0]["outcome"] == "stalled"


async def test_bytes_behind_the_seal_are_written_in_its_place(store: Store) -> None:
    with tap_of(store) as tap:
        tap.add(b"data: [DONE]\n\n")
        await tap.seal("complete")
        tap.add(b": bye\n\n")
    assert [frame[3] for frame in store.frames] == [0, FLAG_SUPERSEDES]
    assert store.response() == b"data: [DONE]\n\n: bye\n\n"
    assert store.frames[0][0]["exchange_id"] == store.frames[1][0]["exchange_id"]


PIECE = b"0123456789abcdef" * 4096


async def add(tap: Tap, pieces: int) -> None:
    for _ in range(pieces):
        tap.add(PIECE)
        if tap.heavy:
            await tap.unload()


async def test_large_replies_go_through_a_blob(store: Store) -> None:
    with tap_of(store) as tap:
        await add(tap, 30)
        await tap.seal("complete")
    facts, _, response, _ = store.frames[0]
    assert "response_truncated" not in facts
    assert response[0][0] == PART_BLOB
    assert store.response() == PIECE * 30


async def test_a_large_reply_written_twice_is_the_same_blob(store: Store) -> None:
    with tap_of(store) as tap:
        await add(tap, 30)
        await tap.seal("complete")
        tap.add(b"tail")
    assert store.response() == PIECE * 30 + b"tail"
    assert store.frames[0][2][0] == store.frames[1][2][0]


async def test_what_comes_behind_the_seal_goes_into_another_blob(store: Store) -> None:
    with tap_of(store) as tap:
        await add(tap, 30)
        await tap.seal("complete")
        await add(tap, 30)
        tap.add(b"tail")
    assert "response_truncated" not in store.frames[1][0]
    assert [part[0] for part in store.frames[1][2]] == [PART_BLOB, PART_BLOB, PART_INLINE]
    assert store.response() == PIECE * 60 + b"tail"


async def test_a_flood_behind_the_seal_keeps_its_tail(store: Store) -> None:
    with tap_of(store) as tap:
        await add(tap, 30)
        await tap.seal("complete")
        await add(tap, 70)
        tap.add(b"tail")
    assert store.frames[1][0]["response_truncated"] is True
    assert store.response().startswith(PIECE * 60)
    assert store.response().endswith(PIECE + b"tail")


async def test_an_exchange_that_goes_on_is_on_record_and_replaced(store: Store) -> None:
    with tap_of(store) as tap:
        await add(tap, 30)
        tap.interim()
        assert store.frames[0][0]["outcome"] == "cut"
        await add(tap, 10)
        tap.interim()
        tap.add(b"tail")
        await tap.seal("complete")
    assert [frame[0]["outcome"] for frame in store.frames] == ["cut", "cut", "complete"]
    assert [frame[3] for frame in store.frames] == [0, FLAG_SUPERSEDES, FLAG_SUPERSEDES]
    assert len({frame[0]["exchange_id"] for frame in store.frames}) == 1
    assert store.response(0) == PIECE * 30
    assert store.response() == PIECE * 40 + b"tail"


async def test_an_exchange_that_is_left_open_is_ended(store: Store) -> None:
    with tap_of(store) as tap:
        tap.interim()
    assert [frame[0]["outcome"] for frame in store.frames] == ["cut", "cut"]
    assert store.frames[1][3] == FLAG_SUPERSEDES


async def test_above_what_is_kept_head_and_tail_are(store: Store) -> None:
    with tap_of(store) as tap:
        await add(tap, 100)  # 6.25 MiB of at most 4
        tap.add(b"tail")
        await tap.seal("complete")
    facts = store.frames[0][0]
    assert facts["response_truncated"] is True
    assert facts["response_bytes"] == 100 * len(PIECE) + 4
    kept = store.response()
    assert kept.startswith(PIECE * 60)
    assert kept.endswith(PIECE + b"tail")
    assert len(kept) == (4 << 20) + INLINE_BYTES_MAX


async def test_omitted_bodies_are_only_looked_at(store: Store) -> None:
    usage = b'{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4}}'
    with tap_of(store, omit_request=True, omit_response=True) as tap:
        tap.x.response_type, tap.x.http_status = "application/json", 200
        tap.x.body = Body(b'{"model":"asked"}', None, 17)
        tap.add(usage)
        await tap.seal("complete")
    facts, request, response, _ = store.frames[0]
    assert (request, response) == ([], [])
    assert facts["model"] == "m"
    assert (facts["request_bytes"], facts["response_bytes"]) == (17, len(usage))


async def test_spilled_requests_are_closed_once(store: Store) -> None:
    spilled = Spilled()
    with tap_of(store) as tap:
        tap.x.body = Body(b"", spilled, 7)
        await tap.seal("complete")
        assert spilled.closed == 0
    assert spilled.closed == 1


async def test_a_running_attempt_lasts_until_now(store: Store) -> None:
    with tap_of(store) as tap:
        x: Exchange = tap.x
        x.attempts = [
            Attempt("a", "A", started_at_us=x.created_at_us - 5_000_000),
            Attempt("b", "B", started_at_us=1, latency_us=7),
        ]
        await tap.seal("complete")
    first, second = store.frames[0][0]["attempts"]
    assert first["latency_us"] >= 5_000_000
    assert second["latency_us"] == 7


def paying(tap: Tap) -> Any:
    """The tap's exchange is paid from a wallet that remembers."""
    purse: Any = Purse(strict=False)
    payment = Payment(purse, lambda *_: pytest.fail("asked"))  # type: ignore[arg-type]
    payment.enter(hold_named(b"h1"), Call("openai", "gpt-x", "", pass_through=False))
    payment._bill = Bill(5, 0)
    tap.x.payment = payment
    return purse


@pytest.mark.parametrize("cancelled", [False, True])
async def test_the_ledger_waits_where_the_record_does(store: Store, cancelled: bool) -> None:
    """A frame on its way to a slow disk is lost by a kill: no cost may be on file before it."""
    asked, written = trio.Event(), trio.Event()

    async def settle(_: object) -> None:
        asked.set()
        await written.wait()

    store.settle = settle  # type: ignore[method-assign]
    tap = tap_of(store)
    purse = paying(tap)

    async def call() -> None:
        with tap:
            await tap.seal("complete")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await asked.wait()
        assert (len(store.frames), purse.told) == (1, [])
        if cancelled:
            nursery.cancel_scope.cancel()
        else:
            written.set()
    assert purse.told == [("h1", 5)]
    assert store.frames[0][0]["holds"] == [[b"h1", 5]]


async def test_the_ledger_follows_a_written_record_at_once(store: Store) -> None:
    store.append = lambda *a, **k: Store.append(store, *a, **k) and None  # type: ignore[method-assign]
    with tap_of(store) as tap:
        purse = paying(tap)
        tap._write()
        assert purse.told == [("h1", 5)]
    assert purse.told == [("h1", 5)]


async def test_a_call_that_breaks_off_is_settled(store: Store) -> None:
    tap = tap_of(store)
    purse = paying(tap)
    with pytest.raises(OSError), tap:
        raise OSError
    assert purse.told == [("h1", 5)]
