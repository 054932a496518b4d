"""What the pages SQL, prompts, datasets and alerts do with answers of the REST API: headings where
there are no rows, words for each table, pages with their totals, rows with what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.ui_kit import chromium, log, on_record, watched
from tests.fakes.appliance import Appliance

PROMPTS = 51
ROWS = 27


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("tables")) as found:
        yield found


def test_a_query_without_rows_has_headings_and_words_are_those_of_its_tables(
    browser: Browser, house: Appliance
) -> None:
    with watched(browser, house) as seen:
        seen.go("/sql", shows=".sql-table")
        tables = seen.page.locator(".sql-table summary code")
        expect(tables).to_have_text(["request_response_rmt", "requests", "bodies"])
        expect(seen.page.get_by_text("What was said: a row for each call")).to_have_count(1)
        area = seen.page.get_by_label("SQL", exact=True)
        area.fill("select b.res from bodies b")
        area.evaluate("(node) => node.setSelectionRange(12, 12)")
        seen.page.keyboard.press("Control+Space")
        offers = seen.page.locator(".sql-offers code")
        expect(offers).to_have_text(["response", "response_type"])
        # Each can be seen and clicked, also below the editor's edge.
        area.fill("select b. from bodies b")
        area.evaluate("(node) => node.setSelectionRange(9, 9)")
        seen.page.keyboard.press("Control+Space")
        expect(offers).to_have_count(7)
        offers.last.click()
        expect(area).to_have_value("select b.prompt_template from bodies b")
        seen.page.keyboard.press("Escape")
        area.fill("select model, latency_ms from requests where false")
        seen.page.keyboard.press("Control+Enter")
        heads = seen.page.get_by_role("columnheader")
        expect(heads).to_have_text(["model", "latency_ms"])
        expect(seen.page.get_by_text("found no rows")).to_be_visible()
        area.fill("select 'a' as name, '1' as text, null::double as n")
        seen.page.keyboard.press("Control+Enter")
        expect(heads).to_have_text(["name", "text", "n"])
        expect(seen.page.get_by_role("button", name="Chart")).to_be_enabled()
        area.fill("select 'a' as name, '1' as text")
        seen.page.keyboard.press("Control+Enter")
        expect(heads).to_have_text(["name", "text"])
        expect(seen.page.get_by_role("button", name="Chart")).to_be_disabled()


def test_prompts_are_paged_and_counted(browser: Browser, house: Appliance) -> None:
    body = {"model": "m", "messages": []}
    for number in range(PROMPTS):
        asked = {"name": f"prompt {number}", "promptBody": body}
        assert house.call("/v1/prompt-2025", asked).status == 200
    with watched(browser, house) as seen:
        seen.go("/prompts", shows="tbody tr")
        expect(seen.page.get_by_text(f"1 to 50 of {PROMPTS}")).to_be_visible()
        seen.page.get_by_label("Next page").click()
        expect(seen.page.get_by_text(f"51 to 51 of {PROMPTS}")).to_be_visible()
        expect(seen.page.get_by_label("Next page")).to_be_disabled()
        seen.page.get_by_label("Search prompts by name").fill("prompt 50")
        expect(seen.page.get_by_text("1 in all")).to_be_visible()


def test_a_dataset_is_renamed_and_its_rows_come_in_one_answer(
    browser: Browser, house: Appliance
) -> None:
    ids = [
        log(house, {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]},
            {"choices": [{"message": {"role": "assistant", "content": f"answer {number}"}}]})
        for number in range(ROWS)
    ]  # fmt: skip
    on_record(house, ROWS)
    made = house.call("/v1/helicone-dataset", {"datasetName": "picked", "requestIds": ids})
    dataset = made.json["data"]["datasetId"]
    with watched(browser, house) as seen:
        asked: list[str] = []
        seen.page.on("request", lambda request: asked.append(request.url))
        seen.go(f"/datasets/{dataset}", shows="tbody tr")
        expect(seen.page.get_by_text(f"question {ROWS - 1}", exact=True)).to_be_visible()
        expect(seen.page.locator("tbody tr")).to_have_count(25)
        expect(seen.page.get_by_text(f"1 to 25 of {ROWS}")).to_be_visible()
        assert sum("/query" in url for url in asked) >= 2
        assert not [url for url in asked if "/v1/signed/" in url], "the page brought the bodies"
        seen.page.get_by_label("Next page").click()
        expect(seen.page.get_by_text("answer 0", exact=True)).to_be_visible()
        seen.page.get_by_role("button", name="question 0", exact=True).click()
        expect(seen.page.locator(".drawer").get_by_text("answer 0")).to_be_visible()
        seen.page.keyboard.press("Escape")
        seen.page.get_by_role("button", name="Rename").click()
        seen.page.get_by_role("textbox", name="Name").fill("better picked")
        seen.page.get_by_role("dialog").get_by_role("button", name="Rename").click()
        expect(seen.page.get_by_role("heading", level=1)).to_contain_text("better picked")


def test_every_setting_of_an_alert_is_on_its_form(browser: Browser, house: Appliance) -> None:
    with watched(browser, house) as seen:
        seen.go("/alerts")
        seen.page.get_by_role("button", name="New alert").click()
        form = seen.page.get_by_role("dialog")
        for label, value in (
            ("Name", "Slow"), ("Threshold (ms)", "900"), ("Percentile", "99"), ("Within", "2"),
            ("Over after", "0"), ("From this many requests", "7"), ("Property", "team"),
            ("Only requests where", "model = m"), ("E-mail", "ann@example.com"),
        ):  # fmt: skip
            if label == "Threshold (ms)":
                form.get_by_label("Metric").select_option("latency")
                form.get_by_label("Put together as").select_option("percentile")
            if label == "Property":
                form.get_by_label("Counted for").select_option("property")
            form.get_by_label(label, exact=True).fill(value)
        form.get_by_role("button", name="Make the alert").click()
        expect(seen.page.get_by_role("cell", name="Slow", exact=True)).to_be_visible()
    (alert,) = house.call("/v1/alert/query", method="GET").json["data"]["alerts"]
    wanted = {
        "name": "Slow", "metric": "latency", "threshold": 900, "aggregation": "percentile",
        "percentile": 99, "time_window": "120000", "cooldown": "0", "grouping": "team",
        "grouping_is_property": True, "minimum_request_count": 7, "emails": ["ann@example.com"],
    }  # fmt: skip
    assert {name: alert[name] for name in wanted} == wanted
    with watched(browser, house) as seen:
        seen.go("/alerts", shows="tbody tr")
        seen.page.get_by_label("Change Slow").click()
        form = seen.page.get_by_role("dialog")
        expect(form.get_by_label("Over after")).to_have_value("0")
        form.get_by_label("Over after").fill("15")
        form.get_by_role("button", name="Change").click()
        expect(form).to_have_count(0)
    (alert,) = house.call("/v1/alert/query", method="GET").json["data"]["alerts"]
    assert {name: alert[name] for name in wanted} == {**wanted, "cooldown": "900000"}
