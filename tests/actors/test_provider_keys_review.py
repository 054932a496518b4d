"""What reviewers said of the cache of provider keys that this ring stands in for, point by point:
names that were not checked, tiers without bounds, lists that grew, errors of many shapes."""

from __future__ import annotations

import inspect
import json
import re
import sqlite3
from collections.abc import Awaitable
from pathlib import Path

import pytest

import appliance
from appliance.actors import provider_key_tiers as tiers
from appliance.actors.provider_keys import Entry, ProviderKeys
from appliance.core.admin_access import AdminGate
from appliance.core.keys import hash_key
from appliance.errors import Refusal
from storage import provider_keys as storage_module
from storage.provider_keys import ProviderKeyStore
from tests.actors.provider_keys_kit import ORG, PLANTED, SECOND, Home, stored, text_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


async def refusal_of(work: Awaitable[object]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        await work
    return refusal.value


async def test_1_names_of_providers_are_checked_when_written_and_when_read(home: Home) -> None:
    ring = home.ring()
    told = await refusal_of(ring.add(ORG, "opena1", Entry(PLANTED)))
    assert (told.status, told.code) == (400, "provider_unknown")
    assert (await ring.add(ORG, "AWS Bedrock", Entry("AKIA", SECOND))).provider == "bedrock"
    # One that came into the file by another way is taken for no other provider's, and may go.
    key_id = await stored(ring)
    home.sql("UPDATE provider_keys SET provider = 'OpenAI ' WHERE id = ?", key_id)
    home.sql("UPDATE provider_keys_version SET version = version + 1")
    await ring.check()
    assert await ring.load(ORG, "openai") is None
    assert await ring.load(ORG, "openai", key_id) is None
    assert await text_of(ring, "bedrock") == "AKIA"
    await ring.remove(ORG, key_id)


async def test_2_every_tier_has_a_bound_in_time(home: Home) -> None:
    assert (tiers.SQLITE_S, tiers.SNAPSHOT_S) == (0.25, 0.25)
    # SQLite itself gives up before it is given up.
    assert storage_module.READ_WAIT_MS < tiers.SQLITE_S * 1000
    assert storage_module.WRITE_WAIT_MS < tiers.WRITE_S * 1000
    with home.locked():
        told = await refusal_of(home.ring().load(ORG, "openai"))
    assert told.status == 503


async def test_3_a_key_is_replaced_and_never_appended(home: Home) -> None:
    ring = home.ring()
    for number in range(5):
        await ring.add(ORG, "openai", Entry(f"key-{number}"))
        assert await text_of(ring) == f"key-{number}"
        assert len(await ring.list_keys(ORG)) == len(ring) == 1
    size = home.snapshot.stat().st_size
    await ring.add(ORG, "openai", Entry("key-9"))
    assert home.snapshot.stat().st_size == size
    home.spoil()
    assert await text_of(home.ring()) == "key-9"


async def test_3_loading_one_provider_forgets_no_other(home: Home) -> None:
    ring = home.ring()
    await stored(ring)
    await stored(ring, SECOND, "groq")
    for one in (ring, home.ring()):
        for _ in range(2):
            assert await text_of(one) == PLANTED
            assert await text_of(one, "groq") == SECOND


def test_4_a_key_has_an_id_and_one_row_for_each_name(home: Home) -> None:
    columns = home.sql("SELECT name, pk FROM pragma_table_info('provider_keys')")
    assert [name for name, primary in columns if primary] == ["id"]
    row = (ORG, "openai", "n", "key", 1, "", "{}", 1, b"s", 1, 1)
    insert = f"INSERT INTO provider_keys ({storage_module.KEY_COLUMNS}) VALUES (?{', ?' * 11})"
    home.sql(insert, *row, "a")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        home.sql(insert, *row, "b")


def test_5_the_time_to_live_is_written_once() -> None:
    assert tiers.PROVIDER_KEY_TTL_S == 12 * 60 * 60
    spelled = re.compile(r"43_?200\b|\b12(?:\.0)? \* 3_?600|\b12 \* 60 \* 60")
    root = Path(appliance.__file__).parent.parent
    sources = [*root.glob("appliance/**/*provider*.py"), *root.glob("storage/provider*.py")]
    found = [path.name for path in sources for _ in spelled.findall(path.read_text())]
    assert found == ["provider_key_tiers.py"]


async def test_6_errors_have_one_shape(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    refusals = [
        await refusal_of(work)
        for work in (
            ring.add(ORG, "nobody", Entry("x")),
            ring.add(ORG, "openai", Entry("")),
            ring.add(ORG, "openai", Entry("x"), auth_type="password"),
            ring.add(ORG, "openai", Entry("x"), config={"colour": "red"}),
            ring.add(ORG, "openai", Entry("x"), base_url="nowhere"),
            ring.add(bytes(16), "openai", Entry("x")),
            ring.edit(ORG, key_id, base_url="nowhere"),
            ring.edit(ORG, "unknown"),
            ring.rotate(ORG, "unknown", Entry("x")),
            ring.remove(ORG, "unknown"),
            ring.add_proxy(ORG, key_id, limits=["many"]),
            ring.add_proxy(ORG, "unknown"),
            ring.remove_proxy(ORG, "unknown"),
        )
    ]
    await ring.add(ORG, "groq", Entry("x"), name="a")
    other = await ring.add(ORG, "groq", Entry("x"), name="b")
    refusals.append(await refusal_of(ring.edit(ORG, other.id, name="a")))
    home.spoil()
    refusals.append(await refusal_of(ring.remove(ORG, key_id)))
    home.snapshot.unlink()
    refusals.append(await refusal_of(home.ring().load(ORG, "openai")))
    assert {refusal.status for refusal in refusals} == {400, 404, 409, 503}
    for refusal in refusals:
        assert re.fullmatch(r"[a-z_]+", refusal.code)
        assert refusal.message.endswith((".", "keys"))
        assert refusal.__cause__ is None


async def test_7_nothing_is_stored_unchecked(home: Home) -> None:
    ring = home.ring()
    for entry in (Entry(""), Entry("a b"), Entry("a\r\nb"), Entry("a", "b"), Entry("x" * 10_000)):
        assert (await refusal_of(ring.add(ORG, "openai", entry))).status == 400
    key_id = await stored(ring)
    assert (await refusal_of(ring.rotate(ORG, key_id, Entry("a\nb")))).status == 400
    assert await text_of(ring) == PLANTED


def test_8_administration_is_compared_in_constant_time_and_limited() -> None:
    """In detail: tests/core/test_admin_access.py."""
    gate = AdminGate("the-administration-key")
    statuses = set()
    for _ in range(30):
        with pytest.raises(Refusal) as refusal:
            gate.check(b"Bearer guess", "10.0.0.9", 0.0)
        statuses.add(refusal.value.status)
    assert statuses == {401, 429}


async def test_9_what_fails_inside_a_transaction_leaves_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    before = home.sql("SELECT * FROM provider_keys")

    def fails(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(storage_module, "_read", fails)
        told = await refusal_of(ring.rotate(ORG, key_id, Entry(SECOND)))
    assert told.status == 503
    assert "disk I/O error" in ring.trouble
    assert home.sql("SELECT * FROM provider_keys") == before
    await ring.check()
    assert ring.trouble == ""
    assert await text_of(ring) == PLANTED
    await ring.rotate(ORG, key_id, Entry(SECOND))


def test_10_public_methods_say_what_they_do() -> None:
    for kind in (ProviderKeys, ProviderKeyStore, tiers.Tiers):
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and callable(member):
                assert inspect.getdoc(member), f"{kind.__name__}.{name}"


async def test_11_settings_that_are_no_json_bring_nothing_down(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "SQLITE_S", 30.0)  # a busy machine is not what is tested
    ring = home.ring()
    await stored(ring, SECOND, "groq")
    broken = [
        (await ring.add(ORG, "azure", Entry(PLANTED), name=str(number))).id for number in range(3)
    ]
    for key_id, config in zip(broken, ("{heliconeModelId", "[]", '{"region": 1}'), strict=True):
        home.sql("UPDATE provider_keys SET config = ? WHERE id = ?", config, key_id)
    home.sql("UPDATE provider_keys_version SET version = version + 1")
    await ring.check()
    assert await text_of(ring, "groq") == SECOND
    for key_id in broken:
        assert (await refusal_of(ring.load(ORG, "azure", key_id))).code == "provider_key_unreadable"
        assert (await refusal_of(ring.edit(ORG, key_id, name="new"))).status == 409
    plan = await ring.plan_keys(ORG)
    assert plan["azure"][0].model == "{heliconeModelId"
    await ring.edit(ORG, broken[0], config={"region": "x"})
    assert await text_of(ring, "azure", broken[0]) == PLANTED
    assert json.loads(home.sql("SELECT config FROM provider_keys WHERE id = ?", broken[0])[0][0])


async def test_12_a_removed_key_has_no_second_place_to_live_in(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    proxy = await ring.add_proxy(ORG, key_id)
    await text_of(ring)
    await ring.remove(ORG, key_id)
    assert (len(ring), ring._opened, ring._plans) == (0, {}, {})
    assert await ring.stand_in(proxy.key) is None
    assert hash_key(proxy.key).encode() not in home.snapshot.read_bytes()
    home.spoil()
    for one in (ring, home.ring()):
        await one.check()
        assert await one.load(ORG, "openai", key_id) is None
