"""The man page in roff (man(7)), from the tree of commands and the table of options."""

from collections.abc import Iterator
from typing import Any, Final

from appliance import __version__
from appliance.cli_exits import exit_codes
from appliance.config import Config
from appliance.config_options import options_of

PROGRAM: Final = "helicone-appliance"
COMMON: Final = ("--data-dir", "--config", "--region", "--json", "--help")
HEAD: Final = f'.TH HELICONE-APPLIANCE 1 "" "{PROGRAM} {__version__}" "User Commands"'


def man_page(tree: Any) -> str:  # noqa: ANN401 - typer has its own click
    """`tree` is typer's command of the whole program."""
    lines = [HEAD, ".SH NAME", f"{PROGRAM} \\- {text(tree.help)}", ".SH SYNOPSIS"]
    lines += [f".B {PROGRAM}", ".I COMMAND", "[OPTIONS]", ".SH DESCRIPTION"]
    lines += [
        "A server takes its options from flags, the environment and a file; all other commands "
        "find the data directory as it does, and work beside a running server or without one.",
        ".SH COMMANDS",
    ]
    for path, command in sorted(leaves(tree, ())):
        lines += _command(" ".join(path), command)
    lines += [".SH OPTIONS OF MOST COMMANDS", *_common(tree)]
    lines += [".SH OPTIONS OF THE SERVER", *_options()]
    lines += [".SH EXIT STATUS", "0 done, 1 failed, 2 wrong usage or configuration, 130 Ctrl-C."]
    return "\n".join(lines)


def leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    """Every command that does something, with its words."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from leaves(one, (*path, name))


def text(words: str) -> str:
    """Of one line, so that nothing in it is taken for a request or an escape."""
    plain = " ".join(words.split()).replace("\\", "\\e").replace("-", "\\-")
    plain = "".join(one if one.isascii() else f"\\[u{ord(one):04X}]" for one in plain)
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain


def _command(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401
    context = command.make_context(name, [], resilient_parsing=True)
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    shown = [item.metavar if item.required else f"[{item.metavar}]" for item in arguments]
    told, _, example = (command.help or "").partition("Example: ")
    # What stands behind the program of `run` is the program's own.
    takes_rest = any(item.nargs == -1 for item in arguments)
    words = ["[OPTIONS]", *shown] if takes_rest else [*shown, "[OPTIONS]"]
    yield f".SS {text(' '.join([name, *words]))}"
    for part in told.strip().split("\n\n"):
        yield from (text(part), ".PP")
    for item in arguments:
        if item.help:
            yield from _item(item.metavar, item.help)
    if name == "serve":
        yield from (".PP", "It takes the options of the server as flags, see below.")
    else:
        for item in command.params:
            record = item.get_help_record(context)
            if item not in arguments and item.opts[0] not in COMMON and record is not None:
                yield from _item(*record)
    if example:
        yield from (".PP", "For example:", ".PP", ".nf", ".RS", text(example), ".RE", ".fi")
    yield from (".PP", text(exit_codes(name)))


def _common(tree: Any) -> Iterator[str]:  # noqa: ANN401
    """Of one that has them all."""
    command = tree.commands["query"]
    context = command.make_context("query", [], resilient_parsing=True)
    for item in command.params:
        if item.param_type_name != "argument" and item.opts[0] in COMMON:
            yield from _item(*item.get_help_record(context))


def _options() -> Iterator[str]:
    for name, (_, option) in options_of(Config).items():
        where = f"--{name.replace('_', '-')}" if option.shape == "value" else f"[{name}]"
        yield from _item(where, f"{option.doc[0].upper()}{option.doc[1:]}.")


def _item(term: str, words: str) -> Iterator[str]:
    yield from (".TP", f"\\fB{text(term)}\\fR", text(words))
