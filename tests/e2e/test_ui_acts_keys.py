"""Keys as a person makes them: shown once, sent once, and gone from the page for good."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.ui_kit import Watched, chromium, nowhere, press, row_of, see, sign_in_once, watched
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
STORED = "/v1/api-keys/provider-keys"
SECRET, SECOND = "sk-live-0123456789abcdef", "sk-live-fedcba9876543210"
UNAUTHORISED = 401


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def appliance(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("keys")
    with Appliance(folder, provider, config='access = "keys"\n', lends=True) as found:
        yield found


@pytest.fixture(scope="module")
def key(appliance: Appliance) -> str:
    """For asking over REST what the pages have done."""
    made: str = appliance.command("keys.create", name="asks")["key"]
    return made


@pytest.fixture(scope="module")
def owner(browser: Browser, appliance: Appliance) -> Any:
    return sign_in_once(browser, appliance, "owner", "owner")


@pytest.fixture
def seen(browser: Browser, appliance: Appliance, owner: Any) -> Iterator[Watched]:
    """A page of somebody who may make keys."""
    with watched(browser, appliance, signed_in=owner) as found:
        yield found


def logged(appliance: Appliance, key: str) -> int:
    """The status of a call that a program logs with this key."""
    call: dict[str, Any] = {
        "providerRequest": {"url": "demo", "json": ASK, "meta": {}},
        "providerResponse": {"status": 200, "headers": {}, "json": {}},
    }
    return appliance.call("/custom/v1/log", call, {"Authorization": f"Bearer {key}"}).status


def made(page: Page, name: str) -> str:
    """A key that may write and not read; what the page showed of it."""
    page.get_by_role("button", name="New key").first.click()
    form = page.get_by_role("dialog", name="New key")
    verb = form.get_by_role("button", name="Make the key")
    expect(verb).to_be_disabled()
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_role("radio", name="write only").check()
    verb.click()
    shown = page.get_by_role("dialog", name="Your new key")
    return shown.locator("pre").inner_text()


def test_a_key_is_shown_once_and_revoked(seen: Watched, appliance: Appliance) -> None:
    page = seen.page
    seen.go("/keys")
    key = made(page, "night job")
    assert re.fullmatch(r"pk-helicone(-[a-z0-9]{7}){4}", key)
    shown = page.get_by_role("dialog", name="Your new key")
    press(shown, "Done")  # not before it was copied, or once more
    expect(shown.get_by_role("alert")).to_contain_text("cannot be shown again")
    press(shown, "Copy")
    see(page, "on the clipboard")
    assert page.evaluate("navigator.clipboard.readText()") == key
    press(shown, "Done")
    expect(row_of(page, "night job")).to_contain_text("write only")
    nowhere(page, key)
    page.reload()
    expect(row_of(page, "night job")).to_be_visible()
    nowhere(page, key)
    assert logged(appliance, key) == 200
    given = {"Authorization": f"Bearer {key}"}
    assert appliance.call("/v1/api-keys", None, given, method="GET").status == 403
    press(page, "Rename night job")
    form = page.get_by_role("dialog", name="Rename the key")
    form.get_by_label("Name", exact=True).fill("day job")
    press(form, "Rename")
    expect(row_of(page, "day job")).to_be_visible()
    told = str(seen.ask("/v1/api-keys"))
    assert "day job" in told
    assert key not in told
    press(page, "Revoke day job")
    press(page.get_by_role("dialog", name="Revoke day job?"), "Revoke it")
    expect(row_of(page, "day job")).to_have_count(0)
    assert logged(appliance, key) == UNAUTHORISED
    assert "day job" not in str(seen.ask("/v1/api-keys"))


def test_a_key_that_was_not_copied_is_not_left_by_mistake(seen: Watched) -> None:
    page = seen.page
    seen.go("/keys")
    key = made(page, "in a hurry")
    shown = page.get_by_role("dialog", name="Your new key")
    page.keyboard.press("Escape")
    expect(shown.get_by_role("alert")).to_be_visible()
    press(shown, "Close without copying")
    expect(shown).to_have_count(0)
    nowhere(page, key)


def stored(page: Page, name: str, secret: str) -> None:
    page.get_by_role("button", name="Store a key").first.click()
    form = page.get_by_role("dialog", name="Store a provider's key")
    form.get_by_label("Provider", exact=True).fill("openai")
    form.get_by_label("Key", exact=True).fill(secret)
    form.get_by_label("Name", exact=True).fill(name)
    press(form, "Store it")
    see(page, f"{name} is stored")


def sent_with(appliance: Appliance, provider: Provider, key: str) -> bytes | None:
    """The credential with which a call that brings none reaches the provider."""
    provider.clear()
    reply = appliance.call(CHAT, ASK, {"Helicone-Auth": f"Bearer {key}"})
    assert reply.status == 200, reply.body
    return provider.received[-1].first(b"authorization")


def test_a_provider_s_key_is_stored_changed_and_removed(
    seen: Watched, appliance: Appliance, provider: Provider, key: str
) -> None:
    page = seen.page
    seen.go("/providers/keys")
    stored(page, "house key", SECRET)
    row = row_of(page, "house key")
    expect(row).to_contain_text("in use")
    nowhere(page, SECRET)
    assert SECRET not in str(seen.ask(STORED))
    assert sent_with(appliance, provider, key) == f"Bearer {SECRET}".encode()
    press(page, "Rotate house key")
    form = page.get_by_role("dialog", name="Rotate house key")
    form.get_by_label("Key", exact=True).fill(SECOND)
    press(form, "Put it in the old one's place")
    see(page, "has its new secret")
    assert sent_with(appliance, provider, key) == f"Bearer {SECOND}".encode()
    row.get_by_role("checkbox", name="BYOK of house key").click()
    expect(row.get_by_role("checkbox", name="BYOK of house key")).not_to_be_checked()
    byok = {one["provider_key_name"]: one["byok_enabled"] for one in seen.ask(STORED)}
    assert byok["house key"] is False
    for secret in (SECRET, SECOND):
        nowhere(page, secret)
    press(page, "Remove house key")
    press(page.get_by_role("dialog", name="Remove house key?"), "Remove it")
    expect(row).to_have_count(0)
    assert "house key" not in str(seen.ask(STORED))


def test_what_cannot_be_stored_is_said_beside_the_form(seen: Watched) -> None:
    seen.expects(400)
    page = seen.page
    seen.go("/providers/keys")
    page.get_by_role("button", name="Store a key").first.click()
    form = page.get_by_role("dialog", name="Store a provider's key")
    form.get_by_label("Provider", exact=True).fill("no such provider")
    form.get_by_label("Key", exact=True).fill(SECRET)
    press(form, "Store it")
    expect(form.get_by_role("alert")).to_contain_text("no such provider")
    assert form.get_by_label("Provider", exact=True).input_value() == "no such provider"
    press(form, "Cancel")
    nowhere(page, SECRET)
    assert "no such provider" not in str(seen.ask(STORED))


def test_a_proxy_key_stands_in_as_far_as_its_limit(
    seen: Watched, appliance: Appliance, provider: Provider
) -> None:
    page = seen.page
    seen.go("/providers/keys")
    stored(page, "behind", SECRET)
    page.get_by_role("tab", name="Proxy keys").click()
    page.get_by_role("button", name="New proxy key").first.click()
    form = page.get_by_role("dialog", name="New proxy key")
    form.get_by_label("Name", exact=True).fill("for an intern")
    form.get_by_label("At most so many requests", exact=True).fill("1")
    press(form, "Make the proxy key")
    shown = page.get_by_role("dialog", name="The new proxy key")
    proxy = shown.locator("pre").inner_text()
    press(shown, "Copy")
    press(shown, "Done")
    row = row_of(page, "for an intern")
    expect(row).to_contain_text("1 request per hour")
    nowhere(page, proxy)
    nowhere(page, SECRET)
    provider.clear()
    given = {"Authorization": f"Bearer {proxy}"}
    first, again = (appliance.call(CHAT, ASK, given) for _ in range(2))
    assert first.status == 200, first.body
    assert again.status == 429, again.body
    assert provider.received[-1].first(b"authorization") == f"Bearer {SECRET}".encode()
    press(page, "Remove for an intern")
    press(page.get_by_role("dialog", name="Remove for an intern?"), "Remove it")
    expect(row).to_have_count(0)
    assert appliance.call(CHAT, ASK, given).status == UNAUTHORISED
