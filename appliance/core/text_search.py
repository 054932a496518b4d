"""What a search for a text in any case is put as, so that a database has less to do.

Pure. `lower` makes a copy of every text; a regular expression reads them as they are, at a third of
the price. It only says where to look twice: what counts is `lower`, as it was before.
"""

from typing import Final

# Behind so many the rest is looked for only where these were found.
CHARACTERS_MAX: Final = 64
# DuckDB's `lower` goes from one character to one; these come from two, and Python names only one.
_ALSO: Final = {
    "i": "\u0130", "k": "\u212a", "\xe5": "\u212b", "\xdf": "\u1e9e", "\u03b8": "\u03f4",
    "\u03c9": "\u2126",
}  # fmt: skip


def any_case(text: str) -> str:
    """A regular expression (RE2) that finds every text whose `lower` contains the `lower` of this
    one, or of its begin. Of what was sent nothing stands in it but the numbers of characters."""
    return "".join(_written(character) for character in text[:CHARACTERS_MAX])


def cases(character: str) -> frozenset[str]:
    """All characters with the same `lower`, and perhaps others."""
    lower, upper = character.lower(), character.upper()
    if character == "\u0130":  # two characters in Python's lower case
        lower = "i"
    found = (character, lower, upper, character.title(), lower.upper(), _ALSO.get(lower, ""))
    return frozenset(one for one in found if len(one) == 1)


def _written(character: str) -> str:
    return "[" + "".join(f"\\x{{{ord(one):x}}}" for one in sorted(cases(character))) + "]"
