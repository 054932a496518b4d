from collections.abc import Iterator

import pytest

from tests.api.kit import House


@pytest.fixture
def house() -> Iterator[House]:
    built = House()
    yield built
    built.close()
