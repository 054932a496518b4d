"""What the REST API asks of the rest of the process: a few protocols, wired together at start.

The endpoints know these and nothing behind them: no store, no key ring, no door.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from appliance.api.services_accounts import Accounts
from appliance.api.services_datasets import Copies
from appliance.api.services_edits import Edits
from appliance.api.services_export import Exports
from appliance.api.services_hql import Hql
from appliance.api.services_notices import Notices
from appliance.api.services_playground import Playground
from appliance.api.services_settings import Settings
from appliance.api.services_webhooks import Webhooks
from appliance.core.access import Identity
from appliance.core.forwarded import Caller
from appliance.core.ledger_credits import CreditState
from appliance.core.signed_url import Pairs
from appliance.errors import Refusal
from storage.frames import Position
from storage.manifest import Span

Row = tuple[Any, ...]
T = TypeVar("T")


class Reason(NamedTuple):
    """Why a part does not do all it should. `since` is ISO-8601 UTC."""

    part: str
    since: str
    detail: str


class ActorState(Protocol):
    """One of the process's own workers. `trouble` and `last_error` may name files."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def restarts(self) -> int: ...
    @property
    def inbox(self) -> int: ...
    @property
    def trouble(self) -> str: ...
    @property
    def last_error(self) -> str: ...


class Health(NamedTuple):
    status: Literal["healthy", "degraded"]
    reasons: Sequence[Reason] = ()
    actors: Sequence[ActorState] = ()


class Rows(NamedTuple):
    """A whole answer; columns are names with their DuckDB types."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Row]


class Operations(Protocol):
    """The state of the running process. None of these blocks."""

    def health(self) -> Health: ...
    def ready(self) -> bool:
        """Stores are open and nothing drains."""

    def metrics_text(self) -> str:
        """Everything measured, in the text format of Prometheus."""

    def refused(self, refusal: Refusal) -> None:
        """Somebody was told no: a line of the log."""


class Access(Protocol):
    """Who may ask. Headers are lower-case names with their first values. None of these blocks."""

    def check(self, headers: Mapping[bytes, bytes], host: bytes) -> None:
        """Refuses web pages that have no business here and hosts that are not ours; for endpoints
        without a key (`core.access.check_caller`, not proxied). Raises Refusal."""

    def admit(self, headers: Mapping[bytes, bytes], host: bytes) -> Identity:
        """The same, and whose account it is: an organisation whose region is open here. Raises
        Refusal 400, 401, 403, 503. That its key may read is checked by the caller."""

    def page_headers(
        self, headers: Mapping[bytes, bytes], host: bytes
    ) -> Sequence[tuple[bytes, bytes]]:
        """What lets a page of an allowed origin read the reply (`core.access.cors_headers`, not
        proxied). Asked only where a request names an origin."""

    def caller_address(self, peer: str, lines: Sequence[tuple[bytes, bytes]]) -> str:
        """The address that called, where `peer` may be a trusted proxy that tells it in one of the
        request's header lines."""

    def is_near(self, client_ip: str, host: bytes) -> bool:
        """Whether this address, under this Host, may read the metrics with no key."""


class Records(Protocol):
    """What was recorded, by region. Raise Refusal 503 when the store cannot answer now."""

    async def caught_up(self, region: str) -> float | None:
        """Waits until every exchange that ended before this call can be queried, at most 1 s. None
        when it is so, else how many milliseconds the answer may lack."""

    async def query(
        self,
        region: str,
        sql: str,
        parameters: Sequence[Any],
        created: Span | None = None,
        *,
        whole: bool = False,
    ) -> Rows:
        """All rows of one reading statement. Cancelling the caller interrupts it. `created`: it is
        about exchanges of this span alone, in µs, which saves a look into files without any.
        `whole`: for whoever concludes from what is not there: waits for a database that lacks what
        it had, and raises Refusal 503 where that takes long."""

    def check_whole(self, region: str) -> None:
        """For whoever concludes from what is not there. Raises Refusal 503 while the database lacks
        what it had, as for a while after a start or a deletion."""

    def find_recent(self, region: str, org: bytes, request_id: str) -> Position | None:
        """The newest exchange of this id that was written and is not in the database yet. It is
        forgotten only after the transaction that brings its row."""

    async def read_rows(self, region: str, position: Position) -> tuple[Row, Row]:
        """The exchange at this place as rows of `requests` and `bodies` (storage.rows). Raises
        LookupError when it is not there any more."""


class Tables(Protocol):
    """The small tables of one region in the state store (`storage/state.py`)."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` reads in a thread, as of one moment. Raises Refusal 503, ValueError, and
        what `work` raises."""

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` changes in a thread, in one transaction, is on the disk when this returns.
        Raises Refusal 503, ValueError, and what `work` raises."""


class Links(Protocol):
    """URLs of this server, and signatures that stand for a key. None of these blocks."""

    def caller(
        self, peer: str, scheme: str, host: str, lines: Sequence[tuple[bytes, bytes]]
    ) -> Caller:
        """Who called, by which scheme and host, through trusted proxies."""

    def base(self, caller: Caller | None) -> str | None:
        """What links begin with (`core.links.base_url`); None only where no caller is given and
        public_url is not set."""

    def signed(self, region: str, path: str, query: Pairs, lives_s: int) -> str:
        """Path and query with time and signature of this region (`core.signed_url`)."""

    def check(self, region: str, path: str, query: Pairs) -> None:
        """Whether we signed it and its time is not over. Raises Refusal 403, 404, 410."""


class Prompts(Protocol):
    """The stored prompts of one region; they are read with `Tables`."""

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """As `Tables.write`; the gateway uses what is changed for its next call."""


class Models(Protocol):
    """The models that the gateway knows."""

    async def listed(self, *, multimodal: bool = False) -> list[dict[str, Any]]:
        """The entries of `GET /v1/models`: those that a name alone reaches; or of them those of
        `GET /v1/models/multimodal`."""

    async def prices(self) -> list[dict[str, Any]]:
        """The rows of `GET /api/llm-costs`."""

    async def registry(self) -> list[dict[str, Any]]:
        """The models of `GET /v1/public/model-registry/models`."""

    def storable(self) -> list[dict[str, Any]]:
        """The rows of `GET /v1/api-keys/providers`."""


class Account(NamedTuple):
    """Whose wallet: an organisation in its region."""

    region: str
    org: bytes


class Wallets(Protocol):
    """The wallets of all regions. Raise Refusal 503 while a ledger cannot be relied upon."""

    def check_admin(self, authorization: bytes | None, address: str) -> None:
        """Closed: whoever has not admin_key, or asks too often. Raises Refusal 401, 429, 500."""

    async def account(self, org: str, region: str = "") -> Account:
        """The organisation of this id; in the region that has it where none is named. Raises
        Refusal 404."""

    async def state(self, account: Account) -> tuple[CreditState, list[dict[str, Any]]]:
        """A wallet at this moment, and its disallow list as the table is."""

    async def page(
        self, account: Account, table: str, page: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """A page of a table (`storage.ledger.PAGES`), and how many rows there are in all."""

    async def modify(
        self, account: Account, kind: Literal["credit", "debit"], amount_pico: int, event_id: str,
        reason: str,
    ) -> bool:  # fmt: skip
        """Money in or out, once per event id. False: it was done before. Raises Refusal 400, and
        409 when the id stands for something else."""

    async def allow(self, account: Account, provider: str, model: str) -> bool:
        """Take a model off the disallow list. False: it was not there."""

    async def budgets(self, account: Account) -> list[dict[str, Any]]:
        """Budgets with what is spent and held, in USD as text."""

    async def set_budget(
        self, account: Account, *, scope: str, name: str, value: str, period: str, limit_pico: int
    ) -> dict[str, Any]:
        """Set a limit, or change that of the same scope, value and period. Raises Refusal 422
        that names the field."""

    async def drop_budget(self, account: Account, budget_id: str) -> dict[str, Any] | None:
        """Remove a limit: what it was, None where the organisation has none of this id."""

    def webhook_secret(self) -> str:
        """By what Stripe's events are signed. Raises Refusal 500 when there is none."""

    async def stripe(self, event: object) -> str:
        """Do what a signed event says, once. Gives "", or why nothing was changed. Raises Refusal
        400."""


@dataclass(frozen=True, slots=True)
class Services:
    """All that `create_app` needs."""

    version: str
    operations: Operations
    access: Access
    records: Records
    models: Models
    wallets: Wallets
    tables: Mapping[str, Tables]  # by region
    links: Links
    hql: Hql
    webhooks: Webhooks
    notices: Notices
    accounts: Accounts
    settings: Settings
    edits: Edits
    exports: Exports
    prompts: Mapping[str, Prompts]  # by region
    copies: Copies
    playground: Playground
