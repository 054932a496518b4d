"""The built-in guard: does a prompt try to talk a model out of its rules? (proxy.md 7.2)

Rules find words and phrases, each gives points, and a passage with more than `SCORE_LIMIT` is a
threat. Pure, and read block by block, so that no long text holds anybody up: whoever calls decides
when to go on. It sees the words of English prompts; it knows nothing of what a model would answer.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from appliance.core.guard_rules import RULES

# Of 100: the original's classifier takes a score above 0.7 for a threat.
SCORE_LIMIT: Final = 70
BLOCK_CHARACTERS: Final = 2500
# Of the block before: a phrase may lie across the cut.
OVERLAP_CHARACTERS: Final = 120
# Sorting a run of marks over a letter takes the square of its length: so many at a time.
NORMALIZED_CHARACTERS: Final = 256
# Two characters stand for eighteen and for eight; all others for six at most. No word that is
# looked for is in them.
LIGATURES: Final = "\ufdfa\ufdfb"

WORD: Final = re.compile(r"[^\W_]+")
BREAK_IN_WORD: Final = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
# Apostrophes, and characters that nobody sees: they would only hide a word.
DROPPED: Final = dict.fromkeys(
    [0x27, 0xAD, 0x2019, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F),
     *range(0x2060, 0x2065)]
)  # fmt: skip
GAP: Final = re.compile(r"~(\d) ")

NEEDS: Final = tuple(frozenset(rule.needs.split()) for rule in RULES)
POINTS: Final = tuple(rule.points for rule in RULES)


class Guard:
    """Reads one text. A rule counts once in two blocks that stand beside each other, so that
    neither a long text adds up nor a passage is lost because it was cut."""

    __slots__ = ("_before", "found", "score")

    def __init__(self) -> None:
        self.score = 0
        self.found: tuple[str, ...] = ()
        self._before: frozenset[int] = frozenset()

    @property
    def is_threat(self) -> bool:
        """Whether what was read so far is enough."""
        return self.score > SCORE_LIMIT

    def read(self, block: str) -> None:
        """The next block of `blocks`."""
        here = _matching(plain_words(block))
        both = here | self._before
        score = min(100, sum(POINTS[index] for index in both))
        if score > self.score:
            self.score = score
            self.found = tuple(RULES[index].name for index in sorted(both))
        self._before = here


def blocks(text: str) -> Iterator[str]:
    """The text in pieces that are read within a millisecond or so."""
    for at in range(0, len(text), BLOCK_CHARACTERS):
        yield text[max(0, at - OVERLAP_CHARACTERS) : at + BLOCK_CHARACTERS]


def plain_words(text: str) -> list[str]:
    """Lower-case words without signs; those that were taken apart by a hyphen are joined."""
    for ligature in LIGATURES:
        text = text.replace(ligature, " ")
    size = NORMALIZED_CHARACTERS
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    plain = "".join([unicodedata.normalize("NFKC", piece) for piece in pieces])
    return WORD.findall(BREAK_IN_WORD.sub("", plain.translate(DROPPED).lower()))


def _matching(words: list[str]) -> frozenset[int]:
    present, text = set(words), " ".join(words)
    return frozenset(
        index
        for index, needs in enumerate(NEEDS)
        if not needs.isdisjoint(present) and _pattern(index).search(text)
    )


@lru_cache(maxsize=len(RULES))
def _pattern(index: int) -> re.Pattern[str]:
    """Compiled when first needed: all of them take as long as twenty requests."""
    return re.compile(GAP.sub(r"(?: \\w+){0,\1} ", RULES[index].pattern))
