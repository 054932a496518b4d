"""Servers that many tests share: one fake provider for all, one appliance per configuration."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.fakes.appliance import Appliance
    from tests.fakes.provider import Provider

# What scripts/test-long asks for. How long an example takes says more of the machine.
settings.register_profile(
    "new", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)

# Imports are inside: tests of single files should not pay for a server.


def pytest_unconfigure() -> None:
    """What keeps objects of DuckDB's binding past the interpreter's end, where it would report them
    as leaked below pytest's closing line: what was frozen as a server does at its start, and
    Hypothesis' callback, whose module names half of the others."""
    gc.unfreeze()
    gc.callbacks.clear()


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """As they were, after a test that ran `serve` in this process: it
    takes them for the life of the process, and a test that sends one would end all of them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


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
    """The program with short deadlines, though not so short that a busy machine meets them."""
    from tests.fakes.appliance import Appliance

    config = """
[deadlines]
connect = "0.3s"
first_byte = "0.6s"
gap = "0.6s"
total = "2s"
client_write = "0.6s"
client_head = "0.8s"
client_body = "0.8s"
client_idle = "1s"
"""
    with Appliance(tmp_path_factory.mktemp("hasty"), provider, config=config) as running:
        yield running
