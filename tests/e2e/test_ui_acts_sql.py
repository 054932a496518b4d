"""SQL, prompts, the playground and datasets, used as somebody uses them who works on a product."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.ui_kit import Watched, chromium, log, on_record, press, row_of, see, watched
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_openai import TEXT

SAVED = "/v1/helicone-sql/saved-queries"
DATASETS = "/v1/helicone-dataset"
MODELS = ("gpt-4o", "gpt-4o", "claude-haiku-4-5")
BY_MODEL = "select model, count(*) as n from request_response_rmt group by 1 order by n desc"
PARTS = ("Hello", "from", "the", "fake", "provider")


def said(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def own() -> Iterator[Provider]:
    """With gates that nobody else opens."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def appliance(own: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("sql")
    environ = {"OPENAI_API_KEY": "sk-env"}
    with Appliance(folder, own, environ=environ, lends=True) as found:
        for at, model in enumerate(MODELS):
            asked = {"model": model, "messages": [{"role": "user", "content": f"Question {at}"}]}
            log(found, asked, said(f"Answer {at}"))
        on_record(found, len(MODELS))
        yield found


@pytest.fixture
def seen(browser: Browser, appliance: Appliance) -> Iterator[Watched]:
    with watched(browser, appliance) as found:
        yield found


def asked_for(page: Page, sql: str) -> None:
    """Written in place of what was there, and run from the keyboard."""
    page.get_by_label("SQL", exact=True).fill(sql)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")


def saved_file(page: Page, menu: str, choice: str) -> Path:
    """What the browser saves."""
    page.get_by_role("button", name=menu, exact=True).click()
    with page.expect_download() as begun:
        page.get_by_role("button", name=choice, exact=True).click()
    return Path(begun.value.path())


def test_a_query_runs_shows_rows_a_chart_and_a_file(seen: Watched) -> None:
    page = seen.page
    seen.go("/sql")
    asked_for(page, BY_MODEL)
    grid = page.get_by_role("grid", name="Rows")
    expect(grid.get_by_role("row").nth(1)).to_have_text(re.compile("gpt-4o.*2"))
    expect(page.get_by_text("2 rows")).to_be_visible()
    found = list(csv.reader(saved_file(page, "Download", "CSV").read_text().splitlines()))
    assert found == [["model", "n"], ["gpt-4o", "2"], ["claude-haiku-4-5", "1"]]
    page.get_by_role("button", name="Chart", exact=True).click()
    bars = page.locator("section").get_by_role("button")
    expect(bars.first).to_have_text(re.compile("gpt-4o.*2"))
    assert "view=chart" in page.url
    page.get_by_role("button", name="Table", exact=True).click()
    grid.get_by_role("row").nth(2).click()
    whole = page.get_by_role("dialog", name="Row")
    expect(whole).to_contain_text("claude-haiku-4-5")
    page.keyboard.press("Escape")
    expect(whole).to_have_count(0)


def test_a_query_over_time_is_drawn(seen: Watched) -> None:
    page = seen.page
    sql = "select request_created_at as at, status from request_response_rmt order by 1"
    seen.go("/sql?view=chart")
    asked_for(page, sql)
    expect(page.get_by_role("img", name="Result: status, 3 points")).to_be_visible()
    expect(page.locator("canvas")).to_be_visible()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select nothing_like_it from request_response_rmt", "nothing_like_it"),
        ("select 1 from elsewhere", "The tables that can be asked are in the list at the side."),
        ("delete from request_response_rmt", "Write one SELECT"),
        ("select sum( from request_response_rmt", "Look just before the place that is named."),
    ],
)
def test_an_error_is_said_in_words(seen: Watched, sql: str, words: str) -> None:
    seen.expects(400, 404, 422)
    page = seen.page
    seen.go("/sql")
    asked_for(page, sql)
    expect(page.get_by_role("alert")).to_contain_text(words)
    assert "HQL_" not in page.get_by_role("alert").inner_text()
    asked_for(page, "select 1 as one")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_text("1 row", exact=True)).to_be_visible()


def test_what_ran_is_kept_and_what_is_saved_is_everybodys(seen: Watched, browser: Browser) -> None:
    page = seen.page
    sql = "select count(*) as kept from request_response_rmt"
    seen.go("/sql")
    asked_for(page, sql)
    expect(page.get_by_text("1 row", exact=True)).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    form = page.get_by_role("dialog", name="Save this query")
    form.get_by_label("Name", exact=True).fill("How many")
    press(form, "Save")
    see(page, "Saved")
    (kept,) = seen.ask(SAVED)
    assert (kept["name"], kept["sql"]) == ("How many", sql)
    page.reload()
    expect(page.get_by_label("SQL", exact=True)).to_have_value(sql)
    page.get_by_role("tab", name="History").click()
    past = page.get_by_role("complementary").get_by_role("button", name=sql)
    expect(past).to_contain_text("1 row")
    press(page, "Close How many")
    expect(page.get_by_label("SQL", exact=True)).to_have_value("")
    past.click()
    expect(page.get_by_label("SQL", exact=True)).to_have_value(sql)
    seen.go(f"/sql?saved={kept['id']}")
    expect(page.get_by_role("button", name="How many", exact=True)).to_be_visible()
    page.get_by_role("tab", name="Saved").click()
    press(page, "More about How many")
    press(page, "Delete")
    press(page.get_by_role("dialog", name="Delete this query?"), "Delete")
    expect(page.get_by_text("Queries that are saved appear here")).to_be_visible()
    assert seen.ask(SAVED) == []


def test_words_are_offered_and_put_in_by_keyboard(seen: Watched) -> None:
    page = seen.page
    seen.go("/sql")
    page.get_by_role("button", name=re.compile("^request_id")).wait_for()  # the tables are there
    page.get_by_label("SQL", exact=True).focus()
    page.keyboard.type("select mod")
    expect(page.get_by_role("option", name=re.compile("^model"))).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type(" from request_res")
    page.keyboard.press("Tab")
    expect(page.get_by_label("SQL", exact=True)).to_have_value(
        "select model from request_response_rmt"
    )
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("3 rows", exact=True)).to_be_visible()


def test_a_prompt_gets_versions_a_difference_and_an_environment(seen: Watched) -> None:
    page = seen.page
    seen.go("/prompts")
    page.get_by_role("button", name="New prompt").first.click()
    form = page.get_by_role("dialog", name="New prompt")
    form.get_by_label("Name", exact=True).fill("Greeter")
    form.get_by_label("Tags").fill("support, draft")
    form.get_by_label("Text of message 1").fill(
        "You greet {{hc:name:string}} in {{hc:words:number}}."
    )
    press(form, "Make it")
    page.wait_for_url("**/prompts/*")
    prompt = page.url.rpartition("/")[2]
    inputs = page.locator("dl").filter(has_text="words")
    expect(inputs).to_have_text(re.compile(r"name\s*string\s*words\s*number"))
    press(page, "New version")
    page.get_by_label("Text of message 1").fill("You greet {{hc:name:string}} warmly.")
    page.get_by_label("Commit message").fill("warmer")
    press(page, "Save the version")
    see(page, "A new version is there")
    expect(page.get_by_role("navigation", name="Versions")).to_contain_text("warmer")
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("del")).to_contain_text("in {{hc:words:number}}")
    expect(page.locator("ins")).to_contain_text("warmly")
    press(page, "Environment")
    form = page.get_by_role("dialog", name=re.compile("^Environment of version"))
    form.get_by_label("Environment").fill("staging")
    press(form, "Set")
    expect(page.get_by_role("button", name="Take staging away")).to_be_visible()
    versions = seen.ask("/v1/prompt-2025/query/versions", {"promptId": prompt})
    told = {one["commit_message"]: one["environments"] for one in versions}
    assert told["warmer"] == ["staging"]
    assert sorted(told.values()) == [["production"], ["staging"]]
    press(page, "Take staging away")
    press(page.get_by_role("dialog", name="Take staging away?"), "Take it away")
    expect(page.get_by_role("button", name="Take staging away")).to_have_count(0)
    versions = seen.ask("/v1/prompt-2025/query/versions", {"promptId": prompt})
    assert [one["environments"] for one in versions if one["commit_message"] == "warmer"] == [[]]
    press(page, "More")
    press(page, "Delete the prompt")
    press(page.get_by_role("dialog", name="Delete this prompt?"), "Delete")
    page.wait_for_url("**/prompts")
    assert seen.ask("/v1/prompt-2025/query", {"search": "", "page": 0, "pageSize": 10}) == []


def test_the_playground_shows_an_answer_as_it_comes(
    seen: Watched, appliance: Appliance, own: Provider
) -> None:
    page = seen.page
    body = {
        "model": "fake-held/openai",
        "messages": [{"role": "user", "content": "Greet {{hc:name:string}}"}],
    }
    made = seen.ask("/v1/prompt-2025", {"name": "Held", "tags": [], "promptBody": body})
    seen.go(f"/prompts/{made['id']}")
    page.get_by_role("link", name="Try it").click()
    page.wait_for_url("**/playground*")
    page.get_by_label("name string").fill("Ada")
    own.clear()
    press(page, "Run")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    answer = page.locator("section[aria-busy=true]")
    expect(answer).to_contain_text(PARTS[0])
    assert TEXT not in answer.inner_text()
    own.open_gate("")
    answer = page.locator("section[aria-busy=false]")
    for part in PARTS:
        expect(answer).to_contain_text(part)
    assert own.received[-1].json["messages"][0]["content"] == "Greet Ada"
    page.get_by_role("link", name="Its request").wait_for()
    press(page, "Go on from here")
    see(page, "part of the conversation now")
    link = page.get_by_role("link", name="Its request").get_attribute("href") or ""
    request_id = link.partition("id=")[2]
    assert appliance.row(request_id)["status"] == 200
    assert "Greet Ada" in appliance.body(request_id)["request"]
    seen.ask(f"/v1/prompt-2025/{made['id']}", method="DELETE")


def test_a_playground_that_is_refused_says_so(seen: Watched) -> None:
    seen.expects(429)
    page = seen.page
    seen.go("/playground")
    press(page, "Start over")
    page.get_by_label("Model", exact=True).fill("fake-error-429/openai")
    page.get_by_label("Text of message 2").fill("Hello")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("429")
    page.get_by_label("Model", exact=True).fill("")
    press(page, "Run")
    expect(page.get_by_text("Model: which model should answer?")).to_be_visible()


def dataset_of_all(page: Page, name: str) -> None:
    """All that the list of requests shows goes into a new one."""
    page.get_by_role("checkbox", name="Select all shown").check()
    page.get_by_role("button", name=re.compile("to a dataset$")).click()
    form = page.get_by_role("dialog", name=re.compile("to a dataset$"))
    form.get_by_label("Name", exact=True).fill(name)
    press(form, "Add")
    expect(form).to_have_count(0)


def edited(drawer: Locator, part: str, text: str) -> None:
    drawer.get_by_role("tab", name=part).click()
    drawer.get_by_label(part, exact=True).fill(text)
    press(drawer, "Save")


def test_a_dataset_is_made_edited_and_saved_as_a_file(seen: Watched) -> None:
    page = seen.page
    seen.go("/requests?q=request+~+%22Question%22", shows="[role=grid] [aria-rowindex]")
    dataset_of_all(page, "Questions")
    seen.go("/datasets")
    page.get_by_role("link", name="Questions").click()
    page.wait_for_url("**/datasets/*")
    dataset = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Question 0").click()
    drawer = page.get_by_role("dialog", name="Row")
    expect(drawer).to_contain_text("Answer 0")
    edited(drawer, "Response", "{ no JSON")
    expect(drawer.get_by_role("alert")).to_contain_text("This is no JSON.")
    edited(drawer, "Response", json.dumps(said("A better answer")))
    see(page, "Saved")
    expect(row_of(page, "A better answer")).to_contain_text("edited")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    rows = seen.ask(f"{DATASETS}/{dataset}/query", {"limit": 10, "offset": 0})
    assert [bool(row["edited_at"]) for row in rows].count(True) == 1
    lines = saved_file(page, "Export", "Rows as they are, JSON lines").read_text().splitlines()
    assert len(lines) == len(MODELS)
    assert sum("A better answer" in line for line in lines) == 1
    tuned = saved_file(page, "Export", "Fine-tuning, OpenAI (JSON lines)").read_text()
    assert "A better answer" in tuned
    press(page, "Question 0")
    press(drawer, "Remove this row")
    press(page.get_by_role("dialog", name="Remove this row?"), "Remove")
    expect(drawer).to_have_count(0)
    expect(row_of(page, "A better answer")).to_have_count(0)
    assert len(seen.ask(f"{DATASETS}/{dataset}/query", {"limit": 10, "offset": 0})) == 2
    press(page, "Delete")
    press(page.get_by_role("dialog", name="Delete this dataset?"), "Delete")
    page.wait_for_url("**/datasets")
    assert seen.ask(f"{DATASETS}/query", {}) == []
