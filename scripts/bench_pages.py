"""The pages in a real Chromium: how soon each is there, a session of many spans as it scrolls, and
what live mode does to the memory. Prints what it finds and its goals; needs chromium.

    scripts/bench_pages [pages] [session] [live] [--requests 20000] [--data DIRECTORY]

`--data` is a directory that scripts/fill or a server has filled; it is copied and never touched.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, CDPSession, Page

from scripts import demo
from scripts.bench_report import Report
from tests.e2e.starting import until
from tests.e2e.ui_kit import PAGES, WIDE, chromium
from tests.fakes.appliance import ROOT, Appliance

# The days that scripts/fill writes; demo.py writes the last seven.
FILLED: Final = "range=2026-09-01T00:00:00Z~2026-10-01T00:00:00Z"
PAINT_MS, INTERACTIVE_MS, FRAME_MS = 1000.0, 300.0, 50.0
SLOPE_KB, WARM_UP_S = 100.0, 120.0  # what live mode may add in a minute, once its list is full
CATCH_UP_S = 1800.0
TURN_MS = 700  # more than the page lets pass between two looks
TRIES = 3
SCROLL_S, SCROLL_PX = 6, 90  # a frame: a fast turn of the wheel
SEEN: Final = """
const seen = window.seen = {change: 0, busy: 0};
new PerformanceObserver((list) => {
  for (const {startTime, duration} of list.getEntries()) {
    seen.busy = Math.max(seen.busy, startTime + duration);
  }
}).observe({type: "longtask", buffered: true});
const drawn = () => setTimeout(() => { seen.change = performance.now(); });
new MutationObserver(() => requestAnimationFrame(drawn))
  .observe(document, {childList: true, subtree: true, characterData: true, attributes: true});
performance.setResourceTimingBufferSize(2000);
"""
TOLD: Final = """() => {
  const asked = performance.getEntriesByType("resource")
    .filter((one) => /\\/v1\\/|[.]md$/.test(one.name));
  const data = Math.max(0, ...asked.map((one) => one.responseEnd));
  const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0;
  return {paint, data, after: Math.max(0, window.seen.change - data, window.seen.busy - data)};
}"""
FRAMES: Final = """([seconds, px]) => new Promise((done) => {
  const box = document.querySelector(".list-scroll");
  const times = [];
  let way = 1, before = performance.now(), end = before + seconds * 1000;
  const step = (now) => {
    times.push(now - before);
    before = now;
    if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) way = -1;
    box.scrollTop += way * px;
    if (now < end) requestAnimationFrame(step); else done(times.slice(1));
  };
  requestAnimationFrame(step);
})"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("parts", nargs="*", help="pages, session, live; all without any")
    add("--requests", type=int, default=20_000, help="in the store that is filled (default 20000)")
    add("--data", type=Path, help="a filled directory to copy, instead")
    add("--spans", type=int, default=20_000, help="of the session (default 20000)")
    add("--minutes", type=float, default=10, help="of live mode (default 10; 60 for the promise)")
    add("--rate", type=float, default=50, help="requests a second in live mode (default 50)")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    report = Report()
    wanted = args.parts or list(PARTS)
    with (
        tempfile.TemporaryDirectory(prefix="bench-pages-") as place,
        chromium() as browser,
        served(Path(place), args, report) as appliance,
    ):
        for part in (one for one in PARTS if one in wanted):
            PARTS[part](browser, appliance, args, report)
    return 1 if report.table() else 0


@contextmanager
def served(place: Path, args: argparse.Namespace, report: Report) -> Iterator[Appliance]:
    """A server over a copy of the directory, or over so many made-up requests, when all of them
    can be asked for."""
    appliance = Appliance(place)
    if args.data:
        shutil.copytree(args.data, appliance.data, ignore=shutil.ignore_patterns("*.sock"))
    else:
        command = [ROOT / "scripts" / "fill", str(args.requests), str(appliance.data)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    with appliance:
        until(lambda: count(appliance) >= (1 if args.data else args.requests), CATCH_UP_S)
        report.note(f"{settled(appliance):,} requests in store")
        yield appliance


def count(appliance: Appliance) -> int:
    return int(appliance.call("/v1/request/count/query", {"filter": "all"}).json["data"])


def settled(appliance: Appliance) -> int:
    """How many there are, when they are no longer becoming more."""
    before = -1
    while (now := count(appliance)) != before:
        before = now
        time.sleep(2)
    return now


# -- pages -----------------------------------------------------------------------------------------


def pages(browser: Browser, appliance: Appliance, args: argparse.Namespace, report: Report) -> None:
    """Each page in a browser that knows nothing yet; the median of some tries."""
    report.heading("pages: first paint, data there, and how long after that until all is drawn")
    report.note("load of this machine: {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()))
    for name in ("docs/manual" if page == "docs" else page for page in PAGES):
        told = [opened(browser, appliance, f"/{name}?{FILLED}") for _ in range(TRIES)]
        tell(name, told, report)
    row = first_request(appliance)
    told = [opened(browser, appliance, f"/requests?{FILLED}&id={row}") for _ in range(TRIES)]
    tell("a request", told, report)


def tell(name: str, told: list[dict[str, float]], report: Report) -> None:
    middle = {key: statistics.median(one[key] for one in told) for key in told[0]}
    report.figure(f"{name}: first paint", middle["paint"], "ms", at_most=PAINT_MS)
    report.figure(f"{name}: data there", middle["data"], "ms")
    report.figure(f"{name}: drawn after its data", middle["after"], "ms", at_most=INTERACTIVE_MS)


def first_request(appliance: Appliance) -> str:
    reply = appliance.call("/v1/request/query-clickhouse", {"filter": "all", "limit": 1})
    return str(reply.json["data"][0]["request_id"])


@contextmanager
def page_of(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page with nothing kept, and what it complained of."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    context.add_init_script(SEEN)
    page = context.new_page()
    page.set_default_timeout(120_000)
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    try:
        yield page, said
    finally:
        context.close()


def opened(browser: Browser, appliance: Appliance, path: str) -> dict[str, float]:
    """Milliseconds since the address was entered; whatever goes wrong ends the run."""
    with page_of(browser) as (page, said):
        reply = page.goto(appliance.url + path)
        if reply is None or not reply.ok:
            raise SystemExit(f"{path}: {reply and reply.status}")
        page.wait_for_selector("h1")
        page.wait_for_load_state("networkidle")
        told: dict[str, float] = page.evaluate(TOLD)
        alerts = page.locator("[role=alert]").all_inner_texts()
        if said or alerts:
            raise SystemExit(f"{path}: {said} {alerts}")
        return told


# -- a session -------------------------------------------------------------------------------------


def session(
    browser: Browser, appliance: Appliance, args: argparse.Namespace, report: Report
) -> None:
    """One session of so many spans: opened, scrolled, folded, and one request of it looked at."""
    report.heading(f"a session of {args.spans:,} spans")
    before = count(appliance)
    log_session(appliance.url, args.spans)
    until(lambda: count(appliance) >= before + args.spans, CATCH_UP_S)
    with page_of(browser) as (page, said):
        began_s = time.monotonic()
        page.goto(f"{appliance.url}/sessions/many")
        page.wait_for_selector(".gantt .list-row")
        report.figure("opened, with all its data", time.monotonic() - began_s, "s")
        report.note(page.locator(".list-foot").inner_text().replace("\n", " "))
        frames(page, report)
        first = page.locator(".gantt .list-row [aria-label=Close]").first
        page.evaluate("document.querySelector('.list-scroll').scrollTop = 0")
        took(report, "folded a path", first.click, page)
        row = page.locator(".gantt .list-row", has=page.locator(".badge")).first
        took(report, "opened a request", row.click, page)
        page.wait_for_selector(".drawer .tabs")
        if said:
            raise SystemExit(str(said))


def log_session(url: str, spans: int) -> None:
    """Fifty paths, each with its share of calls, one after the other."""
    door, now_s = demo.Door(url, ""), time.time() - 2 * spans / 10
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Go on"}]}
    said = {"message": {"role": "assistant", "content": "Done"}}
    for number in range(spans):
        began_s = now_s + number / 10
        headers = {
            "Helicone-Session-Id": "many", "Helicone-Session-Name": "Many spans",
            "Helicone-Session-Path": f"/part-{number * 50 // spans}/step-{number % 5}",
        }  # fmt: skip
        call = {
            "providerRequest": {"url": "bench", "json": body, "meta": {}},
            "providerResponse": {"status": 200, "headers": {}, "json": {"choices": [said]}},
            "timing": {"startTime": demo.moment(began_s), "endTime": demo.moment(began_s + 1)},
        }
        door.log("custom", call, headers)
    door.close()


def frames(page: Page, report: Report) -> None:
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = processor_s(tools)
    found = sorted(page.evaluate(FRAMES, [SCROLL_S, SCROLL_PX]))
    spent_ms = (processor_s(tools) - before) * 1000 / len(found)
    late = sum(one > FRAME_MS for one in found) / len(found)
    report.note(f"{len(found)} frames while it scrolled {SCROLL_PX} px in each")
    report.figure("processor time of the page's thread in a frame", spent_ms, "ms", at_most=16.7)
    report.figure("a frame, half of them", found[len(found) // 2], "ms")
    report.figure("a frame, 95 of 100", found[len(found) * 95 // 100], "ms", at_most=FRAME_MS)
    report.figure("a frame, the longest", found[-1], "ms")
    report.figure(f"frames that took more than {FRAME_MS:.0f} ms", late * 100, "%")


def processor_s(tools: CDPSession) -> float:
    told = tools.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in told if one["name"] == "TaskDuration"))


def took(report: Report, name: str, act: Callable[[], None], page: Page) -> None:
    """Until the next frame is there."""
    began_s = time.monotonic()
    act()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    report.figure(name, (time.monotonic() - began_s) * 1000, "ms")


# -- live mode -------------------------------------------------------------------------------------


def live(browser: Browser, appliance: Appliance, args: argparse.Namespace, report: Report) -> None:
    """The heap after a collection, each half minute, while requests keep coming in."""
    report.heading(f"live mode for {args.minutes:g} min at {args.rate:g} requests/s")
    ended = threading.Event()
    sent, began_s = [0], time.monotonic()
    feeder = threading.Thread(target=feed, args=(appliance.url, args.rate, ended, sent))
    feeder.start()
    try:
        with page_of(browser) as (page, said):
            page.goto(f"{appliance.url}/requests?live=1")
            page.wait_for_selector(".list-row")
            points = watch(page, args.minutes * 60, report)
            if said:
                raise SystemExit(str(said[:3]))
    finally:
        ended.set()
        feeder.join()
    report.figure("requests sent in a second", sent[0] / (time.monotonic() - began_s), "1/s")
    warm = [one for one in points if one[0] >= min(WARM_UP_S, args.minutes * 30)]
    report.figure("heap at the end", points[-1][1] / 1024, "MB")
    report.figure("heap: growth in a minute", slope(warm, 1) * 60, "kB", at_most=SLOPE_KB)
    report.figure("DOM nodes: growth in a minute", slope(warm, 2) * 60, "nodes")
    report.figure("listeners: growth in a minute", slope(warm, 3) * 60, "")


def feed(url: str, rate: float, ended: threading.Event, sent: list[int]) -> None:
    """Made-up calls at a steady rate, until it is over."""
    rng, door, began_s = random.Random(1), demo.Door(url, ""), time.monotonic()
    while not ended.wait(max(0.0, began_s + sent[0] / rate - time.monotonic())):
        door.log(*demo.call_of(rng, time.time() - 1, 1.0), {"Helicone-User-Id": "live"})
        sent[0] += 1
    door.close()


def watch(page: Page, for_s: float, report: Report) -> list[tuple[float, float, float, float]]:
    """(second, kB of heap, DOM nodes, listeners), again and again."""
    tools = page.context.new_cdp_session(page)
    tools.send("HeapProfiler.enable")
    points = []
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < for_s:
        # the less of two: rows that are just being replaced count for nothing
        first, _ = measured(tools), page.wait_for_timeout(TURN_MS)
        points.append((at_s, *min(first, measured(tools))))
        _, heap, nodes, listeners = points[-1]
        told = f"{at_s:5.0f} s {heap / 1024:7.2f} MB {nodes:6.0f} nodes {listeners:4.0f} listeners"
        report.note(f"{told}  {page.locator('.list-foot').inner_text().splitlines()[0]}")
        page.wait_for_timeout(min(30.0, for_s / 20) * 1000)
    return points


def measured(tools: CDPSession) -> tuple[float, float, float]:
    for _ in range(2):
        tools.send("HeapProfiler.collectGarbage")
    heap: dict[str, Any] = tools.send("Runtime.getHeapUsage")
    counters: dict[str, Any] = tools.send("Memory.getDOMCounters")
    return heap["usedSize"] / 1024, counters["nodes"], counters["jsEventListeners"]


def slope(points: list[tuple[float, float, float, float]], which: int) -> float:
    """By least squares, per second."""
    if len(points) < 3:
        return 0.0
    return statistics.linear_regression(
        [one[0] for one in points], [one[which] for one in points]
    ).slope


PARTS: Final = {"pages": pages, "session": session, "live": live}

if __name__ == "__main__":
    sys.exit(main())
