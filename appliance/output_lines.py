"""Lines for people and scripts that are no query results: values of commands, calls as they end,
and errors. Nothing printed here obeys what data says (field.md B20).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.column_types import parse_type, visible
from appliance.control_wire import Columns
from appliance.output import cell_text, row_json, write_result


def print_value(value: object, *, as_json: bool) -> None:
    """A list of maps as a table, a map as lines, anything else as it is."""
    if as_json:
        print(json.dumps(value, ensure_ascii=True, default=str))
    elif value == []:  # no columns are known, and a script reads no line
        if sys.stdout.isatty():
            print_note("none")
    elif isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        names = list(dict.fromkeys(name for row in value for name in row))
        columns = [(name, _column_type(name, value)) for name in names]
        rows = ([row.get(name) for name in names] for row in value)
        write_result(columns, rows, "table", None)
    elif isinstance(value, Mapping):
        width = max((len(str(name)) for name in value), default=0)
        for name, item in value.items():
            print(f"{visible(str(name)):<{width}}  {_plain(item)}")
    elif value is not None:
        print(_plain(value))


def print_sections(found: Mapping[str, Any]) -> None:
    """A map of values, then each list of maps in it as a table under its name."""
    tables = {name: item for name, item in found.items() if isinstance(item, list)}
    print_value({name: item for name, item in found.items() if name not in tables}, as_json=False)
    for name, rows in tables.items():
        if rows:
            print(f"\n{visible(name)}", flush=True)  # tables are written beside this stream
            print_value(rows, as_json=False)


def _column_type(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Numbers stand right, all else is text."""
    values = [row.get(name) for row in rows if row.get(name) is not None]
    numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in values)
    return "DOUBLE" if values and numbers else "VARCHAR"


def _plain(value: object) -> str:
    if isinstance(value, Mapping | list):
        return visible(json.dumps(value, ensure_ascii=False, default=str))
    return "" if value is None else visible(str(value))


class TailPrinter:
    """One line for each call that has ended."""

    def __init__(self, columns: Columns, *, as_json: bool) -> None:
        self._names = [name for name, _ in columns]
        self._kinds = [parse_type(kind) for _, kind in columns]
        self._json = row_json(columns) if as_json else None

    def show(self, row: Sequence[Any]) -> None:
        print(self._json(row) if self._json else self._line(row), flush=True)

    def _line(self, row: Sequence[Any]) -> str:
        cells = zip(self._names, self._kinds, row, strict=True)
        call = {name: visible(cell_text(kind, value)) for name, kind, value in cells}
        about = "~" if call.get("usage_source") == "estimated" else ""
        words = [
            _clock(call.get("request_created_at", "")),
            f"{call.get('provider') or '-':<10}",
            f"{call.get('model') or '-':<28}",
            f"{call.get('http_status') or call.get('status') or '-':>4}",
            f"{call.get('outcome') or '-':<9}",
            f"{about + (call.get('prompt_tokens') or '?'):>6} in",
            f"{about + (call.get('completion_tokens') or '?'):>6} out",
            f"{_dollars(call.get('cost_usd', '')):>12}",
            f"{_milliseconds(call.get('latency_ms', '')):>9}",
        ]
        return "  ".join(words)


def _clock(time: str) -> str:
    """Hours to seconds of an ISO time; the day is the reader's."""
    return time[11:19] if len(time) >= 19 else "-" * 8


def _dollars(text: str) -> str:
    """Six decimals are what one call costs; no price is no zero."""
    try:
        return f"${float(text):.6f}"
    except ValueError:
        return "no price"


def _milliseconds(text: str) -> str:
    try:
        return f"{float(text):.0f} ms"
    except ValueError:
        return "-"


def print_error(message: str) -> None:
    """Line ends stay (a query's error points at its place), everything else is made visible."""
    lines = [visible(line) for line in message.splitlines()] or [""]
    print("error: " + "\n".join(lines), file=sys.stderr, flush=True)


def print_note(message: str) -> None:
    print(visible(message), file=sys.stderr, flush=True)
