"""A client that has gone while `drain_s` lets the reply be read on."""

from __future__ import annotations

import pytest

from appliance.errors import UpstreamFailed
from appliance.exchange import Watch
from appliance.features.answer import fail
from appliance.features.relay import relay
from tests.features.reply_kit import Diary, exchange_of, reply_of

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
SHORT = [OK + b"Content-Length: 5\r\n\r\nhello"]
LAST = b"data: [DONE]\n\n"
STREAM = [OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(LAST), LAST), b"0\r\n\r\n"]


class Notes(Diary):
    """Remembers as what it was sealed."""

    outcome = ""

    async def seal(self, outcome: str) -> None:
        self.outcome = self.outcome or outcome


@pytest.mark.parametrize("pieces", [SHORT, STREAM])
@pytest.mark.parametrize(("gone", "outcome"), [(False, "complete"), (True, "client_gone")])
async def test_a_reply_to_nobody_is_no_complete_one(
    pieces: list[bytes], gone: bool, outcome: str
) -> None:
    diary = Notes(drain_s=10)
    diary.watch.gone = gone
    x = exchange_of(diary)
    await relay(x, await reply_of(list(pieces)), diary, 10)
    # What is not sealed here is sealed by the tap, which asks the same Watch.
    assert (diary.outcome or "client_gone") == outcome
    assert diary.seen in (b"hello", LAST)


@pytest.mark.parametrize(("gone", "outcome"), [(False, "cut"), (True, "client_gone")])
async def test_whoever_went_first_names_the_outcome(gone: bool, outcome: str) -> None:
    diary = Notes(drain_s=10)
    diary.watch.gone = gone
    diary.abandon = lambda: None  # type: ignore[attr-defined]
    x = exchange_of(diary)
    x.started = True
    await fail(x, UpstreamFailed("cut", "the reply broke off"))
    assert (x.outcome, x.error) == (outcome, "cut")


def test_no_phase_lasts_longer_than_the_reading_on() -> None:
    watch = Watch(None)
    watch.drain_s = 2.0
    watch.enter("first_byte", 900)
    watch.hang_up()
    until_s = watch.deadline_s
    watch.enter("gap", 300)
    assert watch.deadline_s == pytest.approx(until_s, abs=1)
    watch.hang_up()  # the sweeper says so again and again
    assert watch.deadline_s == pytest.approx(until_s, abs=1)
