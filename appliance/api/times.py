"""Times as answers tell them."""

from datetime import UTC, datetime


def iso(at_us: int) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    at = datetime.fromtimestamp(at_us / 1_000_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(at_us: int | None) -> str | None:
    """The same of a time that may not be known."""
    return None if at_us is None else iso(at_us)
