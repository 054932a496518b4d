"""The app over a real in-memory DuckDB, and an ASGI client that needs no socket."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, BinaryIO
from uuid import UUID
from weakref import finalize

import trio

from appliance.actors.frame_rows import FrameDeriver
from appliance.actors.prompts import PromptBook
from appliance.actors.tables import Tables
from appliance.api.app import create_app
from appliance.api.services import Health, Rows, Services
from appliance.api.services_hql import Export, Result
from appliance.api.services_webhooks import Tried
from appliance.core.access import AccessRules, Identity, check_caller, cors_headers
from appliance.core.forwarded import Caller
from appliance.core.hql_errors import hql_error
from appliance.core.keys import KeyInfo, hash_key
from appliance.core.links import base_url
from appliance.core.outbound import check_destination
from appliance.core.signed_url import Pairs, check_signed, signed_path
from appliance.core.urls import HostList
from appliance.errors import Refusal
from appliance.exchange import ReplySide
from appliance.providers.registry import ModelRegistry
from appliance.providers.registry_pages import price_page, registry_page
from appliance.providers.storable import storable
from appliance.providers.table import ProviderTable
from appliance.services_accounts import AccountsOf
from appliance.services_datasets import CopiesOf
from appliance.services_edits import KINDS, payload_of
from storage.analytics import Analytics
from storage.batch import Batch
from storage.frames import Frame, Position
from storage.manifest import Span
from storage.notice_tables import Notice
from storage.report_tables import ReportRow
from storage.state_tables import StateTables
from storage.vault import Vault
from storage.webhook_tables import WebhookRow
from tests.storage.analytics_rows import ORG, T0_US, body_row, opened, request_row

OTHER_ORG = bytes(15) + b"\x02"
HOST = [(b"host", b"127.0.0.1:8585")]
RULES = AccessRules("open", origins=frozenset({b"https://friend.example"}))
KEYS = {
    b"Bearer reader": Identity(ORG, "k1", "r"),
    b"Bearer both": Identity(ORG, "k2", "rw"),
    b"Bearer writer": Identity(ORG, "k3", "w"),
    b"Bearer other": Identity(OTHER_ORG, "k4", "rw"),
}


@dataclass
class Reply:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeOperations:
    answer: Health = field(default_factory=lambda: Health("healthy"))
    is_ready: bool = True
    refusals: list[str] = field(default_factory=list)

    def health(self) -> Health:
        return self.answer

    def ready(self) -> bool:
        return self.is_ready

    def metrics_text(self) -> str:
        return "helicone_appliance_requests_total 3\n"

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal.code)


@dataclass
class FakeAccess:
    """`open`: anybody is the first organisation; else by the keys above."""

    open: bool = True
    metrics_allow: tuple[str, ...] = ("127.0.0.1",)

    def check(self, headers: Any, host: bytes) -> None:
        check_caller(headers, host, RULES, proxied=False)

    def page_headers(self, headers: Any, host: bytes) -> Any:
        return cors_headers(headers, host, RULES, proxied=False)

    def admit(self, headers: Any, host: bytes) -> Identity:
        self.check(headers, host)
        identity = KEYS.get(headers.get(b"authorization", b""))
        if identity is None and self.open:
            return Identity(ORG)
        if identity is None:
            raise Refusal(401, "key_unknown", "no such key", headers={"WWW-Authenticate": "Bearer"})
        return identity

    def caller_address(self, peer: str, lines: Any) -> str:
        return peer

    def is_near(self, client_ip: str, host: bytes) -> bool:
        return client_ip in self.metrics_allow


@dataclass
class FakeRecords:
    """Queries run for real; what the journal holds and ingest does not is put in by hand."""

    analytics: Analytics
    stale_by_ms: float | None = None
    restoring: bool = False
    recent: dict[tuple[bytes, str], Position] = field(default_factory=dict)
    frames: dict[Position, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def caught_up(self, region: str) -> float | None:
        self.asked.append(f"caught up {region}")
        return self.stale_by_ms

    async def query(
        self,
        region: str,
        sql: str,
        parameters: Any,
        created: Span | None = None,
        *,
        whole: bool = False,
    ) -> Rows:
        if whole:
            self.check_whole(region)
        self.asked.append(sql)
        with self.analytics.query(sql, parameters, created=created) as query:
            rows = []
            while page := query.fetch():
                rows += page
            return Rows(query.columns, rows)

    def check_whole(self, region: str) -> None:
        if self.restoring:
            raise Refusal(503, "analytics_closed", "being made anew", headers={"Retry-After": "1"})

    def find_recent(self, region: str, org: bytes, request_id: str) -> Position | None:
        return self.recent.get((org, request_id))

    async def read_rows(self, region: str, position: Position) -> Any:
        return self.frames[position]


class FakeModels:
    async def listed(self, *, multimodal: bool = False) -> list[dict[str, Any]]:
        names = ["m-2"] if multimodal else ["m-1", "m-2"]
        return [
            {"id": name, "object": "model", "created": 1, "owned_by": "maker"} for name in names
        ]

    async def prices(self) -> list[dict[str, Any]]:
        return price_page()

    async def registry(self) -> list[dict[str, Any]]:
        return registry_page(ModelRegistry(ProviderTable.built_in()))

    def storable(self) -> list[dict[str, Any]]:
        return storable(ProviderTable.built_in().rows.values())


@dataclass
class FakeLinks:
    """Real signatures; the time is set by hand."""

    now_s: float = 1_800_000_000.0

    def caller(self, peer: str, scheme: str, host: str, lines: Any) -> Caller:
        return Caller(peer, scheme, host)

    def base(self, caller: Caller | None) -> str | None:
        return base_url(None, caller)

    def signed(self, region: str, path: str, query: Pairs, lives_s: int) -> str:
        return signed_path(b"us" * 16, path, int(self.now_s) + lives_s, query)

    def check(self, region: str, path: str, query: Pairs) -> None:
        if region != "us":
            raise Refusal(404, "region_unknown", "no such region")
        check_signed(b"us" * 16, path, query, self.now_s)


@dataclass
class FakeFile:
    form: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    async def read(self) -> AsyncIterator[bytes]:
        yield self.data[:2]
        yield self.data[2:]


@dataclass
class FakeHql:
    """Gives what was put in; knows who asked what."""

    result: Result = field(
        default_factory=lambda: Result(
            [b'{"a":1},', b'{"a":2}'], [["a", "INTEGER"]], 2, 15, 1.5, True, None
        )
    )
    asked: list[tuple[bytes, str, str]] = field(default_factory=list)
    files: dict[str, FakeFile] = field(default_factory=dict)
    works: Callable[[], Awaitable[None]] | None = None

    def schema(self) -> list[dict[str, Any]]:
        return [{"table_name": "t", "columns": []}]

    async def execute(self, identity: Identity, sql: str) -> Result:
        self.asked.append((identity.org, sql, "rows"))
        if self.works is not None:
            await self.works()
        return self.result

    async def export(self, identity: Identity, sql: str, form: str) -> Export:
        self.asked.append((identity.org, sql, form))
        self.files["f1"] = FakeFile(form, b"a\n1\n")
        return Export("f1", 1, 3600)

    def export_file(self, region: str, export_id: str) -> FakeFile:
        if export_id not in self.files:
            raise hql_error("CSV_EXPIRED")
        return self.files[export_id]


@dataclass
class FakeWebhooks:
    """Seals nothing; what was changed and tried is seen."""

    allow: tuple[str, ...] = ("lan.example", "127.0.0.1")
    position: Position = field(default_factory=lambda: Position(1, 100))
    changes: list[str] = field(default_factory=list)
    tried: Tried = field(default_factory=lambda: Tried(200, "", 12.5))

    def check_destination(self, url: object, name: str) -> str:
        return check_destination(url, HostList(self.allow), name)

    def seal(self, region: str, webhook_id: str, key: str) -> bytes:
        return f"{region} {webhook_id} {key}".encode()

    def recorded(self, region: str) -> Position:
        return self.position

    def changed(self, region: str) -> None:
        self.changes.append(region)

    async def test(self, region: str, row: WebhookRow) -> Tried:
        return self.tried


@dataclass
class FakeNotices:
    """Seals nothing, and has no mail server unless told."""

    has_mail: bool = False
    changes: list[str] = field(default_factory=list)

    def check_destination(self, url: object, name: str) -> str:
        return check_destination(url, HostList(["lan.example"]), name)

    def seal(self, region: str, owner_id: str, text: str) -> bytes:
        return f"{region} {owner_id} {text}".encode()

    def unseal(self, region: str, owner_id: str, sealed: bytes) -> str:
        return sealed.decode().removeprefix(f"{region} {owner_id} ")

    async def report_now(self, region: str, row: ReportRow) -> list[Notice]:
        sealed = self.seal(region, "n1", "a@b.example")
        return [Notice(f"n{len(self.changes)}", row.org, "email", sealed, row.name, "Text")]

    def changed(self, region: str) -> None:
        self.changes.append(region)

    def warnings(self, channels: Any) -> list[str]:
        return ["no mail server"] if channels.emails and not self.has_mail else []


@dataclass
class FakeEdits:
    """Straight into the database, by way of the frame that the journal would hold."""

    analytics: Analytics
    stale_by_ms: float | None = None
    times: int = 0

    async def add(self, region: str, org: bytes, edits: Any) -> float | None:
        batch = Batch()
        for edit in edits:
            self.times += 1
            position = Position(9, self.times)
            payload = payload_of(edit, T0_US + self.times)
            frame = Frame(position, position, KINDS[edit.kind], 0, 0, org, payload)
            batch.add(FrameDeriver(derive=None, read_parts=None)(frame), 0)  # type: ignore[arg-type]
        self.analytics.ingest(batch, Position(1, self.analytics.position.offset + 1))
        return self.stale_by_ms


@dataclass
class FakeExports:
    """Real files; what comes while somebody waits is put in by `arrivals`."""

    analytics: Analytics
    arrivals: list[Any] = field(default_factory=list)

    async def parquet(
        self, region: str, sql: str, parameters: Any, *, bytes_expected: int
    ) -> BinaryIO:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            with self.analytics.query(sql, parameters, into=path) as query:
                query.fetch()
            return path.open("rb")

    async def changed(self, region: str, wait_s: float) -> bool:
        if not self.arrivals:
            await trio.sleep_forever()
        self.arrivals.pop(0)()
        return True


@dataclass
class FakePlayground:
    """Answers as `script` says; knows what was asked on whose account."""

    script: Callable[[ReplySide], Awaitable[None]] | None = None
    asked: list[tuple[Identity, Any, dict[bytes, bytes]]] = field(default_factory=list)

    async def call(
        self, identity: Identity, body: bytes, headers: Any, address: str, reply: ReplySide
    ) -> None:
        self.asked.append((identity, json.loads(body), dict(headers)))
        if self.script is not None:
            await self.script(reply)
            return
        lines = [(b"Content-Type", b"application/json"), (b"Helicone-Id", b"r-1")]
        said = {"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}
        await reply.start(200, b"", lines, None, json.dumps(said).encode(), last=True)


@cache
def vault() -> Vault:
    """One for all: its keys stay when its folder is gone."""
    with TemporaryDirectory() as folder:
        return Vault.open(Path(folder))


class House:
    """The app and what stands behind it."""

    last: Reply
    leaves = False  # whether the client goes once its request is read

    def __init__(
        self, wallets: Any = None, settings: Any = None, directory: Path | None = None
    ) -> None:
        self._place = directory
        self.analytics = opened(None)
        self.operations = FakeOperations()
        self.access = FakeAccess()
        self.records = FakeRecords(self.analytics)
        self.models = FakeModels()
        self.tables = {"us": Tables(self._open_tables)}
        self.links = FakeLinks()
        self.hql = FakeHql()
        self.webhooks = FakeWebhooks()
        self.notices = FakeNotices()
        keys = {hash_key(text[7:].decode()): identity for text, identity in KEYS.items()}
        infos = {
            hashed: KeyInfo(identity.org, identity.key_id, identity.permission)
            for hashed, identity in keys.items()
        }
        self.accounts = AccountsOf({"us": lambda: b"c" * 32}, infos.get)
        self.edits = FakeEdits(self.analytics)
        self.exports = FakeExports(self.analytics)
        self.playground = FakePlayground()
        services = Services(
            "1.2.3", self.operations, self.access, self.records, self.models, wallets, self.tables,
            self.links,
            hql=self.hql,
            webhooks=self.webhooks,
            notices=self.notices,
            accounts=self.accounts,
            settings=settings,
            edits=self.edits,
            exports=self.exports,
            prompts={"us": PromptBook(self.tables["us"])},
            copies=CopiesOf({"us": vault()}),
            playground=self.playground,
        )  # fmt: skip
        self.app = create_app(services)

    def _open_tables(self) -> StateTables:
        """A state store in memory would be one for each connection."""
        if self._place is not None:
            return StateTables.open(self._place / "state.sqlite")
        folder = mkdtemp()
        finalize(self, rmtree, folder, ignore_errors=True)
        return StateTables.open(Path(folder) / "state.sqlite")

    def close(self) -> None:
        """What it holds of files."""
        self.analytics.close()

    def add(self, *rows: tuple[Any, ...], bodies: tuple[tuple[Any, ...], ...] = ()) -> None:
        batch = Batch()
        by_id = {body[0]: body for body in bodies}
        for row in rows:
            batch.add_exchange(row, by_id.get(row[0]) or body_row(number_of(row)), 0)
        self.analytics.ingest(batch, Position(1, self.analytics.position.offset + 1))

    async def get(self, target: str, **options: Any) -> Reply:
        return await self.ask("GET", target, **options)

    async def post(self, target: str, body: Any, **options: Any) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", target, data, **options)

    async def put(self, target: str, body: Any, **options: Any) -> Reply:
        return await self.ask("PUT", target, json.dumps(body).encode(), **options)

    async def ask(
        self,
        method: str,
        target: str,
        data: bytes = b"",
        *,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        client: str = "127.0.0.1",
    ) -> Reply:
        path, _, query = target.partition("?")
        names = {name for name, _ in headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "root_path": "", "client": (client, 5),
            "server": ("127.0.0.1", 8585),
            "headers": [pair for pair in HOST if pair[0] not in names] + list(headers),
        }  # fmt: skip
        reply = self.last = Reply(0, {}, b"")

        read = False

        async def receive() -> Any:
            nonlocal read
            if read:
                if not self.leaves:
                    await trio.sleep_forever()
                return {"type": "http.disconnect"}
            read = True
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.status, reply.headers = message["status"], dict(message["headers"])
            else:
                reply.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return reply


def number_of(row: tuple[Any, ...]) -> int:
    return int.from_bytes(row[0][2:], "big")


def request_id(number: int) -> str:
    return str(UUID(bytes=b"\x40" + number.to_bytes(15, "big")))


__all__ = ["ORG", "OTHER_ORG", "T0_US", "House", "body_row", "request_id", "request_row"]
