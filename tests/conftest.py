"""Servers that many tests share: one fake provider for all, one appliance per configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fakes.appliance import Appliance
    from tests.fakes.provider import Provider

# Imports are inside: tests of single files should not pay for a server.


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    from tests.fakes.provider import Provider

    with Provider() as running:
        yield running


@pytest.fixture(scope="session")
def appliance(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """The program with its defaults."""
    from tests.fakes.appliance import Appliance

    with Appliance(tmp_path_factory.mktemp("appliance"), provider) as running:
        yield running


@pytest.fixture(scope="session")
def hasty(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """The program with short deadlines."""
    from tests.fakes.appliance import Appliance

    config = """
[deadlines]
connect = "0.3s"
first_byte = "0.3s"
gap = "0.3s"
total = "1.2s"
client_write = "0.4s"
client_head = "0.4s"
client_body = "0.4s"
client_idle = "1s"
"""
    with Appliance(tmp_path_factory.mktemp("hasty"), provider, config=config) as running:
        yield running
