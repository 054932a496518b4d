"""A Realtime service: speaks WebSocket by wsproto and answers a client's events as OpenAI does.

Events whose type begins with `fake.` ask for faults, by a scripted answer each.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from tests.fakes.provider import Gone, Talk

USAGE: dict[str, Any] = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def is_opening(talk: Talk) -> bool:
    return (talk.request.first(b"upgrade") or b"").lower() == b"websocket"


def accept_line(talk: Talk) -> bytes:
    key = talk.request.first(b"sec-websocket-key") or b""
    return b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + SALT).digest()) + b"\r\n"


class Room:
    """One session. `heard` are the events of the client."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.socket = Connection(ConnectionType.SERVER)
        self.heard: list[Event] = []
        talk.request.room = self

    async def open(self, *lines: bytes) -> None:
        offered = self.talk.request.first(b"sec-websocket-protocol")
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        )
        answer += accept_line(self.talk) + b"".join(lines)
        if offered:
            first = offered.split(b",")[0].strip()
            answer += b"Sec-WebSocket-Protocol: " + first + b"\r\n"
        await self.talk.send(answer + b"openai-request-id: req-1\r\n\r\n")

    async def say(self, kind: str, /, **more: Any) -> None:
        await self.send(TextMessage(data=json.dumps({"type": kind, **more})))

    async def send(self, event: Event) -> None:
        await self.talk.send(self.socket.send(event))

    async def serve(self) -> None:
        model = self.talk.request.target.partition(b"model=")[2].partition(b"&")[0].decode()
        await self.say("session.created", session={"model": model or "gpt-realtime"})
        while True:
            if not self.talk.data:
                await self.talk.more()
            data, self.talk.data = self.talk.data, b""
            self.socket.receive_data(data)
            for event in list(self.socket.events()):
                self.heard.append(event)
                await self.hear(event)

    async def hear(self, event: Event) -> None:
        if isinstance(event, Ping):
            await self.send(event.response())
        elif isinstance(event, CloseConnection):
            if self.socket.state is ConnectionState.REMOTE_CLOSING:
                await self.send(event.response())
            raise Gone
        elif isinstance(event, BytesMessage):
            await self.send(BytesMessage(data=event.data))
        elif isinstance(event, TextMessage) and event.message_finished:
            await self.answer(json.loads(self.text()))

    def text(self) -> str:
        """The message that has just ended, of however many pieces."""
        parts: list[str] = []
        for event in reversed(self.heard):
            if isinstance(event, TextMessage):
                if parts and event.message_finished:
                    break
                parts.append(event.data)
        return "".join(reversed(parts))

    async def answer(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "session.update":
            await self.say("session.updated", session=event["session"])
        elif kind == "response.create":
            await self.say("response.created", response={"id": "r-1"})
            await self.say("response.output_text.delta", delta="Hel")
            await self.say("response.output_text.delta", delta="lo")
            await self.say("response.done", response={"id": "r-1", "usage": USAGE})
        elif kind == "fake.close":
            await self.send(CloseConnection(code=event["code"], reason=event.get("reason", "")))
        elif kind == "fake.vanish":
            self.talk.close()
        elif kind == "fake.half":
            await self.talk.send(b"\x81\x7e\x01\x00half")
            self.talk.close()
        elif kind == "fake.raw":
            await self.talk.send(base64.b64decode(event["data"]))
        elif kind == "fake.ping":
            await self.send(Ping(payload=b"from the provider"))
        elif kind == "fake.say":
            await self.say("said", text="x" * event["size"])
        elif kind == "fake.deaf":
            await self.talk.gate(event["gate"])
        else:
            await self.say("echo", event=event)

    def pongs(self) -> list[bytes]:
        return [bytes(event.payload) for event in self.heard if isinstance(event, Pong)]

    def closes(self) -> list[tuple[int, str | None]]:
        return [
            (int(event.code), event.reason)
            for event in self.heard
            if isinstance(event, CloseConnection)
        ]


async def realtime(talk: Talk) -> None:
    """The whole of a session."""
    room = Room(talk)
    await room.open()
    await room.serve()
