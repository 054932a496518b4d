"""From the first start to a rated answer without a mouse; and a server that goes and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.ui_kit import Watched, chromium, log, on_record, watched
from tests.fakes.appliance import Appliance

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hello there"}}]}
STEPS_MAX = 60
HEALTH_MS = 31_000
AT = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  return {isSeen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0, tag: at.tagName};
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


def test_a_server_that_goes_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance, watched(browser, appliance) as seen:
        page = seen.page
        seen.expects("ERR_CONNECTION_REFUSED")
        log(appliance, ASK, ANSWER)
        on_record(appliance, 1)
        page.clock.install()
        seen.go("/requests", shows=".list-row")
        appliance.stop()
        page.clock.fast_forward(HEALTH_MS)
        expect(page.get_by_text("The server does not answer.")).to_be_visible()
        expect(page.locator(".list-row")).to_have_count(1)  # what is there stays
        page.get_by_role("link", name="Alerts", exact=True).click()
        away = page.get_by_role("alert").filter(has_text="The server cannot be reached.")
        expect(away.first).to_be_visible()
        appliance.start("--port", str(urlsplit(seen.origin).port))
        away.first.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("No alerts yet")).to_be_visible()
        page.clock.fast_forward(HEALTH_MS)
        expect(page.get_by_text("The server does not answer.")).to_have_count(0)
        page.get_by_role("link", name="Requests", exact=True).click()
        expect(page.locator(".list-row")).to_have_count(1)


def test_a_server_that_was_away_when_somebody_acted(browser: Browser, tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance, watched(browser, appliance) as seen:
        page = seen.page
        seen.expects("ERR_CONNECTION_REFUSED")
        seen.go("/datasets")
        page.get_by_role("button", name="New dataset").click()
        form = page.get_by_role("dialog", name="New dataset")
        form.get_by_label("Name", exact=True).fill("Kept in the form")
        appliance.stop()
        form.get_by_role("button", name="Make it").click()
        expect(form.get_by_role("alert")).to_contain_text("The server cannot be reached.")
        appliance.start("--port", str(urlsplit(seen.origin).port))
        form.get_by_role("button", name="Make it").click()
        page.wait_for_url("**/datasets/*")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Kept in the form")
        (made,) = seen.ask("/v1/helicone-dataset/query", {})
        assert made["name"] == "Kept in the form"
