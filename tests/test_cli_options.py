"""Flags of `serve` that are read without typer: the same as typer reads, or left to it."""

import os
import subprocess
import sys
from typing import Any

import pytest
import typer

from appliance import cli
from appliance.cli_options import COMMON, pairs_of, plain_flags

PLAIN = [
    ([], {}),
    (["--port", "0"], {"port": "0"}),
    (["--port=0", "--data-dir=/a b/c=d"], {"port": "0", "data_dir": "/a b/c=d"}),
    (["--http2"], {"http2": "true"}),
    (["--no-http2"], {"http2": "false"}),
    (["--http2", "--no-http2"], {"http2": "false"}),
    (["--port", "1", "--port", "2"], {"port": "2"}),
    (["--host", ""], {"host": ""}),
    (["--deadlines-first-byte", "5s"], {"deadlines.first_byte": "5s"}),
]
LEFT = [
    ["--help"],
    ["--prot", "1"],
    ["--por", "1"],
    ["--port"],
    ["--port", "--http2"],
    ["--port", "-1"],
    ["--http2=true"],
    ["--no-port", "1"],
    ["-p", "1"],
    ["more"],
    ["--", "--port", "1"],
]


@pytest.mark.parametrize(("arguments", "flags"), PLAIN)
def test_the_same_as_typer(
    arguments: list[str], flags: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, str]] = []
    monkeypatch.setattr(cli, "run_server", lambda given: said.append(given) or 0)
    typer.main.get_command(cli.app).main(args=["serve", *arguments], standalone_mode=False)
    assert plain_flags(arguments) == said[0] == flags


def test_a_server_s_json_is_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[dict[str, str]] = []
    monkeypatch.setattr(cli, "run_server", lambda given: said.append(given) or 0)
    assert cli.main(["serve", "--json", "--port", "1"]) == 0
    assert cli.main(["serve", "--json", "--log-format", "json"]) == 0
    assert said == [{"log_format": "json", "port": "1"}, {"log_format": "json"}]
    assert cli.main(["serve", "--json", "--log-format", "text"]) == 2
    assert "--json and --log-format text exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", LEFT)
def test_left_to_typer(arguments: list[str]) -> None:
    assert plain_flags(arguments) is None


def test_a_plain_start_loads_no_pydantic() -> None:
    program = (
        "import sys; from appliance import cli; cli.run_server = lambda flags: 7;"
        "assert cli.main(['serve', '--port', '0']) == 7;"
        "assert not {'pydantic', 'rich'} & set(sys.modules)"
    )
    paths = {name: os.environ[name] for name in os.environ if name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=paths, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def commands_about_a_directory() -> list[tuple[str, ...]]:
    def walk(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return [path]
        return [found for name, one in inner.items() for found in walk(one, (*path, name))]

    ours = walk(typer.main.get_command(cli.app), ())
    return [path for path in ours if len(path) == 2 or path[0] in ("verify", "rebuild", "roll")]


@pytest.mark.parametrize("path", commands_about_a_directory(), ids=" ".join)
def test_every_command_about_a_directory_has_the_common_options(path: tuple[str, ...]) -> None:
    command: Any = typer.main.get_command(cli.app)
    for name in path:
        command = command.commands[name]
    flags = [option.opts[0] for option in command.params]
    assert flags[-len(COMMON) :] == ["--data-dir", "--config", "--region", "--json"]
    assert len(set(flags)) == len(flags)


def test_pairs() -> None:
    assert pairs_of(["a=1", " b =x=y", "c="], "--set") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize(
    ("given", "words"),
    [(["a"], "NAME=VALUE"), (["=1"], "NAME=VALUE"), (["a=1", "a=2"], "a is given twice")],
)
def test_pairs_that_are_none(given: list[str], words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        pairs_of(given, "--set")
