"""Sends news of alerts and reports from a durable queue: by mail, to Slack, to webhooks.

Whoever has news puts them into the table with what they are news of, in one transaction, and calls
`changed`. A channel that is down is tried again as long as a webhook is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from appliance.actors.tables import Tables
from appliance.actors.webhooks import Send, attempt
from appliance.core.webhooks import wait_s
from appliance.errors import Refusal
from appliance.upstream.mail import MailFailed
from storage.notice_tables import Notice, Sent, due_notices, note_sent
from storage.vault import VaultError

AT_ONCE: Final = 8
ATTEMPT_S: Final = 30.0
LOOK_S: Final = 20.0
RETRY_S: Final = 5.0
CLOSE_S: Final = 2.0
WORDS_MAX: Final = 300

# Address, subject and text of a mail. Raises MailFailed.
Mail = Callable[[str, str, str], Awaitable[None]]
Unseal = Callable[[str, bytes], str]


class Notices:
    """An actor of one region. `mail` is None where no mail server is configured."""

    def __init__(
        self,
        tables: Tables,
        send: Send,
        mail: Mail | None,
        unseal: Unseal,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._tables = tables
        self._send = send
        self._mail = mail
        self._unseal = unseal
        self._clock = clock
        self._draw = draw
        self._news = trio.Event()
        self._closing = trio.Event()
        self._sent: list[Sent] = []
        self._under_way = 0
        self.trouble = ""

    @property
    def inbox(self) -> int:
        """How many are being sent."""
        return self._under_way

    def changed(self) -> None:
        """There is something to send."""
        news, self._news = self._news, trio.Event()
        news.set()

    def close(self) -> None:
        """Nothing more is begun. What is under way has `CLOSE_S`: cut off, it is sent again after
        the next start, and whoever has it already gets it twice."""
        self._closing.set()
        self.changed()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep)
            await self._closing.wait()
            nursery.cancel_scope.deadline = trio.current_time() + CLOSE_S
        with suppress(Refusal):  # then these are sent once more after the next start
            await self._note()

    async def _keep(self) -> None:
        while not self._closing.is_set():
            news = self._news
            try:
                wait_for_s = await self._round()
                self.trouble = ""
            except Refusal as refusal:
                self.trouble, wait_for_s = refusal.message, RETRY_S
            with trio.move_on_after(wait_for_s):
                await news.wait()

    async def _round(self) -> float:
        """Send what is due; for how long there is nothing to do then."""
        now_us = int(self._clock() * 1e6)
        due, coming_us = await self._tables.read(partial(due_notices, now_us=now_us, limit=AT_ONCE))
        if due:
            self._under_way = len(due)
            async with trio.open_nursery() as nursery:
                for notice in due:
                    nursery.start_soon(self._one, notice)
            self._under_way = 0
            # Before anything else is read: what was sent must not be found again.
            while self._sent:
                try:
                    await self._note()
                except Refusal as refusal:
                    self.trouble = refusal.message
                    await trio.sleep(RETRY_S)
            return 0.0
        if coming_us is None:
            return float("inf")
        return min(max(coming_us / 1e6 - self._clock(), 0.0), LOOK_S)

    async def _note(self) -> None:
        if sent := list(self._sent):
            await self._tables.write(partial(note_sent, sent=sent))
            del self._sent[: len(sent)]

    async def _one(self, notice: Notice) -> None:
        try:
            problem = await self._sent_to(notice)
        except Exception as error:  # of one notice: the others go on
            problem = type(error).__name__
        again_s = wait_s(notice.attempts + 1, self._draw()) if problem else None
        state = "waiting" if again_s is not None else "failed" if problem else "sent"
        now_us = int(self._clock() * 1e6)
        next_us = now_us + int((again_s or 0) * 1e6)
        self._sent.append(Sent(notice.id, state, next_us, now_us, problem[:WORDS_MAX]))

    async def _sent_to(self, notice: Notice) -> str:
        """Why it was not, or ""."""
        try:
            destination = self._unseal(notice.id, notice.sealed)
        except VaultError:
            return "its destination does not open: the vault is another one"
        if notice.channel != "email":
            body = notice.body.encode()
            _, problem = await attempt(self._send, destination, {}, body, ATTEMPT_S)
            return problem
        if self._mail is None:
            return "no mail server is configured ([smtp])"
        try:
            with trio.fail_after(ATTEMPT_S):
                await self._mail(destination, notice.subject, notice.body)
        except MailFailed as error:
            return str(error)
        except trio.TooSlowError:
            return f"the mail server did not take it within {ATTEMPT_S:g} s"
        return ""
