"""A request as a cassette keeps and compares it: method, URL, the headers that change what is
answered, and the body as what it says. Pure.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final

from appliance.core.cassette_scrub import Scrubber

# Others name the program and its library, or carry credentials: a new release of an SDK must not
# make every cassette useless.
KEPT_HEADERS: Final = (
    b"content-type", b"anthropic-version", b"anthropic-beta", b"openai-beta",
)  # fmt: skip
BOUNDARY: Final = "boundary"
DIFFERENCES_SHOWN: Final = 12
SHOWN_CHARACTERS_MAX: Final = 120
COMPARED_CHARACTERS_MAX: Final = 20_000
COMPARED_MAX: Final = 100  # of the same address and of nearly the same length
DEPTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """`kind` says what the body is: "none", "json" (a value), "text", or "bytes" (its digest)."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "none"
    body: Any = None

    def as_map(self) -> dict[str, Any]:
        """As the file has it."""
        found: dict[str, Any] = {"method": self.method, "url": self.url}
        if self.headers:
            found["headers"] = dict(self.headers)
        if self.kind != "none":
            found[self.kind] = self.body
        return found

    @classmethod
    def from_map(cls, found: Mapping[str, Any]) -> "Asked":
        """Raises ValueError for what the file may not have."""
        kinds = [kind for kind in ("json", "text", "bytes") if kind in found]
        if len(kinds) > 1 or not isinstance(found.get("method"), str):
            raise ValueError("a request has a method and at most one of json, text and bytes")
        kind = kinds[0] if kinds else "none"
        headers = {str(name): str(value) for name, value in found.get("headers", {}).items()}
        return cls(found["method"], str(found.get("url", "")), headers, kind, found.get(kind))

    @property
    def line(self) -> str:
        """Method and URL."""
        return f"{self.method} {self.url}"

    def identity(self) -> str:
        """The same for the same request and no other (Python takes 1 for True). It also gives an
        order that is the same in every recording."""
        return f"{self.line}\n{_text(self.as_map())}"


def asked_of(
    method: str, url: str, headers: Mapping[bytes, bytes], body: bytes, scrubber: Scrubber
) -> Asked:
    """`url` with its scheme and host; `headers` by lower-case name."""
    secrets = scrubber.credentials(headers)
    kept = {
        name.decode(): scrubber.header(name.decode(), headers[name].decode("latin-1"), secrets)
        for name in KEPT_HEADERS
        if name in headers
    }
    media = kept.get("content-type", "")
    found = re.search(r'boundary="?([^";]+)', media)
    if found:  # drawn by lot for each request
        body = body.replace(found[1].encode("latin-1"), BOUNDARY.encode())
    if media:
        kept["content-type"] = media.partition(";")[0].strip().lower()
    kind, value = _read(body, scrubber, secrets)
    return Asked(method, scrubber.text(scrubber.url(url), secrets), kept, kind, value)


def _read(body: bytes, scrubber: Scrubber, secrets: Sequence[str]) -> tuple[str, Any]:
    if not body:
        return "none", None
    try:
        text = scrubber.text(body.decode("utf-8"), secrets)
    except UnicodeDecodeError:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return "bytes", {"length": len(body), "sha256": digest}
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        return "json", in_key_order(scrubber.value(value, secrets))
    except (ValueError, RecursionError):
        return "text", text


def in_key_order(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same, each object by its names: who wrote which first says nothing."""
    if isinstance(value, dict):
        return {name: in_key_order(value[name]) for name in sorted(value)}
    return [in_key_order(item) for item in value] if isinstance(value, list) else value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def differences(recorded: Asked, asked: Asked) -> list[str]:
    """In words, what is not the same: one line for each place, the first dozen."""
    found = []
    for name, one, other in (
        ("method", recorded.method, asked.method),
        ("url", recorded.url, asked.url),
        ("body", recorded.kind, asked.kind),
    ):
        if one != other:
            found.append(_line(name, one, other))
    for name in sorted({*recorded.headers, *asked.headers}):
        one, other = recorded.headers.get(name, ABSENT), asked.headers.get(name, ABSENT)
        if one != other:
            found.append(_line(f"header {name}", one, other))
    if recorded.kind == asked.kind:
        found += _different(recorded.body, asked.body, recorded.kind, 0)
    more = len(found) - DIFFERENCES_SHOWN
    return [*found[:DIFFERENCES_SHOWN], *([f"and {more} more"] if more > 0 else [])]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final[Any] = _Absent()


def _different(one: Any, other: Any, place: str, depth: int) -> Iterator[str]:  # noqa: ANN401
    if one is other or (ABSENT not in (one, other) and _text(one) == _text(other)):
        return
    if depth < DEPTH_MAX and isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            pair = one.get(name, ABSENT), other.get(name, ABSENT)
            yield from _different(*pair, f"{place}.{name}", depth + 1)
    elif depth < DEPTH_MAX and isinstance(one, list) and isinstance(other, list):
        for at in range(max(len(one), len(other))):
            mine = one[at] if at < len(one) else ABSENT
            theirs = other[at] if at < len(other) else ABSENT
            yield from _different(mine, theirs, f"{place}[{at}]", depth + 1)
    else:
        yield _line(place, one, other)


def _line(place: str, recorded: Any, asked: Any) -> str:  # noqa: ANN401
    if isinstance(recorded, str) and isinstance(asked, str):
        begin = _same_at_the_start(recorded, asked)
        recorded, asked = _from(recorded, begin), _from(asked, begin)
    return f"{place}: recorded {_shown(recorded)}, asked {_shown(asked)}"


def _same_at_the_start(one: str, other: str) -> int:
    """Where long texts begin to differ, less a few characters, so that it can be found."""
    same = next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )
    return max(0, same - 20) if same > SHOWN_CHARACTERS_MAX // 2 else 0


def _from(text: str, begin: int) -> str:
    return "…" + text[begin:] if begin else text


def _shown(value: Any) -> str:  # noqa: ANN401
    if value is ABSENT:
        return "nothing"
    text = _text(value).encode("utf-8", "backslashreplace").decode()
    if len(text) > SHOWN_CHARACTERS_MAX:
        return text[:SHOWN_CHARACTERS_MAX] + "…"
    return text


def nearest(recorded: Sequence[Asked], asked: Asked) -> int:
    """The place of the one that is most like it. `recorded` has one at least."""
    wanted = _comparable(asked)
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)  # what is dear is done for it once
    texts = [_comparable(one) for one in recorded]

    def rough(at: int) -> tuple[bool, int]:
        return recorded[at].line != asked.line, abs(len(texts[at]) - len(wanted))

    def likeness(at: int) -> tuple[bool, float]:
        matcher.set_seq1(texts[at])
        return recorded[at].line == asked.line, matcher.quick_ratio()

    return max(sorted(range(len(recorded)), key=rough)[:COMPARED_MAX], key=likeness)


def _comparable(asked: Asked) -> str:
    return asked.identity()[:COMPARED_CHARACTERS_MAX]


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
