"""Two fake providers and a server with routers over them. Tests say what each provider does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import trio

from tests.e2e.test_retries import CUT_HEAD, CUT_STREAM, GOOD, answer
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_scripts import stream
from tests.fakes.raw_client import Reply

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
KEYS = {"KEY_A": "sk-env-a", "KEY_B": "sk-env-b"}
ROUTERS = """
[routers.even]
failures_max = 1000
requests_min = 1000
[[routers.even.targets]]
provider = "a"
weight = 7
[[routers.even.targets]]
provider = "b"
weight = 3
[routers.spare]
failures_max = 1000
requests_min = 1000
limited = "1h"
[[routers.spare.targets]]
provider = "a"
[[routers.spare.targets]]
provider = "b"
weight = 0
[routers.quick]
strategy = "latency"
[[routers.quick.targets]]
provider = "a"
[[routers.quick.targets]]
provider = "b"
[routers.cheap]
strategy = "cost"
[[routers.cheap.targets]]
name = "dear"
provider = "a"
model = "dear"
[[routers.cheap.targets]]
provider = "b"
[routers.cheap.targets.models]
gpt-4o = "small"
[routers.breaking]
failures_max = 2
open = "1h"
[[routers.breaking.targets]]
provider = "a"
[[routers.breaking.targets]]
provider = "b"
weight = 0
[routers.closing]
failures_max = 2
open = "50ms"
[[routers.closing.targets]]
provider = "a"
[[routers.closing.targets]]
provider = "b"
weight = 0
[routers.sole]
failures_max = 2
[[routers.sole.targets]]
provider = "a"
[routers.share]
requests_min = 10
failures_max = 1000
[[routers.share.targets]]
provider = "a"
[[routers.share.targets]]
provider = "b"
weight = 0
[routers.lone]
[[routers.lone.targets]]
name = "one"
provider = "a"
[[routers.lone.targets]]
name = "two"
provider = "a"
[routers.hedge]
failures_max = 1000
requests_min = 1000
hedge_after = "50ms"
[[routers.hedge.targets]]
provider = "a"
[[routers.hedge.targets]]
provider = "b"
weight = 0
model = "spare"
[routers.calm]
hedge_after = "10m"
[[routers.calm.targets]]
provider = "a"
[[routers.calm.targets]]
provider = "b"
weight = 0
[routers.url]
[[routers.url.targets]]
base_url = "{url}/deep/v1"
[routers.keyless]
[[routers.keyless.targets]]
provider = "groq"
[[routers.keyless.targets]]
provider = "b"
weight = 0
[[prices]]
provider = "a"
model = "dear"
input = 100
output = 100
[[prices]]
provider = "b"
model = "small"
input = 1
output = 1
"""


class Two:
    """Two fake providers and a server with routers over them. What each does is set by the test."""

    def __init__(self, appliance: Appliance, a: Provider, b: Provider) -> None:
        self.appliance, self.a, self.b = appliance, a, b
        self.steps: dict[str, Any] = {"a": 200, "b": 200}

    def fresh(self) -> Two:
        """All is well, and nothing was received."""
        self.steps.update(a=200, b=200)
        self.a.clear()
        self.b.clear()
        return self

    def call(
        self, router: str, body: Any = ASK, path: str = "/v1/chat/completions", **more: str
    ) -> Reply:
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        return self.appliance.call(f"/router/{router}{path}", body, {"x-fake": "set", **headers})

    def row(self, reply: Reply) -> dict[str, Any]:
        return self.appliance.row(reply.id)

    def metric(self, line: str) -> float:
        with self.appliance.client() as client:
            client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            text = client.reply().body.decode()
        found = [row for row in text.splitlines() if row.startswith("helicone_appliance_" + line)]
        return float(found[0].rpartition(" ")[2]) if found else 0.0


def acting(two: Two, name: str) -> Callable[[Talk], Any]:
    async def act(talk: Talk) -> None:
        await talk.read_body()
        step = two.steps[name]
        step, lines = step if isinstance(step, tuple) else (step, ())
        if step == "stall":
            await talk.wait_closed()
        if step == "late":
            await trio.sleep(0.3)
            step = 200
        if isinstance(step, str):  # the gate, then a status
            gate, _, status = step.partition(" ")
            await talk.gate(gate)
            step = int(status)
        if step == 200 and b'"stream":true' in talk.request.body:
            await stream(talk)
            return
        if step == CUT_HEAD:
            await talk.send(b"HTTP/1.1 2")
            talk.close()
        if step == CUT_STREAM:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            await talk.send(head + b"Transfer-Encoding: chunked\r\n\r\n7\r\ndata: x\r\n")
            talk.close()
        body = GOOD if step == 200 else b'{"error":{"message":"step %d"}}' % step
        await talk.send(answer(step, body, *lines))

    return act


@contextmanager
def running(directory: Path) -> Iterator[Two]:
    with ExitStack() as stack:
        a, b = stack.enter_context(Provider()), stack.enter_context(Provider())
        config = ROUTERS.replace("{url}", a.url) + "".join(
            f'\n[providers.{name}]\nbase_url = "{one.url}"\napi_key_env = "KEY_{name.upper()}"\n'
            for name, one in (("a", a), ("b", b))
        )
        appliance = stack.enter_context(Appliance(directory, config=config, environ=KEYS))
        two = Two(appliance, a, b)
        a.add("set", acting(two, "a"))
        b.add("set", acting(two, "b"))
        yield two
