"""The books after chaos: each line that must hold, and does not, in words."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from chaos_load import Call, Seen, Weather

from tests.e2e.shop_kit import Shop
from tests.fakes.appliance import ROOT, Row

TOP_UP_USD = Decimal(1000)
DELETED_WAIT_S = 300.0
SHOWN_MAX = 5
ROWS = """
SELECT request_id::VARCHAR AS id, count(*) AS n, min(outcome) AS outcome,
       min(derive_error) AS derive_error, min(not_applied)::VARCHAR AS not_applied,
       max(properties['chaos']) AS edited, min(http_status) AS status
FROM requests GROUP BY 1
"""
BODIES = """
SELECT request_id::VARCHAR AS id, count(*) AS n, min(sha256(request)) AS request,
       min(sha256(response)) AS response, min(request[:200]) AS said
FROM bodies GROUP BY 1
"""


def merged(seen: Iterable[Seen]) -> Seen:
    """What all workers saw."""
    whole = Seen()
    for one in seen:
        doubles = whole.calls.keys() & one.calls.keys()
        whole.wrong += [f"id {name} was given twice" for name in sorted(doubles)]
        whole.calls |= one.calls
        whole.edits |= one.edits
        whole.deleted |= one.deleted
        whole.unsure |= one.unsure
        whole.paid += one.paid
        whole.wrong += one.wrong
        whole.begun += one.begun
    return whole


def promised(call: Call, weather: Weather) -> bool:
    """Whether its record must be there. Not when the process was killed while its disk failed, and
    the reply had said so, or its head had been sent before: it cannot be taken back."""
    return not (call.windows & weather.lost and (call.degraded or call.apart))


class Books:
    """What is on record, against what was seen."""

    def __init__(self, shop: Shop, seen: Seen, weather: Weather) -> None:
        self.shop, self.seen, self.weather = shop, seen, weather
        self.rows: dict[str, Row] = {}
        self.bodies: dict[str, Row] = {}

    def differences(self, *, deleted: bool = True) -> list[str]:
        """All lines that do not hold; of each kind the first few, then how many more. `deleted`:
        what was to be deleted must be gone by now."""
        found: list[str] = []
        self.rows = {row["id"]: row for row in self.shop.appliance.query(ROWS)}
        self.bodies = {row["id"]: row for row in self.shop.appliance.query(BODIES)}
        parts = [self._seen_wrong, self._calls, self._rows_alone, self._edits]
        for part in [*parts, self._deletions] if deleted else parts:
            lines = list(part())
            found += lines[:SHOWN_MAX]
            if len(lines) > SHOWN_MAX:
                found.append(f"… and {len(lines) - SHOWN_MAX} more like it")
        return found

    def _seen_wrong(self) -> Iterator[str]:
        yield from self.seen.wrong

    def _calls(self) -> Iterator[str]:
        gone = self.seen.deleted.keys() | self.seen.unsure
        for call in self.seen.calls.values():
            if call.id in gone:
                continue
            name = f"{call.kind} {call.id} ({call.faulty or 'well'}, windows {set(call.windows)})"
            row, body = self.rows.get(call.id), self.bodies.get(call.id)
            if row is None:
                if promised(call, self.weather):
                    yield f"{name}: seen finished, not on record"
                continue
            yield from (f"{name}: {line}" for line in self._of(call, row, body))

    def _of(self, call: Call, row: Row, body: Row | None) -> Iterator[str]:
        if row["derive_error"] is not None:
            yield f"derive_error {row['derive_error']}"
        if not call.faulty and row["outcome"] not in ("complete", "cache_hit"):
            yield f"outcome {row['outcome']}"
        if "bodies" in (row["not_applied"] or ""):
            if call.windows == {0}:
                yield f"without bodies on a sound disk: {row['not_applied']}"
            return
        if body is None:
            yield "no bodies"
        elif call.kind == "log":
            if call.mark not in (body["said"] or ""):
                yield "the request is not the one that was logged"
        else:
            for side, digest in (("request", call.request), ("response", call.response)):
                if body[side] != digest and not (side == "request" and "paid" in call.kind):
                    yield f"the {side} is not what the client sent or got"

    def _rows_alone(self) -> Iterator[str]:
        for name, row in self.rows.items():
            if row["n"] != 1:
                yield f"{name} has {row['n']} rows"
        for name, body in self.bodies.items():
            if body["n"] != 1:
                yield f"{name} has {body['n']} rows of bodies"
        if len(self.rows) > self.seen.begun:
            yield f"{len(self.rows)} rows of {self.seen.begun} calls"

    def _edits(self) -> Iterator[str]:
        for name, value in self.seen.edits.items():
            row = self.rows.get(name)
            if row is not None and row["edited"] != value:
                yield f"edit of {name}: {value} was acknowledged, {row['edited']} is there"

    def _deletions(self) -> Iterator[str]:
        for name in self.seen.deleted:
            if name in self.rows or name in self.bodies:
                yield f"{name} was deleted, and is there"


def wallet(shop: Shop, seen: Seen, weather: Weather) -> Iterator[str]:
    """What was paid in = what is left + what is on record + what was charged without a record.

    A record that was in memory alone when the process was killed is gone, its charge is not: for
    each such call the wallet may have taken more than the rows tell, at most what the dearest cost.
    """
    found, flags = shop.settled(), shop.appliance.command("wallet.flags", org="acme")
    spent, left = Decimal(found["spent_usd"]), Decimal(found["available_usd"])
    if spent + left != TOP_UP_USD:
        yield f"wallet: {TOP_UP_USD} paid in, {left} left, {spent} spent"
    unknown = {flag["kind"] for flag in flags} - {"no_frame", "no_cost"}
    if unknown:
        yield f"wallet: flags {sorted(unknown)}"
    alone = sum((Decimal(flag["amount_usd"]) for flag in flags), Decimal(0))
    recorded = shop.spent_on_record()
    dearest = shop.appliance.query("SELECT max(cost_usd) AS usd FROM requests")[0]["usd"] or 0
    lost = sum(1 for windows in seen.paid if windows & weather.lost)
    beyond = spent - recorded - alone
    if not 0 <= beyond <= lost * Decimal(dearest):
        yield (
            f"wallet: {spent} spent, {recorded} on record, {alone} charged without a record: "
            f"{beyond} too much, and {lost} calls may have lost theirs"
        )


def wait_deleted(shop: Shop) -> Iterator[str]:
    """Until all deletions are done."""
    until_s = time.monotonic() + DELETED_WAIT_S
    while True:
        reply = shop.appliance.call("/v1/appliance/deletions", method="GET")
        left = [one for one in reply.json["data"] if one["state"] != "done"]
        if not left:
            return
        if time.monotonic() > until_s:
            yield f"{len(left)} deletions are not done: {left[0]}"
            return
        time.sleep(0.1)


def verified(shop: Shop) -> Iterator[str]:
    """`verify` of a server that was stopped: journal = rows = bodies = ledger."""
    appliance = shop.appliance
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "verify", "--json", "--data-dir",
         str(appliance.data), "--config", str(appliance.config)],
        cwd=ROOT, env=appliance.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    if done.returncode != 0 or not report.get("ok"):
        for finding in report.get("findings", [{"file": "verify", "what": done.stderr}])[:10]:
            yield f"verify: {finding['file']}: {finding['what']}"


def still_readable(shop: Shop, seen: Seen) -> Iterator[str]:
    """Marks of what was deleted that a file of the directory still says."""
    marks = {mark.encode(): name for name, mark in seen.deleted.items()}
    for path in sorted(shop.appliance.data.rglob("*")):
        if not (marks and path.is_file()):
            continue
        data = path.read_bytes()
        for mark, name in marks.items():
            if b'"' + mark in data:
                yield f"{name} was deleted, and {path.name} says it"
