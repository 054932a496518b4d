"""What becomes of calls that cannot be recorded whole: they go on, and it is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from appliance.core.cassette import Take
from appliance.core.cassette_asked import Asked
from appliance.core.cassette_reply import Told
from appliance.core.cassette_scrub import Scrubber
from appliance.upstream import cassettes
from appliance.upstream.cassettes import REPLY_BYTES_MAX, RecordDial, _Recording
from appliance.upstream.pool import PoolKey

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\n\r\n"


class Rig:
    """A recorder that dials nobody."""

    def __init__(self, directory: Path) -> None:
        self.told: list[str] = []
        unused = cast(Any, None)
        self.dial = RecordDial(unused, directory, Scrubber(), self.told.append)

    def troubles(self) -> list[str]:
        return [why for _, why in self.dial.troubles()]


def test_a_reply_that_is_too_large_is_passed_on_and_not_kept(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    recording = _Recording(rig.dial, ("calls", ""), cast(Any, None), "openai")
    recording.begins(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    piece = bytes(1 << 20)
    assert recording.heard(HEAD) == HEAD
    for _ in range(REPLY_BYTES_MAX // len(piece) + 1):
        assert recording.heard(piece) == piece
    assert recording.reader.pieces == []
    recording.heard(b"")
    recording.closed()
    assert list(tmp_path.iterdir()) == []
    assert len(rig.told) == len(rig.troubles()) == 1
    assert "more than 32 MiB" in rig.told[0]


def test_a_call_that_cannot_be_written_is_left_out_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read of JSON may lie a little deeper than what can be written with an indent."""

    def too_deep(*_: object) -> str:
        raise RecursionError

    rig = Rig(tmp_path)
    key = PoolKey("https", "a", 443, cast(Any, None), "us")
    for number in range(2):
        recording = _Recording(rig.dial, ("calls", ""), key, "openai")
        recording.wire = cast(Any, SimpleNamespace(request=b"GET /%d HTTP/1.1\r\n\r\n" % number))
        recording.begins(bytes(recording.wire.request))
        with monkeypatch.context() as patched:
            if not number:
                patched.setattr(cassettes, "take_text", too_deep)
            assert recording.heard(HEAD) == HEAD
            recording.heard(b"")
    assert "nested too deeply" in rig.troubles()[0]
    assert "https://a/1" in (tmp_path / "calls.json").read_text()
    assert "https://a/0" not in (tmp_path / "calls.json").read_text()


def test_a_cassette_is_a_trouble_until_it_is_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "calls.json").mkdir()
    for name in ("calls", "other"):
        rig.dial.keep((name, ""), Take(Asked("POST", f"https://{name}/"), Told(200)))
    assert "calls.json cannot be written" in rig.troubles()[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.json", "other.json"]
    (tmp_path / "calls.json").rmdir()
    rig.dial.keep(("calls", ""), Take(Asked("POST", "https://again/"), Told(200)))
    assert rig.troubles() == []
    assert (tmp_path / "calls.json").read_text().count('"status"') == 2
