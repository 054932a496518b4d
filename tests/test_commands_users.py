"""`users` and `audit` on the state of a region."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.commands_audit import changes, write_down
from appliance.commands_keys import READING_COMMANDS, STATE_COMMANDS
from appliance.commands_users import first_link
from appliance.errors import Refusal
from storage import accounts as book
from storage.sign_in_links import find_link
from storage.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State.open(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def token_of(url: str) -> str:
    return url.partition("?token=us.")[2]


def test_a_user_is_made_with_a_link(state: State) -> None:
    given = {"email": "Ann@Example.com", "role": "owner", "base": "https://x.example"}
    made = STATE_COMMANDS["users.create"](state, given)
    assert made["url"].startswith("https://x.example/sign-in?token=us.")
    link = state.read(lambda c: find_link(c, token_of(made["url"])))
    assert link is not None
    assert (link.kind, link.email) == ("reset", "ann@example.com")
    assert link.expires_at_us - link.created_at_us == 15 * 60 * 10**6
    [row] = STATE_COMMANDS["users.list"](state, {})
    assert (row["email"], row["password"]) == ("ann@example.com", "not set")
    assert row["organizations"] == "Default (owner)"
    with pytest.raises(Refusal, match="already"):
        STATE_COMMANDS["users.create"](state, given)


def test_a_reset_ends_password_and_sessions(state: State) -> None:
    made = STATE_COMMANDS["users.create"](state, {"email": "a@x", "role": "owner"})
    before = state.read(lambda c: book.user_by_email(c, "a@x"))
    assert before is not None
    state.write(lambda c: book.set_password(c, before, "kept"))
    again = STATE_COMMANDS["users.reset"](state, {"email": "a@x"})
    assert again["url"] != made["url"]
    assert state.read(lambda c: find_link(c, token_of(made["url"]))) is None
    user = state.read(lambda c: book.user_by_email(c, "a@x"))
    assert user is not None
    assert user.password == ""


def test_the_last_owner_is_not_removed(state: State) -> None:
    STATE_COMMANDS["users.create"](state, {"email": "a@x", "role": "owner"})
    with pytest.raises(Refusal, match="last owner"):
        STATE_COMMANDS["users.remove"](state, {"email": "a@x"})
    STATE_COMMANDS["users.create"](state, {"email": "b@x", "role": "owner"})
    STATE_COMMANDS["users.remove"](state, {"email": "a@x"})
    assert [row["email"] for row in STATE_COMMANDS["users.list"](state, {})] == ["b@x"]


@pytest.mark.parametrize(
    ("command", "given", "status"),
    [
        ("users.create", {"email": "x"}, 400),
        ("users.create", {"email": "a@x", "role": "king"}, 400),
        ("users.create", {"email": "a@x", "org": "nowhere"}, 404),
        ("users.reset", {"email": "a@x"}, 404),
        ("users.remove", {"email": "a@x"}, 404),
        ("audit", {"limit": 100_000}, 400),
    ],
)
def test_refusals(state: State, command: str, given: dict[str, str], status: int) -> None:
    with pytest.raises(Refusal) as refused:
        STATE_COMMANDS[command](state, given)
    assert refused.value.status == status
    assert STATE_COMMANDS["users.list"](state, {}) == []


def test_the_first_start_has_a_link_until_there_is_a_user(state: State) -> None:
    one, two = first_link(state), first_link(state)
    assert one != two
    assert state.read(lambda c: find_link(c, token_of(one))) is None
    assert state.read(lambda c: find_link(c, token_of(two))) is not None
    STATE_COMMANDS["users.create"](state, {"email": "a@x"})
    assert first_link(state) == ""


def test_acts_of_commands_hold_no_secret(state: State) -> None:
    secret = "sk-very-secret-0123456789"
    given = {"provider": "openai", "secret": secret, "base_url": "https://x.example", "key": secret}
    value = {"id": "7", "key": secret}
    write_down(state, "provider-keys.add", given, value)
    [row] = STATE_COMMANDS["audit"](state, {})
    assert (row["actor"], row["action"], row["target"]) == ("command", "provider-keys.add", "7")
    assert row["detail"] == "base_url=https://x.example, provider=openai"
    assert secret not in str(row)


def test_which_commands_change_something() -> None:
    assert {name for name in STATE_COMMANDS if not changes(name)} == READING_COMMANDS
