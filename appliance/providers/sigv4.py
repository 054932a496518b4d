"""AWS Signature Version 4, for Bedrock: header lines in, header lines with a signature out.

Pure: the time and the key come in. What is not signed does not go out (proxy.md 1.5).
"""

import hashlib
import hmac
import time
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from appliance.core.credentials import Headers

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "bedrock"
UNRESERVED: Final = "-_.~"
# What Bedrock reads beside the body. Everything else stays here: it would not be covered by the
# signature, and a date, a token or a digest of the client's would be another request's.
KEPT: Final = frozenset({b"content-type", b"accept", b"x-amz-target"})
KEPT_PREFIX: Final = b"x-amzn-bedrock-"


class AwsKey:
    """An access key and its secret; `session` where they are temporary. Never printed."""

    __slots__ = ("access", "secret", "session")

    def __init__(self, access: str, secret: str, session: str = "") -> None:
        self.access = access
        self.secret = secret
        self.session = session

    def __repr__(self) -> str:
        return "AwsKey(***)"


class Scope(NamedTuple):
    """For which hour and place a signature is good."""

    amz_date: str
    region: str
    service: str

    @property
    def text(self) -> str:
        return f"{self.amz_date[:8]}/{self.region}/{self.service}/aws4_request"


def signed(
    fields: Headers,
    *,
    method: bytes,
    host: bytes,
    path: bytes,
    body_sha256: str,
    key: AwsKey,
    region: str,
    now_s: float,
    service: str = SERVICE,
) -> Headers:
    """The header lines to send, without Host, which whoever frames the message writes.

    `path` is the request target as it is sent, with its query; `body_sha256` is hexadecimal.
    """
    scope = Scope(amz_date(now_s), region, service)
    lines = [field for field in fields if _is_kept(field[0].lower())]
    lines.append((b"X-Amz-Date", scope.amz_date.encode("ascii")))
    if key.session:
        lines.append((b"X-Amz-Security-Token", key.session.encode("ascii")))
    proof = authorization(
        [(b"Host", host), *lines],
        method=method, path=path, body_sha256=body_sha256, key=key, scope=scope,
    )  # fmt: skip
    return [*lines, (b"Authorization", proof.encode("ascii"))]


def authorization(
    lines: Headers, *, method: bytes, path: bytes, body_sha256: str, key: AwsKey, scope: Scope
) -> str:
    """The value of Authorization for a request with these header lines, all of them signed."""
    canonical, names = canonical_request(lines, method=method, path=path, body_sha256=body_sha256)
    to_sign = string_to_sign(canonical, scope)
    signature = hmac.new(_signing_key(key.secret, scope), to_sign, hashlib.sha256).hexdigest()
    return (
        f"{ALGORITHM} Credential={key.access}/{scope.text}, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def canonical_request(
    lines: Headers, *, method: bytes, path: bytes, body_sha256: str
) -> tuple[bytes, str]:
    """The request in the one form that both sides hash, and the names of its headers."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        values.setdefault(name.lower(), []).append(b" ".join(value.split()))
    ordered = sorted(values)
    names = b";".join(ordered)
    route, _, query = path.partition(b"?")
    parts = [
        method,
        _canonical_path(route),
        _canonical_query(query),
        *(name + b":" + b",".join(values[name]) for name in ordered),
        b"",
        names,
        body_sha256.encode("ascii"),
    ]
    return b"\n".join(parts), names.decode("ascii")


def string_to_sign(canonical: bytes, scope: Scope) -> bytes:
    digest = hashlib.sha256(canonical).hexdigest()
    return f"{ALGORITHM}\n{scope.amz_date}\n{scope.text}\n{digest}".encode("ascii")


def amz_date(now_s: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))


def _is_kept(name: bytes) -> bool:
    return name in KEPT or name.startswith(KEPT_PREFIX)


def _signing_key(secret: str, scope: Scope) -> bytes:
    found = ("AWS4" + secret).encode()
    for part in scope.text.split("/"):
        found = hmac.new(found, part.encode("ascii"), hashlib.sha256).digest()
    return found


def _canonical_path(route: bytes) -> bytes:
    """Without empty and dotted segments, and encoded once more than it is sent: AWS does the same
    with what it received."""
    kept: list[bytes] = []
    for segment in route.split(b"/"):
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    end = b"/" if kept and route.endswith(b"/") else b""
    return quote_from_bytes(b"/" + b"/".join(kept) + end, "/" + UNRESERVED).encode("ascii")


def _canonical_query(query: bytes) -> bytes:
    if not query:
        return b""
    pairs = (part.partition(b"=")[::2] for part in query.split(b"&") if part)
    return b"&".join(b"=".join(pair) for pair in sorted(_encoded(pairs)))


def _encoded(pairs: Iterable[tuple[bytes, ...]]) -> list[list[bytes]]:
    """Each side encoded in one way, however it was sent."""
    return [
        [quote_from_bytes(unquote_to_bytes(side), UNRESERVED).encode("ascii") for side in pair]
        for pair in pairs
    ]
