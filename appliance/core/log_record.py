"""The body of the manual loggers (backend.md 3.1, 3.2): read, checked, made a record.

Pure. What is right is read in one call of the parser, and both bodies are cut out of it as they
are. What is not is read once more, slowly, so that the reply can name the field; much that
Helicone's validator refuses is taken (text alone, no timing, no answer).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from appliance.core.json_reader import read_json, write_json
from appliance.core.logged import (
    DURATION_US_MAX,
    SOURCE_LOG,
    Logged,
    meta_headers,
    status_facts,
    time_us,
)
from appliance.core.reply import SSE_BEGINNINGS
from appliance.core.urls import scrub
from appliance.core.usage.counts import cost_pico
from appliance.errors import Refusal

# What the SDKs send as the URL of a call that has none.
NO_URL: Final = "custom-model-nopath"
URL_CHARACTERS_MAX: Final = 8192
STATUS_MAX: Final = 999
FIRST_TOKEN_MS_MAX: Final = DURATION_US_MAX // 1000
JSON_TYPE: Final = "application/json"
LINES_LOOKED_AT: Final = 32
USER: Final = re.compile(r"://[^/?#@]*@")

Problem = tuple[str, str]  # the field, and what is wrong with it


class Maker(NamedTuple):
    """The provider under which a log is kept: its name on the record, its id, its dialect."""

    name: str
    provider_id: str = ""
    dialect: str = ""


class _Request(msgspec.Struct):
    url: str = NO_URL
    json: msgspec.Raw = msgspec.Raw()
    meta: dict[str, Any] | None = None


class _Response(msgspec.Struct):
    status: int
    json: msgspec.Raw = msgspec.Raw()
    textBody: str | None = None  # noqa: N815 - as it is on the wire
    cost: msgspec.Raw = msgspec.Raw()


class _Timing(msgspec.Struct):
    startTime: Any = None  # noqa: N815
    endTime: Any = None  # noqa: N815
    timeToFirstToken: float | None = None  # noqa: N815


class _Log(msgspec.Struct):
    providerRequest: _Request  # noqa: N815
    providerResponse: _Response  # noqa: N815
    timing: _Timing | None = None
    provider: str | None = None


_decode = msgspec.json.Decoder(_Log).decode
_exact = msgspec.json.Decoder(float_hook=Decimal).decode


def read_log(data: bytes, maker_of: "MakerOf") -> Logged:
    """One logged call. Raises Refusal 400 that names the field."""
    log = _read(data)
    problems = [*_range_problems(log)]
    if problems:
        _refuse(problems)
    request, response = log.providerRequest, log.providerResponse
    maker = maker_of(log.provider or "")
    text, kind = _response_of(response)
    url = scrub(USER.sub("://", request.url[:URL_CHARACTERS_MAX]))
    facts: dict[str, Any] = {
        "source": SOURCE_LOG,
        "method": "POST",
        "path": _path_of(url),
        "target_url": url,
        "provider": maker.name,
        "request_type": JSON_TYPE,
        "response_type": kind,
        **status_facts(response.status),
        **_timing_facts(log.timing),
    }
    if maker.provider_id:
        facts["gateway_provider"] = maker.provider_id
        facts["dialect"] = maker.dialect
    cost = _cost_of(response.cost)
    if cost is not None:
        facts["declared_cost_pico"] = cost
    return Logged(facts, bytes(request.json), text, meta_headers(request.meta or {}))


class MakerOf:
    """Which maker a log has: the path's, or for `custom` paths the one that the body names."""

    def __init__(self, usual: Maker, named: Callable[[str], Maker] | None = None) -> None:
        self._usual = usual
        self._named = named

    def __call__(self, provider: str) -> Maker:
        return self._named(provider) if provider and self._named is not None else self._usual


def typed_problems(data: bytes) -> list[Problem]:
    """What is wrong with a log of the typed endpoint, all of it; nothing when all is well."""
    value, problem = read_json(data)
    if problem or not isinstance(value, dict):
        return [("body", "expected a JSON object")]
    found = [*_problems(value)]
    if found:
        return found
    return [*_range_problems(_built(value))]


def _read(data: bytes) -> _Log:
    try:
        log = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _read_slowly(data)
    if bytes(log.providerRequest.json)[:1] != b"{":
        return _read_slowly(data)
    return log


def _read_slowly(data: bytes) -> _Log:
    """What nearly fits is made to; for the rest it is found out what is wrong."""
    value, problem = read_json(data)
    if problem:
        _refuse([("body", f"not JSON ({problem})")])
    if not isinstance(value, dict):
        _refuse([("body", "expected a JSON object")])
    problems = [*_problems(value)]
    if problems:
        _refuse(problems)
    return _built(value)


def _refuse(problems: list[Problem]) -> NoReturn:
    field, why = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise Refusal(400, "log_invalid", f"{field}: {why}{more}")


def _problems(value: Mapping[str, Any]) -> Iterator[Problem]:
    request, response = value.get("providerRequest"), value.get("providerResponse")
    if not isinstance(request, dict):
        yield "providerRequest", "expected an object with url, json and meta"
    else:
        if not isinstance(request.get("json"), dict):
            yield "providerRequest.json", "expected the request as an object"
        if not isinstance(request.get("url", ""), str | None):
            yield "providerRequest.url", "expected text"
        if not isinstance(request.get("meta"), dict | None):
            yield "providerRequest.meta", "expected an object of headers"
    if not isinstance(response, dict):
        yield "providerResponse", "expected an object with status, headers and json or textBody"
    else:
        if _whole(response.get("status")) is None:
            yield "providerResponse.status", "expected a whole number, as 200 or -3 (cancelled)"
        if not isinstance(response.get("textBody"), str | None):
            yield "providerResponse.textBody", "expected text"
    timing = value.get("timing")
    if not isinstance(timing, dict | None):
        yield "timing", "expected an object with startTime and endTime"
    elif timing is not None and type(timing.get("timeToFirstToken")) not in _NUMBERS:
        yield "timing.timeToFirstToken", "expected milliseconds"
    if not isinstance(value.get("provider"), str | None):
        yield "provider", "expected a name"


_NUMBERS: Final = (int, float, type(None))


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) <= STATUS_MAX and value == int(value) else None


def _built(value: Mapping[str, Any]) -> _Log:
    """From a document in which there was nothing wrong."""
    request, response = value["providerRequest"], value["providerResponse"]
    timing = value.get("timing")
    status = _whole(response["status"])
    assert status is not None, "looked at before"
    first = timing.get("timeToFirstToken") if timing else None
    return _Log(
        _Request(
            request.get("url") or NO_URL, msgspec.Raw(write_json(request["json"])),
            request.get("meta"),
        ),
        _Response(
            status, _raw(response.get("json")), response.get("textBody"),
            _raw(response.get("cost")),
        ),
        None if timing is None
        else _Timing(
            timing.get("startTime"), timing.get("endTime"), None if first is None else float(first)
        ),
        value.get("provider"),
    )  # fmt: skip


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw() if value is None else msgspec.Raw(write_json(value))


def _range_problems(log: _Log) -> Iterator[Problem]:
    if not -STATUS_MAX <= log.providerResponse.status <= STATUS_MAX:
        yield "providerResponse.status", f"expected at most {STATUS_MAX}"
    timing = log.timing
    if timing is None:
        return
    times = {}
    for name, value in (("startTime", timing.startTime), ("endTime", timing.endTime)):
        times[name] = time_us(value)
        if value is not None and times[name] is None:
            yield f"timing.{name}", "expected {seconds, milliseconds}, ISO 8601 or a number"
    start, end = times["startTime"], times["endTime"]
    if start is not None and end is not None and not 0 <= end - start <= DURATION_US_MAX:
        yield "timing.endTime", "expected a time after startTime, within a year"
    first = timing.timeToFirstToken
    if first is not None and not 0 <= first <= FIRST_TOKEN_MS_MAX:
        yield "timing.timeToFirstToken", "expected milliseconds, not negative"


def _timing_facts(timing: _Timing | None) -> dict[str, int]:
    """Without timing the time is the server's, and how long it took is not known."""
    found: dict[str, int] = {}
    if timing is None:
        return found
    start, end = time_us(timing.startTime), time_us(timing.endTime)
    if start is None:
        start = end
    if start is not None:
        found["created_at_us"] = start
        if end is not None and timing.startTime is not None:
            found["duration_us"] = end - start
    if timing.timeToFirstToken:  # 0 and null: none (backend.md 4.1)
        found["ttfb_us"] = int(timing.timeToFirstToken * 1000)
    return found


def _path_of(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark or not scheme.isalpha():
        return url
    return "/" + rest.partition("/")[2]


def _cost_of(raw: msgspec.Raw) -> int | None:
    try:
        return cost_pico(_exact(raw)) if bytes(raw) else None
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        return None


def _response_of(response: _Response) -> tuple[bytes, str]:
    """The reply's body, and its type. Text wins over JSON when there is some."""
    if response.textBody:
        data = response.textBody.encode("utf-8", "replace")
        return data, text_type(data)
    data = bytes(response.json)
    return (b"", JSON_TYPE) if data in (b"", b"null") else (data, JSON_TYPE)


def text_type(data: bytes) -> str:
    """What a reply that was logged as text is: events, JSON line by line, JSON, or just text. A
    traceback may stand before the lines (helicone-helpers prepends it)."""
    begin = data.lstrip()
    if begin.startswith(SSE_BEGINNINGS):
        return "text/event-stream"
    lines = [line for line in data[:65536].splitlines()[:LINES_LOOKED_AT] if line.strip()]
    documents = sum(line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}" for line in lines)
    if begin[:1] == b"{" and (documents < 2 or len(lines) == 1):
        _, problem = read_json(data)
        if not problem:
            return JSON_TYPE
    if documents:
        return "application/x-ndjson"
    if any(line.startswith(b"data:") for line in lines):
        return "text/event-stream"
    return "text/plain"
