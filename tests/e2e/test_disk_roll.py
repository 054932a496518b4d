"""Rolls, rebuilds and the books: what queries see never depends on where rows lie."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.control_client import ControlError
from tests.e2e.starting import run
from tests.e2e.storage_kit import (
    MIB,
    Traffic,
    control,
    everything,
    offline,
    wait_until,
)
from tests.fakes.appliance import ANTHROPIC, CHAT, MESSAGES, Appliance, Row
from tests.fakes.provider import Provider

KEY = "a passphrase that nobody guesses"
ROLLED = {"ok": True, "segments": 1, "dropped": 0}


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, provider: Provider
) -> Iterator[Appliance]:
    environ = {"HELICONE_APPLIANCE_MASTER_KEY": request.param} if request.param else {}
    with Appliance(tmp_path, provider, environ=environ) as appliance:
        yield appliance


def every_kind(traffic: Traffic) -> None:
    """Exchanges of all shapes: streams, errors, blobs, what is omitted, what has no usage."""
    appliance = traffic.appliance
    traffic.send(5)
    traffic.send(2, stream=True)
    traffic.send(script="fake-big-3072")
    traffic.send(script="fake-flood-3", stream=True)
    traffic.send(user="long " * (MIB // 2))
    traffic.send(script="fake-gzip")
    headers = {
        "helicone-property-team": "ops",
        "helicone-user-id": "someone",
        "helicone-session-id": "s1",
    }
    ask = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": []}
    assert appliance.call(MESSAGES, ask, headers).status == 200
    for script in ("fake-error-429", "fake-cut-after-3", "fake-malformed-chunk"):
        appliance.call(CHAT, {"model": "gpt-4o", "stream": True}, {"x-fake": script, **headers})
    for name in ("helicone-omit-request", "helicone-omit-response"):
        assert appliance.call(CHAT, ask, {name: "true"}).status == 200
    assert appliance.call(ANTHROPIC + "/v1/models", method="GET").status == 200


def whole(report: Any) -> Any:
    assert report["ok"], report
    return report


def lake_files(appliance: Appliance) -> list[Path]:
    return list((appliance.data / "lake").rglob("*.parquet"))


def test_the_same_before_and_after(served: Appliance) -> None:
    traffic = Traffic(served)
    every_kind(traffic)
    before = everything(served)
    assert len(before["requests"]) == 18
    assert whole(control(served, "verify"))["hot_rows"] == 18
    assert control(served, "roll") == ROLLED
    assert len(lake_files(served)) == 2
    assert not list((served.data / "blobs").glob("??/*"))
    assert everything(served) == before
    whole(control(served, "verify"))

    traffic.send(3)
    traffic.send(script="fake-big-1024")
    mixed = everything(served)
    assert mixed["requests"][:18] == before["requests"]
    whole(control(served, "rebuild"))
    assert everything(served) == mixed
    whole(control(served, "verify"))
    assert control(served, "roll") == ROLLED
    assert everything(served) == mixed
    traffic.check()

    assert served.stop() == 0
    assert everything(served) == mixed
    whole(offline(served, "verify"))
    whole(offline(served, "rebuild"))
    assert everything(served) == mixed
    served.start()
    assert everything(served) == mixed


def test_the_command(served: Appliance, tmp_path: Path) -> None:
    """What lay in the journal alone is in the lake; without a server it says what it needs."""
    ours = ("roll", "--json", "--config", str(served.config), "--data-dir", str(served.data))
    Traffic(served).send(2)
    assert not lake_files(served)
    done = run(tmp_path, *ours, environ=served.environ)
    assert (done.returncode, json.loads(done.stdout)) == (0, ROLLED), done.stderr
    assert len(lake_files(served)) == 2
    assert served.stop() == 0
    done = run(tmp_path, *ours, environ=served.environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert "roll needs a running server" in done.stderr


MOMENTS: dict[str, Callable[[Appliance, float], bool]] = {
    "files begin": lambda a, _: any((a.data / "tmp").glob("lake-*")),
    "files lie there": lambda a, _: bool(lake_files(a)),
    "manifest stored": lambda a, since: manifest_changed(a, since),
    "done": lambda a, _: not (a.data / "journal" / "00000001.seg").exists(),
}


def manifest_changed(appliance: Appliance, since: float) -> bool:
    path = appliance.data / "lake" / "manifest.json"
    return path.stat().st_mtime > since


KILLS = [*((None, moment) for moment in MOMENTS), (KEY, "manifest stored")]


@pytest.mark.parametrize(("served", "moment"), KILLS, indirect=["served"])
def test_killed_in_the_middle(served: Appliance, moment: str) -> None:
    traffic = Traffic(served)
    traffic.send(20)
    traffic.send(script="fake-big-3072")
    before = everything(served)
    since = (served.data / "lake" / "manifest.json").stat().st_mtime

    def roll() -> None:
        with suppress(ControlError, OSError):
            control(served, "roll")

    rolling = threading.Thread(target=roll)
    rolling.start()
    wait_until(lambda: MOMENTS[moment](served, since))
    served.kill()
    rolling.join()
    assert everything(served) == before
    whole(offline(served, "verify"))
    served.start()
    traffic.send(2)
    control(served, "roll")
    after = everything(served)
    assert after["requests"][:21] == before["requests"]
    assert after["bodies"][:21] == before["bodies"]
    traffic.check()
    whole(control(served, "verify"))
    assert not list((served.data / "blobs").glob("??/*"))


PLACES = [
    (None, "journal/*.seg"),
    (None, "lake/*/*.parquet"),
    (None, "blobs/??/*"),
    (KEY, "blobs/??/*"),
]


@pytest.mark.parametrize(("served", "place"), PLACES, indirect=["served"])
def test_verify_names_what_is_damaged(served: Appliance, place: str) -> None:
    traffic = Traffic(served)
    traffic.send(10)
    control(served, "roll")
    traffic.send(10)
    traffic.send(script="fake-big-1024")
    everything(served)
    path = sorted(served.data.glob(place))[0]
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(byte ^ 0xFF for byte in data[middle : middle + 40])
    path.write_bytes(data)
    name = str(path.relative_to(served.data))
    live = control(served, "verify")
    assert name in named(live), live
    assert not live["ok"]
    served.kill()
    (served.data / "state.sqlite-wal").unlink(missing_ok=True)  # it may hold every page
    (served.data / "state.sqlite").write_bytes(b"noise" * 1000)
    stopped = offline(served, "verify")
    assert {name, "state.sqlite"} <= set(named(stopped)), stopped
    served.start()


def named(report: Row) -> list[str]:
    return [finding["file"] for finding in report["findings"]]
