"""Frames of the journal against the ledger: the part of `verify` that looks at money.

The ledger must replay to what its accounts say, and every call must have been charged once, what
its frame tells. What holds are is decided elsewhere; here they are ids with amounts in pico-USD.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from storage.ledger import Fates, LedgerStore
from storage.state import StateBroken

FILE: Final = "state.sqlite"
HOLD_ID_BYTES: Final = 16


class LedgerCheck:
    """The ledger of a root; without one it agrees with everything. A server may be writing to it:
    it is asked after the frames were read, and a hold is on the disk before its frame is."""

    def __init__(self, root: Path | None) -> None:
        """None: its file is damaged, which was said."""
        self.holds = 0  # that were compared
        self.complaints: list[str] = []
        self._told: dict[bytes, tuple[int | None, str]] = {}
        self._store: LedgerStore | None = None
        if root is None or not (root / FILE).exists():
            return
        path = root / FILE
        try:
            store = LedgerStore.open_to_read(path)
            if store.is_made:
                self._store = store
                self.complaints += store.check()
            else:
                store.close()  # of a time before there was one
        except StateBroken as error:
            self.complaints.append(str(error))

    def note(self, meta: dict[str, Any], place: str) -> None:
        """The holds that the frame at `place` tells of, to be compared. The same may be told twice:
        a frame is written again after an error of the disk."""
        if self._store is None:
            return
        for hold_id, cost_pico in meta.get("holds", ()):
            if isinstance(hold_id, bytes) and len(hold_id) == HOLD_ID_BYTES:
                self._told[hold_id] = cost_pico, place

    def compare(self) -> None:
        """All that were noted since the last time."""
        told, self._told = self._told, {}
        if self._store is None or not told:
            return
        try:
            fates = self._store.fates(told)
        except StateBroken as error:
            self.complaints.append(str(error))
            return
        self.holds += len(told)
        self.complaints += _differences(told, fates)

    def close(self) -> None:
        """Safe to call twice."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _differences(told: dict[bytes, tuple[int | None, str]], fates: Fates) -> Iterator[str]:
    for hold_id, (cost_pico, place) in told.items():
        name = f"hold {hold_id.hex()} of the frame {place}"
        posted = fates.charged.get(hold_id)
        if posted is not None:
            # None: the price was not known, and its input part was charged. Legs are the wallet
            # and the budgets on the call, which all count the same amount.
            if cost_pico is not None and posted != {max(0, cost_pico)}:
                found = " and ".join(map(str, sorted(posted)))
                yield f"{name}: {cost_pico} pico-USD told, {found} charged"
        elif hold_id not in fates.still_open and fates.oldest <= hold_id <= fates.newest:
            # Older transfers were folded into their accounts; newer holds than any here are of a
            # backup, whose state is taken first: the next start settles them.
            yield f"{name}: neither held nor charged"
