"""People and what their roles let them do: on the pages, and of requests that no page makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.compiled.by_path import module_at
from tests.e2e.ui_kit import (
    PASSWORD,
    Watched,
    chromium,
    nowhere,
    on_record,
    press,
    row_of,
    see,
    sign_in_once,
    watched,
)
from tests.fakes.appliance import Appliance

demo = module_at("scripts/demo.py")
# Names of buttons that change what is kept.
ACTS = re.compile(
    r"^(New(?! tab)|Make|Save|Store|Rename|Revoke|Invite|Delete|Remove|Rotate|Change(?! colours)|"
    r"Pause|Send|Add credit|Grant|Set|Withdraw|Leave)\b"
)
FORGED: list[tuple[str, Any]] = [
    ("/v1/api-keys", {"api_key_name": "forged"}),
    ("/v1/rate-limits", {"name": "forged", "quota": 1, "window_seconds": 60}),
    ("/v1/alert/create", {"name": "forged"}),
    ("/v1/webhooks", {"destination": "https://example.com/"}),
    ("/v1/prompt-2025", {"name": "forged", "tags": [], "promptBody": {"messages": []}}),
    ("/v1/helicone-dataset", {"datasetName": "forged", "requestIds": []}),
    ("/v1/filter", {"name": "forged", "filter": {"type": "text", "text": "a"}}),
    ("/v1/helicone-sql/saved-query", {"name": "forged", "sql": "select 1"}),
]
FORGE = """async ([path, body, headers]) => (await fetch(path, {
  method: "POST", body: JSON.stringify(body),
  headers: {"content-type": "application/json", ...headers},
})).status"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("people"), config='access = "keys"\n') as found:
        key = found.command("keys.create", name="demo")["key"]
        on_record(found, demo.fill(found.url, calls=20, key=key), key)
        yield found


@pytest.fixture(scope="module")
def owner(browser: Browser, closed: Appliance) -> Any:
    return sign_in_once(browser, closed, "owner", "owner")


@pytest.fixture(scope="module")
def viewer(browser: Browser, closed: Appliance) -> Any:
    return sign_in_once(browser, closed, "viewer", "viewer")


@pytest.fixture
def seen(browser: Browser, closed: Appliance, owner: Any) -> Iterator[Watched]:
    with watched(browser, closed, signed_in=owner) as found:
        yield found


def members(seen: Watched) -> dict[str, str]:
    """Address → role."""
    session = seen.ask("/v1/auth/session")
    rows = seen.ask(f"/v1/organization/{session['organization']['id']}/members")
    return {row["email"]: row["role"] for row in rows}


def invited(seen: Watched, email: str, role: str) -> str:
    """The link for somebody, as the page shows it once."""
    page = seen.page
    press(page, "Invite somebody")
    form = page.get_by_role("dialog", name="Invite somebody")
    form.get_by_label("Address", exact=True).fill(email)
    form.get_by_label("Role", exact=True).select_option(role)
    press(form, "Make the link")
    shown = page.get_by_role("dialog", name=f"The link for {email}")
    link = shown.locator("pre").inner_text()
    press(shown, "Copy")
    press(shown, "Done")
    nowhere(page, link.partition("token=")[2])
    return link


def accepted(page: Page, origin: str, link: str) -> None:
    page.goto(origin + "/sign-in?" + link.partition("?")[2])
    page.fill("input[type=password]", PASSWORD)
    page.click("button")
    page.wait_for_selector("nav.side")


def test_somebody_is_invited_gets_another_role_and_goes(
    seen: Watched, browser: Browser, closed: Appliance
) -> None:
    page, email = seen.page, "new@example.com"
    seen.go("/organization")
    link = invited(seen, email, "member")
    expect(row_of(page, email)).to_contain_text("member")
    with watched(browser, closed) as theirs:
        theirs.expects(401)
        accepted(theirs.page, theirs.origin, link)
        theirs.go("/prompts")
        expect(theirs.page.get_by_role("button", name="New prompt")).to_be_visible()
        page.reload()
        role = page.get_by_label(f"Role of {email}")
        role.select_option("viewer")
        see(page, f"{email} is viewer now")
        assert members(seen)[email] == "viewer"
        theirs.page.reload()
        expect(theirs.page.get_by_text("No prompts yet")).to_be_visible()
        expect(theirs.page.get_by_role("button", name="New prompt")).to_have_count(0)
        press(page, f"Remove {email}")
        press(page.get_by_role("dialog", name=f"Remove {email}?"), "Remove")
        expect(row_of(page, email)).to_have_count(0)
        assert email not in members(seen)
        theirs.page.reload()
        theirs.page.wait_for_url("**/sign-in")


def test_an_invitation_is_withdrawn(seen: Watched) -> None:
    page, email = seen.page, "late@example.com"
    seen.go("/organization")
    link = invited(seen, email, "viewer")
    press(page, f"Withdraw the invitation of {email}")
    press(page.get_by_role("dialog", name=f"Withdraw the invitation of {email}?"), "Withdraw it")
    expect(row_of(page, email)).to_have_count(0)
    path = "/sign-in?" + link.partition("?")[2]
    assert page.request.get(seen.origin + path).status >= 400


def test_the_organisation_gets_another_name(seen: Watched) -> None:
    page = seen.page
    seen.go("/organization")
    press(page, "Rename")
    form = page.get_by_role("dialog", name="Rename the organisation")
    form.get_by_label("Name", exact=True).fill("Engines & <b>Co</b>")
    press(form, "Rename")
    expect(page.get_by_role("heading", name="Engines & <b>Co</b>")).to_be_visible()
    told = seen.ask("/v1/auth/session")["organization"]
    assert told["name"] == "Engines & <b>Co</b>"


def test_the_last_owner_stays(seen: Watched) -> None:
    seen.expects(400, 403, 409, 422)
    page = seen.page
    seen.go("/organization")
    role = page.get_by_label("Role of owner@example.com")
    role.select_option("viewer")
    see(page, "owner")
    expect(role).to_have_value("owner")
    assert members(seen)["owner@example.com"] == "owner"


NAMES = """() => [...document.querySelectorAll("main button:enabled, main input:enabled")]
  .filter((one) => one.checkVisibility())
  .map((one) => one.ariaLabel || one.innerText.trim() || one.id)"""


def acting(seen: Watched, name: str) -> list[str]:
    """Buttons of a page that change what is kept, once all of it is there."""
    page = seen.page
    page.get_by_role("navigation", name="Pages").locator(
        f"a[href='/{name.partition('/')[0]}']"
    ).click()
    if "/" in name:
        seen.go(f"/{name}")
    page.wait_for_url(f"**/{name}")
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator("main .loading, main .skeleton, main [aria-busy=true]")).to_have_count(0)
    names: list[str] = page.evaluate(NAMES)
    return [one for one in names if ACTS.search(one)]


PAGES = (
    "prompts", "datasets", "limits", "alerts", "webhooks", "providers/keys",
    "providers/proxy-keys", "keys", "wallet", "organization", "health", "sql",
)  # fmt: skip


def test_a_viewer_sees_no_button_that_acts(
    browser: Browser, closed: Appliance, seen: Watched, viewer: Any
) -> None:
    """While an owner sees them: the list of verbs is no list of nothing."""
    with watched(browser, closed, signed_in=viewer) as theirs:
        for one in (seen, theirs):
            one.go("/requests")
        for name in PAGES:
            assert acting(theirs, name) == [], name
    assert sum(bool(acting(seen, name)) for name in PAGES) >= 8


def test_what_no_page_offers_is_refused_all_the_same(
    browser: Browser, closed: Appliance, viewer: Any
) -> None:
    with watched(browser, closed, signed_in=viewer) as theirs:
        theirs.expects(403)
        theirs.go("/requests")
        token = theirs.ask("/v1/auth/session")["csrf_token"]
        for path, body in FORGED:
            for headers in ({"x-csrf-token": token}, {}):
                status = theirs.page.evaluate(FORGE, [path, body, headers])
                assert status == 403, (path, headers)


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:1", "http://localhost:1"])
def test_a_page_of_another_origin_changes_nothing(
    browser: Browser, closed: Appliance, owner: Any, elsewhere: str
) -> None:
    """Not from another port of this host either, whence a browser sends the cookie along."""
    form = f"""<form method="post" action="{closed.url}/v1/filter" enctype="text/plain">
      <input name='{{"name": "forged", "filter": {{"type": "text", "text": "' value='"}}}}'>
      <button>Win</button></form>"""
    with watched(browser, closed, signed_in=owner) as theirs:
        page = theirs.page
        theirs.expects(403)
        page.route(f"{elsewhere}/*", lambda way: way.fulfill(body=form, content_type="text/html"))
        page.goto(f"{elsewhere}/trap")
        with page.expect_response("**/v1/filter") as answered:
            press(page, "Win")
        assert answered.value.status == 403
        assert "forged" not in str(theirs.ask("/v1/filter"))
        theirs.strange.clear()
