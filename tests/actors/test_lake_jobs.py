"""What the lake's helper process is told."""

from __future__ import annotations

from appliance.actors.lake_jobs import packed_keys
from storage.vault import SegmentKeys


class Rotated(SegmentKeys):
    """The vault is rotated in another thread just as the keys are read."""

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name in ("current", "epochs"):
            epochs = super().__getattribute__("epochs")
            number = len(epochs) + 1
            super().__setattr__("epochs", {**epochs, number: bytes(32)})
            super().__setattr__("current", number)
        return found


def test_the_key_for_new_files_is_among_those_that_are_told() -> None:
    told = packed_keys(Rotated(1, {1: bytes(32)}))
    assert told is not None
    assert str(told["current"]) in told["epochs"]
