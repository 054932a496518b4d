"""Writes those pages of the manual that come from the code: every command, every option of the
configuration and every endpoint, with the words that are there. `manual.toml` beside it has what is
said in between.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from appliance.api import app as api
from appliance.api.paths import PERMISSIONS
from appliance.cli import PROGRAM, app
from appliance.cli_exits import exit_codes
from appliance.cli_options import _default
from appliance.config import Config
from appliance.config_options import Option, options_of
from appliance.man_page import leaves

WORDS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
FOLDER = Path(__file__).parents[1] / "ui" / "manual"
MADE = "<!-- Made by scripts/manual. Change the code, or scripts/manual.toml. -->\n\n"
# Of every command about a data directory: told once, at the top.
COMMON_FLAGS = ("--data-dir", "--config", "--region", "--json", "--help")


def pages() -> dict[str, str]:
    """The text of each page by the name of its file."""
    made = {"commands.md": commands(), "options.md": options(), "rest.md": rest()}
    return {name: MADE + text.rstrip() + "\n" for name, text in made.items()}


# -- commands


def commands() -> str:
    parts = [intro("commands")]
    for path, command in sorted(leaves(typer.main.get_command(app), ())):
        parts.append(_command(" ".join(path), command))
    return "\n\n".join(parts)


def _command(name: str, command: Any) -> str:  # noqa: ANN401 - typer has its own click
    context = command.make_context(name, [], resilient_parsing=True)
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    shown = [item.metavar if item.required else f"[{item.metavar}]" for item in arguments]
    # What stands behind the program of `run` is the program's own.
    takes_rest = any(item.nargs == -1 for item in arguments)
    words = ["[OPTIONS]", *shown] if takes_rest else [*shown, "[OPTIONS]"]
    line = " ".join([PROGRAM, name, *words])
    told, _, example = (command.help or "").replace("\n", " ").partition("Example: ")
    parts = [f"## {name}", told.strip().replace("  ", "\n\n"), f"```sh\n{line}\n```"]
    rows = [(item.metavar, item.help) for item in arguments if item.help]
    if name != "serve":
        rows += _flags(command, context)
        if rows:
            parts.append("| argument or option | meaning |\n|---|---|\n" + "\n".join(
                f"| `{cell(flag)}` | {cell(words)} |" for flag, words in rows
            ))  # fmt: skip
    if example:
        parts.append(f"For example:\n\n```sh\n{example.strip()}\n```")
    parts += note("commands", name)
    parts.append(exit_codes(name))
    return "\n\n".join(parts)


def _flags(command: Any, context: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    for item in command.params:
        if item.param_type_name == "argument" or item.opts[0] in COMMON_FLAGS:
            continue
        record = item.get_help_record(context)
        if record is not None:
            yield _typed(record[0]), record[1].replace("; x>=0]", "]")


def _typed(flag: str) -> str:
    """What a value is in words, where typer names Python's type."""
    return (
        flag.replace("<int>", "NUMBER").replace("<str>", "TEXT").replace("<", "").replace(">", "")
    )


# -- options


def options() -> str:
    top = options_of(Config)
    parts = [intro("options")]
    for title, names in WORDS["options"]["groups"].items():
        parts.append(f"## {title}")
        parts += [_option((name,), top[name][1]) for name in names]
    for name, (_, option) in top.items():
        if option.shape != "value":
            parts.append(_table(name, option))
    return "\n\n".join(parts)


def _table(name: str, option: Option) -> str:
    written = {"named": f"[{name}.<name>]", "rows": f"[[{name}]]"}.get(option.shape, f"[{name}]")
    title = {"named": "tables", "rows": "a list of tables"}.get(option.shape, "a table")
    parts = [f"## {name}", f"{sentence(option.doc)} In the file {title}, `{written}`."]
    parts += note("options", name)
    if option.table is not None:
        steps = (name, "<name>") if option.shape == "named" else (name,)
        for inner, (_, one) in options_of(option.table).items():
            parts.append(_option((*steps, inner), one))
    return "\n\n".join(parts)


def _option(steps: tuple[str, ...], option: Option) -> str:
    name = ".".join(steps)
    parts = [f"### {name}", sentence(option.doc)]
    facts = []
    default = _default_of(steps, option)
    facts.append("required" if option.required else f"default: {default or 'none'}")
    if option.shape == "value":
        facts.append(f"allowed: {option.kind.allowed}")
        facts.append(_places(steps, option))
    elif option.shape == "rows":
        facts.append(f"in the file alone: `[[{name}]]`")
    else:
        facts.append(f"in the file: `[{name}]`")
    parts.append("\n".join(f"- {fact}" for fact in facts))
    parts += note("options", name)
    return "\n\n".join(parts)


def _default_of(steps: tuple[str, ...], option: Option) -> str:
    if option.doc_default or option.shape != "value":
        return option.doc_default
    if "<name>" not in steps:
        return _default(steps)
    table = options_of(Config)[steps[0]][1].table
    assert table is not None
    attribute = options_of(table)[steps[-1]][0]
    value = getattr(table, "__dataclass_fields__")[attribute].default  # noqa: B009
    if value in (None, ""):
        return ""
    return f"{value:g} s" if option.kind.metavar == "DURATION" else str(value)


def _places(steps: tuple[str, ...], option: Option) -> str:
    variable = "HELICONE_APPLIANCE_" + "__".join(steps).upper()
    if "<name>" in steps:
        return f"variable: `{variable.replace('<NAME>', 'NAME')}`"
    flag = "--" + "-".join(steps).replace("_", "-")
    switch = f" or `--no-{flag[2:]}`" if option.kind.metavar == "true|false" else ""
    return f"flag: `{flag}`{switch}; variable: `{variable}`"


# -- REST


def rest() -> str:
    words = endpoint_words()
    left = dict(PERMISSIONS)
    parts = [intro("rest")]
    for group in WORDS["rest"]["groups"]:
        found = [key for key in left if key[1].startswith(tuple(group["paths"]))]
        lines: dict[str, list[tuple[str, str]]] = {}
        for key in found:
            del left[key]
            told = WORDS["rest"]["words"].get(" ".join(key)) or words[key]
            lines.setdefault(told, []).append(key)
        parts += [f"## {group['title']}", *([group["told"]] if "told" in group else [])]
        parts.append("\n".join(_endpoints(keys, text) for text, keys in lines.items()))
    assert not left, f"no group has {list(left)}"
    return "\n\n".join(parts)


def _endpoints(keys: list[tuple[str, str]], text: str) -> str:
    names = ", ".join(f"`{method} {path}`" for method, path in keys)
    return f"- {names} ({PERMISSIONS[keys[0]]}): {text}"


def endpoint_words() -> dict[tuple[str, str], str]:
    """What each endpoint says of itself, by method and path."""
    found = {}
    for module in vars(api).values():
        router = getattr(module, "router", None)
        for route in router.routes if router is not None else ():
            text = (route.endpoint.__doc__ or "").partition("\n\n")[0]
            for method in route.methods:
                found[method, route.path] = plain(text)
    return found


def plain(text: str) -> str:
    """A docstring as a reader needs it: without what points into the code."""
    text = " ".join(text.split())
    return re.sub(r" \([^()]*(?:\.md|\.py|routing table)[^()]*\)", "", text)


def intro(page: str) -> str:
    text: str = WORDS[page]["intro"]
    return text.strip()


def note(page: str, name: str) -> list[str]:
    """What is said behind the code's own words, if anything is."""
    text = WORDS[page]["notes"].get(name)
    return [text.strip()] if text else []


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    late = [
        name for name, text in pages().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]  # fmt: skip
    if "--check" in arguments:
        print("\n".join(f"{name} is out of date: run scripts/manual" for name in late), end="")
        return 1 if late else 0
    for name in late:
        (FOLDER / name).write_text(pages()[name], encoding="utf-8")
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
