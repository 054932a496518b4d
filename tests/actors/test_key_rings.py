"""The key rings of two regions as one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.actors.key_ring import KeyRing
from appliance.actors.key_rings import KeyRings
from appliance.core.keys import hash_key
from storage.state import State, StateBroken

KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyzab"


@pytest.fixture
async def rings(tmp_path: Path) -> AsyncIterator[KeyRings]:
    made = KeyRings({
        name: KeyRing(lambda name=name: State.open(tmp_path / name, region=name), name)
        for name in ("us", "eu")
    })  # fmt: skip
    await made.load()
    yield made
    await made.close()


async def test_a_key_on_file_in_both_is_the_eus(rings: KeyRings) -> None:
    for name in ("us", "eu"):
        ring = rings.by_region[name]
        await ring.change(lambda state: state.add_api_key("old", hash_key(KEY)))
        found = rings.lookup(hash_key(KEY))
        assert found is not None
        assert found.region == name  # of the store, not of the row, which says "us" in both


async def test_whose_keys_are_not_known(tmp_path: Path) -> None:
    def broken() -> State:
        raise StateBroken("noise")

    def working() -> State:
        return State.open(tmp_path / "state")

    for us, eu, expected in (
        (broken, broken, "eu"), (broken, working, "us"), (working, broken, "eu"),
    ):  # fmt: skip
        rings = KeyRings({"us": KeyRing(us), "eu": KeyRing(eu, "eu")})
        await rings.load()
        assert rings.unread_region == expected
        await rings.close()
