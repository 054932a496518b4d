"""`cache_coalesce`: of identical calls that miss the cache at once, one asks the provider."""

from __future__ import annotations

import re
import secrets
import select
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import until
from tests.e2e.test_cache import told
from tests.e2e.test_retries import GOOD, answer
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_scripts import END, STREAM_HEAD, chunk
from tests.fakes.raw_client import Ended, RawClient, Reply

COUNT = 12
ON = {"helicone-cache-enabled": "true"}
EVENTS = [b'data: {"n":%d}\n\n' % number for number in range(4)] + [b"data: [DONE]\n\n"]


@pytest.fixture(scope="module")
def joining(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("joining")
    config = 'cache_coalesce = true\n[deadlines]\ntotal = "20s"\n'
    with Appliance(directory, provider, config=config) as appliance:
        yield appliance


class Crowd:
    """Clients who ask the same, one after the other and before the first has its reply."""

    def __init__(self, appliance: Appliance, provider: Provider, script: Any) -> None:
        self.appliance, self.provider = appliance, provider
        self.name = provider.add(f"crowd-{secrets.token_hex(8)}", script)
        self.stack = ExitStack()
        self.before = self.followed

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @property
    def followed(self) -> int:
        text = self.appliance.call("/metrics", method="GET").body.decode()
        found = re.search(r'cache_followed_total\{region="us"\} (\d+)', text)
        assert found is not None
        return int(found[1])

    def ask(self, **more: str) -> RawClient:
        """A client who has asked, and waits."""
        client = self.stack.enter_context(self.appliance.client())
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": self.name}]}
        named = {name.replace("_", "-"): value for name, value in more.items()}
        client.request(CHAT, body, {**ON, "x-fake": self.name, **named})
        return client

    def gather(self, count: int = COUNT) -> tuple[RawClient, list[RawClient]]:
        """The one who asks the provider, and those who wait for it."""
        first = self.ask()
        self.provider.find(self.name)
        rest = [self.ask() for _ in range(count - 1)]
        until(lambda: self.followed - self.before == count - 1)
        return first, rest

    @property
    def calls(self) -> int:
        return len(self.provider.all(self.name))

    def open(self) -> None:
        self.provider.open_gate(self.name)


def held(*steps: int, gates: int = 1) -> Any:
    """A reply per call; the first of them wait for the gate."""
    left, seen = list(steps), []

    async def script(talk: Talk) -> None:
        await talk.read_body()
        seen.append(talk)
        status = left.pop(0) if len(left) > 1 else left[0]
        if len(seen) <= gates:
            await talk.gate((talk.request.first(b"x-fake") or b"").decode())
        await talk.send(answer(status, GOOD if status == 200 else b'{"error":{"message":"no"}}'))

    return script


def replies(clients: list[RawClient]) -> list[Reply]:
    return [client.reply() for client in clients]


def test_one_asks_and_the_rest_get_its_reply(joining: Appliance, provider: Provider) -> None:
    with Crowd(joining, provider, held(200)) as crowd:
        first, rest = crowd.gather()
        crowd.open()
        found = replies([first, *rest])
        assert crowd.calls == 1
    assert [told(reply) for reply in found] == [b"MISS"] + [b"HIT"] * (COUNT - 1)
    assert {(reply.status, reply.body) for reply in found} == {(200, GOOD)}
    row = joining.row(found[-1].id)
    assert (row["outcome"], row["cache_reference_id"]) == ("cache_hit", found[0].id)
    assert float(row["cost_usd"]) == 0


def test_streams_come_whole_and_in_their_chunks(joining: Appliance, provider: Provider) -> None:
    async def streamed(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(STREAM_HEAD + chunk(EVENTS[0]))
        await talk.gate((talk.request.first(b"x-fake") or b"").decode())
        for event in EVENTS[1:]:
            await talk.send(chunk(event))
        await talk.send(END)

    with Crowd(joining, provider, streamed) as crowd:
        first, rest = crowd.gather(4)
        first.read_until(EVENTS[0])  # the leader's comes as ever; nothing comes to the others yet
        for client in rest:
            assert select.select([client.sock], [], [], 0)[0] == []
        crowd.open()
        found = replies(rest)
        assert crowd.calls == 1
    assert [reply.body for reply in found] == [b"".join(EVENTS)] * 3
    assert found[0].frames[0] == EVENTS[0]  # as the first piece came, and the rest after the gate
    assert [reply.frames for reply in found] == [found[0].frames] * 3


@pytest.mark.parametrize("first_status", [500, 400])
def test_a_reply_that_is_not_kept_leaves_all_on_their_own(
    joining: Appliance, provider: Provider, first_status: int
) -> None:
    with Crowd(joining, provider, held(first_status, 200)) as crowd:
        first, rest = crowd.gather()
        crowd.open()
        assert first.reply().status == first_status
        found = replies(rest)
        assert crowd.calls == COUNT
    assert [(reply.status, told(reply)) for reply in found] == [(200, b"MISS")] * (COUNT - 1)


def test_a_leader_who_hangs_up_takes_nobody_along(joining: Appliance, provider: Provider) -> None:
    with Crowd(joining, provider, held(200)) as crowd:
        first, rest = crowd.gather(4)
        first.close()
        found = replies(rest)  # without the gate, which is the first call's alone
        assert crowd.calls == 4
    assert [(reply.status, reply.body) for reply in found] == [(200, GOOD)] * 3


def test_a_follower_who_hangs_up_is_recorded_as_gone(
    joining: Appliance, provider: Provider
) -> None:
    with Crowd(joining, provider, held(200)) as crowd:
        first, rest = crowd.gather(3)
        rest[0].close()
        until(lambda: joining.query(
            f"SELECT 1 AS one FROM requests WHERE outcome = 'client_gone' "
            f"AND request_id IN (SELECT request_id FROM bodies WHERE request LIKE '%{crowd.name}%')"
        ))  # fmt: skip
        crowd.open()
        assert [reply.status for reply in replies([first, rest[1]])] == [200, 200]
        assert crowd.calls == 1


def test_only_those_who_read_and_keep_one_entry_wait(
    joining: Appliance, provider: Provider
) -> None:
    with Crowd(joining, provider, held(200, gates=5)) as crowd:
        crowd.ask()
        provider.find(crowd.name)
        others = (
            {"helicone_cache_bucket_max_size": "3"},
            {"helicone_cache_enabled": "false", "helicone_cache_save": "true"},
            {"helicone_cache_seed": "another"},
            {"authorization": "Bearer another"},
        )
        for number, more in enumerate(others, 2):
            crowd.ask(**more)
            until(lambda number=number: crowd.calls == number)
        assert crowd.followed == crowd.before
        crowd.open()


def test_without_the_option_each_asks(appliance: Appliance, provider: Provider) -> None:
    with Crowd(appliance, provider, held(200, gates=9)) as crowd:
        clients = [crowd.ask() for _ in range(3)]
        until(lambda: crowd.calls == 3)
        crowd.open()
        assert [told(reply) for reply in replies(clients)] == [b"MISS"] * 3
        assert crowd.followed == 0


def test_a_server_that_ends_lets_nobody_wait_on(tmp_path: Path, provider: Provider) -> None:
    config = 'cache_coalesce = true\ngrace_s = "0s"\n'
    appliance = Appliance(tmp_path, provider, config=config)
    with appliance, Crowd(appliance, provider, held(200)) as crowd:
        _, rest = crowd.gather(3)
        assert appliance.stop() == 0
        for client in rest:
            with suppress(Ended):
                reply = client.reply()
                assert reply.end == "cut" or reply.status >= 500
        crowd.open()
