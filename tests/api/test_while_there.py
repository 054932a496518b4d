"""A client that leaves ends what only reads, and nothing that changes something."""

from typing import Any

import pytest
import trio
import trio.testing

from appliance.api.while_there import WhileThere
from appliance.errors import Refusal

READS = [
    ("POST", "/v1/request/query-clickhouse"),
    ("GET", "/v1/session/a%2Fb/tree"),
    ("GET", "/v1/request/live"),
]
SCOPE = {"type": "http", "method": "GET", "path": "/v1/export"}
CHANGES = [
    ("POST", "/v1/request/00000000-0000-0000-0000-000000000000/score"),
    ("POST", "/stripe/webhook"),
    ("POST", "/admin/wallet/x/modify-balance"),
]


class Working:
    """An app that reads its body and works until it may end."""

    def __init__(self, *, reads_body: bool) -> None:
        self.reads_body = reads_body
        self.may_end = trio.Event()
        self.state = "begun"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            while self.reads_body and (await receive()).get("more_body"):
                pass
            self.state = "works"
            await self.may_end.wait()
            self.state = "ended"
        except trio.Cancelled:
            self.state = "cancelled"
            raise


async def leave(method: str, path: str) -> str:
    """The state of the app after its client has left in the middle of its work."""
    app = Working(reads_body=method == "POST")
    gone = trio.Event()
    pieces = [{"type": "http.request", "body": b"x", "more_body": more} for more in (True, False)]

    async def receive() -> Any:
        if pieces:
            return pieces.pop(0)
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("nothing is sent")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(WhileThere(app), {"type": "http", "method": method, "path": path},
                           receive, send)  # fmt: skip
        await trio.testing.wait_all_tasks_blocked()
        assert app.state == "works"
        gone.set()
        await trio.testing.wait_all_tasks_blocked()
        found = app.state
        app.may_end.set()
    return found


@pytest.mark.parametrize(("method", "path"), READS)
async def test_what_reads_ends(method: str, path: str) -> None:
    assert await leave(method, path) == "cancelled"


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_what_changes_goes_on(method: str, path: str) -> None:
    assert await leave(method, path) == "works"


@pytest.mark.parametrize(("method", "path"), READS)
async def test_the_end_of_a_reply_is_no_client_that_left(method: str, path: str) -> None:
    """Hypercorn says "disconnect" with it, and has things of its own to do behind it."""
    ended, done = trio.Event(), []
    messages = [{"type": "http.request", "body": b"x"}] if method == "POST" else []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        ended.set()
        await trio.testing.wait_all_tasks_blocked()
        done.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if method == "POST":
            await receive()
        await send({"type": "http.response.body", "body": b"whole"})
        done.append("returned")

    await WhileThere(app)({"type": "http", "method": method, "path": path}, receive, send)
    assert done == [{"type": "http.response.body", "body": b"whole"}, "returned"]


async def test_a_failure_comes_out_as_it_is() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("bare")

    async def receive() -> Any:
        await trio.sleep_forever()

    with pytest.raises(ValueError, match="bare"):
        await WhileThere(broken)(
            {"type": "http", "method": "GET", "path": "/v1/export"},
            receive,
            receive,  # type: ignore[arg-type]
        )


class Left(Exception):  # noqa: N818 - a signal
    """As the door says it."""


async def test_a_client_that_leaves_inside_its_request_is_no_group() -> None:
    app = Working(reads_body=False)

    async def receive() -> Any:
        await trio.testing.wait_all_tasks_blocked()
        raise Left

    with pytest.raises(Left):
        await WhileThere(app)(SCOPE, receive, receive)  # type: ignore[arg-type]
    assert app.state == "cancelled"


async def test_a_body_that_comes_slowly_holds_no_answer_up() -> None:
    app = Working(reads_body=False)
    said: list[Any] = [Refusal(408, "body_too_slow", "slow"), {"type": "http.request"}]

    async def receive() -> Any:
        if said:
            await trio.lowlevel.checkpoint()
            one = said.pop(0)
            if isinstance(one, Exception):
                raise one
            return one
        await trio.testing.wait_all_tasks_blocked()
        app.may_end.set()
        return await trio.sleep_forever()

    await WhileThere(app)(SCOPE, receive, receive)  # type: ignore[arg-type]
    assert app.state == "ended"
