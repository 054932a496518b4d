"""Signing in, roles and the token for changes, as the pages do it; zooming and filtering."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.compiled.by_path import module_at
from tests.e2e.ui_kit import chromium, on_record, sign_in, watched
from tests.fakes.appliance import Appliance

demo = module_at("scripts/demo.py")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """Keys are needed here; with an owner and a viewer to be."""
    with Appliance(tmp_path_factory.mktemp("closed"), config='access = "keys"\n') as found:
        key = found.command("keys.create", name="demo")["key"]
        on_record(found, demo.fill(found.url, calls=50, key=key), key)
        yield found


def test_nobody_sees_anything_without_signing_in(browser: Browser, closed: Appliance) -> None:
    with watched(browser, closed) as seen:
        seen.page.goto(seen.origin + "/requests")
        seen.page.wait_for_url("**/sign-in")
        assert "Sign in" in seen.page.inner_text("h1")


def test_an_owner_signs_in_by_the_link_and_out_again(browser: Browser, closed: Appliance) -> None:
    with watched(browser, closed) as seen:
        sign_in(seen, closed, "owner", "owner")
        seen.page.wait_for_url("**/dashboard")
        assert "owner@example.com" in seen.page.inner_text("nav.side")
        seen.go("/start")
        seen.page.click("text=Make a key")
        shown = seen.page.locator("pre").first
        expect(shown).to_contain_text("sk-helicone-")
        key = shown.inner_text()
        seen.page.reload()
        seen.page.wait_for_selector("h1")
        assert key not in seen.page.content()
        seen.page.get_by_label("Sign out").click()
        seen.page.wait_for_url("**/sign-in")
        seen.page.goto(seen.origin + "/dashboard")
        seen.page.wait_for_url("**/sign-in")


def test_a_viewer_looks_and_changes_nothing(browser: Browser, closed: Appliance) -> None:
    with watched(browser, closed) as seen:
        sign_in(seen, closed, "viewer", "viewer")
        seen.go("/requests", shows=".list-row")
        seen.page.locator(".list-row").first.click()
        seen.page.wait_for_selector(".drawer .tabs")
        assert seen.page.get_by_label("Name of the property").count() == 0
        expect(seen.page.get_by_label("Good answer")).to_be_disabled()
        seen.go("/start")
        assert seen.page.get_by_text("Make a key").count() == 0


def test_a_change_without_the_token_is_refused(browser: Browser, closed: Appliance) -> None:
    with watched(browser, closed) as seen:
        sign_in(seen, closed, "owner", "another")
        status = seen.page.evaluate(
            "async () => (await fetch('/v1/filter', {method: 'POST', body: '{}'})).status"
        )
        assert status == 403
        seen.said.clear()  # the browser tells of the refusal


def test_dragging_zooms_and_clicking_filters(browser: Browser, closed: Appliance) -> None:
    with watched(browser, closed) as seen:
        sign_in(seen, closed, "viewer", "zoomer")
        page = seen.page
        seen.go("/dashboard", shows=".u-over")
        box = page.locator(".u-over").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 50, steps=5)
        page.mouse.up()
        page.wait_for_function("location.search.includes('range=')")
        page.wait_for_selector(".bars button")
        model = page.locator(".bars button .name").first.inner_text()
        page.locator(".bars button").first.click()
        expect(page.locator(".chip")).to_contain_text(model)
        assert "q=model" in page.url
        page.go_back()
        page.wait_for_function("!location.search.includes('q=model')")
