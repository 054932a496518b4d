"""Rate limits in the state file: one for a segment and unit, kept as they were set."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage import state as module
from storage.rate_policies import RatePolicyRow
from storage.state import DEFAULT_ORGANIZATION_ID, MIGRATIONS, State

ROW = RatePolicyRow("id-1", DEFAULT_ORGANIZATION_ID, "user", "request", "5;w=60;s=user", 7)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State.open(tmp_path / "state.sqlite")
    yield made
    made.close()


def test_put_replaces_that_of_the_same_segment_and_unit(state: State) -> None:
    assert state.put_rate_policy(ROW) == ROW
    again = state.put_rate_policy(replace(ROW, id="id-2", policy="6;w=60;s=user", created_at_us=9))
    assert again == replace(ROW, policy="6;w=60;s=user")
    cents = replace(ROW, id="id-3", unit="cents", created_at_us=8)
    state.put_rate_policy(cents)
    assert state.rate_policies() == [again, cents]
    reopened = State.open(state.path)
    assert reopened.rate_policies() == [again, cents]
    reopened.close()


def test_drop(state: State) -> None:
    state.put_rate_policy(ROW)
    assert state.drop_rate_policy("id-1")
    assert not state.drop_rate_policy("id-1")
    assert state.rate_policies() == []


@pytest.mark.parametrize("wrong", [{"unit": "tokens"}, {"organization_id": "nobody"}])
def test_what_cannot_be_stored(state: State, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        state.put_rate_policy(replace(ROW, **wrong))
    assert state.rate_policies() == []


def test_keys_of_before_have_no_known_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.sqlite"
    before = MIGRATIONS[: [step.__name__ for step in MIGRATIONS].index("m005_rate_policies")]
    monkeypatch.setattr(module, "MIGRATIONS", before)
    State.open(path).close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "INSERT INTO api_keys VALUES ('k', ?, 'old', ?, 'rw', 'us', '', 1, NULL)",
            (DEFAULT_ORGANIZATION_ID, "a" * 64),
        )
    connection.close()
    monkeypatch.undo()
    state = State.open(path)
    assert [(row.name, row.limited) for row in state.api_keys()] == [("old", None)]
    assert state.add_api_key("new", "b" * 64, limited=True).limited
    assert not state.add_api_key("plain", "c" * 64).limited
    assert [row.limited for row in state.api_keys()] == [None, True, False]
    state.close()
