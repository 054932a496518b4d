"""What may be asked to be deleted. Pure."""

from typing import Final, Literal
from uuid import UUID

from appliance.errors import Refusal

Kind = Literal["request", "session", "user", "organization"]

KINDS: Final[tuple[Kind, ...]] = ("request", "session", "user", "organization")
SUBJECT_CHARACTERS_MAX: Final = 4096


def check_erasure(kind: object, subject: object) -> tuple[Kind, str]:
    """The kind, and the id as the records have it. Raises Refusal 422."""
    if kind not in KINDS:
        raise Refusal(422, "field_invalid", f"kind: expected one of {', '.join(KINDS)}")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise Refusal(422, "field_invalid", "id: expected text, and it is required")
    if kind in ("request", "organization"):
        try:
            subject = str(UUID(subject))
        except ValueError:
            raise Refusal(422, "field_invalid", "id: expected a UUID") from None
    return kind, subject
