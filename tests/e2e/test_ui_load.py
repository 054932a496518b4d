"""What a browser asks for when a page is opened, and what it does not ask for again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Request

from appliance.api.web import FOLDER, read_files
from tests.e2e.ui_kit import Watched, chromium, watched
from tests.fakes.appliance import Appliance

FILES = re.compile(r"/ui/(.+)$")
SHOWN = "h1"  # once the page's module is there
# Bytes that came over the wire, by file.
MOVED = """() => performance.getEntriesByType("resource")
  .filter((one) => one.name.includes("/ui/"))
  .map((one) => [one.name.split("/ui/")[1], one.transferSize])"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("load")) as found:
        yield found


def heard(seen: Watched) -> list[Request]:
    """Files of the pages, as they are asked for."""
    found: list[Request] = []
    seen.page.on("request", lambda one: found.append(one) if FILES.search(one.url) else None)
    return found


def names(asked: list[Request]) -> list[str]:
    return [match[1] for one in asked if (match := FILES.search(one.url))]


@pytest.mark.parametrize("page", ["requests", "dashboard", "keys", "manual"])
def test_a_page_loads_what_its_html_names(
    browser: Browser, appliance: Appliance, page: str
) -> None:
    """Each once, and nothing found only on the way, but for charts and the manual's text. The icon
    stands in the page and in the browser's own frame."""
    html = read_files(FOLDER).pages[page].data.decode()
    named = set(re.findall(r'"/ui/([^"]+)"', html))
    with watched(browser, appliance) as seen:
        asked = heard(seen)
        seen.go("/docs/manual" if page == "manual" else f"/{page}", shows=SHOWN)
        seen.page.wait_for_load_state("networkidle")
        apart = ("uPlot", "manual/", "icon.svg")
        loaded = [name for name in names(asked) if not name.startswith(apart)]
        assert sorted(loaded) == sorted(named - {"icon.svg"})


def test_what_was_loaded_is_not_loaded_again(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        seen.go("/keys", shows=SHOWN)
        seen.page.wait_for_load_state("networkidle")
        seen.go("/limits", shows=SHOWN)
        seen.page.wait_for_load_state("networkidle")
        # Each file's address has the sum of its content; the icon alone is asked about.
        moved = dict(seen.page.evaluate(MOVED))
        assert len(moved) > 5
        assert {name for name in moved if moved[name]} <= {"icon.svg"}, moved
