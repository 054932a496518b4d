"""What may not lie in a cassette: credentials, wherever they stand. Pure; done before anything is
written, and to every request before it is compared, so that both sides are the same.

Of headers only those are kept that are named in `cassette_asked.py` and `cassette_reply.py`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from appliance.core import headers as names
from appliance.core.credentials import without_bearer
from appliance.core.urls import scrub

REDACTED: Final = "REDACTED"
# Shorter credentials are made-up ones, or words that a text may hold too.
SECRET_CHARACTERS_MIN: Final = 16
CREDENTIAL_HEADERS: Final = (
    names.AUTHORIZATION, names.X_API_KEY, names.API_KEY, names.X_GOOG_API_KEY,
    b"x-amz-security-token", b"cookie",
)  # fmt: skip
# Keys as providers write them (ek_: OpenAI's for browsers, which stand in replies), those that
# tools are given in prompts most often, and JSON Web Tokens.
LOOKS_SECRET: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:[sp]k-[A-Za-z0-9_-]{20,}|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9._-]{20,}"
    r"|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}"
    r"|pplx-[A-Za-z0-9]{20,}|nvapi-[A-Za-z0-9_-]{20,}|A[KS]IA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|csk-[A-Za-z0-9]{20,}|(?:e|s)k_[A-Za-z0-9]{20,}|(?:fw|jina|tgp_v1)_[A-Za-z0-9_-]{20,}"
    r"|[spr]k_(?:live|test)_[A-Za-z0-9]{16,}|xox[abeprs]-[A-Za-z0-9-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"
)


class Scrubber:
    """`further`: names of headers, parameters and JSON fields that are secret too, in any case."""

    def __init__(self, further: Iterable[str] = ()) -> None:
        self._further = frozenset(name.lower() for name in further)

    def credentials(self, headers: Mapping[bytes, bytes]) -> tuple[str, ...]:
        """The texts that this request must not leave anywhere. `headers` by lower-case name."""
        wanted = [*CREDENTIAL_HEADERS, *(name.encode() for name in self._further)]
        found = (without_bearer(headers[name]) for name in wanted if name in headers)
        return tuple(text for text in found if len(text) >= SECRET_CHARACTERS_MIN)

    def url(self, url: str) -> str:
        """A URL, its parameters in order: it makes no difference which was written first."""
        path, mark, query = scrub(url).partition("?")
        if not mark:
            return path
        return path + "?" + "&".join(sorted(self._parameter(item) for item in query.split("&")))

    def text(self, text: str, credentials: Sequence[str] = ()) -> str:
        """Any text, without credentials and what looks like one."""
        for secret in credentials:
            text = text.replace(secret, REDACTED)
        return LOOKS_SECRET.sub(REDACTED, text)

    def texts(self, texts: Sequence[str], credentials: Sequence[str] = ()) -> list[str]:
        """Pieces of one text, in which a secret may go over the seam: then the piece in which it
        begins has the substitute."""
        if not texts:
            return []
        whole = "".join(texts)
        pattern = LOOKS_SECRET.pattern
        if credentials:
            pattern = "|".join([*map(re.escape, credentials), pattern])
        found = [match.span() for match in re.finditer(pattern, whole)]
        if not found:
            return list(texts)
        made, begin = [], 0
        for text in texts:
            end = begin + len(text)
            made.append(_cut(whole, begin, end, found))
            begin = end
        return made

    def data(self, data: Sequence[bytes], credentials: Sequence[str] = ()) -> list[bytes]:
        """The same for what is no text: keys are ASCII, wherever they stand."""
        texts = self.texts([piece.decode("latin-1") for piece in data], credentials)
        return [text.encode("latin-1") for text in texts]

    def header(self, name: str, value: str, credentials: Sequence[str] = ()) -> str:
        """The value of a header that is kept. `name` in lower case."""
        return REDACTED if name in self._further else self.text(value, credentials)

    def value(self, value: Any, credentials: Sequence[str] = ()) -> Any:  # noqa: ANN401 - any JSON
        """A JSON value with the named fields hidden, and what JSON had written otherwise (`\\/`).
        Raises RecursionError."""
        if isinstance(value, dict):
            return {
                name: REDACTED if name.lower() in self._further else self.value(item, credentials)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(item, credentials) for item in value]
        return self.text(value, credentials) if isinstance(value, str) else value

    def event(self, event: str, credentials: Sequence[str] = ()) -> str:
        """An event of a stream, in whose data the named fields are hidden."""
        if not self.may_hide(event):
            return event
        lines = event.splitlines(keepends=True)
        return "".join(self._event_line(line, credentials) for line in lines)

    def may_hide(self, text: str) -> bool:
        """Whether JSON has to be read for what is secret in it: for a field, or a character that
        is written as another one."""
        return bool(self._further) or "\\" in text

    def _event_line(self, line: str, credentials: Sequence[str]) -> str:
        if not line.startswith("data:"):
            return line
        try:
            value = json.loads(line[5:])
            hidden = self.value(value, credentials)
        except (ValueError, RecursionError):
            return line
        if hidden == value:
            return line
        return f"data: {written(hidden)}\n"

    def _parameter(self, item: str) -> str:
        name, mark, _ = item.partition("=")
        return f"{name}={REDACTED}" if mark and name.lower() in self._further else item


def written(value: Any) -> str:  # noqa: ANN401 - any JSON
    """As JSON. Half of an emoji, which a text that was cut may end with, is no UTF-8: it stays an
    escape."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _cut(whole: str, begin: int, end: int, secrets: Sequence[tuple[int, int]]) -> str:
    """The piece from `begin` to `end` without what is secret in it."""
    parts, at = [], begin
    for first, last in secrets:
        if last <= at or first >= end:
            continue
        parts.append(whole[at : max(at, first)])
        if first >= begin:
            parts.append(REDACTED)
        at = min(last, end)
    return "".join([*parts, whole[at:end]])
