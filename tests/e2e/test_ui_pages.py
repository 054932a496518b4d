"""Each page with nothing, one request and a thousand, in light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.compiled.by_path import module_at
from tests.e2e.ui_kit import PAGES, axe, chromium, log, on_record, watched
from tests.fakes.appliance import Appliance

demo = module_at("scripts/demo.py")


SHOWN = [page for page in PAGES if page != "docs"]
WRONG = re.compile(r"\b(undefined|NaN|\[object Object\]|Invalid Date)\b")
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hello there"}}]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@contextmanager
def filled(folder: Path, calls: int) -> Iterator[Appliance]:
    """A server with so many calls on record, about."""
    with Appliance(folder) as appliance:
        if calls == 1:
            log(appliance, ASK, ANSWER)
            on_record(appliance, 1)
        elif calls:
            on_record(appliance, demo.fill(appliance.url, calls=calls * 17 // 20))
        yield appliance


@pytest.fixture(scope="module", params=[0, 1])
def few(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Appliance]:
    with filled(tmp_path_factory.mktemp("few"), request.param) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with filled(tmp_path_factory.mktemp("thousand"), 1000) as appliance:
        yield appliance


def look(browser: Browser, appliance: Appliance, name: str) -> None:
    """The page says something, nothing wrong, and complains of nothing."""
    with watched(browser, appliance) as seen:
        seen.go(f"/{name}")
        seen.page.wait_for_load_state("networkidle")
        text = seen.page.inner_text("main")
        assert len(text) > 20
        assert not WRONG.search(text), text
        assert seen.page.locator("[role=alert]").count() == 0, text


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_with_nothing_or_one_request(browser: Browser, few: Appliance, name: str) -> None:
    look(browser, few, name)


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_with_a_thousand_requests(browser: Browser, thousand: Appliance, name: str) -> None:
    look(browser, thousand, name)


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(
    browser: Browser, thousand: Appliance, name: str, scheme: str
) -> None:
    dark = scheme == "dark"
    with watched(browser, thousand, dark=dark, small=dark) as seen:
        seen.go(f"/{name}")
        seen.page.wait_for_load_state("networkidle")
        assert axe(seen.page) == []
        wide = seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, "the page is wider than the window"


def test_charts_tell_when_and_what(browser: Browser, thousand: Appliance) -> None:
    with watched(browser, thousand) as seen:
        seen.go("/dashboard", shows=".u-over")
        expect(seen.page.locator(".card header .legend").first).to_contain_text("4xx")
        box = seen.page.locator(".u-over").first.bounding_box()
        assert box is not None
        seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tip = seen.page.locator(".tip")
        expect(tip.locator("div").first).to_contain_text(re.compile(r"\d:\d\d"))
        expect(tip).to_contain_text(re.compile(r"Answered: \d"))


def test_own_properties_come_first(browser: Browser, thousand: Appliance) -> None:
    with watched(browser, thousand) as seen:
        seen.go("/properties", shows=".tabs a")
        names = seen.page.locator(".tabs a").all_inner_texts()
        theirs = [name.startswith("Helicone-") for name in names]
        assert len(set(theirs)) == 2
        assert theirs == sorted(theirs)


def test_the_first_address_is_where_one_begins(browser: Browser, tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance, watched(browser, appliance) as seen:
        seen.go("/")
        assert seen.page.url.endswith("/start")
        assert "Waiting for your first request" in seen.page.inner_text("main")
        log(appliance, ASK, ANSWER)
        seen.page.wait_for_selector("text=It is here.")
        seen.page.click("text=Look at it")
        seen.page.wait_for_selector(".drawer >> text=Hello there")
        seen.go("/")
        assert seen.page.url.endswith("/dashboard")


@pytest.mark.parametrize(("name", "shows"), [("requests", ".list-row"), ("dashboard", ".charts")])
def test_the_first_request_appears_on_a_page_that_waits_for_it(
    browser: Browser, tmp_path: Path, name: str, shows: str
) -> None:
    with Appliance(tmp_path) as appliance, watched(browser, appliance) as seen:
        seen.go(f"/{name}")
        expect(seen.page.locator("main")).to_contain_text("No requests in this range")
        log(appliance, ASK, ANSWER)
        seen.page.wait_for_selector(shows)
