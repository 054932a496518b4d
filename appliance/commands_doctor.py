"""What `doctor` does: the checks of `doctor.py`, or one call on record and why it was stopped."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from appliance.commands import LiveSource, Source, connect, open_source
from appliance.commands_run import HEALTH_S
from appliance.config import Config, load_config
from appliance.config_options import ConfigError
from appliance.control_client import ControlError
from appliance.core.budgets import EACH
from appliance.core.rate_reply import PROPERTY_STATUS
from appliance.doctor import Check, examine
from appliance.errors import Refusal
from appliance.output import all_rows
from appliance.output_lines import print_value
from appliance.waiting import waiting

BUDGET_SIGNS: Final = ("budget", "credit", "wallet")
# Through the gateway a refusal is told in its own words, behind those for all attempts.
BUDGET_WORDS: Final = ("The budget of ", "Insufficient credits", "The wallet is ")
# As the refusal says it (core/rate_reply.py).
POLICY: Final = re.compile(r"\(policy ([^()\s]{1,500})\)")
SHOWN: Final = (
    "exchange_id", "request_id", "organization_id", "request_created_at", "model", "provider",
    "status", "http_status", "outcome", "error", "user_id", "api_key_id",
)  # fmt: skip


def run_doctor(flags: Mapping[str, str], *, offline: bool, as_json: bool) -> bool:
    """Print every check; False when one has failed."""
    try:
        config = load_config(flags)
    except ConfigError as error:  # the first thing to be told, in the form of the others
        checks = [Check("configuration", "failed", str(error))]
    else:
        with waiting("doctor"):
            checks = list(examine(config, _live(config), offline=offline))
    print_value([check._asdict() for check in checks], as_json=as_json)
    return not any(check.state == "failed" for check in checks)


def _live(config: Config) -> Mapping[str, Any] | ControlError | None:
    """A server that hangs is what a doctor is called for: it is told, and waited for no longer."""
    try:
        client = connect(config, "us", reply_s=HEALTH_S)
        if client is None:
            return None
        with client:
            found = LiveSource(client, "us").call("status", {}, lambda _: None)
    except ControlError as error:
        return error
    return found if isinstance(found, Mapping) else None


def run_request(flags: Mapping[str, str], region: str, wanted: str, *, as_json: bool) -> None:
    """Print what became of a call and which rule stopped it. Raises Refusal 400, 404."""
    try:
        request_id = uuid.UUID(wanted)
    except ValueError:
        raise Refusal(
            400, "bad_id", f'--request "{wanted}" is no id: take that of the reply\'s helicone-id'
        ) from None
    with open_source(load_config(flags), region) as source:
        row, answer = _recorded(source, request_id)
        told = {name: row[name] for name in SHOWN}
        told |= {"not_applied": ", ".join(row["not_applied"] or ()), "answer": answer}
        for name, text in _why(source, row, answer):
            told[name] = text
    print_value(told, as_json=as_json)


def _recorded(source: Source, request_id: uuid.UUID) -> tuple[dict[str, Any], str]:
    names = (*SHOWN, "properties", "not_applied")
    one = f"request_id = UUID '{request_id}' OR exchange_id = UUID '{request_id}'"
    newest = "ORDER BY exchange_id DESC LIMIT 1"
    sql = f"SELECT {', '.join(names)} FROM requests WHERE {one} {newest}"  # noqa: S608 - a UUID
    with source.query(sql) as result:
        rows = list(all_rows(result))
    if not rows:
        raise Refusal(404, "unknown_request", "no call with this id is on record in this region")
    row = dict(zip(names, rows[0], strict=True))
    row["properties"] = _map(row["properties"])
    sql = f"SELECT response FROM bodies WHERE exchange_id = UUID '{row['exchange_id']}'"  # noqa: S608
    with source.query(sql) as result:
        found = list(all_rows(result))
    return row, _message(found[0][0] if found else None)


def _map(value: object) -> dict[str, str]:
    """As maps travel: a list of pairs, or a map."""
    if isinstance(value, Mapping):
        return dict(value)
    return {str(key): str(item) for key, item in value} if isinstance(value, list) else {}


def _message(body: str | None) -> str:
    """The words of an error's body, "" for any other."""
    try:
        found = json.loads(body or "")
    except (ValueError, RecursionError):
        return ""
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else ""


def _why(source: Source, row: Mapping[str, Any], answer: str) -> Iterator[tuple[str, str]]:
    if PROPERTY_STATUS in row["properties"]:  # not by its code: a provider's 429 has that too
        yield "stopped_by", "a rate limit, before any provider was called"
        yield from _rate_limit(source, row, answer)
    elif row["outcome"] == "refused" and (
        any(sign in str(row["error"]) for sign in BUDGET_SIGNS)
        or any(words in answer for words in BUDGET_WORDS)
    ):
        yield "stopped_by", "a budget or the wallet, before any provider was called"
        yield from _budgets(source, row, answer)
    elif row["outcome"] == "refused":
        yield "stopped_by", f"this server: {row['error'] or 'refused'}"
    elif row["http_status"] is not None and row["http_status"] >= 400:
        yield "stopped_by", "the provider, whose answer was passed on as it came"
    elif row["outcome"] == "complete":
        yield "stopped_by", "nothing: it was answered"
    else:
        yield "stopped_by", f"nothing of ours: it ended as {row['outcome']}"


def _rate_limit(source: Source, row: Mapping[str, Any], answer: str) -> Iterator[tuple[str, str]]:
    """The rule that the answer names, and how its counter stands now. Where no answer was kept, the
    stored rule as it stands now: it may have been changed since."""
    asked = {
        "org": row["organization_id"], "user": row["user_id"] or "",
        "properties": row["properties"], "key": "", "policy": "",
    }  # fmt: skip
    found = _explained(source, asked)
    named = POLICY.search(answer)
    why = found["why"]
    if named and named[1] != found.get("policy"):
        found = _explained(source, {**asked, "policy": named[1]})
        why = "of the call's own header, or of a stored rule that was changed since"
    if not found.get("policy") and named:
        yield "rule", f"{named[1]} (of a proxy key: proxy-keys list shows them)"
        return
    if not found.get("policy"):
        yield "rule", "a policy of the call's own header: the organisation has none for it"
        return
    yield "rule", f"{found['policy']} ({why})"
    yield "counter", f"{found['remaining']} of {found['limit']} left now, {found['bucket']}"
    yield "reset", str(found["full_at"])


def _explained(source: Source, asked: dict[str, Any]) -> Mapping[str, Any]:
    found = source.call("limits.explain", asked, lambda _: None)
    assert isinstance(found, Mapping), "explain gives a map"
    return found


def _budgets(source: Source, row: Mapping[str, Any], answer: str) -> Iterator[tuple[str, str]]:
    """Those that count such a call, as they stand now: first the one that the answer names. Where
    none was kept, those that are used up now."""
    asked = {"org": row["organization_id"]}
    found = source.call("budgets.list", asked, lambda _: None)
    spends = {"user": row["user_id"], "key": row["api_key_id"]}
    spends |= {f"property:{name.lower()}": value for name, value in row["properties"].items()}
    lines = found if isinstance(found, list) else []
    own = [one for one in lines if one["value"] in (spends.get(one["scope"]) or "", EACH)]
    named = [one for one in own if f"The budget of {_label(one)} is used up" in answer]
    stopped = named or [one for one in own if _is_used_up(one)]
    for number, one in enumerate(stopped, start=1):
        tail = f"_{number}" if number > 1 else ""
        yield f"rule{tail}", f"budget of {_label(one)} ({one['id']})"
        held = f"{one['spent_usd']} spent and {one['held_usd']} held"
        yield f"counter{tail}", f"{held} of {one['limit_usd']} USD now"
        yield f"reset{tail}", one["begins_anew"]
    others = (one for one in own if one not in stopped)
    for number, line in enumerate(others, start=1):
        yield f"budget_{number}", ", ".join(f"{name} {value}" for name, value in line.items())


def _label(line: Mapping[str, Any]) -> str:
    """What the refusal calls this line of `budgets.list`."""
    scope = str(line["scope"]).replace("property:", "property ", 1)
    value, period = line["value"], line["period"]
    if line["each"]:
        return f"{scope} {EACH}, per {period} ({value})"
    return f"{scope} {value}, per {period}"


def _is_used_up(line: Mapping[str, Any]) -> bool:
    return Decimal(line["spent_usd"]) + Decimal(line["held_usd"]) >= Decimal(line["limit_usd"])
