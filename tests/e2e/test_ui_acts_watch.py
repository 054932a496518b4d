"""Limits, alerts and webhooks, made and changed on their pages, and what comes of them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.hooks_kit import Receiver
from tests.e2e.ui_kit import Watched, chromium, log, nowhere, press, row_of, see, watched
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hello there"}}]}
ALERTS, LIMITS, WEBHOOKS = "/v1/alert/query", "/v1/rate-limits", "/v1/webhooks"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def appliance(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    config = 'webhook_allow = ["127.0.0.1"]\n'
    with Appliance(tmp_path_factory.mktemp("watch"), provider, config=config) as found:
        yield found


@pytest.fixture
def seen(browser: Browser, appliance: Appliance) -> Iterator[Watched]:
    with watched(browser, appliance) as found:
        yield found


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as found:
        yield found


def opened(page: Page, verb: str) -> Locator:
    """The dialog behind a button of the same name."""
    page.get_by_role("button", name=verb).first.click()
    return page.get_by_role("dialog", name=verb)


def new_rule(page: Page, name: str, quota: str) -> Locator:
    form = opened(page, "New rule")
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_label("Quota", exact=True).fill(quota)
    return form


def test_a_rule_is_made_counts_is_changed_and_removed(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    made = seen.ask("/v1/api-keys", {"api_key_name": "limited", "rate_limited": True})
    given = {"Helicone-Auth": f"Bearer {made['apiKey']}"}
    seen.go("/limits")
    form = new_rule(page, "one an hour", "1")
    expect(form).to_contain_text("1 request in 1 hour, for everybody together.")
    form.get_by_label("Counted for").select_option(label="each user (Helicone-User-Id)")
    expect(form).to_contain_text("for each user.")
    press(form, "Make the rule")
    row = row_of(page, "one an hour")
    expect(row).to_contain_text("each user")
    (rule,) = seen.ask(LIMITS)
    assert (rule["quota"], rule["window_seconds"], rule["segment"]) == (1, 3600, "user")
    assert rule["policy"] in row.inner_text()
    ada = {**given, "Helicone-User-Id": "ada"}
    assert [appliance.call(CHAT, ASK, ada).status for _ in range(2)] == [200, 429]
    press(page, "Change one an hour")
    form = page.get_by_role("dialog", name="Change the rule")
    assert form.get_by_label("Quota", exact=True).input_value() == "1"
    form.get_by_label("Quota", exact=True).fill("500")
    press(form, "Change")
    expect(row).to_contain_text("500")
    assert [one["quota"] for one in seen.ask(LIMITS)] == [500]
    grace = {**given, "Helicone-User-Id": "grace"}
    assert [appliance.call(CHAT, ASK, grace).status for _ in range(2)] == [200, 200]
    press(page, "Delete one an hour")
    press(page.get_by_role("dialog", name="Delete “one an hour”"), "Delete")
    expect(row).to_have_count(0)
    assert seen.ask(LIMITS) == []


def test_a_rule_that_cannot_be_is_refused_in_words(seen: Watched) -> None:
    seen.expects(422)
    page = seen.page
    seen.go("/limits")
    form = new_rule(page, "too short", "10")
    form.get_by_label("Unit of time").select_option(label="seconds")
    press(form, "Make the rule")
    expect(form.get_by_role("alert")).to_contain_text("window_seconds")
    assert form.get_by_label("Name", exact=True).input_value() == "too short"
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)
    assert "too short" not in str(seen.ask(LIMITS))


def test_an_alert_is_made_paused_changed_and_removed(seen: Watched, receiver: Receiver) -> None:
    page = seen.page
    seen.go("/alerts")
    form = opened(page, "New alert")
    form.get_by_label("Name", exact=True).fill("dear week")
    form.get_by_label("Metric").select_option(label="Cost")
    form.get_by_label("Threshold (USD)").fill("5")
    form.get_by_label("Counted for").select_option(label="each user")
    form.get_by_label("Only requests where").fill("model = gpt-4o")
    form.get_by_label("Webhooks").fill(receiver.url)
    press(form, "Make the alert")
    row = row_of(page, "dear week")
    expect(row).to_contain_text(
        "Cost (sum) reaches $5.00 within 10 minutes, for any user, where model = gpt-4o"
    )
    (alert,) = seen.ask(ALERTS)["alerts"]
    assert (alert["metric"], alert["time_window"], alert["is_active"]) == ("cost", "600000", True)
    told = alert["webhooks"]
    assert len(told) == 1
    press(page, "Pause with dear week")
    expect(row).to_contain_text("paused")
    assert seen.ask(ALERTS)["alerts"][0]["is_active"] is False
    press(page, "Go on with dear week")
    expect(row).to_contain_text("quiet")
    press(page, "Change dear week")
    form = page.get_by_role("dialog", name="Change the alert")
    assert form.get_by_label("Only requests where").input_value() == "model = gpt-4o"
    form.get_by_label("Threshold (USD)").fill("7.5")
    press(form, "Change")
    expect(row).to_contain_text("reaches $7.50")
    (alert,) = seen.ask(ALERTS)["alerts"]
    assert (alert["threshold"], alert["grouping"]) == (7.5, "user")
    assert alert["webhooks"] == told
    press(page, "Delete dear week")
    press(page.get_by_role("dialog", name="Delete “dear week”"), "Delete")
    expect(row).to_have_count(0)
    assert seen.ask(ALERTS)["alerts"] == []


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("Only requests where", "colour = red", "“colour” is no field"),
        ("Webhooks", "http://10.0.0.1/in", "webhooks"),
        ("Name", "nobody is told", "emails"),
    ],
)
def test_an_alert_that_cannot_be_is_refused_beside_the_form(
    seen: Watched, label: str, value: str, words: str
) -> None:
    seen.expects(422)
    page = seen.page
    seen.go("/alerts")
    form = opened(page, "New alert")
    form.get_by_label("Name", exact=True).fill("wrong")
    form.get_by_label(label, exact=True).fill(value)
    press(form, "Make the alert")
    expect(form.get_by_role("alert")).to_contain_text(words)
    assert form.get_by_label(label, exact=True).input_value() == value
    press(form, "Cancel")
    assert "wrong" not in str(seen.ask(ALERTS)["alerts"])


def test_a_webhook_is_made_tells_and_tells_again(
    seen: Watched, appliance: Appliance, receiver: Receiver
) -> None:
    page = seen.page
    seen.go("/webhooks")
    form = opened(page, "New webhook")
    form.get_by_label("Receiver").fill(receiver.url)
    press(form, "Add a property")
    form.get_by_label("Property 1", exact=True).fill("team")
    form.get_by_label("Value 1", exact=True).fill("blue")
    press(form, "Make the webhook")
    shown = page.get_by_role("dialog", name="The signing key")
    secret = shown.locator("pre").inner_text()
    press(shown, "I have kept it")
    page.wait_for_url("**/webhooks/*")
    expect(page.get_by_text("Nothing was sent yet")).to_be_visible()
    nowhere(page, secret)
    (hook,) = seen.ask(WEBHOOKS)
    assert hook["config"]["propertyFilters"] == [{"key": "team", "value": "blue"}]
    assert secret not in str(hook)
    log(appliance, ASK, ANSWER)
    told = log(appliance, ASK, ANSWER, **{"Helicone-Property-Team": "blue"})
    row = row_of(page, told[:8])
    expect(row).to_contain_text("delivered")
    (got,) = receiver.got
    assert got.json["request_id"] == told
    signed = hmac.new(secret.encode(), got.body, hashlib.sha256).hexdigest()
    assert got.headers["Helicone-Signature"] == signed
    press(row, "Again")
    see(page, "It is sent again")
    assert receiver.wait(2)[1].json == got.json
    (delivery,) = seen.ask(f"{WEBHOOKS}/{hook['id']}/deliveries")["deliveries"]
    assert delivery["request_id"] == told
    page.get_by_role("group", name="State").get_by_role("button", name="Failed").click()
    expect(page.get_by_text("No delivery is in this state.")).to_be_visible()
    assert "state=failed" in page.url
    press(page, "More")
    page.get_by_role("button", name="Delete", exact=True).click()
    press(page.get_by_role("dialog", name="Delete the webhook"), "Delete")
    page.wait_for_url("**/webhooks")
    expect(page.get_by_text("No webhooks yet")).to_be_visible()
    assert seen.ask(WEBHOOKS) == []


def test_a_webhook_s_new_key_is_shown_once_and_signs(
    seen: Watched, appliance: Appliance, receiver: Receiver
) -> None:
    page = seen.page
    made = seen.ask(WEBHOOKS, {"destination": receiver.url})
    receiver.got.clear()
    seen.go(f"/webhooks/{made['id']}")
    press(page, "More")
    press(page, "New signing key")
    press(page.get_by_role("dialog", name="New signing key"), "Make a new key")
    shown = page.get_by_role("dialog", name="The signing key")
    secret = shown.locator("pre").inner_text()
    assert secret != made["hmac_key"]
    press(shown, "I have kept it")
    nowhere(page, secret)
    press(page, "Send a sample")
    expect(page.get_by_text("The receiver took it")).to_be_visible()
    (got,) = receiver.got
    signed = hmac.new(secret.encode(), got.body, hashlib.sha256).hexdigest()
    assert got.headers["Helicone-Signature"] == signed
    press(page, "Pause")
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    assert seen.ask(WEBHOOKS)[0]["is_active"] is False
    seen.ask(f"{WEBHOOKS}/{made['id']}", method="DELETE")


def test_a_receiver_that_may_not_be_is_refused_in_words(seen: Watched) -> None:
    seen.expects(422)
    page = seen.page
    seen.go("/webhooks")
    form = opened(page, "New webhook")
    form.get_by_label("Receiver").fill("https://169.254.169.254/latest")
    press(form, "Make the webhook")
    expect(form.get_by_role("alert")).to_contain_text("destination")
    press(form, "Cancel")
    assert "169.254" not in str(seen.ask(WEBHOOKS))
