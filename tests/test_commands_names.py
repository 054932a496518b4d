"""Names of keys and organisations: they are shown to everybody, also in terminals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.commands_keys import STATE_COMMANDS
from appliance.errors import Refusal
from storage.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State.open(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@pytest.mark.parametrize("command", ["keys.create", "orgs.create"])
@pytest.mark.parametrize(
    "name",
    ["", "  ", "x" * 201, "red\x1b[31m", "a\nb", "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"],
)
def test_what_is_no_name(state: State, command: str, name: str) -> None:
    with pytest.raises(Refusal, match=r"^name: ") as refused:
        STATE_COMMANDS[command](state, {"name": name})
    assert refused.value.status == 400
    assert len(name) < 5 or name not in refused.value.message
    assert state.api_keys() == []


@pytest.mark.parametrize("name", ["red\x1b[31m", "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"])
def test_what_is_no_name_in_a_file(state: State, name: str) -> None:
    good = {"api_key_hash": "a" * 64, "api_key_name": "laptop"}
    text = json.dumps([good, {"api_key_hash": "b" * 64, "api_key_name": name}])
    with pytest.raises(Refusal, match=r"^entry 2: a name") as refused:
        STATE_COMMANDS["keys.import"](state, {"text": text})
    assert name not in refused.value.message
    assert state.api_keys() == []


def test_names_of_all_the_world(state: State) -> None:
    for name in ("Schlüssel für Jörg", "鍵 7", "a:b/c"):
        assert STATE_COMMANDS["keys.create"](state, {"name": name})["name"] == name


@pytest.mark.parametrize("name", ["default", "DEFAULT", "Default"])
def test_no_other_organisation_is_the_default_one(state: State, name: str) -> None:
    """`--org default` would name it, and give its keys to another."""
    with pytest.raises(Refusal) as refused:
        STATE_COMMANDS["orgs.create"](state, {"name": name})
    assert (refused.value.status, refused.value.code) == (409, "name_taken")
    assert len(state.organizations()) == 1
