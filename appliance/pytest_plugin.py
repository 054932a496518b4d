"""`helicone_cassette`: a test whose LLM calls are replayed from a file, or recorded there.

It runs `helicone-appliance run` as a process and knows nothing else of it: nothing of ours is
imported here. The fixture only sets variables, so tests may be sync, asyncio or trio.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

MODES = ("replay", "record")
FOLDER = "cassettes"
URL = "HELICONE_RUN_URL"
MODE = "HELICONE_RUN_MODE"
DIRECTORY = "HELICONE_RUN_DIR"
APART = "HELICONE_RUN_CASSETTES_APART"  # each test has its own: workers may record at once
# What the program that is run says of its environment, before it waits for its end.
TELL = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"
OURS = re.compile(r"HELICONE_RUN_.*|.*_API_KEY|NO_PROXY|no_proxy")
UNUSUAL = re.compile(r"[^A-Za-z0-9_.,=+@\[\]()-]+")
UNUSUAL_IN_FOLDERS = re.compile(r"[^A-Za-z0-9_.,=+@ \[\]()-]+")
NAME_CHARACTERS_MAX = 150
DIGEST_CHARACTERS = 8
END_S = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """--helicone-cassettes, and helicone_run_options in the configuration file."""
    parser.getgroup("helicone").addoption(
        "--helicone-cassettes", choices=MODES, default="replay",
        help="what helicone_cassette does with calls: replay them (default), or record them anew",
    )  # fmt: skip
    parser.addini("helicone_run_options", "further options of helicone-appliance run", type="args")


class Cassette:
    """What a test gets: `url` is the base of all providers' base URLs, which are in the variables
    that SDKs read; `path` is the file."""

    def __init__(self, url: str, path: Path, mode: str) -> None:
        self.url = url
        self.path = path
        self.mode = mode

    def base_url(self, provider: str) -> str:
        """For clients that read no variable: `base_url("groq") + "/v1"`. Providers by their ids."""
        return f"{self.url}/v1/gateway/{provider}"

    def __repr__(self) -> str:
        return f"<Cassette {self.path} ({self.mode})>"


class Runner:
    """The command, running for as long as the session; started by the first test that needs it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._process: subprocess.Popen[str] | None = None
        self._told: dict[str, str] = {}
        self.root = config.rootpath
        self.said = ""

    def environment(self) -> dict[str, str]:
        """The variables to set. Fails the test where the command does not start."""
        if os.environ.get(MODE) in MODES:  # pytest itself is run by it
            return {name: value for name, value in os.environ.items() if self._is_ours(name, value)}
        if self._process is None:
            self._start()
        return self._told

    def _is_ours(self, name: str, value: str) -> bool:
        base = self._told.get(URL) or os.environ.get(URL, "")
        return bool(OURS.fullmatch(name)) or bool(base and value.startswith(base))

    def _start(self) -> None:
        mode = self._config.getoption("--helicone-cassettes")
        # `-m` alone would take a module of the tests' own directory for ours.
        safe = [] if Path(__file__).resolve().parents[1] == Path.cwd() else ["-P"]
        command = [sys.executable, *safe, "-m", "appliance.cli", "run", f"--{mode}", str(self.root)]
        command += [*self._config.getini("helicone_run_options"), "--", sys.executable, "-c", TELL]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", start_new_session=True,  # Ctrl-C is for pytest
            env={**os.environ, APART: "1"},
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = self.close()
            pytest.fail(f"helicone-appliance did not start: {said.strip()}", pytrace=False)
        told: dict[str, str] = json.loads(line)
        self._told = {URL: told[URL]}
        self._told = {name: value for name, value in told.items() if self._is_ours(name, value)}

    def close(self) -> str:
        """End it; what it said at its end."""
        process, self._process = self._process, None
        if process is None:
            return ""
        try:
            _, self.said = process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            _, self.said = process.communicate()
        return self.said


RUNNER = pytest.StashKey[Runner]()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is started yet."""
    config.stash[RUNNER] = Runner(config)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:  # noqa: ANN401
    """What the calls came to."""
    for line in config.stash[RUNNER].close().splitlines():
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Where no summary was written."""
    runner = config.stash.get(RUNNER, None)
    if runner is not None:
        runner.close()


@pytest.fixture
def helicone_cassette(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cassette:
    """Calls of this test go to its cassette: `cassettes/<file>/<test>.json` beside its file."""
    runner = request.config.stash[RUNNER]
    told = runner.environment()
    name = cassette_name(request.node, runner.root)
    # Another take each time: a test that runs twice in a session begins at the beginning.
    take = uuid.uuid4().hex[:12]
    base = told[URL]
    url = f"{base}/helicone-cassette={quote(name, '')}/helicone-cassette-take={take}"
    for variable, value in told.items():
        monkeypatch.setenv(variable, value.replace(base, url))
    return Cassette(url, Path(told[DIRECTORY], f"{name}.json"), told[MODE])


def cassette_name(node: Any, root: Path) -> str:  # noqa: ANN401 - any kind of item
    """A path below the root, of what file names may hold everywhere."""
    try:
        folder = node.path.parent.relative_to(root).parts
    except ValueError:  # a test from elsewhere
        folder = ()
    words = node.nodeid.split("::")[1:] if "::" in node.nodeid else [node.name]
    parts = [_usual(part, UNUSUAL_IN_FOLDERS) for part in (*folder, FOLDER, node.path.stem)]
    test = ".".join(words)
    name = _usual(test, UNUSUAL)
    if name != test:  # `test[a/b]` and `test[a:b]` are two, and so are long ones that end otherwise
        name += f"-{hashlib.sha256(test.encode()).hexdigest()[:DIGEST_CHARACTERS]}"
    return "/".join([*parts, name])


def _usual(part: str, unusual: re.Pattern[str]) -> str:
    """A name of a folder or file that the server takes."""
    plain = unusual.sub("_", part)[:NAME_CHARACTERS_MAX]
    return plain if plain[:1].isalnum() or plain.startswith(("_", "[", "(")) else f"_{plain}"
