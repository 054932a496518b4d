"""Headers that stand at the front of a path, for clients that can send none of their own:
`/helicone-session-id=trip/v1/gateway/oai/v1/…` is as if `Helicone-Session-Id: trip` had been sent.

Pure. Only what tags a call may be said so; where it goes and who pays stays with real headers.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

from appliance.core import headers as names
from appliance.core.framing import value_fault
from appliance.errors import Refusal

TAGS: Final = frozenset({
    names.SESSION_ID, names.SESSION_NAME, names.SESSION_PATH, names.USER_ID, names.CASSETTE,
    names.CASSETTE_TAKE, names.FAULT,
})  # fmt: skip
TAGS_MAX: Final = 16


def take_tags(path: bytes) -> tuple[bytes, dict[bytes, bytes] | None]:
    """The path without the tags at its front, and what they say by header name; None where there
    are none. Raises Refusal 400 for a tag that is not known, or whose value is no header's."""
    tags: dict[bytes, bytes] = {}
    while path.startswith(b"/" + names.PREFIX):
        segment, slash, rest = path[1:].partition(b"/")
        name, equals, value = segment.partition(b"=")
        if not equals:
            break
        name = name.lower()
        if name not in TAGS and not name.startswith(names.PROPERTY_PREFIX):
            raise _refused(name, "cannot be said in the path: send it as a header.")
        tags[name] = value = unquote_to_bytes(value)
        if not value or value_fault(value) or value.strip() != value:
            raise _refused(name, "has a value in the path that no header may have.")
        if len(tags) > TAGS_MAX:
            raise _refused(name, f"is one too many: at most {TAGS_MAX} headers in a path.")
        path = slash + rest or b"/"
    return path, tags or None


def _refused(name: bytes, what: str) -> Refusal:
    shown = name.decode("ascii", "replace")[:64]
    return Refusal(400, "path_tag_invalid", f"{shown} {what}")
