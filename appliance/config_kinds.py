"""What a configured value may be: how it is read, what is allowed, and the words for that.

Pure. A kind takes what a TOML file held, or `Words` (text of a flag or the environment), and gives
the typed value or raises ValueError; it knows no option's name and no source.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

T_co = TypeVar("T_co", covariant=True)

SIZES = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
SIZES |= {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZES |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LABEL = r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
HOST = re.compile(rf"(?:{LABEL}|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)")
TEXT_CHARACTERS_MAX = 4096
LIST_ITEMS_MAX = 1000


class Words(str):
    """Text from a flag or the environment: numbers, booleans and lists are read out of it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """`allowed` completes the sentence "allowed is …"; `parse` raises ValueError otherwise."""

    allowed: str
    parse: Callable[[object], T_co]
    metavar: str = "TEXT"


def text(allowed: str = "text", pattern: str = r"\S(?:.*\S)?", metavar: str = "TEXT") -> Kind[str]:
    shape = re.compile(pattern)

    def parse(raw: object) -> str:
        if not isinstance(raw, str) or len(raw) > TEXT_CHARACTERS_MAX or not shape.fullmatch(raw):
            raise ValueError
        return str(raw)

    return Kind(allowed, parse, metavar)


def secret(characters_min: int) -> Kind[str]:
    return text(
        f"at least {characters_min} printable characters without spaces",
        rf"[!-~]{{{characters_min},}}",
        "SECRET",
    )


def master_key() -> Kind[str]:
    """Also what `vault rotate` takes: what it takes, the next start must be able to read."""
    return text(
        "32 bytes as hex or base64, or a passphrase of 12 characters or more (ASCII)",
        r"[!-~][ -~]{10,}[!-~]",
        "SECRET",
    )


def choice(*words: str) -> Kind[str]:
    def parse(raw: object) -> str:
        if raw not in words:
            raise ValueError
        return str(raw)

    return Kind("one of " + ", ".join(words), parse, "|".join(words))


def boolean() -> Kind[bool]:
    spelled = {"true": True, "1": True, "yes": True, "on": True}
    spelled |= {"false": False, "0": False, "no": False, "off": False}

    def parse(raw: object) -> bool:
        value = spelled.get(raw.lower()) if isinstance(raw, Words) else raw
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Kind("true or false", parse, "true|false")


def whole(least: int, most: int) -> Kind[int]:
    def parse(raw: object) -> int:
        value: object = raw
        if isinstance(raw, Words) and re.fullmatch(r"[0-9]{1,18}", raw):
            value = int(raw)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError
        return value

    return Kind(f"a whole number from {least} to {most}", parse, "NUMBER")


def size(least: int, most: int) -> Kind[int]:
    def parse(raw: object) -> int:
        bytes_ = _quantity(raw, SIZES)
        if bytes_ != int(bytes_) or not least <= bytes_ <= most:
            raise ValueError
        return int(bytes_)

    between = f"from {show_size(least)} to {show_size(most)}"
    return Kind(f'a size {between}, such as "64MiB" or a number of bytes', parse, "SIZE")


def duration(least_s: float, most_s: float) -> Kind[float]:
    def parse(raw: object) -> float:
        seconds = float(_quantity(raw, SECONDS))
        if not least_s <= seconds <= most_s:
            raise ValueError
        return seconds

    between = f"from {least_s:g} s to {most_s:g} s"
    return Kind(f'a duration {between}, in seconds or such as "90s" or "15m"', parse, "DURATION")


def path() -> Kind[Path]:
    def parse(raw: object) -> Path:
        if not isinstance(raw, str) or not raw or "\0" in raw:
            raise ValueError
        return Path(raw).expanduser().absolute()

    return Kind("a path", parse, "PATH")


def url(*schemes: str) -> Kind[str]:
    def parse(raw: object) -> str:
        if not isinstance(raw, str) or not re.fullmatch(r"[!-~]{1,2048}", raw):
            raise ValueError
        parts = urlsplit(raw)
        _ = parts.port  # raises ValueError where it is no port
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
            raise ValueError
        return str(raw).rstrip("/")

    return Kind(f"an absolute URL ({' or '.join(schemes)}) without query", parse, "URL")


def origin() -> Kind[str]:
    def parse(raw: object) -> str:
        value = url("http", "https").parse(raw)
        parts = urlsplit(value)
        if parts.path or "@" in parts.netloc:
            raise ValueError
        return value.lower()

    return Kind("an origin such as https://app.example.com", parse, "ORIGIN")


def host_pattern() -> Kind[str]:
    """A host or `*.domain`, with or without a port; where it ends in /bits, a network."""

    def parse(raw: object) -> str:
        if not isinstance(raw, str):
            raise ValueError
        if "/" in raw:
            return str(ipaddress.ip_network(raw, strict=False))
        host, colon, port = raw.rpartition(":")
        if colon and ":" not in host.strip("[]") and not (port.isdecimal() and int(port) < 65536):
            raise ValueError
        name = host if colon and (host.endswith("]") or ":" not in host) else raw
        if not HOST.fullmatch(name):
            raise ValueError
        return raw.lower()

    return Kind("a host, *.domain, host:port, address or network, without a scheme", parse, "HOST")


def network() -> Kind[str]:
    def parse(raw: object) -> str:
        if not isinstance(raw, str):
            raise ValueError
        return str(ipaddress.ip_network(raw, strict=False))

    return Kind("an address or network such as 10.0.0.0/8", parse, "NETWORK")


def listing(item: Kind[T_co]) -> Kind[tuple[T_co, ...]]:
    def parse(raw: object) -> tuple[T_co, ...]:
        given: object = raw
        if isinstance(raw, Words):
            given = [Words(part.strip()) for part in raw.split(",") if part.strip()]
        if not isinstance(given, list) or len(given) > LIST_ITEMS_MAX:
            raise ValueError
        return tuple(item.parse(part) for part in given)

    return Kind(f"a list, each {item.allowed}", parse, f"{item.metavar},…")


def mapping() -> Kind[dict[str, str]]:
    def parse(raw: object) -> dict[str, str]:
        given: object = raw
        if isinstance(raw, Words):
            pairs = [part.partition("=") for part in raw.split(",") if part.strip()]
            if not all(mark for _, mark, _ in pairs):
                raise ValueError
            given = {name.strip(): value.strip() for name, _, value in pairs}
        if not isinstance(given, dict) or len(given) > LIST_ITEMS_MAX:
            raise ValueError
        if not all(isinstance(value, str) and name for name, value in given.items()):
            raise ValueError
        return {str(name): str(value) for name, value in given.items()}

    return Kind("names with text values (name=value,… outside a file)", parse, "NAME=VALUE,…")


def free_table() -> Kind[dict[str, object]]:
    def parse(raw: object) -> dict[str, object]:
        if not isinstance(raw, dict):
            raise ValueError
        return {str(name): value for name, value in raw.items()}

    return Kind("a table", parse, "TABLE")


def show_size(bytes_: int) -> str:
    """The shortest exact way to write a size."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if bytes_ and bytes_ % SIZES[unit.lower()] == 0:
            return f"{bytes_ // SIZES[unit.lower()]} {unit}"
    return f"{bytes_} bytes"


def _quantity(raw: object, units: dict[str, int] | dict[str, float]) -> Decimal:
    if isinstance(raw, int | Decimal) and not isinstance(raw, bool):
        return Decimal(raw)
    found = QUANTITY.fullmatch(raw) if isinstance(raw, str) else None
    if found is None or found[2].lower() not in units or len(found[1]) > 20:
        raise ValueError
    return Decimal(found[1]) * Decimal(str(units[found[2].lower()]))
