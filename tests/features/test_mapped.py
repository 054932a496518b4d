"""A gateway's stream: how long the beginning of an event waits for its end (50 ms), and that no
byte is lost by the waiting."""

from __future__ import annotations

from typing import Any

import trio

from appliance.features.mapped import HELD_S, relay_mapped
from appliance.providers.dialects.mapping import ReplyMap
from tests.features.reply_kit import Diary, exchange_of
from tests.providers.dialects.test_splits import SIDES

MS = 0.001


class TimedReply:
    """Gives each piece at its time, in seconds from the start; the end with the last."""

    def __init__(self, pieces: list[tuple[float, bytes]]) -> None:
        self.status, self.reason = 200, b"OK"
        self.first = {b"content-type": b"text/event-stream"}
        self._pieces = pieces
        self._started_s = trio.current_time()

    @property
    def done(self) -> bool:
        return not self._pieces

    async def piece(self) -> bytes:
        await trio.sleep_until(self._started_s + self._pieces[0][0])
        return self._pieces.pop(0)[1]  # not before: a wait that was given up takes nothing

    def end_to_end(self) -> list[tuple[bytes, bytes]]:
        return list(self.first.items())


class TimedDiary(Diary):
    """Knows when each write came, in whole milliseconds from the start."""

    def __init__(self) -> None:
        super().__init__()
        self._started_s = trio.current_time()
        self.writes: list[tuple[int, bytes]] = []

    def _write(self, piece: bytes) -> None:
        super()._write(piece)
        if piece:
            self.writes.append((round((trio.current_time() - self._started_s) / MS), piece))


async def written(*pieces: tuple[float, bytes]) -> list[tuple[int, bytes]]:
    """When what was written, of pieces with their times in milliseconds."""
    diary = TimedDiary()
    reply: Any = TimedReply([(at_ms * MS, piece) for at_ms, piece in pieces])
    mapping = ReplyMap("plain", SIDES["azure"][0], created=7, id="1")
    await relay_mapped(exchange_of(diary), reply, diary, 60.0, mapping)
    sent = b"".join(piece for _, piece in pieces)
    assert diary.body == diary.seen == sent
    return diary.writes


async def test_the_beginning_of_an_event_waits_for_its_end(autojump_clock: object) -> None:
    assert await written((0, b"data: a\n\ndata: "), (49, b"b\n\n"), (90, b"data: c\n\n")) == [
        (0, b"data: a\n\n"), (49, b"data: b\n\n"), (90, b"data: c\n\n"),
    ]  # fmt: skip


async def test_it_waits_no_longer_than_that(autojump_clock: object) -> None:
    assert HELD_S == 50 * MS
    assert await written((0, b"data: a\n\ndata: "), (51, b"b\n\n"), (90, b"data: c\n\n")) == [
        (0, b"data: a\n\n"), (50, b"data: "), (51, b"b\n\n"), (90, b"data: c\n\n"),
    ]  # fmt: skip


async def test_a_trickle_does_not_begin_the_wait_anew(autojump_clock: object) -> None:
    pieces = [(30 * number, b"%d" % number) for number in range(8)]
    assert await written(*pieces, (240, b"\n\n")) == [
        (50, b"01"), (110, b"23"), (170, b"45"), (230, b"67"), (240, b"\n\n"),
    ]  # fmt: skip


async def test_each_beginning_has_its_own_wait(autojump_clock: object) -> None:
    assert await written((0, b"a"), (40, b"b\n\nc"), (80, b"d\n\n"), (85, b"e\n\n")) == [
        (40, b"ab\n\n"), (80, b"cd\n\n"), (85, b"e\n\n"),
    ]  # fmt: skip


async def test_64_kib_do_not_wait(autojump_clock: object) -> None:
    most = b"x" * 65536
    assert await written((0, most), (10, b"y"), (20, b"\n\n")) == [
        (10, most + b"y"), (20, b"\n\n"),
    ]  # fmt: skip


async def test_what_is_held_at_the_end_is_sent(autojump_clock: object) -> None:
    assert await written((0, b"data: a\n\n"), (10, b"data: b")) == [
        (0, b"data: a\n\n"), (10, b"data: b"),
    ]  # fmt: skip
