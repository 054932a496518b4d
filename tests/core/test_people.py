"""What decides about people: roles, passwords, attempts, cookies, Helicone-Authorization."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest

from appliance.core import passwords
from appliance.core.access import (
    Identity,
    require_configure,
    require_govern,
    require_manage,
    require_read,
    require_write,
)
from appliance.core.attempts_gate import (
    TALLIES_MAX,
    WINDOW_S,
    WRONG_PER_ACCOUNT,
    WRONG_PER_ADDRESS,
    AttemptsGate,
)
from appliance.core.passwords import check_email, hash_password, is_password
from appliance.core.roles import PERMISSION_OF, ROLES, check_grant, role_of
from appliance.core.session_cookie import (
    COOKIE,
    COOKIE_SECURE,
    cookie_value,
    csrf_token,
    is_ours,
    read_cookie,
    set_cookie,
)
from appliance.core.web_authorization import with_authorization
from appliance.errors import Refusal

KEY = b"k" * 32
TOKEN = "t" * 43
RULES = (require_read, require_write, require_manage, require_configure, require_govern)
MAY = {
    "owner": (True, True, True, True, True),
    "admin": (True, True, True, True, True),
    "member": (True, True, True, False, False),
    "viewer": (True, False, False, False, False),
}
KEYS_MAY = {
    "rw": (True, True, True, True, False),
    "r": (True, False, False, False, False),
    "w": (False, True, False, False, False),
}


def allowed(identity: Identity) -> tuple[bool, ...]:
    return tuple(not refused(partial(rule, identity)) for rule in RULES)


def refused(call: Callable[[], None]) -> bool:
    """With 403, if at all."""
    try:
        call()
    except Refusal as refusal:
        return refusal.status == 403
    return False


@pytest.mark.parametrize("role", ROLES)
def test_what_roles_may(role: str) -> None:
    assert allowed(Identity(user="u", role=role, permission=PERMISSION_OF[role])) == MAY[role]


@pytest.mark.parametrize("permission", KEYS_MAY)
def test_what_keys_may(permission: str) -> None:
    identity = Identity(key_id="k", permission=permission)  # type: ignore[arg-type]
    assert allowed(identity) == KEYS_MAY[permission]


def test_who_may_grant_what() -> None:
    for actor, now, wanted in itertools.product(ROLES, ("", *ROLES), ("", *ROLES)):
        may = actor == "owner" or (actor == "admin" and "owner" not in (now, wanted))
        assert refused(partial(check_grant, actor, now, wanted)) is not may, (actor, now, wanted)
    for wrong in ("root", "", None, 7, ["owner"]):
        with pytest.raises(Refusal, match=r"^role: "):
            role_of(wrong)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Ann@Example.com ", "ann@example.com"),
        ("a.b+c@x", "a.b+c@x"),
        ("jörg@example.com", "jörg@example.com"),
        ("", None), ("a", None), ("a@", None), ("@b", None), ("a b@c", None), ("a@b\n", "a@b"),
        ("a@-b", None), ("a@b@c", None), ("<a@b>", None), ("a" * 65 + "@b", None), (None, None),
        ("a\x00@b", None), ("a@" + "b" * 300, None),
    ],
)  # fmt: skip
def test_addresses(text: object, right: str | None) -> None:
    if right is not None:
        assert check_email(text) == right
        return
    with pytest.raises(Refusal, match=r"^email: "):
        check_email(text)


def test_passwords_are_kept_so_that_only_they_open(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = hash_password("a long enough one")
    assert usual.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    monkeypatch.setattr(passwords, "MEMORY_KIB", 64)
    kept = [hash_password("Pässword \ud800 0"), hash_password("Pässword \ud800 0")]
    assert kept[0] != kept[1]
    assert is_password("Pässword \ud800 0", kept[0])
    for wrong in ("pässword \ud800 0", "", "Pässword \ud800 0 "):
        assert not is_password(wrong, kept[0])


def test_failures_are_counted_by_account_and_by_address() -> None:
    gate = AttemptsGate()
    for _ in range(WRONG_PER_ACCOUNT):
        gate.check("192.0.2.1", "a", 0.0)
        gate.wrong("192.0.2.1", "a", 0.0)
    with pytest.raises(Refusal) as why:
        gate.check("198.51.100.7", "a", 1.0)
    assert why.value.status == 429
    assert why.value.headers["Retry-After"] == str(round(WINDOW_S - 1))
    gate.check("192.0.2.1", "b", 1.0)
    gate.check("198.51.100.7", "a", WINDOW_S)
    for number in range(WRONG_PER_ADDRESS - WRONG_PER_ACCOUNT):
        gate.wrong("192.0.2.1", f"c{number}", 1.0)
    with pytest.raises(Refusal):
        gate.check("192.0.2.1", "new", 2.0)


def test_whoever_signs_in_is_not_held_up() -> None:
    gate = AttemptsGate()
    for _ in range(10 * WRONG_PER_ADDRESS):
        gate.check("192.0.2.1", "a", 0.0)
        gate.wrong("192.0.2.1", "a", 0.0)
        gate.right("192.0.2.1", "a")


def test_a_network_of_addresses_is_one_and_memory_is_bounded() -> None:
    gate = AttemptsGate()
    for number in range(WRONG_PER_ADDRESS):
        gate.wrong(f"2001:db8::{number:x}", "", 0.0)
    with pytest.raises(Refusal):
        gate.check("2001:db8::ffff", "", 0.0)
    for number in range(TALLIES_MAX):
        gate.wrong("192.0.2.1", f"account {number}", 0.0)
    assert len(gate._tallies) <= TALLIES_MAX


def test_cookies() -> None:
    value = cookie_value(KEY, "eu", TOKEN)
    signed = read_cookie(f"x=1; {COOKIE}={value}".encode(), secure=False)
    assert signed is not None
    assert (signed.region, signed.token) == ("eu", TOKEN)
    assert is_ours(KEY, signed)
    assert not is_ours(b"z" * 32, signed)
    assert not is_ours(KEY, signed._replace(region="us"))
    assert csrf_token(KEY, TOKEN) not in (signed.signature, csrf_token(KEY, "u" * 43))
    # A page of another host of the same site can set the plain name, never the other one.
    other = f"{COOKIE}={cookie_value(KEY, 'us', 'o' * 43)}"
    assert read_cookie(f"{other}; {COOKIE_SECURE}={value}".encode(), secure=True) == signed
    assert read_cookie(other.encode(), secure=True) is None
    for header in (None, b"", b";;;", b"=", COOKIE.encode(), b"\xff" * 20_000):
        assert read_cookie(header, secure=False) is None
    assert set_cookie("v", secure=True, lasts_s=5) == (
        "__Host-helicone_session=v; Path=/; Max-Age=5; HttpOnly; SameSite=Lax; Secure"
    )


def test_helicone_authorization_stands_for_authorization() -> None:
    text = b'{"_type":"bearer","token":"Bearer sk-x","orgId":"0000000000004000800000000000000a"}'
    headers, org = with_authorization({b"helicone-authorization": text})
    assert headers[b"authorization"] == b"Bearer sk-x"
    assert org.hex() == "0000000000004000800000000000000a"
    both = {b"helicone-authorization": text, b"authorization": b"Bearer other"}
    assert with_authorization(both) == (both, b"")
    assert with_authorization({}) == ({}, b"")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 400), (b"sk-x", 400), (b"[]", 400), (b"{}", 400), (b'{"_type":"x","token":"t"}', 400),
        (b'{"_type":"jwt","token":"t"}', 401), (b'{"_type":"bearer"}', 400),
        (b'{"_type":"bearer","token":"a\\nb"}', 400), (b'{"_type":"bearer","token":7}', 400),
        (b'{"_type":"bearer","token":"t","orgId":"x"}', 400),
        (b'{"_type":"bearer","token":"t","orgId":7}', 400), (b"[" * 4000, 400),
        (b'{"a":' * 500 + b"1" + b"}" * 500, 400), (b" " * 5000, 400),
    ],
)  # fmt: skip
def test_helicone_authorization_that_is_none(text: bytes, status: int) -> None:
    with pytest.raises(Refusal, match=r"^Helicone-Authorization: ") as why:
        with_authorization({b"helicone-authorization": text})
    assert why.value.status == status
