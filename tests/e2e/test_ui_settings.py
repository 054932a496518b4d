"""What is set on pages and asked for by them: budgets, keys, deletions, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.compiled.by_path import module_at
from tests.e2e.ui_kit import WAIT_MS, axe, chromium, on_record, watched
from tests.fakes.appliance import Appliance

demo = module_at("scripts/demo.py")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("settings")) as found:
        on_record(found, demo.fill(found.url, calls=60))
        yield found


def test_a_budget_is_set_changed_and_removed(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/limits", shows="text=New budget")
        page.click("text=New budget")
        page.select_option("#budget-scope", "property")
        page.fill("#budget-property", "team")
        page.select_option("#budget-one", "one")
        page.fill("#budget-value", "search")
        page.select_option("#budget-period", "week")
        page.fill("#budget-limit", "2.5")
        assert axe(page) == []
        page.click("text=Set the budget")
        row = page.locator("section", has_text="Budgets").locator("[role=row], tr").last
        expect(row).to_contain_text("property team")
        expect(row).to_contain_text("$2.50")
        (made,) = appliance.command("budgets.list")
        assert (made["scope"], made["value"], made["period"]) == ("property:team", "search", "week")
        page.get_by_label("Change the budget of property team per week").click()
        page.fill("#budget-limit", "4")
        page.locator("dialog button.primary").click()
        expect(row).to_contain_text("$4.00")
        assert [one["id"] for one in appliance.command("budgets.list")] == [made["id"]]
        page.get_by_label("Delete the budget of property team per week").click()
        page.locator("dialog").get_by_role("button", name="Delete").click()
        page.wait_for_selector("text=No budgets yet")
        assert appliance.command("budgets.list") == []


def test_a_span_of_time_is_deleted_and_says_how_much(browser: Browser, tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance, watched(browser, appliance) as seen:
        page = seen.page
        made = demo.fill(appliance.url, calls=20)
        on_record(appliance, made)
        seen.go("/organization", shows="text=Delete records for good")
        page.click("text=Delete records for good")
        page.select_option("#del-kind", "span")
        expect(page.get_by_role("button", name="Delete …")).to_be_disabled()
        page.fill("#del-since", "2020-01-01T00:00")
        page.fill("#del-until", "2020-02-01T00:00")
        page.click("text=Delete …")
        page.wait_for_selector("text=No record of it is found now")
        page.get_by_role("button", name="Cancel").click()
        page.fill("#del-since", "")
        page.fill("#del-until", "2099-01-01T00:00")
        page.click("text=Delete …")
        sure = page.locator("dialog")
        expect(sure).to_contain_text("all records that were created before")
        expect(sure).to_contain_text(f"{made} records are found now")
        assert axe(page) == []
        page.get_by_role("button", name="Delete for good").click()
        expect(page.locator("table")).to_contain_text("A span of time")
        expect(page.locator("table .badge.good")).to_have_text("done", timeout=WAIT_MS)
        expect(page.locator("tbody tr td.num")).to_have_text(str(made))
        reply = appliance.call("/v1/request/count/query", {"filter": "all"})
        assert reply.json["data"] == 0


def test_keys_say_when_they_were_used_last(browser: Browser, tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance, watched(browser, appliance) as seen:
        used = appliance.command("keys.create", name="used")["key"]
        appliance.command("keys.create", name="idle")
        on_record(appliance, demo.fill(appliance.url, calls=5, key=used))
        seen.go("/keys", shows="table")
        expect(seen.page.get_by_label("Last use of idle")).to_have_text("never")
        expect(seen.page.get_by_label("Last use of used")).to_have_text(re.compile("ago|just now"))
        idle = seen.page.locator("tbody tr", has_text="idle").locator("td")
        assert idle.all_inner_texts()[-3:] == ["never", "0", "RenameRevoke"]
        calls, acts = (idle.nth(at).bounding_box() for at in (6, 7))
        assert calls is not None
        assert acts is not None
        assert acts["x"] >= calls["x"] + calls["width"]
        assert axe(seen.page) == []


def test_the_form_asks_for_what_the_provider_wants(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/providers/keys", shows="text=Store a key")
        page.get_by_role("button", name="Store a key").click()
        expect(page.locator("#pk-providers option[value=databricks]")).to_have_count(1)
        page.fill("#pk-provider", "amazon bedrock")
        expect(page.get_by_label("Secret access key")).to_be_visible()
        expect(page.locator("#pk-region")).to_be_visible()
        page.fill("#pk-provider", "google_vertex")
        expect(page.get_by_label("Service account")).to_be_visible()
        page.fill("#pk-provider", "nobody")
        page.wait_for_selector("text=This is none of those that are known here.")
        page.fill("#pk-provider", "databricks")
        expect(page.locator("#pk-url")).to_be_visible()
        assert axe(page) == []
        page.fill("#pk-secret", "dapi-0123456789")
        page.fill("#pk-url", "https://mine.databricks.example/serving-endpoints")
        page.get_by_role("button", name="Store it").click()
        page.wait_for_selector("td:has-text('databricks')")
        (stored,) = appliance.command("provider-keys.list")
        assert stored["provider"] == "databricks"


def test_the_playground_is_recorded_or_not(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        page = seen.page
        recorded = page.get_by_label("What is said in the playground is recorded")
        for wanted in (False, True):
            seen.go("/organization", shows="text=Playground")
            expect(recorded).to_be_checked(checked=not wanted)
            recorded.set_checked(wanted)
            expect(recorded).to_be_enabled()
            expect(recorded).to_be_checked(checked=wanted)
            kept = appliance.call("/v1/playground/requests-through-helicone", method="GET")
            assert kept.json["data"] is wanted
        assert axe(page) == []
