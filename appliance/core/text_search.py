"""What a search for a text in any case is put as, so that a database has less to do.

Pure. `lower` makes a copy of every text; a regular expression reads them as they are, at a third of
the price, and a few characters in all their cases are found at a sixth. Both only say where to look
twice: what counts is `lower`.
"""

from itertools import product
from math import prod
from typing import Final

# Behind so many the rest is looked for only where these were found.
CHARACTERS_MAX: Final = 64
# A piece of a text: a longer one is no rarer to speak of, more cases cost more than they spare.
PIECE_CHARACTERS_MAX: Final = 3
PIECE_CASES_MAX: Final = 16
# What stands most in bodies comes first; all that is not here is rarer.
_USUAL: Final = ' "etaoinshrdlcumwfgypbvk:,{}[]_.-\\0123456789jxqz'
# DuckDB's `lower` goes from one character to one; these come from two, and Python names only one.
_ALSO: Final = {
    "i": "\u0130", "k": "\u212a", "\xe5": "\u212b", "\xdf": "\u1e9e", "\u03b8": "\u03f4",
    "\u03c9": "\u2126",
}  # fmt: skip


def any_case(text: str) -> str:
    """A regular expression (RE2) that finds every text whose `lower` contains the `lower` of this
    one, or of its begin. Of what was sent nothing stands in it but the numbers of characters."""
    return "".join(_written(character) for character in text[:CHARACTERS_MAX])


def rare_piece(text: str) -> list[str]:
    """The rarest few characters of a text, in every case: whatever `any_case` finds holds one of
    them. Empty for an empty text."""
    letters = [sorted(cases(one)) for one in text[:CHARACTERS_MAX]]
    for size in range(min(PIECE_CHARACTERS_MAX, len(letters)), 0, -1):
        pieces = (range(at, at + size) for at in range(len(letters) - size + 1))
        few = [one for one in pieces if prod(len(letters[n]) for n in one) <= PIECE_CASES_MAX]
        if few:
            best = max(few, key=lambda one: sum(_rarity(text[n]) for n in one))
            return ["".join(written) for written in product(*(letters[n] for n in best))]
    return []


def cases(character: str) -> frozenset[str]:
    """All characters with the same `lower`, and perhaps others."""
    lower, upper = character.lower(), character.upper()
    if character == "\u0130":  # two characters in Python's lower case
        lower = "i"
    found = (character, lower, upper, character.title(), lower.upper(), _ALSO.get(lower, ""))
    return frozenset(one for one in found if len(one) == 1)


def _written(character: str) -> str:
    return "[" + "".join(f"\\x{{{ord(one):x}}}" for one in sorted(cases(character))) + "]"


def _rarity(character: str) -> int:
    place = _USUAL.find(character.lower())
    return len(_USUAL) if place < 0 else place
