"""Finding one's way: filters by keyboard, the palette, zoom, steps back, colours, live mode."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from tests.compiled.by_path import module_at
from tests.e2e.starting import until
from tests.e2e.ui_kit import Watched, chromium, log, on_record, press, see, watched
from tests.fakes.appliance import Appliance
from tests.fakes.otlp_spans import as_json, chat_span

demo = module_at("scripts/demo.py")
CALLS = 60
SPANS = 600  # more than a listener is told of at a time, by what one call brings
LISTENERS = """window.listeners = [];
window.EventSource = class extends EventSource {
  constructor(...given) { super(...given); window.listeners.push(this); }
};"""
OPEN, CLOSED = 1, 2
SOON_MS = 3000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("look")) as found:
        on_record(found, demo.fill(found.url, calls=CALLS))
        yield found


@pytest.fixture
def seen(browser: Browser, appliance: Appliance) -> Iterator[Watched]:
    with watched(browser, appliance) as found:
        yield found


def asked(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def logged(appliance: Appliance, text: str) -> str:
    return log(appliance, asked(text), {"choices": []})


def has(page: Page, **wanted: str) -> None:
    """Until the address has these choices and no others."""
    page.wait_for_function(
        """wanted => {
          const found = Object.fromEntries(new URLSearchParams(location.search));
          return Object.keys({...wanted, ...found}).every((name) => wanted[name] === found[name]);
        }""",
        arg=wanted,
    )


def test_a_filter_is_put_together_by_keyboard_alone(seen: Watched) -> None:
    page = seen.page
    seen.go("/requests", shows=".list-row")
    page.keyboard.press("/")
    expect(page.get_by_label("Filter", exact=True)).to_be_focused()
    page.keyboard.type("stat")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("is")  # what may come behind status
    while options.and_(page.locator("[aria-selected=true]")).locator("code").all_inner_texts() != [
        ">="
    ]:
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("400")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Conditions")).to_contain_text("status >= 400")
    has(page, q="status >= 400")
    wanted = {"request_response_rmt": {"status": {"gte": 400}}}
    count = seen.ask("/v1/request/count/query", {"filter": wanted})
    assert 0 < count < CALLS
    expect(page.locator(".list-foot")).to_contain_text(f"{count} shown of {count}")
    page.get_by_role("button", name="Add a condition").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Field").focus()
    page.keyboard.type("user")
    page.get_by_label("Value", exact=True).focus()
    page.keyboard.type("nobody of this name")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    has(page, q='status >= 400 and user = "nobody of this name"')
    page.get_by_role("button", name="Remove user").focus()
    page.keyboard.press("Enter")
    has(page, q="status >= 400")


def test_a_filter_is_saved_found_again_and_deleted(seen: Watched) -> None:
    page = seen.page
    seen.go("/requests?q=cost+>+0", shows=".list-row")
    page.once("dialog", lambda ask: ask.accept("Those that cost"))
    press(page, "Saved filters")
    press(page, "Save this one")
    see(page, "Saved")
    (kept,) = seen.ask("/v1/filter")
    assert (kept["name"], kept["filter"]["text"]) == ("Those that cost", "cost > 0")
    seen.go("/dashboard")
    press(page, "Saved filters")
    press(page, "Those that cost")
    has(page, q="cost > 0")
    press(page, "Saved filters")
    press(page, "Delete Those that cost")
    expect(page.get_by_text("No saved filters yet.")).to_be_visible()
    assert seen.ask("/v1/filter") == []
    page.keyboard.press("Escape")
    expect(page.get_by_text("No saved filters yet.")).to_have_count(0)
    expect(page.get_by_role("button", name="Saved filters")).to_be_focused()


def test_keys_open_close_and_lead_away(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    request_id = logged(appliance, "found by its id")
    on_record(appliance, CALLS)
    seen.go("/requests", shows=".list-row")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard")
    for tells in ("Command palette", "Focus the search", "Live mode", "Go to Dashboard"):
        expect(keys).to_contain_text(tells)
    page.keyboard.press("d")  # means nothing here
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    assert urlsplit(page.url).path == "/requests"
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox", name="Command")
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    page.keyboard.press("Control+k")
    page.keyboard.type("web")
    expect(page.get_by_role("option").first).to_have_text("Webhooks")
    page.keyboard.press("Enter")
    page.wait_for_url("**/webhooks")
    page.keyboard.press("Control+k")
    page.keyboard.type(request_id)
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="Request", exact=True)
    expect(drawer).to_contain_text("found by its id")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.keyboard.press("Control+k")
    page.keyboard.type('a "word"')
    page.keyboard.press("Enter")
    has(page, q='body ~ "a \\"word\\""')
    page.keyboard.press("k")
    page.wait_for_url("**/keys")


def test_letters_that_are_typed_lead_nowhere(seen: Watched) -> None:
    page = seen.page
    seen.go("/requests", shows=".list-row")
    page.keyboard.press("/")
    page.keyboard.type("dsql?/")
    expect(page.get_by_label("Filter", exact=True)).to_have_value("dsql?/")
    page.keyboard.press("Escape")
    assert urlsplit(page.url).path == "/requests"
    expect(page.get_by_role("dialog")).to_have_count(0)


def dragged(page: Page, label: str) -> None:
    """Over the last fifth of a chart."""
    chart = page.get_by_role("img", name=re.compile(f"^{label}:")).locator(".u-over")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.999 * box["width"], box["y"] + 50, steps=5)
    page.mouse.up()


def test_zoom_filter_and_the_way_back(seen: Watched) -> None:
    page = seen.page
    seen.go("/dashboard", shows=".u-over")
    figure = page.locator(".figure").filter(has_text="Requests").locator(".value")
    all_of_them = figure.inner_text()
    dragged(page, "Requests and errors")
    page.wait_for_url(re.compile(r"range=\d{4}-"))
    zoomed = page.url
    start, _, end = page.evaluate("new URLSearchParams(location.search).get('range')").partition(
        "~"
    )
    within = {"timeFilter": {"start": start, "end": end}, "filter": "all"}
    told = seen.ask(
        "/v1/metrics/summary", {**within, "dbIncrement": "hour", "timeZoneDifference": 0}
    )
    assert 0 < told["totalRequests"] < int(all_of_them.replace(",", ""))
    expect(figure).to_have_text(str(told["totalRequests"]))
    card = page.locator("section").filter(has=page.get_by_role("heading", name="Providers"))
    bar = card.get_by_role("button").first
    name = bar.locator(".name").inner_text()
    fewer = bar.locator(".amount").inner_text()
    bar.click()
    expect(page.get_by_label("Conditions")).to_contain_text(name)
    expect(figure).to_have_text(fewer)
    filtered = page.url
    assert "range=" in filtered
    page.get_by_role("link", name="Requests", exact=True).click()
    page.wait_for_selector(".list-row")
    page.go_back()
    expect(figure).to_have_text(fewer)
    assert page.url == filtered
    page.go_back()
    expect(figure).to_have_text(str(told["totalRequests"]))
    assert page.url == zoomed
    page.go_back()
    expect(figure).to_have_text(all_of_them)
    has(page)
    page.go_forward()
    page.go_forward()
    expect(page.get_by_label("Conditions")).to_contain_text(name)
    assert page.url == filtered
    page.reload()
    expect(figure).to_have_text(fewer)


def test_columns_and_order_are_kept(seen: Watched) -> None:
    page = seen.page
    seen.go("/requests", shows=".list-row")
    press(page, "Columns")
    page.get_by_role("checkbox", name="Provider").check()
    page.keyboard.press("Escape")
    page.get_by_role("columnheader", name="Tokens").get_by_role("button").click()
    has(page, sort="total_tokens.desc")
    first = page.locator(".list-row").first
    most = seen.ask(
        "/v1/request/query-clickhouse",
        {"filter": "all", "limit": 1, "sort": {"total_tokens": "desc"}},
    )
    expect(first).to_contain_text(f"{most[0]['total_tokens']:,}")
    page.reload()
    expect(page.get_by_role("columnheader", name="Provider")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Tokens")).to_have_attribute(
        "aria-sort", "descending"
    )


SHADE = "getComputedStyle(document.body).backgroundColor"


def test_colours_go_round_and_are_kept(seen: Watched) -> None:
    page = seen.page
    seen.go("/health")
    light = page.evaluate(SHADE)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(SHADE)
    assert light != dark
    button = page.get_by_role("button", name="Change colours")
    for theme, shade in (("light", light), ("dark", dark)):
        button.click()
        page.emulate_media(color_scheme="dark" if theme == "light" else "light")
        assert page.evaluate(SHADE) == shade
        page.reload()
        page.wait_for_selector("h1")
        expect(button).to_have_attribute("title", f"Colours: {theme}")
        assert page.evaluate(SHADE) == shade
    button.click()
    expect(button).to_have_attribute("title", "Colours: as the system")
    assert page.evaluate(SHADE) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(SHADE) == dark
    page.keyboard.press("Control+k")
    page.keyboard.type("colours")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(button).to_have_attribute("title", "Colours: light")
    button.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def listening(page: Page, state: int) -> None:
    page.wait_for_function("state => window.listeners.at(-1)?.readyState === state", arg=state)


def test_live_rows_come_until_it_is_switched_off(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    page.add_init_script(LISTENERS)
    seen.go("/requests", shows=".list-row")
    page.keyboard.press("l")
    listening(page, OPEN)
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
    has(page, live="1")
    logged(appliance, "while it is on")
    expect(page.locator(".list-row").first).to_contain_text("while it is on")
    page.get_by_role("button", name="Live").click()
    listening(page, CLOSED)
    has(page)
    before = page.locator(".list-foot").inner_text()
    late = logged(appliance, "while it is off")
    appliance.row(late)
    assert page.locator(".list-foot").inner_text() == before
    assert page.get_by_text("while it is off").count() == 0
    page.reload()
    expect(page.locator(".list-row").first).to_contain_text("while it is off")


def test_live_says_that_some_are_skipped(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    page.add_init_script(LISTENERS)
    seen.go("/requests?live=1", shows=".list-row")
    listening(page, OPEN)
    spans = [chat_span(number) for number in range(SPANS)]
    now = time.time_ns()
    for span in spans:
        span["start"], span["end"] = now - 10**9, now
    reply = appliance.call("/v1/traces", as_json(spans), {"content-type": "application/json"})
    assert reply.status == 200, reply.body
    see(page, "Many requests: some are not shown live")
    expect(page.locator(".list-row").first).to_contain_text("gpt-4o")
    assert page.locator(".list-row").count() < 80

    def goes_on() -> bool:
        """What ends while the flood is still coming in may be skipped too."""
        logged(appliance, "after the flood")
        with suppress(TimeoutError):
            page.get_by_text("after the flood").first.wait_for(timeout=SOON_MS)
            return True
        return False

    until(goes_on)
