"""scripts/fill: the same exchanges each time, and rows that the program can read."""

import os
import subprocess
import sys
from pathlib import Path

from appliance.config import load_config
from appliance.offline import open_root
from storage.frames import Position
from storage.journal import read_frames

REPOSITORY = Path(__file__).parents[2]
COUNT = 400


def fill(directory: Path) -> list[bytes]:
    """The payloads that were written."""
    command = [sys.executable, REPOSITORY / "scripts/fill.py", str(COUNT), directory]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONSAFEPATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert f"{COUNT} of {COUNT}" in done.stderr
    frames = read_frames(directory, Position(0, 0), upto=None, keys=None, on_damage=None)
    return [frame.payload for frame in frames]


def test_the_same_count_gives_the_same_exchanges(tmp_path: Path):
    payloads = fill(tmp_path / "one")
    assert len(payloads) == COUNT
    assert payloads == fill(tmp_path / "two")


def test_what_was_filled_is_varied_and_answers_queries(tmp_path: Path):
    fill(tmp_path)
    with open_root(load_config({"data_dir": str(tmp_path)}, {}), "us") as root:
        query = root.query(
            "SELECT count(*), count(DISTINCT exchange_id), count(DISTINCT provider) > 4, "
            "count(DISTINCT outcome) > 1, count(DISTINCT user_id) > 100, bool_or(is_stream), "
            "count(cost_usd) > 300, count(derive_error), "
            "date_diff('day', min(request_created_at), max(request_created_at)) FROM requests"
        )
        rows = query.fetch(2)
        query.close()
    assert rows == [(COUNT, COUNT, True, True, True, True, True, 0, 29)]
