"""Helicone keys: their shapes, how one is made, the hash it is known under (proxy.md 1.7).

Pure. The text of a key is never stored; whoever holds one asks the key ring by its hash.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Permission = Literal["rw", "r", "w"]

REGION_DEFAULT: Final = "us"
REGION_EU: Final = "eu"
# The organisation of whoever comes without a key of their own. `storage.state` has the same value.
DEFAULT_ORGANIZATION: Final = bytes.fromhex("00000000000040008000000000000001")

BASE32: Final = "0123456789abcdefghjkmnpqrstvwxyz"
GROUPS: Final = r"[a-z0-9]{7}(?:-[a-z0-9]{7}){3}"
UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SHAPE = re.compile(
    rf"(?P<right>[sp])k-(?:"
    rf"(?P<helicone>helicone-)?(?P<eu>eu-)?(?P<limited>rl-)?(?P<portal>cp-)?{GROUPS}"
    rf"|helicone-(?P<proxy_eu>eu-)?(?P<proxy>proxy-){GROUPS}-{UUID})"
)
KEY_CHARACTERS_MAX: Final = 160


@dataclass(frozen=True, slots=True)
class KeyShape:
    """What the text of a key says about it.

    `stand_in` keys (`proxy`, `portal`) stand where a provider's key would: they are swapped for
    one, or refused. `limited` keys have stored rate limits enforced.
    """

    kind: Literal["api", "proxy", "portal"]
    write_only: bool
    region: str
    limited: bool

    @property
    def stand_in(self) -> bool:
        """Whether it takes the place of a provider's key."""
        return self.kind != "api"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key on file. `org` is the organisation's UUID as 16 bytes."""

    org: bytes
    key_id: str
    permission: Permission
    region: str = REGION_DEFAULT
    name: str = ""
    stream_usage: str = ""

    @property
    def may_read(self) -> bool:
        """Whether it opens the read API; `pk-` keys do not."""
        return self.permission != "w"


def parse_key(text: str) -> KeyShape | None:
    """The shape of a Helicone key, or None when `text` is none."""
    # Before the cache, or strangers could fill it with texts as long as a header may be.
    return _parse_key(text) if len(text) <= KEY_CHARACTERS_MAX else None


@lru_cache(maxsize=4096)
def _parse_key(text: str) -> KeyShape | None:
    match = SHAPE.fullmatch(text)
    if match is None:
        return None
    oldest = match["helicone"] is None and not match["portal"] and not match["proxy"]
    if oldest and (match["right"] != "s" or match["eu"] or match["limited"]):
        # The oldest form is `sk-` and the groups, nothing else.
        return None
    eu = match["eu"] is not None or match["proxy_eu"] is not None
    return KeyShape(
        kind="proxy" if match["proxy"] else "portal" if match["portal"] else "api",
        write_only=match["right"] == "p",
        region=REGION_EU if eu else REGION_DEFAULT,
        limited=match["limited"] is not None,
    )


def generate_key(
    *, write_only: bool = False, region: str = REGION_DEFAULT, limited: bool = False
) -> str:
    """A new key: 140 random bits in four groups. `limited`: of the shape whose organisation's rate
    limits are enforced."""
    groups = ("".join(secrets.choice(BASE32) for _ in range(7)) for _ in range(4))
    prefix = "pk-helicone-" if write_only else "sk-helicone-"
    region_part = "eu-" if region == REGION_EU else ""
    return prefix + region_part + ("rl-" if limited else "") + "-".join(groups)


def hash_key(key: str) -> str:
    """The hash a key is stored and looked up under: hex SHA-256 of `Bearer <key>`."""
    return hashlib.sha256(b"Bearer " + key.encode("utf-8", "surrogateescape")).hexdigest()


def is_key_hash(text: str) -> bool:
    """Whether `text` could be a stored hash."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
