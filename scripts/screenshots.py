"""Every page over made-up traffic, in a real browser: to look at, and three of them for the README.
Light and dark, on a usual screen, on a phone and on one of 4K; pages with nothing to show, with
somebody who has to sign in, and with a server that fails, too.

    scripts/screenshots [DIRECTORY] [--size usual|phone|4k] [--only NAME] [--scheme light|dark]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, Page

from scripts import demo
from tests.e2e.ui_kit import PAGES, chromium, on_record
from tests.fakes.appliance import Appliance

SETTLE_MS = 700
WAIT_MS = 30_000
SIZES = {"usual": (1440, 900), "phone": (360, 740), "4k": (3840, 2160)}
SQL = """select model, count(*) as requests, sum(cost) / 1e9 as usd
from request_response_rmt group by 1 order by 2 desc"""
FAILS = "**/v1/request/query-clickhouse"


def click(selector: str, number: int = 0) -> Callable[[Page], None]:
    return lambda page: page.locator(selector).nth(number).click()


def press(keys: str) -> Callable[[Page], None]:
    return lambda page: page.keyboard.press(keys)


def ask(sql: str) -> Callable[[Page], None]:
    def asked(page: Page) -> None:
        page.locator(".sql-editor textarea").fill(sql)
        page.keyboard.press("Control+Enter")
        page.locator(".sql-main .list, .sql-main .chart, .sql-main .notice").first.wait_for()

    return asked


def hover(page: Page) -> None:
    box = page.locator(".chart").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def fail(page: Page) -> None:
    """The list cannot be had, from now on."""
    told = '{"data": null, "error": "The database is being restored. Ask again in a minute."}'
    page.route(FAILS, lambda route: route.fulfill(status=503, body=told))
    page.reload()


@dataclass(frozen=True)
class Shot:
    """`steps` are done one after the other, each when the page is quiet."""

    name: str
    path: str
    steps: tuple[Callable[[Page], None], ...] = ()
    where: str = "full"


ROW = click(".list-row", 1)
# Beside each page as it opens.
MORE = (
    Shot("dashboard-hover", "/dashboard", (hover,)),
    Shot("request", "/requests", (ROW,)),
    Shot("request-details", "/requests", (ROW, click(".drawer [role=tab]", -1))),
    Shot("requests-filtered", "/requests?q=status+%3E%3D+400"),
    Shot("requests-nothing", "/requests?q=model+%3D+none"),
    Shot("requests-failed", "/requests", (fail,)),
    Shot("session", "/sessions", (ROW,)),
    Shot("session-request", "/sessions", (ROW, click(".gantt .list-row", 1))),
    Shot("session-spread", "/sessions?tab=spread"),
    Shot("user", "/users", (click("tbody a"),)),
    Shot("sql-results", "/sql", (ask(SQL),)),
    Shot("sql-chart", "/sql?view=chart", (ask(SQL),)),
    Shot("sql-failed", "/sql", (ask("select modle from request_response_rmt"),)),
    Shot("prompt", "/prompts", (click("main table a"),)),
    Shot("prompt-compare", "/prompts", (click("main table a"), click("text=Compare"))),
    Shot("prompt-new", "/prompts", (click("main table a"), click("text=New version"))),
    Shot("dataset", "/datasets", (click("main table a"),)),
    Shot("webhook", "/webhooks", (click("main table a"),)),
    Shot("alert-new", "/alerts", (click("text=New alert"),)),
    Shot("models", "/providers?tab=models"),
    Shot("audit", "/health?tab=audit"),
    Shot("manual", "/docs/manual"),
    Shot("manual-headers", "/docs/manual/headers"),
    Shot("keyboard", "/requests", (press("?"),)),
    Shot("palette", "/requests", (press("Control+k"),)),
    *(
        Shot(f"{page}-empty", f"/{page}", where="empty")
        for page in ("dashboard", "requests", "sessions", "users", "properties", "datasets", "keys")
    ),
    Shot("sign-in", "/sign-in", where="closed"),
)


@dataclass(frozen=True)
class Look:
    """One browser's manner."""

    browser: Browser
    size: str
    scheme: str

    def shoot(self, shot: Shot, origin: str, file: Path) -> None:
        width, height = SIZES[self.size]
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=self.scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        try:
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(origin + shot.path)
            page.wait_for_load_state("networkidle")
            for step in shot.steps:
                page.wait_for_timeout(SETTLE_MS / 2)
                step(page)
                page.wait_for_load_state("networkidle")
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=str(file))
        finally:
            context.close()


@contextmanager
def houses(folder: Path) -> Iterator[dict[str, str]]:
    """Three appliances by name: a full one, an empty one, and one that asks for a sign-in."""
    closed = Appliance(folder / "closed", config='access = "keys"\n')
    with Appliance(folder / "full") as full, Appliance(folder / "empty") as empty, closed:
        on_record(full, demo.fill(full.url))
        demo.furnish(full.url)
        yield {"full": full.url, "empty": empty.url, "closed": closed.url}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", nargs="?", default="screenshots", type=Path)
    parser.add_argument("--size", action="append", choices=sorted(SIZES), help="default: all")
    parser.add_argument(
        "--scheme", action="append", choices=("light", "dark"), help="default: both"
    )
    parser.add_argument("--only", action="append", help="this one, by its name; default: all")
    return parser.parse_args()


def take(given: argparse.Namespace, where: dict[str, str]) -> None:
    """All that were asked for."""
    pages = [Shot(page, f"/{page}") for page in [*PAGES, "start"] if page != "docs"]
    shots = [one for one in [*pages, *MORE] if not given.only or one.name in given.only]
    given.directory.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for size in given.size or SIZES:
            for scheme in given.scheme or ("light", "dark"):
                look = Look(browser, size, scheme)
                for shot in {one.name: one for one in shots}.values():
                    name = f"{shot.name}-{scheme}{'' if size == 'usual' else f'-{size}'}.png"
                    look.shoot(shot, where[shot.where], given.directory / name)
                    print(name, flush=True)


def main() -> int:
    """Into the directory that is named."""
    given = options()
    with tempfile.TemporaryDirectory() as place, houses(Path(place)) as where:
        take(given, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
