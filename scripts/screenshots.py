"""Every page over made-up traffic, in a real browser: to look at, and three of them for the README.
`scripts/screenshots --help` tells the rest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser

from scripts import demo
from tests.e2e.ui_kit import PAGES, chromium, watched
from tests.fakes.appliance import Appliance

SETTLE_MS = 700
# Beside each page as it opens: name, address, and what is clicked.
MORE = (
    ("request", "/requests", ".list-row"),
    ("session", "/sessions", ".list-row"),
    ("manual", "/docs/manual", ""),
)


def shoot(browser: Browser, appliance: Appliance, folder: Path, *, dark: bool) -> None:
    """All pages in one scheme."""
    scheme = "dark" if dark else "light"
    shots = [(page, f"/{page}", "") for page in PAGES if page != "docs"] + list(MORE)
    for name, path, click in shots:
        with watched(browser, appliance, dark=dark) as seen:
            seen.go(path, shows="main")
            seen.page.wait_for_load_state("networkidle")
            if click:
                seen.page.locator(click).nth(1).click()
                seen.page.wait_for_load_state("networkidle")
            seen.page.wait_for_timeout(SETTLE_MS)
            seen.page.screenshot(path=str(folder / f"{name}-{scheme}.png"))
            print(f"{name}-{scheme}.png")


def main() -> int:
    """Into the directory that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", default="screenshots", type=Path)
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, Appliance(Path(place)) as appliance:
        demo.fill(appliance.url)
        with chromium() as browser:
            for dark in (False, True):
                shoot(browser, appliance, given.directory, dark=dark)
    return 0


if __name__ == "__main__":
    sys.exit(main())
