"""A server with both regions, and clients who plant a word in everything that a client can send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.commands import open_source
from appliance.config import load_config
from appliance.control_client import ControlClient
from appliance.output import all_rows
from tests.e2e.realtime_kit import REALTIME, say, session, until
from tests.e2e.test_encrypted import unpacked
from tests.fakes.appliance import CHAT, OAI, Appliance
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_scripts import END, STREAM_HEAD, chunk, whole
from tests.fakes.raw_client import Ended, Reply

MIB = 1024 * 1024
TABLES = "requests", "bodies"
CONFIG = """
eu_data_dir = "{europe}"
access = "keys"
access_log = true
log_level = "debug"
[routers.both]
[[routers.both.targets]]
provider = "openai"
"""


# Where nobody listens.
NOWHERE = """
[providers.nowhere]
base_url = "http://127.0.0.1:1"
auth = "bearer"
"""


class Regions:
    """The server, with directories of its own for each region, for temporary files and for home."""

    def __init__(self, directory: Path, provider: Provider, environ: dict[str, str]) -> None:
        self.directory = directory
        self.europe = directory / "europe"
        self.temporary = directory / "temporary"
        self.temporary.mkdir(parents=True)
        self.appliance = Appliance(
            directory,
            provider,
            config=CONFIG.format(europe=self.europe),
            environ={"TMPDIR": str(self.temporary), **environ},
            lends=True,
        )
        self.appliance.config.write_text(self.appliance.config.read_text() + NOWHERE)
        self.provider = provider

    def command(self, region: str, command: str, /, **arguments: Any) -> Any:
        """Through the control socket."""
        client = ControlClient.connect(self.appliance.data)
        assert client is not None
        with client:
            return client.value(command, {"region": region, **arguments})

    def elsewhere(self, region: str) -> Iterator[Path]:
        """All files that are not the region's. Our configuration file is none of the server's; the
        log is kept where the default region is."""
        own = self.europe if region == "eu" else self.appliance.data
        left = [self.appliance.config, *([self.appliance.log_file] if region == "us" else [])]
        for path in sorted(self.directory.rglob("*")):
            if path.is_file() and own not in path.parents and path not in left:
                yield path

    def leaks(self, region: str, words: list[str]) -> list[tuple[str, str]]:
        """Where a word of the region's is found outside of it: in bytes and in what zstd packed."""
        found = []
        for path in self.elsewhere(region):
            data = path.read_bytes()
            for text in (data, *unpacked(data)):
                found += [(str(path), word) for word in words if word.encode() in text]
        return found

    def read(self, region: str) -> str:
        """All that the program itself reads in a region, whether it is sealed or not."""
        appliance = self.appliance
        flags = {"config": str(appliance.config), "data_dir": str(appliance.data)}
        environ = {**appliance.environ}
        found: list[Any] = []
        with open_source(load_config(flags, environ), region) as source:
            for name in TABLES:
                with source.query(f"SELECT * FROM {name}") as result:
                    found += all_rows(result)
        return json.dumps(found, default=str)


class Customer:
    """An organisation of one region, whose every text has `word` in it."""

    def __init__(self, regions: Regions, region: str, word: str) -> None:
        self.regions, self.region, self.word = regions, region, word
        self.appliance = regions.appliance
        self.secret = f"sk-secret-{word}"
        command = self._command
        self.org = command("orgs.create", name=f"org {word}")["id"]
        self.key = command("keys.create", name=f"key {word}", org=self.org)["key"]
        for provider in ("openai", "anthropic", "nowhere"):
            command(
                "provider-keys.add", provider=provider, secret=self.secret, org=self.org,
                name=f"stored {word}",
            )  # fmt: skip
        (stored, *_) = command("provider-keys.list", org=self.org)
        self.stored = stored["id"]
        made = command("proxy-keys.create", key=self.stored, name=f"proxy {word}", org=self.org)
        self.proxy_key, self.proxy_id = made["key"], made["id"]
        command("wallet.top-up", org=self.org, amount="5", event_id=f"event {word}")
        for scope in ("user", "key", "property:topic"):
            command("budgets.set", org=self.org, scope=scope, limit="1000", period="month",
                    value=word if scope != "key" else "")  # fmt: skip

    def _command(self, command: str, /, **arguments: Any) -> Any:
        return self.regions.command(self.region, command, **arguments)

    @property
    def words(self) -> list[str]:
        """What must not be found anywhere else. Of a proxy key the id says nothing in itself."""
        return [self.word, self.org, self.key, self.secret, self.proxy_key]

    def headers(self, **more: str) -> dict[str, str]:
        """The word wherever a header line takes one."""
        word = self.word
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {
            "Helicone-Auth": f"Bearer {self.key}", "Helicone-User-Id": word,
            "Helicone-Session-Id": word, "Helicone-Session-Path": f"/{word}",
            "Helicone-Session-Name": word, "Helicone-Property-Topic": word,
            f"Helicone-Property-{word}": "named", "Helicone-Prompt-Id": word,
            "Helicone-Cache-Seed": word, "User-Agent": word, "X-Something": word, "Cookie": word,
            "Helicone-RateLimit-Policy": "10000;w=3600;s=topic", **named,
        }  # fmt: skip

    def body(self, **more: Any) -> dict[str, Any]:
        """The word in a chat's body."""
        return {
            "model": "gpt-4o", "max_tokens": 50, "user": self.word,
            "messages": [{"role": "user", "content": f"Say {self.word}"}], **more,
        }  # fmt: skip

    def ask(self, path: str = CHAT, *, more: Any = None, **headers: str) -> Reply:
        """One call, whatever comes of it."""
        reply: Reply = self.appliance.call(path, self.body(**(more or {})), self.headers(**headers))
        return reply

    def speak(self) -> list[tuple[str, int]]:
        """Calls of every kind; what each was, and the status that its client saw."""
        word, said = self.word, []
        long = word * (2 * MIB // len(word))
        plain: dict[str, dict[str, Any]] = {
            "small": {"x_fake": f"planted-{word}"},
            "large": {"x_fake": f"planted-large-{word}", "more": {"extra": long}},
            "stream": {"x_fake": f"planted-stream-{word}", "more": {"stream": True}},
            "kept": {"helicone_cache_enabled": "true", "x_fake": f"planted-{word}"},
            "hit": {"helicone_cache_enabled": "true", "x_fake": f"planted-{word}"},
            "kept stream": {
                "helicone_cache_enabled": "true", "x_fake": f"planted-stream-{word}",
                "more": {"stream": True, "extra": long},
            },
            "refused": {"x_fake": "fake-error-400"},
            "cut": {"x_fake": "fake-cut-after-3", "more": {"stream": True}},
            "reset": {"x_fake": "fake-reset-before-headers"},
            "malformed": {"x_fake": "fake-malformed-head"},
            "retried": {"x_fake": "fake-error-500", "helicone_retry_enabled": "true",
                        "helicone_retry_num": "1", "helicone_retry_min_timeout": "1"},
            "query": {"path": f"{CHAT}?q={word}"},
            "path": {"path": f"{OAI}/v1/files/{word}"},
            "gateway": {"path": "/v1/chat/completions"},
            "gateway stream": {"path": "/v1/chat/completions", "more": {"stream": True}},
            "translated": {"path": "/v1/chat/completions",
                           "more": {"model": "claude-sonnet-4-6"}},
            "no such model": {"path": "/v1/chat/completions", "more": {"model": word}},
            "router": {"path": "/router/both/v1/chat/completions"},
            "unreachable": {"path": "/v1/gateway/nowhere/v1/chat/completions"},
            "limited": {"helicone_ratelimit_policy": "0;w=3600;s=user"},
            "bad policy": {"helicone_ratelimit_policy": word},
            "mock": {"helicone_mock_response": word},
        }  # fmt: skip
        for name, given in plain.items():
            said.append((name, self.ask(given.pop("path", CHAT), **given).status))
        entry = {
            "target-url": self.regions.provider.url, "onCodes": [500],
            "headers": {"Authorization": f"Bearer {word}", "x-fake": "fake-error-500"},
        }  # fmt: skip
        entries = [entry, {**entry, "headers": {"Authorization": f"Bearer {word}"}}]
        fell = self.ask("/gateway/v1/chat/completions", helicone_fallbacks=json.dumps(entries))
        said.append(("fallback", fell.status))
        stand_in = self.appliance.call(
            CHAT, self.body(), {"Authorization": f"Bearer {self.proxy_key}", "X-Other": word}
        )
        said.append(("proxy key", stand_in.status))
        return said

    async def converse(self) -> None:
        """A session over a WebSocket."""
        lines = [
            (name.encode(), value.encode())
            for name, value in self.headers().items() if name != "Helicone-RateLimit-Policy"
        ]  # fmt: skip
        async with session(self.appliance, REALTIME, lines) as socket:
            await say(socket, "response.create", text=self.word)
            await until(socket, "response.done")

    def hold(self) -> None:
        """A call that is in the middle of its reply when the server is killed."""
        with self.appliance.client() as client:
            body = self.body(stream=True, extra=self.word * (2 * MIB // len(self.word)))
            client.request(CHAT, body, self.headers(x_fake=f"planted-held-{self.word}"))
            client.read_until(self.word.encode() + b'"}\n\n')
            self.appliance.kill()
            with suppress(Ended):
                client.read_until(b"never comes")


def plant(provider: Provider, word: str) -> None:
    """Replies with the word in them: small, too large for memory, streamed, and half a one."""
    text = b'{"model":"gpt-4o","text":"%b"}' % word.encode()

    async def small(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(whole(text))

    async def large(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(whole(b'{"text":"%b"}' % (word.encode() * 30_000)))

    async def stream(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(STREAM_HEAD)
        for _ in range(3):
            await talk.send(chunk(b"data: %b\n\n" % text))
        await talk.send(chunk(b"data: [DONE]\n\n") + END)

    async def held(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(STREAM_HEAD)
        await talk.send(chunk(b"data: %b\n\n" % text))
        await talk.gate(word)

    provider.add(f"planted-{word}", small)
    provider.add(f"planted-large-{word}", large)
    provider.add(f"planted-stream-{word}", stream)
    provider.add(f"planted-held-{word}", held)
