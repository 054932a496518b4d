"""The helper process with the deriver of the storage tests, and ways for it to go wrong."""

import os
import sys
import time
from pathlib import Path

from appliance import rolling
from storage.batch import FrameRows
from storage.frames import Frame
from storage.lake import Lake
from storage.roll import DeriveFrame
from tests.storage.lake_kit import Derive

PROJECT = Path(__file__).parents[2]


def command(mode: str = "well") -> list[str]:
    """A helper that works, or one that dies, hangs or talks nonsense at its first roll.

    A file `died` in the root makes the next one work.
    """
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r});"
        f"from tests.actors.roll_helper_kit import main; sys.exit(main({mode!r}))"
    )
    return [sys.executable, "-c", code]


def no_space(frame: Frame) -> FrameRows:
    raise OSError(28, "no space left")


def main(mode: str) -> int:
    def deriver(job: rolling.Job, lake: Lake) -> DeriveFrame:
        mark = lake.root / "died"
        if mode != "well" and not mark.exists():
            mark.touch()
            if mode == "dies":
                os._exit(9)
            if mode == "hangs":
                time.sleep(60)
            if mode == "is full":
                return no_space
            raise OSError(28, "no space left")
        return Derive(lake.root, lake.keys)

    return rolling.serve(sys.stdin.buffer, sys.stdout.buffer, deriver)
