"""The requests page and its drawer: hostile content, live mode, keys, edits, filters, export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.compiled.by_path import module_at
from tests.e2e.starting import until
from tests.e2e.ui_kit import WAIT_MS, chromium, log, on_record, watched
from tests.fakes.appliance import Appliance

demo = module_at("scripts/demo.py")
HOSTILE = (
    '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
    "[click](javascript:window.hacked=1) ![x](https://evil.example/x.png) "
    "<iframe src='https://evil.example'></iframe> **bold** \u202eright to left\u0000 "
    '[link](https://example.com/"onmouseover="window.hacked=1) `</code><script>window.hacked=1</script>`'
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("requests")) as found:
        on_record(found, demo.fill(found.url, calls=300))
        yield found


def asked(text: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def said(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [
        (asked(HOSTILE), said(HOSTILE)),
        (asked([{"type": "image_url", "image_url": {"url": "https://evil.example/i.png"}}]), said("seen")),
        (asked([{"type": "image_url", "image_url": {"url": "javascript:window.hacked=1"}}]), said("seen")),
        (asked([{"type": "image", "source": {"type": "base64", "media_type": "image/svg+xml", "data": "PHN2Zy8+"}}]), said("s")),
        ({"model": HOSTILE, "messages": HOSTILE, "tools": [HOSTILE, None, {"function": HOSTILE}]}, {"choices": [None, {"message": None}, {"delta": HOSTILE}]}),
        ({"messages": [None, 7, [], {"role": {}, "content": {"a": 1}}]}, {"content": None, "type": "message"}),
        ({"contents": [{"parts": "x"}]}, {"candidates": [{"content": {"parts": [None, {"functionCall": {"name": HOSTILE}}]}}]}),
        (asked("**" * 100_000), said("[a](" * 50_000)),
        (asked("- " * 20_000 + "> " * 20_000), said("|a|\n|-|\n" * 5_000)),
    ],
    ids=["markup", "image elsewhere", "image of a script", "svg", "wrong shapes", "no messages", "gemini", "endless marks", "deep lists"],
)  # fmt: skip
def test_the_drawer_shows_hostile_content_as_text(
    browser: Browser,
    appliance: Appliance,
    request_body: Any,
    response_body: Any,
) -> None:
    request_id = log(appliance, request_body, response_body)
    with watched(browser, appliance) as seen:
        seen.go(f"/requests?id={request_id}", shows=".drawer .tabs")
        for tab in seen.page.locator(".drawer [role=tab]").all():
            tab.click()
            assert seen.page.locator(".drawer .body").inner_text()
        assert seen.page.evaluate("window.hacked") is None
        assert seen.page.locator(".drawer iframe, .drawer script").count() == 0
        links = seen.page.locator(".drawer a").evaluate_all("all => all.map(a => a.protocol)")
        assert set(links) <= {"http:", "https:", "mailto:"}


def test_live_mode_shows_a_call_as_it_ends(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        seen.go("/requests?live=1", shows=".list-row")
        with seen.page.expect_response("**/v1/request/live"):
            seen.page.reload()
        seen.page.wait_for_selector(".list-row")
        log(appliance, asked("a question that came just now"), said("an answer"))
        seen.page.wait_for_selector("text=a question that came just now")


def test_with_keys_alone(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/requests", shows=".list-row")
        page.keyboard.press("/")
        page.keyboard.type("status >= 400")
        page.keyboard.press("Enter")
        expect(page.locator(".chip")).to_contain_text("status >= 400")
        expect(page.locator(".list-row").first).to_be_visible()
        page.locator("[role=grid]").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_selector(".drawer .tabs")
        first = page.url
        page.keyboard.press("Escape")
        expect(page.locator(".drawer")).to_have_count(0)
        page.locator("[role=grid]").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".drawer .tabs")
        page.keyboard.press("ArrowDown")
        page.wait_for_function("before => location.href !== before", arg=first)
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        expect(page.locator("dialog")).to_contain_text("Command palette")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        page.keyboard.type("sessi")
        page.keyboard.press("Enter")
        page.wait_for_url("**/sessions")


def test_what_people_add_to_a_record_is_there_at_once(
    browser: Browser, appliance: Appliance
) -> None:
    request_id = log(appliance, asked("rate me"), said("rated"))
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go(f"/requests?id={request_id}", shows=".drawer .tabs")
        page.get_by_label("Name of the property").fill("team")
        page.get_by_label("Value of the property").fill("blue <b>")
        page.get_by_label("Value of the property").press("Enter")
        page.wait_for_selector(".drawer dd >> text=blue <b>")
        page.get_by_label("Name of the score").fill("quality")
        page.get_by_label("Score", exact=True).fill("0.5")
        page.get_by_label("Score", exact=True).press("Enter")
        page.wait_for_selector(".drawer dt >> text=quality")
        page.get_by_label("Good answer").click()
        expect(page.get_by_label("Good answer")).to_have_attribute("aria-pressed", "true")
    row = appliance.call(f"/v1/request/{request_id}", None, method="GET").json["data"]
    assert row["request_properties"]["team"] == "blue <b>"
    assert row["feedback_rating"] is True


def test_a_filter_that_cannot_be_read_says_why(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        seen.go("/requests?q=nonsense+%3D+1", shows=".why")
        assert "is no field" in seen.page.inner_text(".why")


def test_an_export_has_what_the_filter_finds(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/requests?q=status+%3E%3D+400+or+request+~+%22a+%26+b%22", shows=".list-row")
        expect(page.locator(".list-foot")).to_contain_text(" of ")
        total = page.locator(".list-foot").inner_text().partition(" shown of ")[2].split()[0]
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as saved:
            page.get_by_text("JSON lines", exact=True).click()
        rows = [json.loads(line) for line in saved.value.path().read_text().splitlines()]
        assert len(rows) == int(total) > 0
        assert {row["response_status"] >= 400 for row in rows} == {True}
        seen.go("/requests?q=nonsense+%3D+1", shows=".why")
        expect(page.get_by_role("button", name="Export")).to_be_disabled()


def test_the_list_goes_on_as_far_as_one_scrolls(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/requests", shows=".list-row")
        page.locator("[role=grid]").focus()
        foot = page.locator(".list-foot")
        total = foot.inner_text().partition(" shown of ")[2].split()[0]
        assert int(total.replace(",", "")) >= 300
        while (shown := foot.inner_text().partition(" shown of ")[0].strip()) != total:
            page.keyboard.press("End")
            expect(foot).not_to_have_text(re.compile(rf"^\s*{shown} shown of "), timeout=WAIT_MS)
        assert page.locator(".list-row").count() < 80


def test_a_session_is_gone_through_by_keys(browser: Browser, appliance: Appliance) -> None:
    for step in ("/plan", "/plan/search"):
        more = {"Helicone-Session-Id": "keys", "Helicone-Session-Path": step}
        log(appliance, asked(f"Do {step}"), said("Done"), **more)
    path = "/v1/session/keys/tree"
    until(lambda: appliance.call(path, None, method="GET").json["data"]["total_requests"] == 2)
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/sessions/keys", shows=".gantt .list-row")
        rows = page.locator(".gantt .list-row")
        expect(rows).to_have_count(4)
        page.locator("[role=treegrid]").focus()
        page.keyboard.press("End")
        expect(rows.nth(3)).to_have_class(re.compile(r"\bat\b"))
        page.keyboard.press("Enter")
        page.wait_for_selector(".drawer >> text=Do /plan/search")
        page.keyboard.press("Escape")
        expect(page.locator(".drawer")).to_have_count(0)
        page.keyboard.press("Home")
        page.keyboard.press("ArrowLeft")
        expect(rows).to_have_count(1)


def test_chosen_requests_go_into_a_dataset(browser: Browser, appliance: Appliance) -> None:
    with watched(browser, appliance) as seen:
        page = seen.page
        seen.go("/requests", shows=".list-row")
        for at in (0, 1):
            page.locator(".list-row input[type=checkbox]").nth(at).check()
        page.click("text=2 to a dataset")
        page.get_by_label("Name").fill("From the list")
        page.click("dialog button[type=submit]")
        expect(page.locator("dialog")).to_have_count(0)
    found = appliance.call("/v1/helicone-dataset/query", {}).json["data"]
    assert [one["requests_count"] for one in found if one["name"] == "From the list"] == [2]


def test_a_body_of_two_megabytes_stays_smooth(
    browser: Browser, appliance: Appliance, tmp_path: Path
) -> None:
    text = json.dumps([{"n": n, "words": "of a long body"} for n in range(30_000)])
    request_id = log(appliance, asked(text), said(text))
    with watched(browser, appliance) as seen:
        seen.go(f"/requests?id={request_id}", shows=".drawer .message")
        assert seen.page.locator(".drawer .body").inner_text().count("more characters") >= 1
        assert seen.page.evaluate("document.querySelectorAll('.drawer *').length") < 3000
