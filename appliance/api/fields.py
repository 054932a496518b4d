"""Single fields of a body, of the path or of the query, by name: a text, a number, a time, a list.

What is wrong is a Refusal 422 that names the field and says what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

from fastapi import Request

from appliance.api.incoming import invalid

NAME_CHARACTERS_MAX: Final = 1000
VALUE_CHARACTERS_MAX: Final = 10_000
NUMBER_MAX: Final = Decimal(10) ** 300

T = TypeVar("T")


def text(
    body: dict[str, Any],
    field: str,
    *,
    required: bool = False,
    characters_max: int = NAME_CHARACTERS_MAX,
) -> str:
    """A text; "" where it is not there. One that is required is not empty."""
    value = body.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        invalid(field, "expected a text" + (" that is not empty" if required else ""))
    return bounded(value, field, characters_max)


def bounded(value: str, field: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
    """A text that can be stored."""
    if len(value) > characters_max:
        invalid(field, f"longer than {characters_max} characters")
    if "\0" in value or (not value.isascii() and _has_surrogates(value)):
        invalid(field, "expected a text in Unicode without NUL")
    return value


def _has_surrogates(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def number(value: object, field: str) -> float:
    """A finite number that a DOUBLE can hold."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        invalid(field, "expected a number")
    if isinstance(value, Decimal) and (not value.is_finite() or value.adjusted() > 300):
        invalid(field, "expected a number within reason")
    if isinstance(value, int) and abs(value) > 10**300:
        invalid(field, "expected a number within reason")
    return float(value)


def texts(
    body: dict[str, Any], field: str, *, values_max: int, required: bool = False
) -> list[str] | None:
    """A list of texts; None where it is not there."""
    value = body.get(field)
    if value is None and not required:
        return None
    return each(value, field, values_max, lambda one, path: bounded(as_text(one, path), path))


def uuids(body: dict[str, Any], field: str, *, values_max: int) -> list[str]:
    """A list of UUIDs of any version, in their usual form. It is required."""
    return each(body.get(field), field, values_max, as_uuid)


def each(value: object, field: str, values_max: int, read: Callable[[object, str], T]) -> list[T]:
    """Every value of a list."""
    if not isinstance(value, list):
        invalid(field, "expected a list")
    if len(value) > values_max:
        invalid(field, f"more than {values_max} values")
    return [read(one, f"{field}.{index}") for index, one in enumerate(value)]


def as_text(value: object, field: str) -> str:
    """Nothing but a text."""
    if not isinstance(value, str):
        invalid(field, "expected a text")
    return value


def as_uuid(value: object, field: str) -> str:
    """A UUID in its usual form."""
    try:
        return str(UUID(as_text(value, field)))
    except ValueError:
        invalid(field, "expected a UUID")


def moment(value: object, field: str) -> datetime:
    """A time in ISO 8601, as one of UTC without its zone."""
    try:
        found = datetime.fromisoformat(as_text(value, field).strip())
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        invalid(field, "expected a time in ISO 8601, as 2026-09-01T00:00:00Z")


def choice(value: object, field: str, allowed: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        invalid(field, f"expected one of {', '.join(allowed)}")
    return value


def path_text(request: Request, name: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
    """A text from the path."""
    value: str = request.path_params[name]
    return bounded(value, name, characters_max)


def known(body: dict[str, Any], field: str) -> dict[str, Any]:
    """A JSON object; empty where it is not there."""
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        invalid(field, "expected an object")
    return value
