"""What `reprice` does: has recorded calls priced anew, and tells what came of it by model."""

from typing import Any

from appliance.commands import open_source
from appliance.commands_export import parse_span
from appliance.commands_run import Flags
from appliance.config import load_config
from appliance.output_lines import print_note, print_value
from appliance.waiting import progress_bar

UNKNOWN_SHOWN = 20


def run_reprice(
    flags: Flags, region: str, since: str, until: str, *, dry_run: bool, as_json: bool
) -> None:
    """Print the sums by model. Raises Refusal for a time that is none."""
    start, end = parse_span(since, until)
    span = {"since": start.isoformat() if start else "", "until": end.isoformat()}
    command = "reprice.show" if dry_run else "reprice"
    with open_source(load_config(flags), region) as source, progress_bar() as bar:
        task = bar.add_task("reprice", total=None)

        def advanced(told: dict[str, Any]) -> None:
            bar.update(task, completed=told["done"], total=told["total"])

        found: Any = source.call(command, span, advanced)
    if as_json:
        print_value({**span, **found}, as_json=True)
        return
    models, stale_ms = found.pop("models"), found.pop("stale_by_ms", None)
    sums = {name: value for name, value in found.items() if name != "dry_run"}
    print_value([*models, {"provider": "(total)", "model": "", **sums}], as_json=False)
    changed = found["changed"]
    if dry_run:
        print_note(f"{changed} calls would be corrected; nothing was written (--dry-run)")
    else:
        print_note(f"{changed} calls corrected; their first cost stays as recorded_cost_usd")
    if stale_ms is not None:
        print_note("note: the database takes them in still; figures follow within moments")
    unknown = [f"{one['provider']} {one['model']}" for one in models if one["unknown_price"]]
    if unknown:
        names = ", ".join(unknown[:UNKNOWN_SHOWN])
        more = ", …" if len(unknown) > UNKNOWN_SHOWN else ""
        print_note(f"no price is known for some or all calls of: {names}{more}; their cost stays")
