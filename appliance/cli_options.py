"""Options of commands: those of `serve`, made from the option table, and those that every command
about a data directory has. One place for every name.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from appliance.config import Config
from appliance.config_kinds import show_size
from appliance.config_options import Option, options_of
from appliance.config_read import Steps, find_option, option_paths

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="PATH", help="The data directory.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="TOML file with options.")
]
Region = Annotated[Literal["us", "eu"], typer.Option("--region", help="Which region's data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LogAsJson = Annotated[bool, typer.Option("--json", help="Log as JSON, as log_format says it.")]
Org = Annotated[str, typer.Option("--org", metavar="ORG", help="An organisation's id or name.")]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="From 2026-11-01, or 24h ago.")]
Until = Annotated[
    str, typer.Option("--until", metavar="TIME", help="Before this time (default now).")
]
Form = Annotated[
    Literal["table", "csv", "json", "ndjson", "parquet"],
    typer.Option("--format", "-f", help="How to write it."),
]


def _no_directory(path: Path | None) -> Path | None:
    """Before the work, not after it."""
    if path is not None and os.path.isdir(path):  # noqa: PTH112 - never raises
        raise typer.BadParameter(f"{path} is a directory: name a file in it")
    return path


Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file.", callback=_no_directory),
]
# Behind the options of a command's own.
COMMON = (
    ("data_dir", DataDir, None),
    ("config", ConfigFile, None),
    ("region", Region, "us"),
    ("as_json", AsJson, False),
)


def option_flags(data_dir: Path | None, config: Path | None) -> dict[str, str]:
    """The flags that every command has, as the configuration reads them."""
    given = {"data_dir": data_dir, "config": config}
    return {name: str(path) for name, path in given.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Asked:
    """What every command about a data directory was given: which one, and how to print."""

    flags: dict[str, str]
    region: str
    as_json: bool

    def value(self, command: str, arguments: Mapping[str, object]) -> None:
        """Print the value of a command; exit code 1 when it says that something is not well."""
        from appliance.commands_run import run_value

        if not run_value(self.flags, self.region, command, dict(arguments), as_json=self.as_json):
            raise typer.Exit(1)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the common options; it receives them as its first argument, an Asked."""

    @wraps(command)
    def wrapper(
        *, data_dir: Path | None, config: Path | None, region: str, as_json: bool, **own: object
    ) -> None:
        command(Asked(option_flags(data_dir, config), region, as_json), **own)

    first, *others = inspect.signature(command).parameters.values()
    assert first.annotation is Asked, f"{command.__name__} takes an Asked first"
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [item.replace(kind=kind) for item in others] + [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, annotation, default in COMMON
    ]
    return _with_parameters(wrapper, parameters)


def command_group(text: str) -> typer.Typer:
    """Commands under one name."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=text)


def pairs_of(texts: Iterable[str], flag: str) -> dict[str, str]:
    """What was given as NAME=VALUE, with `flag` for each. Raises BadParameter."""
    found: dict[str, str] = {}
    for text in texts:
        name, mark, given = text.partition("=")
        name = name.strip()
        if not mark or not name:
            raise typer.BadParameter(f"{text}: NAME=VALUE is expected", param_hint=flag)
        if name in found:
            raise typer.BadParameter(f"{name} is given twice", param_hint=flag)
        found[name] = given
    return found


def takes_options(command: Callable[[dict[str, str]], None]) -> Callable[..., None]:
    """Give `command` a flag for every option; it receives the given ones by option path. `--json`,
    which all commands have, is about its log."""
    paths = {"_".join(steps): steps for steps in option_paths(Config)}
    as_json = inspect.Parameter(
        "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=LogAsJson
    )

    @wraps(command)
    def wrapper(*, as_json: bool, **flags: str | bool | None) -> None:
        given = {"log_format": "json"} if as_json else {}
        for name, value in flags.items():
            if value is not None:
                text = str(value).lower() if isinstance(value, bool) else value
                if as_json and name == "log_format" and text != "json":
                    raise typer.BadParameter(f"--json and --log-format {text} exclude each other")
                given[".".join(paths[name])] = text
        command(given)

    parameters = [_parameter(name, steps) for name, steps in paths.items()]
    return _with_parameters(wrapper, [*parameters, as_json])


def _with_parameters(
    wrapper: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """As typer is to see it."""
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {item.name: item.annotation for item in parameters}
    return wrapper


def plain_flags(arguments: Sequence[str]) -> dict[str, str] | None:
    """What `serve` was given, where every flag is written out and known; typer would load Pydantic
    for it, a quarter of the start and 8 MB. None: whatever else is there is typer's, the words for
    what is wrong with it too."""
    known = {"--" + "-".join(steps).replace("_", "-"): steps for steps in option_paths(Config)}
    given: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        flag, has_value, value = argument.partition("=")
        positive = "--" + flag.removeprefix("--no-") if flag not in known else flag
        steps = known.get(positive)
        if steps is None:
            return None
        if _is_switch(steps):
            if has_value:
                return None
            value = str(flag == positive).lower()
        elif flag != positive:
            return None
        elif not has_value:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
        given[".".join(steps)] = value
    return given


def _is_switch(steps: Steps) -> bool:
    option = find_option(Config, steps)
    assert option is not None
    return option.kind.metavar == "true|false"


def _parameter(name: str, steps: Steps) -> inspect.Parameter:
    option = find_option(Config, steps)
    assert option is not None
    flag = "--" + name.replace("_", "-")
    words = _words(option, steps)
    kind: Any = str | None
    shown = typer.Option(flag, metavar=option.kind.metavar, help=words, show_default=False)
    if _is_switch(steps):
        kind = bool | None
        shown = typer.Option(f"{flag}/--no-{flag[2:]}", help=words, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, shown]
    )


def _words(option: Option, steps: Steps) -> str:
    default = option.doc_default or _default(steps)
    doc = option.doc[0].upper() + option.doc[1:]
    return f"{doc}." + (f" [default: {default}]" if default else "")


def _default(steps: Steps) -> str:
    table: type = Config
    for step in steps[:-1]:
        inner = options_of(table)[step][1].table
        assert inner is not None
        table = inner
    attribute, option = options_of(table)[steps[-1]]
    value = next(item.default for item in _fields(table) if item.name == attribute)
    if value in (None, "", ()) or isinstance(value, Path) or option.required:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if option.kind.metavar == "SIZE":
        return show_size(value)
    return f"{value:g} s" if option.kind.metavar == "DURATION" else str(value)


def _fields(table: type) -> Any:  # noqa: ANN401 - dataclass fields hold defaults of any type
    from dataclasses import fields

    return fields(table)
