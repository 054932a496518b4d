"""`prompts` and `datasets` as files: what is read from and written to the disk of whoever types."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.commands import Source, open_source
from appliance.commands_run import Flags
from appliance.config import load_config
from appliance.control_client import ControlError
from appliance.core.prompt_diff import difference
from appliance.errors import Refusal
from appliance.output import OutputError, open_output
from appliance.output_lines import print_note, print_value
from appliance.waiting import progress_bar

FILE_BYTES_MAX = 256 * 2**20
SUFFIX = ".prompt.json"
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def run_diff(
    flags: Flags, region: str, prompt: str, versions: tuple[str, str], org: str, *, as_json: bool
) -> None:
    """Print what differs. Raises Refusal."""
    found: list[dict[str, Any]] = []
    with open_source(load_config(flags), region) as source:
        for version in versions:
            given = {"prompt": prompt, "version": version, "org": org}
            found.append(_value(source, "prompts.show", given))
    old, new = found
    names = [f"{one['id']} {one['version']}" for one in found]
    text = difference(names[0], json.dumps(old["body"]), names[1], json.dumps(new["body"]))
    if as_json:
        told = {"from": old["version"], "to": new["version"], "diff": text}
        print_value({"id": old["id"], **told}, as_json=True)
    elif text:
        for line in text.splitlines():
            print_value(line, as_json=False)
    else:
        print_note("the two say the same")


def run_export_prompts(flags: Flags, region: str, folder: Path, org: str, *, as_json: bool) -> None:
    """A file for each prompt, named after it. Raises Refusal, OutputError."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from None
    with open_source(load_config(flags), region) as source, progress_bar() as bar:
        listed: Any = source.call("prompts.list", {"org": org}, lambda _: None)
        for one in bar.track(listed, description="prompts"):
            given = {"prompt": one["id"], "org": org, "whole": True}
            whole = _value(source, "prompts.show", given)
            name = UNSAFE.sub("-", whole["name"]).strip(".-")[:60] or "prompt"
            path = folder / f"{name}.{whole['id']}{SUFFIX}"
            with open_output(path) as stream:
                stream.write(json.dumps(whole, indent=2, ensure_ascii=False).encode())
                stream.write(b"\n")
            written.append({"id": whole["id"], "file": str(path), "versions": one["versions"]})
    print_value(written, as_json=as_json)


def run_import_prompts(
    flags: Flags, region: str, files: list[Path], org: str, *, as_json: bool
) -> None:
    """What is there already stays, so an import that was broken off is begun again. Raises Refusal,
    OutputError."""
    paths = [path for file in files for path in _paths(file)]
    told = []
    with open_source(load_config(flags), region) as source, progress_bar() as bar:
        for path in bar.track(paths, description="prompts"):
            whole = _prompt(path)
            prompt = {name: whole[name] for name in ("id", "name", "tags") if name in whole}
            added = 0
            for version in whole["versions"]:
                given = {"prompt": prompt, "version": version, "org": org}
                try:
                    added += _value(source, "prompts.import", given)["added"]
                except (Refusal, ControlError) as refusal:
                    raise OutputError(f"{path}: {refusal.message}") from None
            told.append(
                {"id": prompt["id"], "file": str(path), "versions": len(whole["versions"]),
                 "added": added}
            )  # fmt: skip
    print_value(told, as_json=as_json)


def run_export_dataset(
    flags: Flags, region: str, dataset: str, org: str, shape: str, output: Path | None, *,
    skips: bool,
) -> None:  # fmt: skip
    """Rows as JSON lines: as they are, or as examples for fine-tuning. Raises Refusal."""
    left_out = 0
    with (
        open_source(load_config(flags), region) as source,
        progress_bar() as bar,
        open_output(output) as stream,
    ):
        task = bar.add_task("rows", total=None)
        for total, row in _rows(source, dataset, org):
            bar.update(task, total=total, advance=1)
            line = row if shape == "raw" else _example(shape, row, skips=skips)
            left_out += line is None
            if line is not None:
                stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    if left_out:
        print_note(f"{left_out} rows make no example and were left out")


def _rows(source: Source, dataset: str, org: str) -> Iterator[tuple[int, dict[str, Any]]]:
    after = 0
    while True:
        page = _value(source, "datasets.show", {"dataset": dataset, "org": org, "after": after})
        for row in page["rows"]:
            yield page["total"], row
        if not page["rows"]:
            return
        after = page["after"]


def _example(shape: str, row: dict[str, Any], *, skips: bool) -> dict[str, Any] | None:
    from appliance.providers.fine_tuning import NoExample, example

    try:
        return example(shape, row["request"], row["response"])
    except NoExample as error:
        if skips:
            return None
        raise Refusal(
            422, "row_no_example", f"row {row['id']}: {error}; --skip leaves such rows out"
        ) from None


def _value(source: Source, command: str, given: dict[str, Any]) -> dict[str, Any]:
    value = source.call(command, given, lambda _: None)
    assert isinstance(value, dict), f"{command} tells a map"
    return value


def _paths(file: Path) -> list[Path]:
    """A file, or those of a folder."""
    if not file.is_dir():
        return [file]
    found = sorted(file.glob(f"*{SUFFIX}"))
    if not found:
        raise OutputError(f"{file} holds no *{SUFFIX}")
    return found


def _prompt(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise OutputError(f"{path} is larger than 256 MiB")
        whole = json.loads(path.read_bytes())
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{path} is not JSON: {error}") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("versions"), list):
        raise OutputError(f"{path} is no prompt: expected an object with id, name and versions")
    return whole
