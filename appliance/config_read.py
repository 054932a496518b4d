"""Reading options: flags, environment and a TOML file laid over each other, then typed.

Every complaint is one line that names the option, what was given, what is allowed and where it
came from; an unknown name comes with the nearest known one. Secrets are never repeated.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from appliance.config_kinds import Words
from appliance.config_options import ConfigError, Option, is_name, options_of

PREFIX = "HELICONE_APPLIANCE_"
FOR_THE_BUILD = PREFIX + "COMPILE"
FILE_BYTES_MAX = 1 << 20
SHOWN_CHARACTERS_MAX = 60
Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was given, and where."""

    raw: object
    source: str


def read_sources(
    schema: type, flags: Mapping[str, str], environ: Mapping[str, str]
) -> dict[Steps, Given]:
    """All given values by option path; a flag beats the environment, that beats the file."""
    from_flags = dict(_flag(schema, name, value) for name, value in flags.items())
    from_environment = dict(_environment(schema, environ))
    config = from_flags.get(("config",)) or from_environment.get(("config",))
    from_file = dict(_file(schema, str(config.raw))) if config else {}
    return from_file | from_environment | from_flags


def build_values(schema: type, given: Mapping[Steps, Given]) -> dict[str, object]:
    """Typed values by attribute name, for those options of the schema that were given."""
    values: dict[str, object] = {}
    for name, (attribute, option) in options_of(schema).items():
        inner = {steps: item for steps, item in given.items() if steps[0] == name}
        if inner:
            values[attribute] = _typed(option, name, inner)
    return values


def _typed(option: Option, name: str, given: Mapping[Steps, Given]) -> object:
    if option.shape == "value":
        return parse_value(option, name, given[(name,)])
    if option.shape == "rows":
        return _rows(name, given[(name,)])
    below = {steps[1:]: item for steps, item in given.items()}
    if option.shape == "named":
        names = sorted({steps[0] for steps in below})
        return {key: _named(option, f"{name}.{key}", key, below) for key in names}
    return _one(option, name, below)


def _named(option: Option, path: str, key: str, given: Mapping[Steps, Given]) -> object:
    inner = {steps[1:]: item for steps, item in given.items() if steps[0] == key}
    return _one(option, path, {steps: item for steps, item in inner.items() if steps})


def _one(option: Option, path: str, given: Mapping[Steps, Given]) -> object:
    """One table: its class built, or the values alone where only a part may be given."""
    assert option.table is not None
    qualified = {steps: item for steps, item in given.items() if steps}
    try:
        values = build_values(option.table, qualified)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error}") from None
    if option.shape == "partial":
        return values
    return _made(option.table, path, values)


def _made(table: type, path: str, values: dict[str, object]) -> object:
    for name, (attribute, option) in options_of(table).items():
        if option.required and attribute not in values:
            raise ConfigError(f"{path}.{name} is missing: {option.doc}")
    return table(**values)


def _rows(name: str, item: Given) -> tuple[Mapping[str, object], ...]:
    if not isinstance(item.raw, list) or not all(isinstance(row, dict) for row in item.raw):
        raise ConfigError(f"{name}: allowed is a list of tables, [[{name}]] (from {item.source})")
    return tuple(item.raw)


def parse_value(option: Option, name: str, item: Given) -> object:
    try:
        return option.kind.parse(item.raw)
    except (ValueError, TypeError, OverflowError, ArithmeticError):
        shown = "***" if option.secret else _show(item.raw)
        raise ConfigError(
            f"{name} = {shown}: allowed is {option.kind.allowed} (from {item.source})"
        ) from None


def _show(raw: object) -> str:
    words = f'"{raw}"' if isinstance(raw, str) else str(raw)
    line = "".join(c if c.isprintable() else "?" for c in words)
    return line if len(line) <= SHOWN_CHARACTERS_MAX else line[:SHOWN_CHARACTERS_MAX] + "…"


# Where values come from.


def _flag(schema: type, name: str, value: str) -> tuple[Steps, Given]:
    flag = "--" + name.replace(".", "-").replace("_", "-")
    return tuple(name.split(".")), Given(Words(value), flag)


def _environment(schema: type, environ: Mapping[str, str]) -> Iterator[tuple[Steps, Given]]:
    seen: dict[Steps, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == FOR_THE_BUILD:
            continue
        steps = tuple(variable[len(PREFIX) :].lower().split("__"))
        value = environ[variable]
        if find_option(schema, steps) is None and steps[-1].endswith("_file"):
            steps = (*steps[:-1], steps[-1].removesuffix("_file"))
            if find_option(schema, steps) is not None:
                value = _read_value(variable, value)
        option = find_option(schema, steps)
        if option is None:
            known = ["__".join(path).upper() for path in option_paths(schema)]
            hint = nearest(variable[len(PREFIX) :], known, PREFIX)
            raise ConfigError(f"unknown option {variable} in the environment{hint}")
        if option.shape == "rows":
            raise ConfigError(f"{variable}: a list of tables is given in the file, [[{steps[-1]}]]")
        if steps in seen:
            raise ConfigError(f"{variable} and {seen[steps]} are both set: give one of them")
        seen[steps] = variable
        yield steps, Given(Words(value), variable)


def _read_value(variable: str, file: str) -> str:
    try:
        with Path(file).open(encoding="utf-8") as stream:
            value = stream.read(FILE_BYTES_MAX)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{variable} = {_show(file)} cannot be read: {reason}") from None
    return value.rstrip("\r\n")


def _file(schema: type, name: str) -> Iterator[tuple[Steps, Given]]:
    path = Path(name).expanduser()
    try:
        data = path.read_bytes()[: FILE_BYTES_MAX + 1]
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is larger than 1 MiB: that is no configuration")
        tree = tomllib.loads(data.decode("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {str(error).splitlines()[0]}") from None
    yield from _flatten(schema, tree, str(path), (), "")


def _flatten(
    schema: type, tree: Mapping[str, object], source: str, above: Steps, path: str
) -> Iterator[tuple[Steps, Given]]:
    known = {name: option for name, (_, option) in options_of(schema).items() if option.in_file}
    for name, value in tree.items():
        here = f"{path}.{name}" if path else name
        option = known.get(name)
        if option is None:
            raise ConfigError(f'unknown option "{here}" in {source}{nearest(name, list(known))}')
        if option.shape in ("value", "rows"):
            yield (*above, name), Given(value, source)
            continue
        if not isinstance(value, dict):
            raise ConfigError(f"{here} = {_show(value)}: allowed is a table (from {source})")
        if option.shape != "named":
            assert option.table is not None
            yield from _flatten(option.table, value, source, (*above, name), here)
            continue
        for key, inner in value.items():
            yield from _flatten_named(option, (*above, name, key), inner, source, f"{here}.{key}")


def _flatten_named(
    option: Option, steps: Steps, value: object, source: str, path: str
) -> Iterator[tuple[Steps, Given]]:
    if not is_name(steps[-1]):
        raise ConfigError(f"{path}: a name is letters, digits, dots and dashes (from {source})")
    if not isinstance(value, dict):
        raise ConfigError(f"{path} = {_show(value)}: allowed is a table (from {source})")
    yield steps, Given(value, source)  # so that an empty table counts as given
    assert option.table is not None
    yield from _flatten(option.table, value, source, steps, path)


# Names.


def find_option(schema: type, steps: Steps) -> Option | None:
    """The option at a path, or None; tables themselves are no options."""
    found = options_of(schema).get(steps[0])
    if found is None:
        return None
    option, rest = found[1], steps[1:]
    if option.shape in ("value", "rows"):
        return None if rest else option
    if option.shape == "named":
        if not rest or not is_name(rest[0]):
            return None
        rest = rest[1:]
    return find_option(option.table, rest) if option.table is not None and rest else None


def option_paths(schema: type) -> Iterator[Steps]:
    """Every option that has a fixed path and can be given as one word."""
    for name, (_, option) in options_of(schema).items():
        if option.shape == "value":
            yield (name,)
        elif option.shape == "table":
            assert option.table is not None
            yield from ((name, *rest) for rest in option_paths(option.table))


def nearest(name: str, known: list[str], prefix: str = "") -> str:
    """`: did you mean …?`, or nothing where no known name is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f": did you mean {prefix}{close[0]}?" if close else ""
