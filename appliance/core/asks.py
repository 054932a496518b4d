"""What a client asks for in its headers, typed (proxy.md 2). Pure; the same for every lane.

A value that cannot be meant is refused where the contract refuses it, and otherwise named in
`not_applied`, so that nothing is ignored in silence.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from appliance.core import headers as names
from appliance.core.ask_types import CACHE_AGE_DEFAULT_S, NOTHING_ASKED, Asks, Fallback
from appliance.errors import Refusal

CACHE_AGE_MAX_S: Final = 31_536_000
CACHE_BUCKETS_MAX: Final = 20
HEX: Final = r"[0-9a-fA-F]"
UUID = re.compile(rf"{HEX}{{8}}-{HEX}{{4}}-[1-8]{HEX}{{3}}-[89abAB]{HEX}{{3}}-{HEX}{{12}}")
AGE = re.compile(r"(?:^|[,\s])(s-maxage|max-age)\s*=\s*\"?([0-9]{1,12})", re.IGNORECASE)
OTHERS: Final = frozenset({names.MOCK_RESPONSE, names.STRIPE_CUSTOMER_ID})


class _Gathering:
    """The values found so far, and what was not applied."""

    __slots__ = ("found", "injected", "not_applied", "properties")

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.properties: dict[str, str] = {}
        self.injected: dict[str, str] = {}
        self.not_applied: list[str] = []

    def miss(self, name: bytes, reason: str) -> None:
        feature = name.removeprefix(names.PREFIX).decode("ascii", "replace")
        self.not_applied.append(f"{feature};reason={reason}")


def parse_asks(headers: Mapping[bytes, bytes]) -> Asks:
    """Read all headers that mean something to us. `headers`: lower-case name → first value.

    Raises Refusal for a header that the contract refuses, naming it.
    """
    if names.PREFIX not in b"\n".join(headers) and OTHERS.isdisjoint(headers):
        return NOTHING_ASKED
    gathering = _Gathering()
    for name, value in headers.items():
        if name[:9] == names.PREFIX:
            if name[:18] == names.PROPERTY_PREFIX:
                if len(name) > 18:
                    gathering.properties[text_of(name[18:])] = text_of(value)
                continue
        elif name not in OTHERS:
            continue
        read = READERS.get(name)
        if read is not None:
            read(gathering, name, value)
    if not (gathering.found or gathering.properties or gathering.not_applied):
        return NOTHING_ASKED
    return _finish(gathering, headers)


def _finish(gathering: _Gathering, headers: Mapping[bytes, bytes]) -> Asks:
    found, properties = gathering.found, gathering.properties
    if found.get("prompt_id") and "prompt_mode" not in found:
        found["prompt_mode"] = "production"
    if found.get("cache_read") or found.get("cache_save"):
        found["cache_age_s"] = cache_age_s(text_of(headers.get(names.CACHE_CONTROL_HTTP, b"")))
    # What Helicone itself sets stands beside a client's property of the same name, which is in
    # lower case (proxy.md 12).
    properties.update(gathering.injected)
    facts = {name: found[name] for name in FACTS if found.get(name)}
    return Asks(
        **found, properties=properties, facts=facts, not_applied=tuple(gathering.not_applied)
    )


# Metadata keys of the frame that have the same name here.
FACTS: Final = (
    "user_id", "session_id", "session_path", "session_name", "model_override", "prompt_id",
    "prompt_version", "omit_request", "omit_response", "cache_enabled",
)  # fmt: skip

Reader = Callable[[_Gathering, bytes, bytes], None]


def text_of(value: bytes) -> str:
    """A header value as text: UTF-8 where it is, else the Latin-1 that HTTP once meant."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def cache_age_s(cache_control: str) -> int:
    """How long a saved reply is good for: s-maxage, else max-age, else a week (proxy.md 4.3)."""
    ages = {name.lower(): int(age) for name, age in AGE.findall(cache_control)}
    return min(ages.get("s-maxage", ages.get("max-age", CACHE_AGE_DEFAULT_S)), CACHE_AGE_MAX_S)


def _refused(name: bytes, what: str, *, status: int = 400, code: str = "") -> Refusal:
    header = name.decode("ascii")
    return Refusal(status, code or header.replace("-", "_") + "_invalid", f"{header} {what}")


def _text(field: str, injected: str = "") -> Reader:
    def read(gathering: _Gathering, name: bytes, value: bytes) -> None:
        text = text_of(value)
        if text:
            gathering.found[field] = text
            if injected:
                gathering.injected[injected] = text

    return read


def _flag(*fields: str, any_case: bool = False) -> Reader:
    """Exactly `true` means yes; whatever is neither yes nor no is said not to be applied."""

    def read(gathering: _Gathering, name: bytes, value: bytes) -> None:
        yes = value == b"true" or (any_case and value.lower() == b"true")
        if yes:
            for field in fields:
                gathering.found[field] = True
        elif value.lower() not in (b"false", b""):
            gathering.miss(name, "not-true-or-false")

    return read


def _number(field: str, kind: type[int] | type[float]) -> Reader:
    def read(gathering: _Gathering, name: bytes, value: bytes) -> None:
        try:
            number = kind(text_of(value))
        except ValueError:
            gathering.miss(name, "not-a-number")
            return
        if not math.isfinite(number) or not 0 <= number <= 1e9:
            gathering.miss(name, "out-of-range")
            return
        gathering.found[field] = number

    return read


def _word(field: str, words: tuple[str, ...], *, lower: bool = False) -> Reader:
    def read(gathering: _Gathering, name: bytes, value: bytes) -> None:
        word = text_of(value).strip()
        word = word.lower() if lower else word
        if word in words:
            gathering.found[field] = word
        else:
            gathering.miss(name, "unknown-value")

    return read


def _request_id(gathering: _Gathering, name: bytes, value: bytes) -> None:
    text = text_of(value).strip()
    if UUID.fullmatch(text):
        gathering.found["request_id"] = text.lower()
    else:
        gathering.miss(name, "not-a-uuid")


def _prompt_mode(gathering: _Gathering, name: bytes, value: bytes) -> None:
    mode = text_of(value).strip()
    if mode not in ("production", "testing", "deactivated"):
        raise _refused(name, "is production, testing or deactivated.")
    gathering.found["prompt_mode"] = mode


def _posthog_key(gathering: _Gathering, name: bytes, value: bytes) -> None:
    if value:
        gathering.found["posthog_key"] = text_of(value)
        gathering.injected[names.PROPERTY_POSTHOG] = "true"


def _not_here(gathering: _Gathering, name: bytes, value: bytes) -> None:
    """What only a server does that was started for it; there `playing` has taken it out."""
    gathering.miss(name, "not-here")


def _mock_response(gathering: _Gathering, name: bytes, value: bytes) -> None:
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _refused(name, f"is not JSON: {error}", code="mock_response_invalid") from None
    gathering.found["mock_response"] = value


def _fallbacks(gathering: _Gathering, name: bytes, value: bytes) -> None:
    try:
        entries = msgspec.json.decode(value, type=list[Fallback])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _refused(name, f"is not a list of targets: {error}") from None
    if not entries:
        raise _refused(name, "is empty: name at least one target.")
    gathering.found["fallbacks"] = tuple(entries)


def _cache_enabled(gathering: _Gathering, name: bytes, value: bytes) -> None:
    _flag("cache_read", "cache_save", any_case=True)(gathering, name, value)
    # Caching takes any case, the flag on the record only the exact word (proxy.md 2.3).
    if value == b"true":
        gathering.found["cache_enabled"] = True
    gathering.injected[names.PROPERTY_CACHE_ENABLED] = text_of(value)


def _cache_buckets(gathering: _Gathering, name: bytes, value: bytes) -> None:
    buckets = leading_integer(text_of(value))
    if buckets is not None and buckets > CACHE_BUCKETS_MAX:
        raise _refused(name, f"is at most {CACHE_BUCKETS_MAX}.", status=500)
    if buckets is None or buckets < 1:
        # Always a miss and never saved (proxy.md 4.4).
        gathering.miss(name, "not-a-number" if buckets is None else "out-of-range")
        gathering.found["cache_buckets"] = 0
        return
    gathering.found["cache_buckets"] = buckets
    gathering.injected[names.PROPERTY_CACHE_BUCKETS] = str(buckets)


def _cache_seed(gathering: _Gathering, name: bytes, value: bytes) -> None:
    seed = text_of(value)
    if seed:
        gathering.found["cache_seed"] = seed
        number = leading_integer(seed)
        gathering.injected[names.PROPERTY_CACHE_SEED] = seed if number is None else str(number)


def leading_integer(text: str) -> int | None:
    """The integer that a value begins with, as JavaScript reads one: `12abc` is 12."""
    match = re.match(r"\s*([+-]?[0-9]{1,18})", text)
    return int(match[1]) if match else None


def _ignore_keys(gathering: _Gathering, name: bytes, value: bytes) -> None:
    """Both `a,b` and `"a","b"` (proxy.md 12)."""
    keys = (key.strip().strip('"').strip() for key in text_of(value).strip(" []").split(","))
    found = tuple(key for key in keys if key)
    if found:
        gathering.found["cache_ignore_keys"] = found


def _unless(field: str, *noes: bytes) -> Reader:
    """Presence asks for it, `false` does not (proxy.md 12)."""

    def read(gathering: _Gathering, name: bytes, value: bytes) -> None:
        gathering.found[field] = value.strip().lower() not in noes

    return read


READERS: Final[dict[bytes, Reader]] = {
    names.TARGET_URL: _text("target_url"),
    names.OPENAI_API_BASE: _text("openai_api_base"),
    names.FALLBACKS: _fallbacks,
    names.GATEWAY_BODY_MAPPING: _word("body_mapping", ("OPENAI", "NO_MAPPING", "RESPONSES")),
    names.REQUEST_ID: _request_id,
    names.USER_ID: _text("user_id"),
    names.MODEL_OVERRIDE: _text("model_override"),
    names.NODE_ID: _text("node_id"),
    names.MANUAL_ACCESS_KEY: _text("manual_access_key"),
    names.STRIPE_CUSTOMER_ID: _text("stripe_customer_id", names.PROPERTY_STRIPE),
    names.MOCK_RESPONSE: _mock_response,
    names.GATEWAY_ROUTER_ID: _text("gateway_router_id"),
    names.GATEWAY_DEPLOYMENT_TARGET: _text("gateway_deployment_target"),
    names.SESSION_ID: _text("session_id", names.PROPERTY_SESSION_ID),
    names.SESSION_PATH: _text("session_path", names.PROPERTY_SESSION_PATH),
    names.SESSION_NAME: _text("session_name", names.PROPERTY_SESSION_NAME),
    names.PROMPT_ID: _text("prompt_id", names.PROPERTY_PROMPT_ID),
    names.PROMPT_VERSION: _text("prompt_version"),
    names.PROMPT_MODE: _prompt_mode,
    names.PROMPT_NAME: _text("prompt_name"),
    names.PROMPT_FORMAT: _text("prompt_format"),
    names.EXPERIMENT_ID: _text("experiment_id", names.PROPERTY_EXPERIMENT_ID),
    names.EXPERIMENT_COLUMN_ID: _text("experiment_column_id"),
    names.EXPERIMENT_ROW_INDEX: _text("experiment_row_index"),
    names.POSTHOG_KEY: _posthog_key,
    names.POSTHOG_HOST: _text("posthog_host"),
    names.LYTIX_KEY: _text("lytix_key"),
    names.LYTIX_HOST: _text("lytix_host"),
    names.WEBHOOK_ENABLED: _flag("webhook_enabled"),
    names.CACHE_ENABLED: _cache_enabled,
    names.CACHE_SAVE: _flag("cache_save", any_case=True),
    names.CACHE_READ: _flag("cache_read", any_case=True),
    names.CACHE_CONTROL: _text("cache_control", names.PROPERTY_CACHE_CONTROL),
    names.CACHE_BUCKET_MAX_SIZE: _cache_buckets,
    names.CACHE_SEED: _cache_seed,
    names.CACHE_IGNORE_KEYS: _ignore_keys,
    names.RETRY_ENABLED: _unless("retry_enabled", b"false"),
    names.RETRY_NUM: _number("retry_num", int),
    names.RETRY_FACTOR: _number("retry_factor", float),
    names.RETRY_MIN_TIMEOUT: _number("retry_min_timeout_ms", int),
    names.RETRY_MAX_TIMEOUT: _number("retry_max_timeout_ms", int),
    names.RATE_LIMIT_POLICY: _text("rate_limit_policy"),
    names.OMIT_REQUEST: _flag("omit_request"),
    names.OMIT_RESPONSE: _flag("omit_response"),
    names.MODERATIONS_ENABLED: _flag("moderations_enabled"),
    names.LLM_SECURITY_ENABLED: _flag("security_enabled", any_case=True),
    names.PROMPT_SECURITY_ENABLED: _flag("security_enabled", any_case=True),
    names.LLM_SECURITY_ADVANCED: _unless("security_advanced", b"false", b""),
    names.STREAM_USAGE: _flag("stream_usage"),
    names.STREAM_FORCE_FORMAT: _flag("stream_force_format"),
    names.INCREASE_TIMEOUT: _flag("increase_timeout"),
    names.CASSETTE: _not_here,
    names.CASSETTE_TAKE: _not_here,
    names.FAULT: _not_here,
    names.TOKEN_LIMIT_HANDLER: _word(
        "token_limit_handler", ("truncate", "middle-out", "fallback"), lower=True
    ),
}
