"""URLs that carry their own permission: a path and its parameters, until when, and a signature.

Pure. Whoever has such a URL may GET what it names, and nothing else; a changed letter of the path,
a parameter or of the time makes it worth nothing. Helicone's tools fetch them without a key
(`backend.md 1.5, 1.6, 4.3`).
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from appliance.errors import Refusal

EXPIRES: Final = "expires"
SIGNATURE: Final = "signature"
DAY_S: Final = 24 * 60 * 60
PATH_SAFE: Final = "/:@!$&'()*+,;=-._~"

Pairs = Sequence[tuple[str, str]]


def signed_path(key: bytes, path: str, expires_at_s: int, query: Pairs = ()) -> str:
    """Path and query of the URL. `path` as it is before escaping; `query` must not name `expires`
    or `signature`; the time is in seconds since the epoch."""
    assert not {EXPIRES, SIGNATURE} & {name for name, _ in query}
    pairs = [*query, (EXPIRES, str(expires_at_s))]
    pairs.append((SIGNATURE, _signature(key, path, pairs)))
    return f"{quote(path, safe=PATH_SAFE)}?{urlencode(pairs, quote_via=quote)}"


def check_signed(key: bytes, path: str, query: Pairs, now_s: float) -> None:
    """Whether this URL was made with `key` and still counts. `path` and `query` are unescaped, as
    they came. Raises Refusal 403 where it was not, 410 where its time is over."""
    pairs = [pair for pair in query if pair[0] != SIGNATURE]
    signatures = [value for name, value in query if name == SIGNATURE]
    times = [value for name, value in pairs if name == EXPIRES]
    if len(signatures) != 1 or len(times) != 1:
        raise Refusal(
            403, "link_unsigned", f"This link needs one {EXPIRES} and one {SIGNATURE}: use the URL "
            "as the API gave it.",
        )  # fmt: skip
    expected = _signature(key, path, pairs)
    # As bytes: text beyond ASCII cannot be compared in constant time.
    if not hmac.compare_digest(expected.encode(), signatures[0].encode("utf-8", "replace")):
        raise Refusal(
            403,
            "link_invalid",
            "This link was changed or is not of this server: ask for a new one.",
        )
    if now_s >= int(times[0]):
        raise Refusal(410, "link_expired", "This link's time is over: ask the API for a new one.")


def _signature(key: bytes, path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Hex HMAC-SHA256. Each part goes in with its length: no two URLs give the same bytes."""
    parts = [path, *(text for pair in sorted(pairs) for text in pair)]
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        mac.update(len(data).to_bytes(8, "big") + data)
    return mac.hexdigest()
