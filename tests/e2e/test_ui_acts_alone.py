"""From the first start to a rated answer without a mouse; and a server that goes and comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.starting import until
from tests.e2e.storage_kit import reasons
from tests.e2e.ui_kit import Watched, chromium, log, on_record, press, watched
from tests.fakes.appliance import Appliance

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hello there"}}]}
MORTAL = "tests.fakes.mortal_program"
STEPS_MAX = 60
HEALTH_MS = 31_000
AT = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return {isSeen, tag: at.tagName};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def tab_to(page: Page, wanted: Locator) -> None:
    """With the tab key alone; where one is can be seen at each step."""
    wanted.wait_for()
    for _ in range(STEPS_MAX):
        page.keyboard.press("Tab")
        at = page.evaluate(AT)
        assert at["isSeen"] or at["tag"] == "BODY", page.evaluate(
            "document.activeElement.outerHTML"
        )
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached")


def test_from_the_first_start_to_feedback_by_keyboard_alone(
    browser: Browser, tmp_path: Path
) -> None:
    with Appliance(tmp_path) as appliance, watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/")
        page.wait_for_url("**/start")
        curl = page.get_by_role("tab", name="curl")
        tab_to(page, curl)
        page.keyboard.press("Enter")
        expect(curl).to_have_attribute("aria-selected", "true")
        tab_to(page, page.get_by_role("button", name="Copy"))
        page.keyboard.press("Enter")
        assert f"curl {seen.origin}" in page.evaluate("navigator.clipboard.readText()")
        request_id = log(appliance, ASK, ANSWER)
        tab_to(page, page.get_by_role("link", name="Look at it"))
        page.keyboard.press("Enter")
        drawer = page.get_by_role("dialog", name="Request", exact=True)
        expect(drawer).to_contain_text("Hello there")
        page.keyboard.press("Escape")
        expect(drawer).to_have_count(0)
        tab_to(page, page.get_by_role("grid", name="Requests"))
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(drawer).to_contain_text("Hello there")
        tab_to(page, drawer.get_by_role("tab", name="Details"))
        page.keyboard.press("Enter")
        expect(drawer).to_contain_text(request_id)
        tab_to(page, drawer.get_by_label("Good answer"))
        page.keyboard.press("Space")
        expect(drawer.get_by_label("Good answer")).to_have_attribute("aria-pressed", "true")
        tab_to(page, drawer.get_by_label("Name of the property"))
        page.keyboard.type("team")
        page.keyboard.press("Tab")
        page.keyboard.type("blue")
        page.keyboard.press("Enter")
        expect(drawer.get_by_label("Remove team")).to_be_visible()
        row = seen.ask(f"/v1/request/{request_id}")
        assert (row["feedback_rating"], row["request_properties"]["team"]) == (True, "blue")


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("away"), program=MORTAL) as found:
        log(found, ASK, ANSWER)
        on_record(found, 1)
        yield found


@pytest.fixture
def seen(browser: Browser, appliance: Appliance) -> Iterator[Watched]:
    with watched(browser, appliance) as found:
        found.expects("ERR_CONNECTION_REFUSED")
        yield found


@contextmanager
def away(appliance: Appliance) -> Iterator[None]:
    """Stopped, and at the end there again under its address."""
    port = urlsplit(appliance.url).port
    appliance.stop()
    try:
        yield
    finally:
        appliance.start("--port", str(port))


def test_a_server_that_goes_and_comes_back(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    seen.go("/requests", shows=".list-row")
    with away(appliance):
        page.get_by_role("columnheader", name="Tokens").get_by_role("button").click()
        list_away = page.get_by_role("alert").filter(has_text="The server cannot be reached.")
        expect(list_away).to_be_visible()
        press(list_away, "Try again")
        expect(list_away).to_be_visible()
        page.get_by_role("link", name="Alerts", exact=True).click()
        page_away = page.get_by_role("alert").filter(has_text="This page could not be loaded.")
        press(page_away, "Try again")
        expect(page_away).to_be_visible()
    press(page_away, "Try again")
    expect(page.get_by_text("No alerts yet")).to_be_visible()
    page.go_back()
    expect(page.locator(".list-row")).to_have_count(1)


def test_what_was_away_is_there_again_by_itself(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    page.clock.install()
    seen.go("/requests", shows=".list-row")
    said = page.get_by_text("The server does not answer.")
    with away(appliance):
        page.clock.fast_forward(HEALTH_MS)
        expect(said).to_be_visible()
        expect(page.locator(".list-row")).to_have_count(1)  # what is there stays
    page.clock.fast_forward(HEALTH_MS)
    expect(said).to_have_count(0)


def test_a_form_outlives_a_server_that_is_away(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    seen.go("/datasets")
    press(page, "New dataset")
    form = page.get_by_role("dialog", name="New dataset")
    form.get_by_label("Name", exact=True).fill("Kept in the form")
    with away(appliance):
        press(form, "Make it")
        expect(form.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    press(form, "Make it")
    page.wait_for_url("**/datasets/*")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Kept in the form")
    (made,) = seen.ask("/v1/helicone-dataset/query", {})
    assert made["name"] == "Kept in the form"


def test_a_part_that_is_down_is_named_until_it_works_again(
    seen: Watched, appliance: Appliance
) -> None:
    page = seen.page
    seen.go("/sql")
    said = page.locator("main").get_by_role("status")
    banner = said.filter(has_text=re.compile(r"limits: |more\)"))  # the first is named in full
    assert "limits" not in reasons(appliance)
    appliance.command("actors.kill", name="limits")
    until(lambda: "limits" in reasons(appliance))
    page.reload()
    # It lives for a moment each time it is started anew: then the page's next look shows it.
    expect(banner).to_be_visible(timeout=90_000)
    banner.get_by_role("link", name="Health").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Health")
    expect(page.locator("main")).to_contain_text("Killed: not to live yet")
    appliance.command("actors.spare", name="limits")
    until(lambda: not reasons(appliance))
    with page.expect_response("**/healthcheck"):
        page.reload()
    expect(page.locator("main .loading")).to_have_count(0)
    expect(said.filter(has_text="limits: ")).to_have_count(0)
