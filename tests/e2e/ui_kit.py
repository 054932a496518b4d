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
from playwright.sync_api import Browser, Page, sync_playwright

from tests.compiled.by_path import ROOT, module_at
from tests.e2e.starting import until
from tests.fakes.appliance import Appliance

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 30_000
WIDE, SMALL = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
AXE = """async () => {
  const found = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]});
  return found.violations.map(({id, impact, help, nodes}) => ({
    id, impact, help, nodes: nodes.slice(0, 3).map((one) => `${one.html} ${one.failureSummary}`),
  }));
}"""
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

    def check(self) -> None:
        """Nothing was said and nobody else was asked."""
        assert not self.said, self.said
        assert not self.strange, self.strange


@contextmanager
def watched(
    browser: Browser, appliance: Appliance, *, dark: bool = False, small: bool = False
) -> Iterator[Watched]:
    """A page of its own, with nothing kept from others; checked at the end."""
    context = browser.new_context(
        viewport=SMALL if small else WIDE,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        found = Watched(context.new_page(), appliance.url)
        yield found
        found.check()
    finally:
        context.close()


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
