"""One field of a form with files in it (`multipart/form-data`, RFC 7578): found, and nothing else
touched. Pure.

An upload names its model in a field beside the file; the rest of it is the provider's to read.
"""

import re
from typing import Final, NamedTuple

PARTS_MAX: Final = 256
HEAD_BYTES_MAX: Final = 8 * 1024
VALUE_BYTES_MAX: Final = 4 * 1024
FORM: Final = "multipart/form-data"
BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
NAME: Final = re.compile(
    rb'^content-disposition:[ \t]*form-data[^\r\n]*?;[ \t]*name=(?:"([^"\r\n]*)"|([^\s;"]+))',
    re.IGNORECASE | re.MULTILINE,
)
LINE: Final = b"\r\n"


class FormField(NamedTuple):
    """A field's value, and where in the body it stands."""

    value: str
    begin: int
    end: int


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts, or b"" for what is no form."""
    if not content_type.lower().lstrip().startswith(FORM):
        return b""
    found = BOUNDARY.search(content_type)
    return (found[1] or found[2]).encode("latin-1") if found else b""


def find_field(data: bytes, boundary: bytes, name: str) -> FormField | None:
    """The first field of this name; None where there is none. Raises ValueError, with the reason,
    for what is no such form."""
    wanted = name.encode()
    mark = b"--" + boundary
    at = 0 if data.startswith(mark) else data.find(LINE + mark) + len(LINE)
    if at < len(LINE) and not data.startswith(mark):
        raise ValueError("its boundary is nowhere in it")
    for _ in range(PARTS_MAX):
        at += len(mark)
        if data.startswith(b"--", at):
            return None
        head_at = data.find(LINE, at, at + HEAD_BYTES_MAX)
        head_ends = data.find(LINE + LINE, head_at, head_at + HEAD_BYTES_MAX)
        if head_at < 0 or data[at:head_at].strip(b" \t") or head_ends < 0:
            raise ValueError("a part of it has no head")
        value_at = head_ends + 2 * len(LINE)
        # An empty value ends at once.
        ends = data.find(LINE + mark, head_ends + len(LINE))
        if ends < 0:
            raise ValueError("its last part has no end")
        named = NAME.search(data, head_at + len(LINE), head_ends)
        if named is not None and wanted in (named[1], named[2]):
            return _field(data, min(value_at, ends), ends, name)
        at = ends + len(LINE)
    raise ValueError(f"it has over {PARTS_MAX} parts")


def _field(data: bytes, begin: int, end: int, name: str) -> FormField:
    if end - begin > VALUE_BYTES_MAX:
        raise ValueError(f"its {name} is over {VALUE_BYTES_MAX} bytes long")
    return FormField(data[begin:end].decode("utf-8", "replace"), begin, end)


def with_value(data: bytes, field: FormField, value: str) -> bytes:
    """The body with another value in that field."""
    return data[: field.begin] + value.encode() + data[field.end :]
