"""The fixture `helicone_cassette` in somebody's own tests: sync, on asyncio and on trio, recorded
once and replayed with nobody listening.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.pytest_plugin import cassette_name
from appliance.upstream.cassettes import NAME
from tests.e2e.starting import environment
from tests.fakes.appliance import ROOT
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider

THEIRS = """
import os
import openai
import pytest

TEXT = "Hello from the fake provider"


def asked(word):
    said = os.environ.get("WORD", word)
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": said}]}


def test_sync(helicone_cassette):
    with openai.OpenAI(max_retries=0) as client:
        reply = client.chat.completions.create(**asked("sync"))
    assert reply.choices[0].message.content.startswith(TEXT)
    assert os.environ["OPENAI_BASE_URL"] == helicone_cassette.base_url("openai") + "/v1"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_async(helicone_cassette, anyio_backend):
    async with openai.AsyncOpenAI(max_retries=0) as client:
        stream = await client.chat.completions.create(stream=True, **asked("async"))
        words = [e.choices[0].delta.content or "" async for e in stream if e.choices]
    assert " ".join(words).strip().startswith(TEXT)


@pytest.mark.trio
async def test_trio(helicone_cassette):
    async with openai.AsyncOpenAI(max_retries=0) as client:
        reply = await client.chat.completions.create(**asked("trio"))
    assert reply.choices[0].message.content.startswith(TEXT)


def test_without():
    assert "helicone" not in os.environ.get("OPENAI_BASE_URL", "")
"""
ALONE = """
import sys
import appliance.pytest_plugin
print(sorted(name for name in sys.modules if name.split(".")[0] in ("appliance", "storage", "ui")))
"""


def theirs(
    directory: Path, *arguments: str, environ: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """pytest, as they call it; its plugins are named, as they are not installed in every place."""
    command = [sys.executable, "-m", "pytest", "-p", "anyio", "-p", "pytest_trio.plugin"]
    command += ["-p", "appliance.pytest_plugin", *arguments]
    more = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT), **environ}
    return subprocess.run(
        command, cwd=directory, env=environment(directory, more), capture_output=True, text=True,
        timeout=3 * PATIENCE_S,
    )  # fmt: skip


def test_recorded_once_and_replayed_everywhere(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "storage.py").write_text("raise RuntimeError('theirs was taken for ours')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  trio\n")
    (tmp_path / "tests" / "test_theirs.py").write_text(THEIRS)
    with Provider() as provider:
        environ = {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "sk-test"}
        done = theirs(tmp_path, "--helicone-cassettes=record", environ=environ)
        assert done.returncode == 0, done.stdout + done.stderr
    del environ["OPENAI_API_KEY"]
    folder = tmp_path / "tests" / "cassettes" / "test_theirs"
    assert sorted(path.name for path in folder.iterdir()) == [
        "test_async[asyncio].json", "test_async[trio].json", "test_sync.json", "test_trio.json",
    ]  # fmt: skip
    assert all(len(json.loads(path.read_text())["exchanges"]) == 1 for path in folder.iterdir())
    done = theirs(tmp_path, environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
    assert "4 calls in " in done.stdout
    done = theirs(tmp_path, "-k", "sync and not async", environ={**environ, "WORD": "other"})
    assert done.returncode == 1
    assert 'recorded "sync", asked "other"' in done.stdout.replace("\\", "")


def test_where_the_command_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  trio\nhelicone_run_options = --config /nowhere.toml\n"
    )
    done = theirs(tmp_path, "-k", "test_sync", environ={})
    assert done.returncode == 1
    assert "helicone-appliance did not start: error: config /nowhere.toml cannot be read" in (
        done.stdout
    )


@pytest.mark.parametrize("name", ["replay"])
def test_under_run_it_uses_that_one(tmp_path: Path, name: str) -> None:
    """`run --replay DIR -- pytest` starts one server, and its directory is the one that counts."""
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  trio\n")
    (tmp_path / "tapes").mkdir()
    command = [sys.executable, "-m", "appliance.cli", "run", f"--{name}", str(tmp_path / "tapes")]
    command += ["--", sys.executable, "-m", "pytest", "-p", "anyio", "-p", "pytest_trio.plugin"]
    command += ["-p", "appliance.pytest_plugin", "-k", "test_sync"]
    more = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path, more), capture_output=True, text=True,
        timeout=3 * PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1
    missing = tmp_path / "tapes" / "cassettes" / "test_theirs" / "test_sync.json"
    assert f"There is no cassette {missing}" in done.stdout
    assert f"helicone_cassette = <Cassette {missing} (replay)>" in done.stdout


class Node:
    """What the name of a cassette is made of."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.nodeid = f"{path.name}::{name}"


def test_each_test_has_a_cassette_of_its_own(tmp_path: Path) -> None:
    def named(test: str, folder: str = "my tests") -> str:
        return cassette_name(Node(tmp_path / folder / "test_a.py", test), tmp_path)

    assert named("TestIt::test_b[gpt-4o]") == "my tests/cassettes/test_a/TestIt.test_b[gpt-4o]"
    long = "test[" + "x" * 200
    names = [
        named(test) for test in ("test[a/b]", "test[a:b]", "test[a_b]", f"{long}1]", f"{long}2]")
    ]
    assert len(set(names)) == len(names)
    assert names[0].startswith("my tests/cassettes/test_a/test[a_b]-")
    assert names[2] == "my tests/cassettes/test_a/test[a_b]"
    assert all(NAME.fullmatch(part) for name in names for part in name.split("/"))


def test_it_brings_nothing_of_ours_with_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['appliance', 'appliance.pytest_plugin']"
