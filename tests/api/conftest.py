from collections.abc import Iterator

import pytest

from appliance.core import passwords
from tests.api.kit import House
from tests.api.people_kit import People


@pytest.fixture
def house() -> Iterator[House]:
    built = House()
    yield built
    built.close()


@pytest.fixture
def people(house: House, monkeypatch: pytest.MonkeyPatch) -> People:
    """Passwords that are quickly derived."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 64)
    monkeypatch.setattr(passwords, "ITERATIONS", 1)
    return People(house)
