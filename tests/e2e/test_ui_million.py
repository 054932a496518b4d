"""Pages over a million requests, and an hour's promise in ten minutes: live mode forgets what it no
longer shows. HELICONE_FILLED names a directory of `scripts/fill 1000000` to copy; else one is made.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.compiled.by_path import module_at
from tests.e2e.ui_kit import PAGES, chromium
from tests.fakes.appliance import Appliance

bench = module_at("scripts/bench_pages.py")
report = module_at("scripts/bench_report.py")

MILLION = 1_000_000
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def options(data: str | None, requests: int) -> argparse.Namespace:
    return argparse.Namespace(
        data=Path(data) if data else None, requests=requests, minutes=10.0, rate=50.0
    )


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    given = options(os.environ.get("HELICONE_FILLED"), MILLION)
    place = tmp_path_factory.mktemp("million")
    with bench.served(place, given, report.Report()) as appliance:
        assert bench.count(appliance) >= MILLION
        yield appliance


@pytest.mark.parametrize("name", ["docs/manual" if page == "docs" else page for page in PAGES])
def test_a_page_with_a_million_requests(browser: Browser, million: Appliance, name: str) -> None:
    told = bench.opened(browser, million, f"/{name}?{bench.FILLED}")
    assert told["paint"] > 0


def test_one_of_a_million(browser: Browser, million: Appliance) -> None:
    bench.opened(browser, million, f"/requests?{bench.FILLED}&id={bench.first_request(million)}")


def test_live_mode_keeps_no_more_than_it_shows(browser: Browser, tmp_path: Path) -> None:
    found = report.Report()
    given = options(None, 2000)
    with bench.served(tmp_path, given, found) as appliance:
        bench.live(browser, appliance, given, found)
    growth = next(one for one in found.figures if one.name == "heap: growth in a minute")
    assert growth.is_met, growth
