"""What each command does, between parsing (`cli.py`) and whoever answers (`commands.py`)."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.column_types import visible
from appliance.commands import LiveSource, connect, open_source
from appliance.config import load_config
from appliance.config_options import ConfigError
from appliance.control_client import ControlError
from appliance.control_wire import REQUEST_BYTES_MAX
from appliance.errors import Refusal
from appliance.output import OutputError, all_rows, write_result
from appliance.output_lines import TailPrinter, print_note, print_sections, print_value
from appliance.waiting import progress_bar, waiting

Flags = Mapping[str, str]
SERVING = ("healthy", "degraded")
HEALTH_S = 5.0  # a server whose loop stands still for longer is not well
IMPORT_BYTES_MAX = REQUEST_BYTES_MAX - (64 << 10)  # it travels in one message


def run_query(flags: Flags, region: str, sql: str, form: str, output: Path | None) -> None:
    with open_source(load_config(flags), region) as source, ExitStack() as stack:
        with waiting("query"):
            result = stack.enter_context(source.query(sql))
            columns = result.columns  # known when the first rows are
        write_result(columns, all_rows(result), form, output)
        stale_ms = result.ending.get("stale_by_ms")
        if stale_ms:
            print_note(f"note: calls of the last {stale_ms} ms may be missing")
        if result.ending.get("truncated"):
            print_note("note: the server cut the result off")


def run_tail(flags: Flags, region: str, *, as_json: bool) -> None:
    config = load_config(flags)
    client = connect(config, region)
    if client is None:
        raise Refusal(503, "no_server", f"no server is running on {config.root(region)}")
    with client:
        result = LiveSource(client, region).rows("tail", {})
        printer = TailPrinter(result.columns, as_json=as_json)
        try:
            for row in all_rows(result):
                printer.show(row)
        except KeyboardInterrupt:
            return  # the usual way to end it


def run_export(
    flags: Flags,
    region: str,
    since: str | None,
    until: str | None,
    *,
    with_bodies: bool,
    form: str,
    output: Path | None,
) -> None:
    from appliance.commands_export import Export

    with open_source(load_config(flags), region) as source:
        wanted = Export(source, since, until, with_bodies=with_bodies)
        with progress_bar() as bar:
            task = bar.add_task("exporting", total=wanted.count())
            rows = wanted.rows(lambda count: bar.advance(task, count))
            write_result(wanted.columns, rows, "ndjson" if form == "jsonl" else form, output)


def run_create_key(flags: Flags, region: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    with open_source(load_config(flags), region) as source:
        made = source.call("keys.create", arguments, lambda _: None)
    if as_json or not isinstance(made, dict):
        print_value(made, as_json=True)
    elif sys.stdout.isatty():
        print_value(made, as_json=False)
        print_note("This key is shown only now.")
    else:
        print(made["key"])


def run_value(
    flags: Flags, region: str, command: str, arguments: dict[str, Any], *, as_json: bool
) -> bool:
    """Print the value of a command; False when it says that something is not well."""
    with open_source(load_config(flags), region) as source, waiting(command) as bar:
        value = source.call(command, arguments, bar.advance)
    print_value(value, as_json=as_json)
    checks = value if isinstance(value, list) else [value]
    return not any(isinstance(check, dict) and check.get("ok") is False for check in checks)


def run_status(flags: Flags, *, as_json: bool) -> bool:
    """Whether a server runs and nothing is degraded."""
    config = load_config(flags)
    client = connect(config, "us")
    if client is not None:
        with client:
            found = LiveSource(client, "us").call("status", {}, lambda _: None)
    else:
        # Imported here: a running server spares us.
        from appliance.status import offline_status

        found = offline_status(config)
    assert isinstance(found, dict), "status is a map"
    if as_json:
        print_value(found, as_json=True)
    else:
        print_sections(found)
    return bool(found.get("ok"))


def run_healthcheck(flags: Flags, *, as_json: bool) -> bool:
    """Whether a server takes calls; one line that says so. A degraded server does, as
    `/healthcheck` has it: ending it would mend nothing and lose what it holds in memory. Asked over
    its socket, as the first call of the REST API would have it load 16 MB. Raises ControlError."""
    config = load_config(flags)
    client = connect(config, "us", reply_s=HEALTH_S)
    if client is None:
        found: dict[str, Any] = {"ok": False, "status": f"no server runs on {config.root('us')}"}
    else:
        with client:
            told = LiveSource(client, "us").call("status", {}, lambda _: None)
        assert isinstance(told, dict), "status is a map"
        parts = [f"{row['part']}: {row['detail']}" for row in told["degraded"]]
        found = {"ok": told["status"] in SERVING, "status": told["status"], "degraded": parts}
    if as_json:
        print_value(found, as_json=True)
    else:
        print(visible("; ".join([found["status"], *found.get("degraded", [])])))
    return bool(found["ok"])


def run_version(program: str, *, as_json: bool) -> None:
    """Also whether the modules that matter are compiled."""
    spec = find_spec("appliance.exchange")  # one of them
    compiled = spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
    if not as_json:
        print(f"{program} {__version__} ({'compiled' if compiled else 'plain Python'})")
        return
    python = ".".join(str(part) for part in sys.version_info[:3])
    facts = {"version": __version__, "compiled": compiled, "python": python}
    print_value({**facts, "platform": sys.platform}, as_json=True)


def run_selftest(*, as_json: bool) -> bool:
    """A line for each check as it is done; whether all is well."""
    from appliance.selftest import Check, selftest

    def tell(check: Check) -> None:
        if not as_json:
            state = "ok" if check.ok else "failed"
            print(f"{state:<7} {check.name:<18} {visible(check.detail)}", flush=True)

    outcome = selftest(tell)
    if as_json:
        print_value(outcome.report(), as_json=True)
    if not outcome.ok:
        for line in outcome.log:
            print_note(line)
    return outcome.ok


def run_licences(*, as_json: bool) -> None:
    """Of all that is in the binary. Elsewhere each package has its own, where pip put it. With
    `as_json` each file's text by its name."""
    folder = Path(getattr(sys, "_MEIPASS", ""), "licences")
    if not hasattr(sys, "_MEIPASS"):
        raise Refusal(404, "not_frozen", "this is no binary: licences lie beside each package")
    files = sorted(folder.rglob("*"), key=lambda path: path.name != "contents.txt")
    texts = {
        str(path.relative_to(folder)): path.read_text(errors="replace").rstrip()
        for path in files
        if path.is_file()
    }
    if as_json:
        print_value(texts, as_json=True)
        return
    for name, text in texts.items():
        print(f"== {name}\n\n{text}\n")


def run_providers(flags: Flags, *, as_json: bool) -> None:
    from appliance.providers.table import ProviderTable

    config = load_config(flags)
    given = {name: options.given() for name, options in config.providers.items()}
    try:
        table = ProviderTable.from_config(given)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    listed = [
        {
            "id": row.id,
            "base_url": row.base_url,
            "dialect": row.dialect,
            "auth": row.auth,
            "record_name": row.record_name,
            "aliases": ", ".join(row.aliases),
            "configured": row.configured,
            "standing": row.standing,
            "source": row.doc,
            "taken": row.taken,
        }
        for row in sorted(table.rows.values(), key=lambda row: row.id)
    ]
    print_value(listed, as_json=as_json)


def read_import(file: Path) -> str:
    """The text of a file with key hashes."""
    try:
        with file.open("rb") as stream:
            data = stream.read(IMPORT_BYTES_MAX + 1)
    except OSError as error:
        raise OutputError(f"{file} cannot be read: {error.strerror}") from None
    if len(data) > IMPORT_BYTES_MAX:
        raise OutputError(f"{file} is larger than 16 MiB: split it")
    return data.decode("utf-8", "replace")


def expected(error: Exception) -> str | None:
    """What to say of an error that a person can do something about; None for a bug.

    The stores' own exceptions are conditions of the directory, said in their text.
    """
    if isinstance(error, Refusal | ControlError | OutputError | ConfigError):
        return str(error)
    if isinstance(error, BrokenPipeError):
        return ""  # whoever read our output has what it wants
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    if isinstance(error, OSError) or type(error).__module__.startswith("storage."):
        return str(error) or type(error).__name__
    return None


def is_wrong_input(error: Exception) -> bool:
    """Whether what was typed is wrong, here or as a server says; a query's own failure is none,
    with or without one."""
    return (
        isinstance(error, Refusal | ControlError)
        and error.status == 400
        and error.code != "query_failed"
    )
