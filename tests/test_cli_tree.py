"""Every command says what a person and a script need: JSON, an example, its exit codes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from appliance.cli import PROGRAM, app
from appliance.cli_exits import MORE, ONE
from appliance.man_page import leaves

MANUAL = (Path(__file__).parents[1] / "ui" / "manual" / "commands.md").read_text()
TREE = typer.main.get_command(app)
LEAVES = {" ".join(path): command for path, command in leaves(TREE, ())}


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_json(name: str) -> None:
    assert "--json" in {flag for item in LEAVES[name].params for flag in item.opts}


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_an_example_that_can_be_typed(name: str) -> None:
    """It is parsed as it stands: a flag that is gone or an argument too many fails."""
    _, found, example = (LEAVES[name].help or "").partition("Example: ")
    assert found
    words = shlex.split(re.split("[|<>]", example)[0])
    if PROGRAM not in words[:1]:  # how another program is told of it
        assert PROGRAM in words
        return
    path = name.split()
    assert words[1 : 1 + len(path)] == path
    LEAVES[name].make_context(name, words[1 + len(path) :])


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_exit_codes_in_the_manual(name: str) -> None:
    section = re.search(rf"^## {re.escape(name)}$(.*?)(?=^## |\Z)", MANUAL, re.M | re.S)
    assert section is not None
    assert re.search(r"^Exit codes: 0 done; 1 .+; 2 .+\.$", section[1], re.M)
    assert f"helicone-appliance {name}" in section[1]


def test_no_word_is_about_a_command_that_is_gone() -> None:
    assert {*ONE, *MORE} <= set(LEAVES)
