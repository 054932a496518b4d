"""The manual tells of everything there is, its links lead somewhere, and what is made from the code
is what the code says today.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from appliance.api.paths import PERMISSIONS
from appliance.cli import app
from appliance.config import Config
from appliance.config_options import options_of
from appliance.core import headers as names

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "ui" / "manual"
PAGES = sorted(path.stem for path in MANUAL.glob("*.md"))
CONTENTS = "contents"
# Where a link may lead that is no page of the manual.
UI_PAGES = re.findall(
    r'\{ id: "([a-z]+)"', (ROOT / "ui" / "web" / "pages.js").read_text(encoding="utf-8")
)
SERVED = {"/docs", "/download/swagger.json", *(f"/{name}" for name in UI_PAGES)}
# Headers that need no heading, and why.
NO_HEADING = {
    # Said by whoever speaks HTTP; they ask nothing of this program by themselves.
    "host", "accept", "connection", "upgrade", "origin", "sec-fetch-site",
    "access-control-request-method", "access-control-request-headers",
    "access-control-request-private-network",
    # The provider's own, passed on: it says of a /v1 path that it is Anthropic's.
    "anthropic-version",
    # Not a header but how such names begin.
    "helicone-",
    # Named by the table of a provider's credentials under Authorization.
    "api-key", "x-goog-api-key",
}  # fmt: skip
FENCE = re.compile(r"^```")
HEADING = re.compile(r"^(#{1,4}) (.+?)\s*$")
LINK = re.compile(r"(?<!!)\[(?:[^\]\\]|\\.)+\]\(([^\s)]+)\)")


@cache
def lines(page: str) -> tuple[str, ...]:
    """A page without what stands in boxes of code."""
    kept, inside = [], False
    for line in (MANUAL / f"{page}.md").read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    assert not inside, f"{page}: a box of code is not closed"
    return tuple(kept)


@cache
def headings(page: str) -> tuple[str, ...]:
    return tuple(match[2] for line in lines(page) if (match := HEADING.match(line)))


def shown_slug(text: str) -> str:
    """As the pages make an anchor of a heading (`slug` in parts/markdown.js)."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def repository_slug(text: str) -> str:
    """As GitHub and GitLab do."""
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def links() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for line in lines(page):
            for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
                yield page, target


def test_every_page_is_in_the_contents_once() -> None:
    listed = [target for page, target in links() if page == CONTENTS]
    found = [f"{page}.md" for page in PAGES if page != CONTENTS]
    assert sorted(listed) == found


def test_the_contents_are_lists_that_the_pages_can_read() -> None:
    """As `groups` in pages/manual/parse.js does: one line for each page."""
    items = [line for line in lines(CONTENTS) if line.startswith("-")]
    assert all(re.fullmatch(r"- \[[^\]]+\]\([a-z-]+\.md\): .+", line) for line in items)
    assert len(items) == len(PAGES) - 1


@pytest.mark.parametrize(("page", "target"), sorted(set(links())))
def test_links_lead_somewhere(page: str, target: str) -> None:
    if target.startswith(("https://", "mailto:")) or target in SERVED:
        return
    name, _, anchor = target.partition("#")
    other = name.removesuffix(".md") if name else page
    assert not name or name.endswith(".md"), "a page is named by its file, as it lies here"
    assert other in PAGES
    if anchor:
        assert anchor in {repository_slug(text) for text in headings(other)}
        assert shown_slug(anchor) in {shown_slug(text) for text in headings(other)}


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_a_title_and_anchors_of_their_own(page: str) -> None:
    text = (MANUAL / f"{page}.md").read_text(encoding="utf-8")
    titles = [line for line in lines(page) if line.startswith("# ")]
    assert len(titles) == 1, "one title, of one #"
    doubles = [name for name, n in Counter(map(shown_slug, headings(page))).items() if n > 1]
    assert not doubles
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", text)
    assert not re.search(r"^[ \t]+```", text, re.MULTILINE), "boxes of code begin at the margin"


def test_every_header_has_a_heading() -> None:
    told = {text.lower() for text in headings("headers")}
    spelled = {
        value.decode().lower() for name, value in vars(names).items() if isinstance(value, bytes)
    }
    spelled = {f"{name}<name>" if name == "helicone-property-" else name for name in spelled}
    assert not spelled - told - NO_HEADING
    assert not NO_HEADING & told, "there is a heading: the exception is not needed"
    assert spelled >= NO_HEADING, "there is no such header any more"


def test_every_header_that_is_spelled_elsewhere_has_a_heading() -> None:
    """Replies' own headers and those of webhooks stand with what sets them."""
    told = " ".join("\n".join(lines(page)).lower() for page in ("headers", "webhooks-and-alerts"))
    pattern = re.compile(
        r"""^[A-Z_]+(?:: Final)? = b?"((?:x-)?helicone-[a-z-]+[a-z])"$""", re.I | re.M
    )
    found = {
        name.lower()
        for path in (ROOT / "appliance").rglob("*.py")
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    } - {"helicone-appliance", "helicone-cache", "helicone-score-feedback"}
    assert len(found) > 10
    assert not {name for name in found if name not in told}


def test_modules_that_the_threat_model_names_are_there() -> None:
    text = (MANUAL / "security.md").read_text(encoding="utf-8")
    model = text.partition("\n## Threat model\n")[2].partition("\n## ")[0]
    named = [name for group in re.findall(r"\[(`[^\]]+`)\]", model) for name in group.split("`")]
    modules = {name for name in named if re.fullmatch(r"[a-z_/]+", name)}
    assert len(modules) > 20
    places = [ROOT / "appliance", ROOT]
    assert not [m for m in modules if not any((p / f"{m}.py").exists() for p in places)]


def test_every_endpoint_is_named() -> None:
    text = "\n".join(lines("rest"))
    assert not [
        f"{method} {path}" for method, path in PERMISSIONS if f"`{method} {path}`" not in text
    ]


def test_every_option_has_a_heading() -> None:
    assert not set(option_names(Config, ())) - set(headings("options"))


def option_names(schema: type, above: tuple[str, ...]) -> Iterator[str]:
    for name, (_, option) in options_of(schema).items():
        yield ".".join((*above, name))
        if option.table is not None and option.shape != "partial":
            below = (*above, name, "<name>") if option.shape == "named" else (*above, name)
            yield from option_names(option.table, below)


def test_every_command_has_a_heading() -> None:
    assert not set(command_names(typer.main.get_command(app), ())) - set(headings("commands"))


def command_names(command: object, path: tuple[str, ...]) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path)
        return
    for name, one in inner.items():
        yield from command_names(one, (*path, name))


def test_a_command_stands_as_it_is_typed() -> None:
    """Options of `run` behind the program would be the program's; and the line for assistants
    begins with another program."""
    commands = (MANUAL / "commands.md").read_text(encoding="utf-8")
    assert "\nhelicone-appliance run [OPTIONS] COMMAND…\n" in commands
    assert "\nclaude mcp add helicone -e HELICONE_API_KEY=sk-helicone-… -- " in commands


def test_every_option_of_a_command_is_told() -> None:
    text = (MANUAL / "commands.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    common = text.partition("\n## ")[0]
    tree = typer.main.get_command(app)
    for name in command_names(tree, ()):
        command = tree
        for step in name.split():
            command = command.commands[step]  # type: ignore[attr-defined]
        if name == "serve":
            continue  # its options are the page of the options
        for item in command.params:
            for flag in item.opts:
                if flag.startswith("--"):
                    assert flag in sections[name] or flag in common, f"{name} {flag}"


def test_what_is_made_from_the_code_is_of_today() -> None:
    command = [sys.executable, "scripts/manual.py", "--check"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
