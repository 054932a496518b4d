"""The REST API is loaded by its first request, once, and not before."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from appliance.api import on_demand
from appliance.api.on_demand import AppOnDemand
from tests.api.kit import House

CHILD = """
import sys
import appliance.process
print(sorted({"fastapi", "starlette", "pydantic"} & sys.modules.keys()))
"""


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    """Loading freezes what there is: here all that other tests have left."""
    yield
    gc.unfreeze()


def test_the_server_starts_without_it() -> None:
    found = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


async def test_first_requests_wait_for_it_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load = on_demand._load

    def counting(services: Any) -> Any:
        loaded.append(1)
        return load(services)

    monkeypatch.setattr(on_demand, "_load", counting)
    house.app = AppOnDemand(house.app.state.services)  # type: ignore[assignment]
    switch_s = sys.getswitchinterval()
    replies = []

    async def ask() -> None:
        replies.append((await house.get("/healthcheck")).status)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert replies == [200, 200, 200]
    assert loaded == [1]
    assert sys.getswitchinterval() == switch_s


async def test_one_that_cannot_be_loaded_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = on_demand._load
    failures = [MemoryError()]

    def failing(services: Any) -> Any:
        if failures:
            raise failures.pop()
        return load(services)

    monkeypatch.setattr(on_demand, "_load", failing)
    house.app = AppOnDemand(house.app.state.services)  # type: ignore[assignment]
    with pytest.raises(MemoryError):
        await house.get("/healthcheck")
    assert (await house.get("/healthcheck")).status == 200
