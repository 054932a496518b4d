"""The playground's side of an exchange: events go to the caller as they come, everything else is
gathered and answered in the envelope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from appliance.api.reply import NO_STORE, error_reply, reply
from appliance.api.streamed import Streams
from appliance.core.decoding import decode_body
from appliance.exchange import Body, Exchange, Headers, ReplySide, Watch

CALLS_MAX: Final = 32  # at once, for all who are here
GATHERED_BYTES_MAX: Final = 32 * 1024 * 1024  # as much as the gateway maps
EVENTS: Final = b"text/event-stream"
TOO_LARGE: Final = f"The answer is larger than {GATHERED_BYTES_MAX} bytes. Ask with stream: true."
NO_COMPLETION: Final = "The provider's answer is no chat completion; its record shows it."
FAILED: Final = "The call failed; its record, by its Helicone-Id, says how."
# Of the gateway's header lines these go along; the others speak of bytes that are not passed on.
KEPT: Final = (b"retry-after",)
OURS: Final = b"helicone-"

Run = Callable[[ReplySide], Awaitable[None]]


class PlaygroundReply:
    """ReplySide of a call whose body is known. `streams`: its events went out already."""

    def __init__(self, body: bytes, send: Send) -> None:
        self.watch = Watch(None)
        self.streams = False
        self._body = body
        self._send = send
        self._status = 0
        self._headers: dict[str, str] = {}
        self._coding: str | None = None
        self._gathered = bytearray()
        self._too_large = False

    async def watch_client(self, receive: Receive) -> None:
        """Tell the exchange once its client has gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.watch.hang_up()

    async def read_body(self, x: Exchange) -> None:
        """It was read before."""
        x.body = Body(self._body, None, len(self._body))

    async def informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """Nobody waits for 1xx heads."""

    async def start(
        self,
        status: int,
        reason: bytes,
        headers: Headers,
        length: int | None,
        piece: bytes,
        *,
        last: bool = False,
        trailers: Headers | None = None,
    ) -> None:
        """The head, and the first piece."""
        first = {name.lower(): value for name, value in headers}
        self._status = status
        told = {name: value for name, value in first.items() if name in KEPT or OURS in name[:9]}
        self._headers = {name.decode(): value.decode("latin-1") for name, value in told.items()}
        coding = first.get(b"content-encoding")
        self._coding = coding.decode("latin-1") if coding is not None else None
        kind = first.get(b"content-type", b"")
        self.streams = 200 <= status <= 299 and kind.startswith(EVENTS)
        if self.streams:
            lines = [(b"content-type", kind), (b"cache-control", b"no-store")]
            lines += [(b"x-accel-buffering", b"no"), *told.items()]
            lines += [(b"content-encoding", coding)] if coding is not None else []
            await self._send({"type": "http.response.start", "status": status, "headers": lines})
        if last:
            await self.finish(piece, [])
        elif piece:
            await self.write(piece)

    async def write(self, piece: bytes) -> None:
        """A piece of the body."""
        if self.streams:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            return
        if len(self._gathered) + len(piece) > GATHERED_BYTES_MAX:
            self._too_large = True
            self._gathered.clear()
        if not self._too_large:
            self._gathered += piece

    async def finish(self, piece: bytes, trailers: Headers) -> None:
        """The last piece."""
        if self.streams:
            await self._send({"type": "http.response.body", "body": piece, "more_body": False})
        else:
            await self.write(piece)

    def abandon(self) -> None:
        """Cut: a stream is left without its end, and what was gathered of an answer is none."""
        self._gathered.clear()

    def answer(self) -> Response:
        """What was gathered, in the envelope."""
        if not 200 <= self._status <= 299:
            message = _message_of(self._read()) or FAILED
            return error_reply(self._status or 502, message, self._headers)
        if self._too_large:
            return error_reply(502, TOO_LARGE, self._headers)
        document = self._read()
        if not isinstance(document, dict):
            return error_reply(502, NO_COMPLETION, self._headers)
        found = reply({**document, **_said(document)})
        found.headers.update(self._headers)
        return found

    def _read(self) -> object:
        decoded = decode_body(bytes(self._gathered), self._coding, bytes_max=GATHERED_BYTES_MAX)
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            return msgspec.json.decode(decoded.data)
        return None


class Generated(Response):
    """Runs the call when the client is there to be answered."""

    def __init__(self, streams: Streams, body: bytes, run: Run) -> None:
        super().__init__(None, 200, NO_STORE)
        self._streams = streams
        self._call = body
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        side = PlaygroundReply(self._call, send)
        failure: Exception | None = None
        self._streams.open += 1
        try:
            async with trio.open_nursery() as nursery:
                side.watch.cut_off = nursery.cancel_scope.cancel
                nursery.start_soon(side.watch_client, receive)
                try:
                    await self._run(side)
                except Exception as error:  # none may cross the nursery: it would come as a group
                    failure = error
                nursery.cancel_scope.cancel()
        finally:
            self._streams.open -= 1
        if failure is not None:
            raise failure
        if not side.streams and not side.watch.gone:
            await side.answer()(scope, receive, send)


def _message_of(document: object) -> str:
    """What an error says, in the shapes that the gateway and the pipeline give it."""
    error = document.get("error") if isinstance(document, Mapping) else None
    found = error.get("message") if isinstance(error, Mapping) else error
    return found if isinstance(found, str) else ""


def _said(document: Mapping[str, Any]) -> dict[str, Any]:
    """Text, reasoning and tool calls of the first choice, "" where there are none."""
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    found = message if isinstance(message, dict) else {}
    return {
        "content": found.get("content") or "",
        "reasoning": found.get("reasoning") or found.get("reasoning_content") or "",
        "calls": found.get("tool_calls") or "",
    }
