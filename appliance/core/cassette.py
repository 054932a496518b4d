"""A cassette: the calls of one test and their replies, in one file that people read and compare.

Pure. JSON with an indent, one line for each event of a stream; the order is that of the calls, and
of those that went on at the same time the same in every recording.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.column_types import UNSAFE_IN_JSON
from appliance.core.cassette_asked import Asked, differences, nearest
from appliance.core.cassette_reply import Told

VERSION: Final = 1
SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True)
class Take:
    """A call and its reply. Seconds of one clock: when it began and ended. `text` as the file has
    it, where it is known already."""

    asked: Asked
    told: Told
    began_s: float = 0.0
    ended_s: float = 0.0
    text: str = ""


def write_cassette(takes: Sequence[Take]) -> str:
    """The file's text."""
    texts = [take.text or take_text(take.asked, take.told) for take in in_order(takes)]
    exchanges = ",\n  ".join(texts)
    return f'{{\n "cassette": {VERSION},\n "exchanges": [\n  {exchanges}\n ]\n}}\n'


def take_text(asked: Asked, told: Told) -> str:
    """A call in the file. Made once: the file is written anew with each. Raises RecursionError."""
    exchange = {"request": asked.as_map(), "reply": told.as_map()}
    text = json.dumps(exchange, ensure_ascii=False, indent=1).replace("\n", "\n  ")
    text = text.encode("utf-8", "backslashreplace").decode()  # halves of emoji are no UTF-8
    return UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def read_cassette(text: str) -> list[Take]:
    """Raises ValueError that says what is wrong with it."""
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("cassette") != VERSION:
        raise ValueError(f'it is no cassette of version {VERSION} ("cassette": {VERSION})')
    takes = []
    for number, one in enumerate(found.get("exchanges", []), 1):
        try:
            takes.append(Take(Asked.from_map(one["request"]), Told.from_map(one["reply"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"exchange {number}: {error}") from None
    return takes


def in_order(takes: Sequence[Take]) -> list[Take]:
    """By when they began; those that overlap in time by what they say."""
    made: list[Take] = []
    together: list[Take] = []
    until_s = float("-inf")
    for take in sorted(takes, key=lambda take: take.began_s):
        if together and take.began_s >= until_s:
            made += _by_words(together)
            together = []
        together.append(take)
        until_s = max(until_s, take.ended_s) if len(together) > 1 else take.ended_s
    return made + _by_words(together)


def _by_words(takes: list[Take]) -> list[Take]:
    return takes if len(takes) == 1 else sorted(takes, key=lambda take: take.asked.identity())


class Player:
    """A cassette that is played: each reply is given once, to the request it was given to."""

    def __init__(self, name: str, takes: Sequence[Take]) -> None:
        self._name = name
        self._takes = list(takes)
        self._unplayed = [take.asked.identity() for take in takes]

    def play(self, asked: Asked) -> Told | None:
        """The first reply to this request that was not given yet."""
        try:
            at = self._unplayed.index(asked.identity())
        except ValueError:
            return None
        self._unplayed[at] = ""
        return self._takes[at].told

    def why_not(self, asked: Asked) -> str:
        """What to say of a request that was not recorded: the nearest one, and the difference."""
        asked_line = f"Asked: {asked.line}"
        if not self._takes:
            return f"The cassette {self._name} is empty.\n{asked_line}"
        recorded = [take.asked for take in self._takes]
        wanted = asked.identity()
        if times := sum(one.identity() == wanted for one in recorded):
            was = "once" if times == 1 else f"{times} times"
            return (
                f"The cassette {self._name} has this call {was}, and it was replayed as often: it "
                f"is made more often than when it was recorded.\n{asked_line}"
            )
        at = nearest(recorded, asked)
        lines = "".join(f"\n  {line}" for line in differences(recorded[at], asked))
        return (
            f"The cassette {self._name} has no such call.\n{asked_line}\nNearest: call {at + 1} of "
            f"{len(recorded)}, {recorded[at].line}\nDifference:{lines}\n"
            "Record it anew if the change is meant."
        )
