"""What may be asked to be deleted. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from appliance.errors import Refusal

Kind = Literal["request", "session", "user", "organization", "span"]

KINDS: Final[tuple[Kind, ...]] = ("request", "session", "user", "organization", "span")
SUBJECT_CHARACTERS_MAX: Final = 4096
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
SPAN: Final = (
    "id: expected a span of time in UTC as SINCE/UNTIL in ISO 8601, the begin included and the end "
    "not; without a begin (/2026-01-01) all before the end"
)


class Span(NamedTuple):
    """Of times at which requests were created, in microseconds since 1970, UTC; the begin is
    included, the end is not."""

    since_us: int | None
    until_us: int


def check_erasure(kind: object, subject: object, now_us: int) -> tuple[Kind, str]:
    """The kind, and the id as the records have it; a span ends now at the latest, for what comes
    later was not meant. Raises Refusal 422."""
    if kind not in KINDS:
        raise Refusal(422, "field_invalid", f"kind: expected one of {', '.join(KINDS)}")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise Refusal(422, "field_invalid", "id: expected text, and it is required")
    if kind in ("request", "organization"):
        try:
            subject = str(UUID(subject))
        except ValueError:
            raise Refusal(422, "field_invalid", "id: expected a UUID") from None
    if kind == "span":
        subject = _span(subject, now_us)
    return kind, subject


def span_of(subject: str) -> Span:
    """What a checked span means."""
    since, _, until = subject.partition("/")
    return Span(int(since) if since else None, int(until))


def _span(text: str, now_us: int) -> str:
    since, slash, until = text.partition("/")
    if not slash or not until.strip():
        raise Refusal(422, "field_invalid", SPAN)
    since_us = _moment_us(since) if since.strip() else None
    until_us = min(_moment_us(until), now_us)
    if since_us is not None and since_us >= until_us:
        raise Refusal(
            422, "field_invalid", "id: the span ends before it begins, or begins later than now"
        )
    return f"{'' if since_us is None else since_us}/{until_us}"


def _moment_us(text: str) -> int:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refusal(422, "field_invalid", SPAN) from None
    zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (zoned - EPOCH) // MICROSECOND
