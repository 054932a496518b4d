"""The ring of provider keys while all is well: found, added, replaced, taken away, sealed anew."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import trio

from appliance.actors import provider_key_changes, provider_key_tiers
from appliance.actors.provider_keys import Entry
from appliance.core.attempts import StoredKey
from appliance.core.keys import parse_key
from appliance.core.provider_credentials import Secret
from appliance.errors import Refusal
from storage.state import State
from storage.vault import Vault
from tests.actors.provider_keys_kit import (
    ORG,
    OTHER_ORG,
    PLANTED,
    SECOND,
    Home,
    shown,
    stored,
    text_of,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def second_organization(home: Home) -> bytes:
    state = State.open(home.state)
    made = state.add_organization("Team", organization_id=str(uuid.UUID(bytes=OTHER_ORG)))
    state.close()
    return uuid.UUID(made.id).bytes


async def test_a_key_is_found_at_once_and_after_a_restart(home: Home) -> None:
    ring = home.ring()
    assert await ring.load(ORG, "openai") is None
    row = await ring.add(ORG, "openai", Entry(PLANTED), name="team key")
    found = await ring.load(ORG, "openai")
    assert found is not None
    assert ring.find(ORG, "openai") is found
    assert (found.key_id, found.provider, found.name, found.base_url, shown(found)) == (
        row.id, "openai", "team key", "", PLANTED,
    )  # fmt: skip
    assert shown(await home.ring().load(ORG, "openai", row.id)) == PLANTED


async def test_only_its_organisation_and_its_provider_find_it(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    second_organization(home)
    for org, provider, wanted in (
        (OTHER_ORG, "openai", ""), (OTHER_ORG, "openai", key_id), (ORG, "anthropic", ""),
        (ORG, "anthropic", key_id), (ORG, "openai", "unknown"), (b"", "openai", ""),
        (bytes(16), "openai", key_id),
    ):  # fmt: skip
        assert await ring.load(org, provider, wanted) is None
        assert ring.find(org, provider, wanted) is None


async def test_one_name_has_one_key_and_others_stand_beside_it(home: Home) -> None:
    ring = home.ring()
    first = await ring.add(ORG, "openai", Entry("first-key"), name="a")
    other = await ring.add(ORG, "openai", Entry("other-key"), name="b")
    again = await ring.add(ORG, "openai", Entry("again-key"), name="a")
    assert again.id == first.id
    assert [row.id for row in await ring.list_keys(ORG)] == [first.id, other.id]
    assert await text_of(ring) == "again-key"
    assert await text_of(ring, key_id=other.id) == "other-key"
    assert home.sql("SELECT count(*) FROM provider_keys") == [(2,)]


async def test_a_rotated_key_replaces_the_old_one_everywhere(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    assert await text_of(ring) == PLANTED
    await ring.rotate(ORG, key_id, Entry(SECOND))
    assert ring.find(ORG, "openai") is None
    assert await text_of(ring) == SECOND
    home.spoil()
    assert await text_of(home.ring()) == SECOND


async def test_a_removed_key_is_gone_with_the_next_request(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    assert await text_of(ring) == PLANTED
    assert (await ring.remove(ORG, key_id)).id == key_id
    assert ring.find(ORG, "openai") is None
    assert await ring.load(ORG, "openai") is None
    assert await home.ring().load(ORG, "openai") is None
    for work in (ring.remove(ORG, key_id), ring.rotate(ORG, key_id, Entry("x"))):
        with pytest.raises(Refusal) as refusal:
            await work
        assert (refusal.value.status, refusal.value.code) == (404, "provider_key_unknown")


async def test_another_organisation_changes_nothing(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    second_organization(home)
    for work in (
        ring.remove(OTHER_ORG, key_id),
        ring.rotate(OTHER_ORG, key_id, Entry("x")),
        ring.edit(OTHER_ORG, key_id, byok_enabled=False),
        ring.add_proxy(OTHER_ORG, key_id),
    ):
        with pytest.raises(Refusal) as refusal:
            await work
        assert refusal.value.status == 404
    assert await text_of(ring) == PLANTED
    assert await ring.list_keys(OTHER_ORG) == []


async def test_an_organisation_that_is_not_on_file_gets_no_key(home: Home) -> None:
    ring = home.ring()
    with pytest.raises(Refusal) as refusal:
        await ring.add(OTHER_ORG, "openai", Entry(PLANTED))
    assert refusal.value.status == 409
    assert PLANTED not in str(refusal.value)
    assert home.sql("SELECT count(*) FROM provider_keys") == [(0,)]
    # What was refused is no trouble, and nothing is left undone.
    assert (ring.trouble, ring.state) == ("", "sqlite")
    await stored(ring)


async def test_keys_that_are_switched_off_or_for_one_model_serve_no_other_request(
    home: Home,
) -> None:
    ring = home.ring()
    pinned = await ring.add(
        ORG, "azure", Entry("pinned"), name="pinned", base_url="https://a.openai.azure.com",
        config={"heliconeModelId": "gpt-4o"},
    )  # fmt: skip
    assert await ring.load(ORG, "azure") is None
    found = await ring.load(ORG, "azure", pinned.id)
    assert found is not None
    assert (found.model, found.base_url) == ("gpt-4o", "https://a.openai.azure.com")
    key_id = await stored(ring)
    await ring.edit(ORG, key_id, byok_enabled=False)
    assert await ring.load(ORG, "openai") is None
    assert await ring.load(ORG, "openai", key_id) is None
    assert await ring.plan_keys(ORG) == {
        "azure": [StoredKey("azure", pinned.id, True, "gpt-4o")],
        "openai": [StoredKey("openai", key_id, False)],
    }
    await ring.edit(ORG, key_id, byok_enabled=True)
    assert await text_of(ring) == PLANTED


async def test_another_base_url_disables_a_key_until_it_is_entered_again(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    await ring.edit(ORG, key_id, name="renamed")
    assert await text_of(ring) == PLANTED
    row = await ring.edit(ORG, key_id, base_url="https://elsewhere.example/v1")
    assert row.disabled
    found = await ring.load(ORG, "openai")
    assert found is not None
    assert (found.secret, found.base_url) == (None, "https://elsewhere.example/v1")
    # Nor when the old one is set again: the secret is not kept.
    await ring.edit(ORG, key_id, base_url="")
    found = await ring.load(ORG, "openai")
    assert found is not None
    assert found.secret is None
    assert home.sql("SELECT length(sealed) FROM provider_keys") == [(0,)]
    assert await ring.plan_keys(ORG) == {}
    await ring.rotate(ORG, key_id, Entry(SECOND))
    assert await text_of(ring) == SECOND


@pytest.mark.parametrize(
    ("config", "base_url"),
    [
        ({"baseUri": "https://b.openai.azure.com"}, "https://b.openai.azure.com"),
        ({"resourceName": "c"}, "https://c.openai.azure.com"),
        ({"deploymentName": "d"}, None),
    ],
)
async def test_settings_that_move_a_key_disable_it_too(
    home: Home, config: dict[str, object], base_url: str | None
) -> None:
    ring = home.ring()
    row = await ring.add(
        ORG, "azure", Entry(PLANTED), config={"resourceName": "a", "apiVersion": "v"}
    )
    assert row.base_url == "https://a.openai.azure.com"
    edited = await ring.edit(ORG, row.id, config=config)
    assert edited.base_url == (base_url or row.base_url)
    assert edited.disabled is (base_url is not None)


async def test_a_provider_that_was_moved_through_the_api_disables_its_keys(home: Home) -> None:
    ring = home.ring()
    second_organization(home)
    key_id = await stored(ring)
    bound = await ring.add(ORG, "openai", Entry("b"), name="b", base_url="https://own.example")
    other = await ring.add(OTHER_ORG, "openai", Entry("c"))
    anthropic = await stored(ring, provider="anthropic")
    assert await ring.base_url_changed("openai", ORG) == 1
    disabled = {row.id: row.disabled for row in await ring.list_keys(ORG)}
    assert disabled == {key_id: True, bound.id: False, anthropic: False}
    assert shown(await ring.load(OTHER_ORG, "openai")) == "c"
    assert await ring.base_url_changed("openai") == 1
    assert (await ring.list_keys(OTHER_ORG))[0].disabled
    assert (await ring.list_keys(OTHER_ORG))[0].id == other.id
    # One that works goes before one that does not, whichever is older.
    assert await text_of(ring) == "b"


async def test_a_key_moved_to_another_row_does_not_open(home: Home) -> None:
    ring = home.ring()
    second_organization(home)
    key_id = await stored(ring)
    other = await ring.add(OTHER_ORG, "openai", Entry("theirs"))
    home.sql(
        "UPDATE provider_keys SET sealed = (SELECT sealed FROM provider_keys WHERE id = ?) "
        "WHERE id = ?",
        other.id, key_id,
    )  # fmt: skip
    home.sql("UPDATE provider_keys SET base_url = 'https://evil.example' WHERE id = ?", other.id)
    home.sql("UPDATE provider_keys_version SET version = version + 1")
    await ring.check()
    for org, row_id in ((ORG, key_id), (OTHER_ORG, other.id)):
        with pytest.raises(Refusal) as refusal:
            await ring.load(org, "openai")
        assert (refusal.value.status, refusal.value.code) == (503, "provider_key_unreadable")
        assert row_id in refusal.value.message
    assert "2 keys do not open" in ring.trouble
    await ring.rotate(ORG, key_id, Entry(SECOND))
    await ring.remove(OTHER_ORG, other.id)
    assert ring.trouble == ""
    assert await text_of(ring) == SECOND


async def test_a_key_in_memory_is_opened_anew_after_its_time(home: Home) -> None:
    ring = home.ring()
    await stored(ring)
    first = await ring.load(ORG, "openai")
    reads = ring.stats.sqlite_reads
    home.clock.now_s += provider_key_tiers.PROVIDER_KEY_TTL_S - 1
    assert ring.find(ORG, "openai") is first
    assert ring.stats.sqlite_reads == reads
    home.clock.now_s += 2
    assert ring.find(ORG, "openai") is None
    assert shown(await ring.load(ORG, "openai")) == PLANTED
    assert ring.stats.sqlite_reads == reads + 1


async def test_what_is_not_there_is_asked_for_once(home: Home) -> None:
    ring = home.ring()
    await ring.check()
    reads = ring.stats.sqlite_reads
    for number in range(1000):
        assert await ring.load(ORG, "openai", str(number)) is None
        assert await ring.load(number.to_bytes(16, "big"), "openai") is None
    assert ring.stats.sqlite_reads == reads
    assert len(ring._opened) == 0


async def test_memory_is_bounded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.actors import provider_keys

    monkeypatch.setattr(provider_keys, "OPENED_MAX", 2)
    monkeypatch.setattr(provider_keys, "PLANS_MAX", 2)
    ring = home.ring()
    for provider in ("openai", "anthropic", "groq"):
        await stored(ring, provider=provider)
    for provider in ("openai", "anthropic", "groq"):
        assert await text_of(ring, provider) == PLANTED
    assert len(ring._opened) == 2
    assert ring.find(ORG, "openai") is None
    for number in range(5):
        await ring.plan_keys(number.to_bytes(16, "big"))
    assert len(ring._plans) <= 2


async def test_more_keys_than_are_kept_are_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = home.ring()
    second_organization(home)
    monkeypatch.setattr(provider_key_changes, "KEYS_PER_ORGANIZATION_MAX", 2)
    monkeypatch.setattr(provider_key_changes, "KEYS_MAX", 3)
    first = await ring.add(ORG, "openai", Entry("k"), name="0")
    await ring.add(ORG, "openai", Entry("k"), name="1")
    with pytest.raises(Refusal, match="2 keys an organisation"):
        await ring.add(ORG, "openai", Entry("k"), name="2")
    await ring.add(ORG, "openai", Entry("k"), name="1")
    await ring.add(OTHER_ORG, "openai", Entry("k"), name="0")
    with pytest.raises(Refusal, match="3 keys a region"):
        await ring.add(OTHER_ORG, "openai", Entry("k"), name="1")
    for _ in range(2):
        await ring.add_proxy(ORG, first.id)
    with pytest.raises(Refusal, match="2 proxy keys an organisation"):
        await ring.add_proxy(ORG, first.id)


async def test_keys_of_the_environment_serve_the_default_organisation_alone(home: Home) -> None:
    environment = {"openai": Secret("from-env"), "groq": Secret("from-env")}
    ring = home.ring(environment=environment)
    key_id = await stored(ring)
    assert await ring.plan_keys(ORG) == {
        "openai": [StoredKey("openai", key_id)], "groq": [StoredKey("groq")],
    }  # fmt: skip
    assert await ring.plan_keys(OTHER_ORG) == {}
    assert await ring.load(ORG, "groq") is None
    assert b"from-env" not in home.everything()


async def test_proxy_keys_stand_in_under_limits_and_go_with_their_key(home: Home) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    made = await ring.add_proxy(
        ORG, key_id, name="intern", limits=["100;w=3600", "500;w=86400;u=cents"]
    )
    shape = parse_key(made.key)
    assert shape is not None
    assert (shape.kind, shape.region) == ("proxy", "us")
    assert made.key.endswith(made.row.id)
    for one in (ring, home.ring()):
        found = await one.stand_in(made.key)
        assert found is not None
        assert (found.org, found.key_id, found.provider, found.proxy_id) == (
            ORG, key_id, "openai", made.row.id,
        )  # fmt: skip
        assert [policy.text for policy in found.policies] == [b"100;w=3600", b"500;w=86400;u=cents"]
    assert await ring.stand_in(made.key[:-1] + ("1" if made.key[-1] == "0" else "0")) is None
    assert [row.name for row in await ring.list_proxies(ORG)] == ["intern"]
    other = await ring.add_proxy(ORG, key_id)
    await ring.remove_proxy(ORG, other.row.id)
    assert await ring.stand_in(other.key) is None
    with pytest.raises(Refusal, match="no proxy key"):
        await ring.remove_proxy(ORG, other.row.id)
    await ring.remove(ORG, key_id)
    assert await ring.stand_in(made.key) is None
    assert home.sql("SELECT count(*) FROM proxy_keys") == [(0,)]
    assert made.key.encode() not in home.everything()


async def test_proxy_keys_of_the_eu_say_so(home: Home) -> None:
    ring = home.ring(region="eu")
    made = await ring.add_proxy(ORG, await stored(ring))
    shape = parse_key(made.key)
    assert shape is not None
    assert (shape.kind, shape.region) == ("proxy", "eu")


async def test_the_vaults_key_is_rotated_while_keys_are_in_use(
    home: Home, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_key_changes, "RESEAL_ROWS", 3)
    ring = home.ring()
    ids = [
        (await ring.add(ORG, "openai", Entry(f"{PLANTED}-{n}"), name=str(n))).id for n in range(8)
    ]
    before = dict(home.sql("SELECT id, sealed FROM provider_keys"))
    home.vault.rotate()

    async def all_work() -> None:
        for number, key_id in enumerate(ids):
            assert await text_of(ring, key_id=key_id) == f"{PLANTED}-{number}"

    ended = trio.Event()

    async def rotate() -> None:
        assert await ring.reseal() == 8
        ended.set()

    await all_work()
    nursery.start_soon(rotate)
    while not ended.is_set():
        await all_work()
        await trio.lowlevel.checkpoint()
    await all_work()
    after = dict(home.sql("SELECT id, sealed FROM provider_keys"))
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert home.sql("SELECT DISTINCT key_epoch FROM provider_keys") == [(2,)]
    assert await ring.reseal() == 0
    # Another process, with only what lies on the disk.
    home.vault = Vault.open(home.path)
    assert await text_of(home.ring(), key_id=ids[7]) == f"{PLANTED}-7"


async def test_a_key_that_does_not_open_keeps_no_rotation_from_ending(home: Home) -> None:
    ring = home.ring()
    first = await stored(ring)
    await stored(ring, provider="groq")
    home.sql("UPDATE provider_keys SET sealed = x'01000000010203' WHERE id = ?", first)
    home.sql("UPDATE provider_keys_version SET version = version + 1")
    home.vault.rotate()
    await ring.check()
    assert await text_of(ring, "groq") == PLANTED
    epochs = home.sql("SELECT provider, key_epoch FROM provider_keys ORDER BY provider")
    assert epochs == [("groq", 2), ("openai", 1)]
    assert "1 keys do not open" in ring.trouble
