"""What `report` does: asks for the figures of a month and puts a provider's beside them."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from appliance.commands import Source, open_source
from appliance.config import load_config
from appliance.core import usage_report
from appliance.errors import Refusal
from appliance.output import OutputError, all_rows, write_result
from appliance.output_lines import print_note
from appliance.waiting import waiting

SEPARATORS = (",", ";", "\t")  # the heading has most of the one that parts the cells


@dataclass(frozen=True, slots=True)
class Wanted:
    """As it was asked for; empty texts are what was not."""

    month: str
    by: str
    org: str
    form: str
    output: Path | None
    compare: Path | None
    name_column: str
    cost_column: str


def run_report(flags: Mapping[str, str], region: str, wanted: Wanted) -> None:
    """Print or write it. Raises Refusal, OutputError."""
    month = usage_report.month_of(wanted.month, datetime.now(UTC))
    with open_source(load_config(flags), region) as source:
        sql = usage_report.statement(month, wanted.by, organization_of(source, wanted.org))
        with waiting("report"), source.query(sql) as result:
            rows = [usage_report.row_of(row) for row in all_rows(result)]
            stale_ms = result.ending.get("stale_by_ms")
        keys = _key_names(source) if wanted.by == "key" else {}
    # Two keys may have one name: so it stands beside the id.
    shown = {key_id: f"{name} ({key_id})" for key_id, name in keys.items()}
    rows = [[shown.get(row[0], row[0]), *row[1:]] for row in rows]
    columns = list(usage_report.COLUMNS)
    last = usage_report.total(rows)
    if wanted.compare is not None:
        billed = _billed(wanted, month)
        also = {shown[key_id]: (key_id, name) for key_id, name in keys.items()}
        rows = usage_report.beside(rows, billed, also)
        columns += usage_report.COMPARED
        theirs = sum(billed.values(), Decimal(0))
        last += [theirs, last[-1] - theirs]
    if wanted.form in ("table", "json"):
        rows.append(last)
    else:  # a line of sums would be added up once more by whoever reads the file
        print_note(f"{month.name}: {last[1]} requests, {last[len(usage_report.COLUMNS) - 1]} USD")
    write_result(columns, (_texts(row) for row in rows), wanted.form, wanted.output)
    if unpriced := last[usage_report.COLUMNS.index(("unpriced", "BIGINT"))]:
        why = "no price is known, or the answer told no usage"
        print_note(
            f"note: {unpriced} of these calls have no known cost ({why}) and count as nothing"
        )
    if stale_ms:
        print_note(f"note: calls of the last {stale_ms} ms may be missing")


def _texts(row: list[Any]) -> list[Any]:
    """As values travel: whole numbers beyond what JSON holds, and money, as text."""
    return [f"{value:f}" if isinstance(value, Decimal) else value for value in row]


def organization_of(source: Source, org: str) -> str:
    """Its id, "" for all. Raises Refusal 404, 409."""
    if not org:
        return ""
    listed = _maps(source.call("orgs.list", {}, lambda _: None))
    found = [one["id"] for one in listed if org in (one["id"], one["name"])]
    if len(found) != 1:
        why = "several organisations have" if found else "no organisation has"
        raise Refusal(
            404, "no_organization",
            f'{why} the id or name "{org}": helicone-appliance orgs list shows them',
        )  # fmt: skip
    return str(found[0])


def _billed(wanted: Wanted, month: usage_report.Month) -> dict[str, Decimal]:
    """What the provider's file says. Raises Refusal, OutputError."""
    assert wanted.compare is not None, "a file to compare with"
    found = usage_report.billed(
        _lines(wanted.compare), wanted.by, month, wanted.name_column, wanted.cost_column
    )
    if found.undated:
        print_note(
            f"note: the time of {found.undated} lines of {wanted.compare.name} cannot be read; "
            "they are counted, of whatever month they are"
        )
    return found.usd


def _key_names(source: Source) -> dict[str, str]:
    """Id to name, of those that were revoked since too."""
    listed = _maps(source.call("keys.list", {"revoked": True}, lambda _: None))
    return {one["id"]: one["name"] for one in listed}


def _maps(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list), "a list of rows"
    return value


def _lines(file: Path) -> Iterator[dict[str, str | None]]:
    """Of a CSV file, each with as many cells as the heading has. Raises OutputError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            heading = stream.readline()
            stream.seek(0)
            mark = max(SEPARATORS, key=heading.count)
            reader = csv.DictReader(stream, delimiter=mark)
            for row in reader:
                if None in row or None in row.values():  # amounts would stand under other names
                    raise OutputError(
                        f"{file}, line {reader.line_num}: not as many cells as the heading has"
                    )
                yield row
    except UnicodeDecodeError:
        raise OutputError(f"{file} is not UTF-8 text: save it as CSV in UTF-8") from None
    except OSError as error:
        raise OutputError(f"{file} cannot be read: {error.strerror}") from None
    except csv.Error as error:
        raise OutputError(f"{file} is no CSV: {error}") from None
