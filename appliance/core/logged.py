"""A call that was made elsewhere and is told of: what goes on record, whatever told it.

Pure. `source` says by which way it came: `log` (the loggers of the SDKs), `otlp` (spans), `import`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from appliance.core import headers as names
from appliance.core.ask_types import Asks
from appliance.core.asks import parse_asks
from appliance.core.derive import TIME_US_MAX
from appliance.core.json_reader import write_json
from appliance.errors import Refusal

SOURCE_LOG: Final = "log"
SOURCE_OTLP: Final = "otlp"
SOURCE_IMPORT: Final = "import"

# What the original's loggers give as a status when nothing was answered (proxy.md 8.4): outcome,
# the status that the client saw, and the error.
NEGATIVE: Final[dict[int, tuple[str, int | None, str]]] = {
    -2: ("timeout_total", None, ""),
    -3: ("client_gone", 200, ""),
    -4: ("refused", None, "threat"),
}
BROKEN: Final = ("cut", None, "")
# Above this a number is milliseconds since 1970, below it is seconds.
MILLISECONDS_FROM: Final = 10**11
SECONDS_MAX: Final = TIME_US_MAX // 10**6
DURATION_US_MAX: Final = 366 * 86_400 * 10**6
NUMBER: Final = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,9})?")
META_BYTES_MAX: Final = 64 * 1024

# Headers that say something of a record. Those that ask for a feature of the proxy mean nothing
# for a call that is over, and a bad one must not cost the record.
TOLD: Final = frozenset({
    names.REQUEST_ID, names.USER_ID, names.MODEL_OVERRIDE, names.SESSION_ID, names.SESSION_PATH,
    names.SESSION_NAME, names.PROMPT_ID, names.PROMPT_VERSION, names.EXPERIMENT_ID, names.NODE_ID,
    names.POSTHOG_KEY, names.POSTHOG_HOST, names.OMIT_REQUEST, names.OMIT_RESPONSE,
    names.STRIPE_CUSTOMER_ID, names.WEBHOOK_ENABLED,
})  # fmt: skip


class Logged(NamedTuple):
    """One call: metadata of its frame beside what the server adds, both bodies as they were told,
    and the headers that came with it."""

    facts: dict[str, Any]
    request: bytes
    response: bytes
    meta: Mapping[bytes, bytes]


def asks_of(meta: Mapping[bytes, bytes], headers: Mapping[bytes, bytes], asked: Asks) -> Asks:
    """What the entries of `meta` say together with the request's own headers, which win; `asked`
    is what those say alone."""
    if not meta:
        return asked
    merged = dict(meta)
    for name, value in headers.items():
        if name[:18] == names.PROPERTY_PREFIX or name in TOLD:
            merged[name] = value
    return parse_asks(merged)


def meta_headers(meta: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Entries of `meta` as headers that are told; numbers and flags as text. Raises Refusal 400
    when they are more than a request's head may hold."""
    found: dict[bytes, bytes] = {}
    size = 0
    for key, value in meta.items():
        name = key.lower().encode("utf-8", "replace")
        if (name[:18] == names.PROPERTY_PREFIX or name in TOLD) and value is not None:
            text = found[name] = plain_text(value).encode("utf-8", "replace")
            size += len(name) + len(text)
            if size > META_BYTES_MAX:
                raise Refusal(
                    400, "log_invalid",
                    f"providerRequest.meta: more than {META_BYTES_MAX} bytes",
                )  # fmt: skip
    return found


def plain_text(value: object) -> str:
    """A property's value."""
    return value if isinstance(value, str) else write_json(value).decode("utf-8")


def status_facts(status: int) -> dict[str, Any]:
    """Outcome and status, as the record of a proxied call has them."""
    if status >= 0:
        return {"outcome": "complete", "http_status": status}
    outcome, http_status, error = NEGATIVE.get(status, BROKEN)
    facts: dict[str, Any] = {"outcome": outcome}
    if http_status is not None:
        facts["http_status"] = http_status
    if error:
        facts["error"] = error
    return facts


def time_us(value: object) -> int | None:
    """Microseconds since 1970 from `{seconds, milliseconds}`, ISO 8601, or a number of seconds or
    milliseconds, as text too; None for anything else."""
    if isinstance(value, dict):
        seconds: Any = value.get("seconds")
        milliseconds: Any = value.get("milliseconds", 0)
        if _is_number(seconds) and _is_number(milliseconds):
            return _bounded(seconds * 10**6 + milliseconds * 1000)
        return None
    if isinstance(value, str):
        text = value.strip()
        if NUMBER.fullmatch(text):
            value = float(text) if "." in text else int(text)
        else:
            return _iso_us(text)
    if not _is_number(value):
        return None
    assert isinstance(value, int | float)
    return _bounded(value * (1000 if value >= MILLISECONDS_FROM else 10**6))


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 10**16  # type: ignore[operator]


def _bounded(value_us: float) -> int | None:
    return int(value_us) if 0 <= value_us <= TIME_US_MAX else None


def _iso_us(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        return None
    return _bounded((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds)
