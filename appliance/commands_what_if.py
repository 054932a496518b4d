"""What `what-if` does: reads recorded calls, tells what other prices or limits had made of them.
It writes nothing."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.commands import Source, open_source
from appliance.commands_export import parse_span
from appliance.commands_report import organization_of
from appliance.commands_run import Flags
from appliance.config import Config, load_config
from appliance.core import what_if
from appliance.core.derive import PriceOf
from appliance.core.rate_policy import Policy, PolicyInvalid, parse_policy
from appliance.core.repriced import SELECTED, as_recorded, within
from appliance.errors import Refusal
from appliance.output import OutputError, all_rows, write_result
from appliance.output_lines import print_note
from appliance.waiting import progress_bar, waiting

TABLES_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Wanted:
    """As it was asked for; empty texts are what was not."""

    prices: Path | None
    models: Sequence[str]
    limits: Sequence[str]
    by: str
    since: str
    until: str
    org: str
    form: str
    output: Path | None


def run_what_if(flags: Flags, region: str, wanted: Wanted) -> None:
    """Print or write it. Raises Refusal, OutputError."""
    config = load_config(flags)
    if bool(wanted.limits) == bool(wanted.prices or wanted.models):
        raise Refusal(
            400, "bad_question", "say --prices or --model, or else --limit: one question at a time"
        )
    policies = [_policy(text) for text in wanted.limits]
    swaps = [_swap(config, text) for text in wanted.models]
    price = None if policies else _book(config, wanted.prices)
    span = parse_span(wanted.since, wanted.until)
    with open_source(config, region) as source:
        where = within(*span)
        if wanted.org:
            where += f" AND r.organization_id = UUID '{organization_of(source, wanted.org)}'"
        if price is None:
            _limits(source, where, policies, wanted)
        else:
            _prices(source, where, what_if.Prices(price, swaps, wanted.by == "user"), wanted)


def _prices(source: Source, where: str, found: what_if.Prices, wanted: Wanted) -> None:
    for row in _calls(source, SELECTED, where, ""):
        found.look(as_recorded(row))
    rows = found.rows()
    _write(what_if.PRICE_COLUMNS, rows, wanted)
    if unknown := rows[-1][3]:
        print_note(f"{unknown} calls have no price there: they count with what they cost")


def _limits(source: Source, where: str, policies: Sequence[Policy], wanted: Wanted) -> None:
    found = what_if.Limits(policies)
    where += f" AND {what_if.TAKES_TOKEN}"
    for row in _calls(source, what_if.ASKED, where, what_if.IN_ORDER):
        found.look(what_if.as_asked(row))
    _write(what_if.LIMIT_COLUMNS, found.rows(), wanted)
    if found.unlimited:
        print_note(f"{found.unlimited} calls have no value for the segment and were not counted")


def _calls(source: Source, columns: str, where: str, order: str) -> Iterator[Sequence[Any]]:
    """With a bar that shows how many have been read."""
    with waiting("what-if"), source.query(f"SELECT count(*) {where}") as counted:
        ((total,),) = all_rows(counted)  # to the end: then the connection is free again
    with progress_bar() as bar, source.query(f"SELECT {columns} {where} {order}") as result:
        task = bar.add_task("what-if", total=int(total))
        for row in all_rows(result):
            bar.advance(task)
            yield row


def _write(columns: list[tuple[str, str]], rows: list[list[Any]], wanted: Wanted) -> None:
    if wanted.form not in ("table", "json"):
        rows = rows[:-1]  # a line of sums would be added up once more by whoever reads the file
    write_result(columns, iter(rows), wanted.form, wanted.output)


def _policy(text: str) -> Policy:
    try:
        return parse_policy(text)
    except PolicyInvalid as error:
        raise Refusal(400, "bad_policy", f'--limit "{text}": {error.message}') from None


def _swap(config: Config, text: str) -> what_if.Swap:
    """OLD=NEW, where NEW may be PROVIDER/MODEL."""
    from appliance.assembly import provider_table

    old, mark, new = (part.strip() for part in text.partition("="))
    if not (old and mark and new):
        raise Refusal(400, "bad_model", f'--model "{text}": write OLD=NEW, such as gpt-4o=gpt-5')
    provider, slash, model = new.partition("/")
    if slash and model and provider.lower() in provider_table(config).rows:
        return what_if.Swap(old, model, provider.lower())
    return what_if.Swap(old, new)


def _book(config: Config, file: Path | None) -> PriceOf:
    """The price list of the configuration, with the rows of the file before it."""
    from appliance.assembly import price_tables
    from appliance.providers.price_data import open_book

    tables: list[Mapping[str, Any]] = [*_tables(file), *price_tables(config)]
    try:
        book = open_book(tables)
        price: Callable[..., Any] = book.price
    except ValueError as error:
        raise Refusal(400, "bad_prices", f"{file}: {error}" if file else str(error)) from None
    return price


def _tables(file: Path | None) -> list[Mapping[str, Any]]:
    """`[[prices]]`, as in the configuration."""
    if file is None:
        return []
    try:
        if file.stat().st_size > TABLES_MAX_BYTES:
            raise OutputError(f"{file} is larger than 16 MiB")
        found = tomllib.loads(file.read_text(encoding="utf-8")).get("prices")
    except OSError as error:
        raise OutputError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(400, "bad_prices", f"{file} is no TOML: {error}") from None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Refusal(400, "no_prices", f"{file} has no [[prices]]: see the manual's options")
    return list(found)
