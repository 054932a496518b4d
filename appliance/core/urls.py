"""URLs: reading a target, joining a base with a path, refusing unclear paths, hiding secrets.

Pure. What is decided here is decided on the same bytes that are forwarded (field.md B3, B8).
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from appliance.errors import Refusal

HIDDEN: Final = "***"
TARGET_CHARACTERS_MAX: Final = 2048

# A path of these bytes alone has no dot segment, no escape and no control character.
PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/?=&:,+@!$'()*~"
FORBIDDEN = re.compile(rb"[\x00-\x20\x7f\\#]")
DOT_SEGMENT = re.compile(rb"(?:^|/)\.{1,2}(?:;[^/]*)?(?:/|$)")
HOST_NAME = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*"
)
HOST_NAME_CHARACTERS_MAX: Final = 253
# The last label of a name on the internet is never a number: such text is an address in disguise.
NUMERIC_LABEL = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
PRIVATE_NAME_ENDS: Final = (".localhost", ".local", ".lan", ".internal", ".home.arpa")

SECRET_PARAMETERS: Final = frozenset({
    "key", "api_key", "apikey", "api-key", "x-api-key", "x-goog-api-key", "subscription-key",
    "ocp-apim-subscription-key", "access_token", "id_token", "refresh_token", "auth_token", "token",
    "auth", "authorization", "bearer", "password", "secret", "client_secret", "sig", "signature",
    "x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature",
    "x-goog-credential", "awsaccesskeyid", "credential", "credentials", "jwt",
})  # fmt: skip
KEY_LIKE = re.compile(
    r"(?:[sp]k-[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9._-]+|gsk_[A-Za-z0-9]{8,}"
    r"|xai-[A-Za-z0-9]{8,}|hf_[A-Za-z0-9]{8,}|r8_[A-Za-z0-9]{8,}|pplx-[A-Za-z0-9]{8,}"
    r"|nvapi-[A-Za-z0-9_-]{8,}|A[KS]IA[A-Z0-9]{16}"
    # From the begin of a run only: tried inside of it, `eyJeyJeyJ…` would cost its length squared.
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)"
)
KEY_LIKE_STARTS = re.compile(r"/(?:[sp]k-|AIza|ya29|gsk_|xai-|hf_|r8_|pplx-|nvapi-|AKIA|ASIA|eyJ)")


@dataclass(frozen=True, slots=True)
class Target:
    """A base URL, read and normalised: lower-case host without trailing dot, no user, no query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """Host, with the port where it is not the scheme's own; IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def base_url(self) -> str:
        """The origin with the path."""
        return self.origin + self.path


@lru_cache(maxsize=1024)
def parse_target(text: str) -> Target:
    """Read a base URL as users and clients write it. Raises ValueError that says what is wrong."""
    if len(text) > TARGET_CHARACTERS_MAX or not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise ValueError("is not a URL of printable ASCII characters")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("does not begin with https:// or http:// and a host")
    if "@" in parts.netloc:
        raise ValueError("has a user or password in it")
    host = (parts.hostname or "").removesuffix(".")
    if ":" in host and "%" not in host:
        host = str(ipaddress.ip_address(host))
    if not is_host(host):
        raise ValueError("has no valid host")
    port = parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80
    if not 0 < port < 65536:
        raise ValueError("has no valid port")
    path = parts.path.rstrip("/")
    if unclear_path(path.encode("ascii")):
        raise ValueError("has a path with dot segments or control characters")
    return Target(parts.scheme, host, port, path)


def is_host(host: str) -> bool:
    """A host name or an address in its one usual form; no octal, hex or short addresses."""
    if "%" in host:
        return False
    if ":" in host or NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        try:
            return str(ipaddress.ip_address(host)) == host
        except ValueError:
            return False
    return len(host) <= HOST_NAME_CHARACTERS_MAX and HOST_NAME.fullmatch(host) is not None


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a host, as text, can only be this machine: no name that a resolver could bend."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Whether a host, as text, is meant for a private network. Its address is checked again when
    it is dialled."""
    if host == "localhost" or ("." not in host and ":" not in host):
        return True
    if host.endswith(PRIVATE_NAME_ENDS):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


class HostList:
    """Hosts of the configuration: `host`, `*.domain`, each with or without a port, addresses and
    networks. `*` is everything."""

    __slots__ = ("_all", "_ends", "_exact", "_networks")

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._all = False
        self._exact: set[str] = set()
        self._ends: list[str] = []
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in entries:
            text = entry.lower()
            if text == "*":
                self._all = True
            elif text.startswith("*."):
                self._ends.append(text[1:])
            elif re.fullmatch(r"[0-9a-f.:]+/[0-9]+", text):
                self._networks.append(ipaddress.ip_network(text, strict=False))
            else:
                bare = text.startswith("[") and text.endswith("]")
                self._exact.add(text[1:-1] if bare else text)

    def has(self, host: str, port: int = 0) -> bool:
        """Whether host and port (0: any) are listed."""
        if self._all or host in self._exact:
            return True
        if port and (f"{host}:{port}" in self._exact or f"[{host}]:{port}" in self._exact):
            return True
        with_port = f"{host}:{port}"
        if any(host.endswith(end) or with_port.endswith(end) for end in self._ends):
            return True
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """Which hosts may be called beside those of known providers. `private` is set when access is
    open on loopback: then the machine's own network is allowed too."""

    allowed: HostList
    private: bool = False

    def allows(self, target: Target) -> bool:
        """Decided on the name; the addresses it resolves to are checked when it is dialled."""
        return self.allowed.has(target.host, target.port) or (
            self.private and is_private(target.host)
        )


def unclear_path(path: bytes) -> str:
    """Why a path could mean something else to the next reader, or "" when it could not."""
    if not path.translate(None, PLAIN):
        return ""
    if FORBIDDEN.search(path):
        return "control characters, spaces, backslashes and # do not belong in a path"
    if b"%" in path:
        # Twice: an escaped escape is a dot segment to whoever unescapes once too often.
        for _ in range(2):
            path = unquote_to_bytes(path)
        if re.search(rb"[\x00-\x1f\x7f\\]", path):
            return "escaped control characters do not belong in a path"
    if DOT_SEGMENT.search(path):
        return "dot segments do not belong in a path"
    return ""


def split_target(target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """The path and the query (with its `?`) of a request target; absolute form is reduced to
    these. Raises Refusal 400 where the path is unclear."""
    if target[:1] != b"/":
        target = _from_absolute(target, host)
    path, mark, query = target.partition(b"?")
    why = unclear_path(path)
    if why:
        raise Refusal(400, "path_invalid", f"The path of this request is refused: {why}.")
    if mark and FORBIDDEN.search(query):
        raise Refusal(400, "path_invalid", "The query of this request holds control characters.")
    return path, mark + query


def _from_absolute(target: bytes, host: bytes) -> bytes:
    match = re.match(rb"https?://([^/?#]*)", target, re.IGNORECASE)
    if match is None:
        raise Refusal(400, "path_invalid", "The request target is neither a path nor a URL.")
    if match[1].lower() != host.lower():
        raise Refusal(400, "host_mismatch", "The URL in the request line and Host disagree.")
    rest = target[match.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def join_base(base_path: bytes, path: bytes) -> bytes:
    """The path below a base. Where the base ends with the segments that the path begins with,
    they are written once: /openai/v1 and /v1/models give /openai/v1/models."""
    if not base_path:
        return path
    base = base_path.split(b"/")
    rest, mark, query = path.partition(b"?")
    wanted = rest.split(b"/")
    for count in range(min(len(base), len(wanted)) - 1, 0, -1):
        if base[-count:] == wanted[1 : count + 1]:
            tail = b"/".join(wanted[count + 1 :])
            return base_path + (b"/" + tail if count + 1 < len(wanted) else b"") + mark + query
    return base_path + path


def scrub(url: str) -> str:
    """A URL or path as it may be recorded: secrets in its query and key-like segments hidden."""
    path, mark, query = url.partition("?")
    if "%" in path or KEY_LIKE_STARTS.search(path):
        path = "/".join(_scrub_segment(segment) for segment in path.split("/"))
    if not mark:
        return path
    return path + "?" + "&".join(_scrub_parameter(item) for item in query.split("&"))


def _scrub_segment(segment: str) -> str:
    plain = unquote_to_bytes(segment).decode("latin-1") if "%" in segment else segment
    return HIDDEN if KEY_LIKE.search(plain) else segment


def _scrub_parameter(item: str) -> str:
    name, mark, _ = item.partition("=")
    plain = unquote_to_bytes(name.replace("+", " ")).decode("latin-1").strip().lower()
    if mark and plain in SECRET_PARAMETERS:
        return f"{name}={HIDDEN}"
    if KEY_LIKE.search(unquote_to_bytes(item).decode("latin-1")):
        return f"{name}={HIDDEN}" if mark else HIDDEN
    return item
