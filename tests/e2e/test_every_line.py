"""Every line of the pipeline in turn raises, hangs and gives back rubbish (`line_table.py`), in a
running server over real sockets: what the client got, what is on record, what was counted.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance import exchange, fence, pipeline, pipeline_gateway
from appliance.actors.cache_disk import OnDisk
from appliance.actors.response_cache import ResponseCache
from appliance.features import guard
from tests import PROGRAM_PATH
from tests.e2e.line_table import LINES, NO_LINES, Line
from tests.e2e.test_gateway_vertex import GENERATE, vertex_toml
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.in_process import InProcess
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_google_token import account
from tests.fakes.provider_scripts import error, normal
from tests.fakes.raw_client import Reply

# mypyc calls what a compiled module imports without looking at its name again.
pytestmark = pytest.mark.skipif(bool(PROGRAM_PATH), reason="compiled modules cannot be replaced")

SAY: Any = [{"role": "user", "content": "Say hello."}]
GATEWAY = "/v1/chat/completions"
VERTEX = f"/v1/gateway/vertex{GENERATE}"
OWN = {"Authorization": "Bearer sk-own"}
HELICONE = {"Authorization": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"}
HANG_S = 0.3
FAILURES = "feature_failures_total"
CONFIG = """
access_log = true
[deadlines]
first_byte = "1.5s"
gap = "1.5s"
[routers.two]
[[routers.two.targets]]
name = "one"
provider = "openai"
[[routers.two.targets]]
name = "other"
provider = "openai"
weight = 0
[routers.hedge]
hedge_after = "10m"
[[routers.hedge.targets]]
name = "one"
provider = "openai"
[[routers.hedge.targets]]
name = "other"
provider = "openai"
[routers.slow]
hedge_after = "50ms"
[[routers.slow.targets]]
name = "one"
provider = "openai"
[[routers.slow.targets]]
name = "other"
provider = "openai"
"""
# Scene: path, header lines; with what the fake does where that matters.
SCENES: dict[str, tuple[str, dict[str, str]]] = {
    "plain": (CHAT, OWN),
    "preflight": (CHAT, {"Access-Control-Request-Method": "POST"}),
    "proxy": (CHAT, {}),
    "big": (CHAT, {**OWN, "x-fake": "fake-big-600"}),
    "mock": (CHAT, {**OWN, "__helicone-mock-response": '{"mocked":true}'}),
    "mock-limited": (CHAT, {**OWN, "__helicone-mock-response": "{}",
                            "Helicone-RateLimit-Policy": "1;w=3600"}),
    "bad-mock": (CHAT, {**OWN, "__helicone-mock-response": "{"}),
    "no-key": (CHAT, {"Helicone-Auth": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-dddddde"}),
    "usage": (CHAT, {**OWN, "Helicone-Stream-Usage": "true"}),
    "stored": (CHAT, {}),
    "cached": (CHAT, {**OWN, "Helicone-Cache-Enabled": "true"}),
    "on-disk": (CHAT, {**OWN, "Helicone-Cache-Enabled": "true"}),
    "prompt": (CHAT, {**OWN, "Helicone-Prompt-Id": "greeting"}),
    "guarded": (CHAT, {**OWN, "Helicone-LLM-Security-Enabled": "true"}),
    "guarded-closed": (CHAT, {**OWN, "Helicone-LLM-Security-Enabled": "true"}),
    "limited": (CHAT, {**OWN, "Helicone-RateLimit-Policy": "100000;w=3600"}),
    "cents": (CHAT, {**OWN, "Helicone-RateLimit-Policy": "100000;w=3600;u=cents"}),
    "budget": (CHAT, {**OWN, "Helicone-User-Id": "ann"}),
    "strict": (CHAT, {**OWN, "Helicone-User-Id": "ann"}),
    "credits": (GATEWAY, {}),
    "retry": (CHAT, {**OWN, "helicone-retry-enabled": "true"}),
    "retry-once": (CHAT, {**OWN, "helicone-retry-enabled": "true",
                          "helicone-retry-min-timeout": "1", "x-fake": "500-once"}),
    "websocket": ("/v1/gateway/oai/realtime?model=gpt-realtime", OWN),
    "fallbacks": ("/gateway/v1/chat/completions", {}),
    "fallback-stall": ("/gateway/v1/chat/completions", {"x-fake": "fake-stall"}),
    "router": ("/router/two/v1/chat/completions", HELICONE),
    "hedge": ("/router/hedge/v1/chat/completions", HELICONE),
    "slow": ("/router/slow/v1/chat/completions", {**HELICONE, "x-fake": "first-slow"}),
    "gateway": (GATEWAY, HELICONE),
    "gateway-limited": (GATEWAY, {**HELICONE, "Helicone-RateLimit-Policy": "100000;w=3600"}),
    "claude": (GATEWAY, HELICONE),
    "gateway-guarded": (GATEWAY, {**HELICONE, "Helicone-LLM-Security-Enabled": "true"}),
    "gateway-cached": (GATEWAY, {**HELICONE, "Helicone-Cache-Enabled": "true"}),
    "vertex-401": (VERTEX, {"x-fake": "fake-error-401"}),
    "gateway-500": (GATEWAY, {**HELICONE, "x-fake": "fake-error-500"}),
    "gateway-reset": (GATEWAY, {**HELICONE, "x-fake": "fake-reset-before-headers"}),
    "gateway-stall": (GATEWAY, {**HELICONE, "x-fake": "fake-stall"}),
    "reset": (CHAT, {**OWN, "x-fake": "fake-reset-before-headers"}),
    "stall": (CHAT, {**OWN, "x-fake": "fake-stall"}),
}  # fmt: skip


class Kit:
    """The server, with an organisation that pays with credits and one with a proxy key."""

    def __init__(self, directory: Path, provider: Provider) -> None:
        self.provider = provider
        environ = {"OPENAI_API_KEY": "sk-env-openai", "ANTHROPIC_API_KEY": "sk-env-anthropic"}
        config = CONFIG + vertex_toml(provider)
        options: dict[str, Any] = {"config": config, "lends": True, "environ": environ}
        before = Appliance(directory, provider, **options)
        before.start()
        command = before.command
        platform = command("orgs.create", name="platform")["id"]
        command("orgs.create", name="acme")
        self.credit_key = command("keys.create", name="k", org="acme")["key"]
        command("provider-keys.add", provider="openai", secret="sk-platform", org="platform")
        command("provider-keys.add", provider="vertex", secret=json.dumps(account()))
        command("orgs.create", name="beta")
        command("provider-keys.add", provider="openai", secret="sk-stored-for-proxy", org="beta")
        self.proxy_key = command("proxy-keys.create", key="openai", org="beta")["key"]
        command("wallet.top-up", org="acme", amount="100")
        command("budgets.set", scope="user", limit="1000", period="month")
        assert before.stop() == 0, before.log
        options["config"] = f'platform_org = "{platform}"\n' + config
        self.server = InProcess(directory, provider, **options)
        self.server.start()

    def ask(self, scene: str, request_id: str, *, stream: bool) -> Reply:
        """One call, on a connection of its own."""
        path, headers = SCENES[scene]
        model = "claude-sonnet-4-6" if scene == "claude" else "gpt-4o/openai"
        body = {"model": model if path == GATEWAY else "gpt-4o", "messages": SAY, "max_tokens": 50}
        body |= {"stream": stream, "user": request_id if scene != "on-disk" else "the same"}
        lines = {**headers, "Helicone-Request-Id": request_id}
        if scene == "proxy":
            lines["Authorization"] = f"Bearer {self.proxy_key}"
        if scene.startswith("credits"):
            lines["Authorization"] = f"Bearer {self.credit_key}"
        if scene.startswith("fallback"):
            one = {"target-url": self.provider.url, "onCodes": [{"from": 500, "to": 599}]}
            more = {
                "Authorization": "Bearer for-one",
                "x-fake": headers.get("x-fake", "fake-normal"),
                "x-mark": request_id,
            }
            lines["helicone-fallbacks"] = json.dumps([{**one, "headers": more}] * 2)
        if scene == "websocket":
            lines |= {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            }
            return self.server.call(path, None, lines, method="GET")
        if scene == "preflight":
            return self.server.call(path, None, lines, method="OPTIONS")
        lines["x-mark"] = request_id
        return self.server.call(path, body, lines)

    def normally(self, scene: str, *, stream: bool) -> Reply:
        reply = self.ask(scene, str(uuid.uuid4()), stream=stream)
        assert reply.end == "clean", (reply.status, reply.body)
        return reply


async def once(talk: Talk) -> None:
    """500 for the first of two calls."""
    await talk.read_body()
    mark = talk.request.first(b"x-mark") or b""
    await (error(talk, 500) if len(talk.provider.all(mark)) == 1 else normal(talk))


async def first_slow(talk: Talk) -> None:
    """The first call is answered late enough for a second one beside it."""
    await talk.read_body()
    mark = talk.request.first(b"x-mark") or b""
    if len(talk.provider.all(mark)) == 1:
        await trio.sleep(0.4)
    await normal(talk)


@pytest.fixture(scope="module")
def kit(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    provider.add("500-once", once)
    provider.add("first-slow", first_slow)
    made = Kit(tmp_path_factory.mktemp("lines"), provider)
    try:
        yield made
    finally:
        made.server.stop()


# -- how it breaks ---------------------------------------------------------------------------------


def broken(original: Any, way: str) -> Any:
    """What stands in the line's place."""
    waits = inspect.iscoroutinefunction(original)

    async def breaks_later(*_: Any, **__: Any) -> Any:
        if way == "hang":
            await trio.sleep_forever()
        if way == "raise":
            raise ZeroDivisionError("broken by a test")
        return 7

    def breaks(*_: Any, **__: Any) -> Any:
        if way == "raise":
            raise ZeroDivisionError("broken by a test")
        return 7

    return breaks_later if waits else breaks


def break_line(patch: pytest.MonkeyPatch, line: Line, way: str, kit: Kit) -> None:
    for place in line.places:
        module, _, name = place.partition(":")
        owner: Any = (
            kit.server.server.house if module == "house" else importlib.import_module(module)
        )
        *classes, name = name.split(".")
        for one in classes:
            owner = getattr(owner, one)
        original = getattr(owner, name)
        stand_in = broken(original, way)
        if module == "house":  # an object that is called
            stand_in = broken(original.__call__, way)
        patch.setattr(owner, name, stand_in)
    if line.scene == "on-disk":
        patch.setattr(ResponseCache, "lookup", lambda *_: OnDisk(b"slot", 0, 0))
    if line.scene == "strict":
        patch.setattr(kit.server.server.regions["us"].wallet, "strict", True)
    if line.scene == "guarded-closed":
        patch.setattr(kit.server.server.house.guards, "closed", True)
    if way == "hang":
        for owner, name in ((fence, "OPEN_S"), (fence, "CLOSED_S"), (fence, "PAY_S"),
                            (pipeline, "OPEN_S"), (pipeline, "CLOSED_S"),
                            (pipeline_gateway, "CLOSED_S"), (guard, "GUARD_S"),
                            (pipeline, "PREPARE_S"), (exchange, "UNHEARD_S")):  # fmt: skip
            patch.setattr(owner, name, HANG_S)


CASES = [
    pytest.param(line, way, stream, id=f"{line.name}-{line.scene}-{way}-{kind}-{number}")
    for number, line in enumerate(LINES)
    for way in line.ways
    for stream, kind in ((False, "buffered"), (True, "stream"))
]


@pytest.mark.parametrize(("line", "way", "stream"), CASES)
def test_a_line_that_breaks(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, line: Line, way: str, stream: bool
) -> None:
    usual = None
    if line.gets in ("open", "as-is"):
        # Without its option a stream has no counts at its end.
        scene = "plain" if line.scene == "usage" else line.scene
        usual = kit.normally(scene, stream=stream)
    until(kit.server.is_idle)  # what the reply did not wait for is over, too
    before = kit.server.counted(FAILURES, feature=line.feature)
    request_id = str(uuid.uuid4())
    with monkeypatch.context() as patch:
        break_line(patch, line, way, kit)
        reply = kit.ask(line.scene, request_id, stream=stream)
        called = len(kit.provider.all(request_id))
        until(kit.server.is_idle)
        if line.counted:
            until(lambda: kit.server.counted(FAILURES, feature=line.feature) > before)
        check_reply(line, way, reply, usual, called)
    if line.recorded:
        reason = "timeout" if way == "hang" else "failed"
        missed = f"{line.feature};reason={reason}"
        # What breaks after the reply is on the record that replaces the first one.
        until(lambda: missed in kit.server.row(request_id)["not_applied"])
        row = kit.server.row(request_id)
        if line.gets == "open":
            assert (row["outcome"], row["http_status"]) == ("complete", 200)
    # The next one is as good as new.
    assert kit.ask("plain", str(uuid.uuid4()), stream=stream).status == 200


def check_reply(line: Line, way: str, reply: Reply, usual: Reply | None, called: int) -> None:
    said = (reply.status, reply.end, reply.body[:300])
    if line.gets == "cut":
        assert reply.end != "clean", said
    elif line.gets == "mapping":  # whole: as the provider said it; a stream: cut
        assert (reply.status, reply.end) in ((200, "clean"), (200, "cut")), said
        assert b"[DONE]" not in reply.body
    elif usual is not None:
        assert reply.status == usual.status, said
        assert alike(reply.body) == alike(usual.body), said
        assert reply.end == "clean"
    else:
        assert reply.status >= 500, said
        assert reply.end == "clean", said
        if line.feature != "answer" and line.scene not in ("gateway", "credits"):
            code = reply.json["error"]["code"]
            assert code.startswith((line.feature, "wallet_failed")), said
            if code == f"{line.feature}_failed" and reply.status == 500:
                assert (b"helicone-error", b"true") in reply.headers, said
        assert line.gets != "closed" or not called


def alike(body: bytes) -> bytes:
    """Without what is another for each call."""
    return re.sub(rb'"(id|user)": ?"[^"]*"|"created": ?\d+', b"", body)


def until(true: Callable[[], object]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.005)


# -- no line is forgotten --------------------------------------------------------------------------

OBJECTS = {
    "tap", "caching", "gateway", "loaded", "ring", "routed", "fallbacks", "entry", "turns"
}  # fmt: skip


def lines_of(source: str) -> set[str]:
    """Every use of a feature, of an object of one, and every call of a part of the house."""
    tree = ast.parse(source)
    features = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("appliance.features")
        for alias in node.names
    }
    annotations: set[int] = set()
    found: set[str] = set()
    for node in ast.walk(tree):
        for kind in ("annotation", "returns"):
            if (note := getattr(node, kind, None)) is not None:
                annotations.update(map(id, ast.walk(note)))
    for node in ast.walk(tree):
        if id(node) in annotations:
            continue
        if isinstance(node, ast.Name) and node.id in features:
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {ast.unparse(node)} if node.value.id in OBJECTS else set()
        if isinstance(node, ast.Call):
            for called in (node.func, *node.args):
                text = ast.unparse(called)
                if isinstance(called, ast.Attribute) and text.startswith(("house.", "x.")):
                    found.add(text)
    return found


def test_every_line_is_in_the_table() -> None:
    lines = lines_of(inspect.getsource(pipeline)) | lines_of(inspect.getsource(pipeline_gateway))
    values = {
        "house.gate", "house.ids", "house.keys", "house.price", "house.pool", "house.caches",
        "house.recorder", "house.limits", "house.wallets", "house.platform", "house.log",
        "house.guards", "house.load", "house.proxies", "x.asks", "x.aim", "x.taken",
        "x.attempts", "x.route", "x.org", "x.region", "x.hedge",
        "x.route.provider.id", "x.head.headers", "x.exchange_id",
    }  # fmt: skip
    known = {line.name for line in LINES} | NO_LINES
    assert lines - known - values == set()
    assert known - lines == set(), "of lines that are gone"


def test_a_new_line_is_seen() -> None:
    source = "from appliance.features.x import new\nasync def f(x, tap, house):\n"
    source += "    await new(x)\n    tap.other()\n    house.thing.do(x)\n"
    assert lines_of(source) == {"new", "tap.other", "house.thing.do"}
