"""A real Chromium in front of a real appliance. Whatever a page says to its console, fails to load
or asks of another host is kept, and fails the test that looked at it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.compiled.by_path import ROOT, module_at
from tests.e2e.starting import until
from tests.fakes.appliance import Appliance

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 30_000
expect.set_options(timeout=WAIT_MS)
PASSWORD = "correct horse battery"
WIDE, SMALL = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
AXE = """async () => {
  const found = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]});
  return found.violations.map(({id, impact, help, nodes}) => ({
    id, impact, help, nodes: nodes.slice(0, 3).map((one) => `${one.html} ${one.failureSummary}`),
  }));
}"""
HELD = """() => [
  document.documentElement.outerHTML, location.href, JSON.stringify(history.state),
  ...[...document.querySelectorAll("input, textarea, select")].map((one) => one.value),
  ...[localStorage, sessionStorage].map((one) => JSON.stringify({...one})),
].join("\\n")"""
PAGES = re.findall(r'\{ id: "(\w+)"', (ROOT / "ui" / "web" / "pages.js").read_text())


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, without a screen."""
    if CHROMIUM is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    pages = module_at("build/ui_files.py")
    if not pages.is_fresh():
        pytest.fail(pages.STALE, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """One page, and what it said and asked for."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.said: list[str] = []
        self.strange: list[str] = []
        self.known: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("response", lambda reply: self._answered(reply.status, reply.url))
        page.on("request", lambda request: self._asked(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.said.append(f"{kind}: {text}")

    def _answered(self, status: int, url: str) -> None:
        if status >= 400:
            self.said.append(f"{status}: {url}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.strange.append(url)

    def go(self, path: str, *, shows: str = "h1") -> None:
        """Open an address of ours and wait until the page is there."""
        self.page.goto(self.origin + path)
        self.page.wait_for_selector(shows)

    def ask(self, path: str, body: Any = None, *, method: str = "") -> Any:
        """What the REST API answers this person, past the page and out of its envelope."""
        asks = self.page.request
        token = asks.get(f"{self.origin}/v1/auth/session").json()["data"].get("csrf_token")
        reply = asks.fetch(
            self.origin + path,
            method=method or ("GET" if body is None else "POST"),
            data=body,
            headers={"x-csrf-token": token or ""},
        )
        assert reply.status == 200, reply.text()
        told = reply.json()
        return told["data"] if isinstance(told, dict) and "data" in told else told

    def expects(self, *signs: int | str) -> None:
        """From now on the browser may tell of answers with this status, or of this error."""
        for sign in signs:
            self.known += [sign] if isinstance(sign, str) else [f"status of {sign}", f"{sign}: "]

    def check(self) -> None:
        """Nothing was said that was not expected, and nobody else was asked."""
        said = [one for one in self.said if not any(sign in one for sign in self.known)]
        assert not said, said
        assert not self.strange, self.strange


@contextmanager
def watched(
    browser: Browser,
    appliance: Appliance,
    *,
    dark: bool = False,
    small: bool = False,
    signed_in: Any = None,
) -> Iterator[Watched]:
    """A page of its own, with nothing kept from others but whom `signed_in` names; checked at the
    end."""
    context = browser.new_context(
        viewport=SMALL if small else WIDE,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        storage_state=signed_in,
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        found = Watched(context.new_page(), appliance.url)
        yield found
        found.check()
    finally:
        context.close()


def sign_in(seen: Watched, appliance: Appliance, role: str, name: str) -> None:
    """By the one-time link that the command prints."""
    made = appliance.command("users.create", email=f"{name}@example.com", role=role)
    seen.go("/sign-in?" + made["url"].partition("?")[2])
    seen.page.fill("input[type=password]", PASSWORD)
    seen.page.click("button")
    seen.page.wait_for_selector("nav.side")


def sign_in_once(browser: Browser, appliance: Appliance, role: str, name: str) -> Any:
    """Somebody for `watched(signed_in=…)`, as often as a test likes."""
    with watched(browser, appliance) as seen:
        sign_in(seen, appliance, role, name)
        return seen.page.context.storage_state()


def nowhere(page: Page, text: str) -> None:
    """The page has it neither to be seen nor in a field, an attribute or what the browser keeps."""
    assert text
    found = page.evaluate(HELD)
    assert text not in found, f"…{found.partition(text)[0][-200:]}"


def press(scope: Page | Locator, name: str) -> None:
    scope.get_by_role("button", name=name, exact=True).click()


def row_of(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def see(page: Page, text: str) -> None:
    """One of the short messages at the corner says it."""
    page.locator(".toasts").get_by_text(text).first.wait_for()


def on_record(appliance: Appliance, calls: int, key: str = "") -> None:
    """Wait until the pages show as many: what is logged can be asked for about a second later."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    def count() -> int:
        reply = appliance.call("/v1/request/count/query", {"filter": "all"}, headers)
        return int(reply.json["data"])

    until(lambda: count() >= calls)


def log(appliance: Appliance, body: Any, answer: Any, **headers: str) -> str:
    """One call on record with these bodies; its id."""
    call = {
        "providerRequest": {"url": "demo", "json": body, "meta": headers},
        "providerResponse": {"status": 200, "headers": {}, "json": answer},
    }
    reply = appliance.call("/custom/v1/log", call)
    assert reply.status == 200, reply.body
    return str(reply.id)


def axe(page: Page) -> list[dict[str, Any]]:
    """What axe-core finds to be serious or worse, by WCAG 2.2 AA."""
    script = ROOT / "tests" / "packages" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is missing: scripts/setup --packages")
    page.evaluate(script.read_text())  # past the page's policy, which forbids scripts of others
    found = page.evaluate(AXE)
    return [one for one in found if one["impact"] in ("serious", "critical")]
