"""What `backup` and `restore` do: a region's directory into one file, and back; `upgrade-check`,
which tries what comes after.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance import __version__
from appliance.commands import connect
from appliance.config import Config, load_config
from appliance.errors import Refusal
from appliance.output import OutputError, is_no_file, open_output
from appliance.output_lines import print_value
from appliance.waiting import progress_bar, waiting
from storage import backup
from storage.disk import Disk
from storage.restore import restore

if TYPE_CHECKING:
    from appliance.control_client import ControlClient

VARIABLE: Final = "HELICONE_BACKUP_PASSPHRASE"
PASSPHRASE_CHARACTERS_MIN: Final = 12
PASSPHRASE_BYTES_MAX: Final = 4096
NICE: Final = 10  # packing takes a processor, and a server goes on beside it
_HOLDING: Final = "taking the files of one moment"


def passphrase_of(file: Path | None, *, unencrypted: bool, twice: bool = False) -> bytes | None:
    """From the file, the environment, or whoever sits there: `twice` where nothing would show a
    slip of the finger until the backup is needed. Raises Refusal 400, OutputError."""
    if unencrypted:
        return None
    if file is not None:
        try:
            with file.open("rb") as stream:
                found = stream.read(PASSPHRASE_BYTES_MAX).strip()
        except OSError as error:
            raise OutputError(f"{file} cannot be read: {error.strerror}") from None
    else:
        found = os.fsencode(os.environ.get(VARIABLE, ""))
        if not found and sys.stdin.isatty():
            found = _typed(twice=twice)
    if len(found) < PASSPHRASE_CHARACTERS_MIN:
        raise Refusal(
            400, "no_passphrase",
            f"a backup holds keys: give a passphrase of at least {PASSPHRASE_CHARACTERS_MIN} "
            f"characters with --passphrase-file or {VARIABLE}, or say --unencrypted",
        )  # fmt: skip
    return found


def _typed(*, twice: bool) -> bytes:
    import getpass

    found = getpass.getpass("Passphrase of the backup: ")
    if twice and found != getpass.getpass("Once more: "):
        raise Refusal(400, "other_passphrase", "these were two different passphrases")
    return found.encode()


def run_backup(
    flags: Mapping[str, str], region: str, file: Path, passphrase: bytes | None, *,
    check: bool, as_json: bool,
) -> bool:  # fmt: skip
    """Write it; with `check` restore it aside and look at its books. False when these are wrong.
    Raises Refusal, OutputError, BackupRefused."""
    config = load_config(flags)
    _refuse_no_file(file)  # before the work, not after it
    _be_private()
    os.nice(NICE)
    told = {
        "region": region, "version": __version__,
        "made_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    with _held(config, region) as entries, progress_bar() as bar, open_output(file) as stream:
        task = bar.add_task("backing up", total=sum(entry.bytes for entry in entries))
        unwritten = 0

        def advanced(count: int) -> None:
            nonlocal unwritten
            bar.advance(task, count)
            unwritten += count
            if unwritten >= backup.CALM_BYTES:  # a server's journal may lie on the same disk
                unwritten = 0
                stream.flush()
                os.fdatasync(stream.fileno())

        facts = backup.write(entries, stream, passphrase=passphrase, told=told, advanced=advanced)
        stream.flush()
        os.fsync(stream.fileno())
    Disk().sync_folder(file.resolve().parent)  # a link's name does not change
    value = {"ok": True, "file": str(file), "file_bytes": file.stat().st_size, **asdict(facts)}
    if check:
        value |= _tried(config, region, file, passphrase)
    print_value(value, as_json=as_json)
    return bool(value["ok"])


def _refuse_no_file(file: Path) -> None:
    """A backup is brought to the disk and read again. Raises Refusal 400."""
    if file.is_dir():
        raise Refusal(400, "is_directory", f"{file} is a directory: name a file in it")
    if is_no_file(file):
        raise Refusal(400, "is_no_file", f"{file} is no regular file: a backup is written to one")


def _be_private() -> None:
    """What is written is for its owner alone; and whoever ends us (a timer's unit, `timeout`) finds
    no key lying in what we had not cleared away yet."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def _held(config: Config, region: str) -> Iterator[list[backup.Entry]]:
    """The files of one moment: a server's while it is connected, else the directory's own."""
    client = connect(config, region)
    if client is not None:
        with client:
            with waiting(_HOLDING):  # a roll under way is waited for
                entries = _held_by(client, region)
            yield entries
        return
    # Here: a running server spares us DuckDB.
    from appliance.offline import open_root

    with (
        open_root(config, region) as root,
        tempfile.TemporaryDirectory(prefix="backup-", dir=root.directory / "tmp") as folder,
    ):
        with waiting(_HOLDING):
            entries = backup.hold(root.directory, Path(folder) / "held", lambda: None)
        yield entries


def _held_by(client: ControlClient, region: str) -> list[backup.Entry]:
    for reply in client.replies("backup", {"region": region}):
        if reply.get("kind") == "value":
            listed: list[list[Any]] = reply["value"]
            return [backup.Entry(name, Path(path), size) for name, path, size in listed]
    raise Refusal(503, "backup_failed", "the server gave no files")


def run_restore(
    flags: Mapping[str, str], region: str, file: Path, passphrase: bytes | None, *, as_json: bool
) -> bool:
    """Put it where the configuration says the region lies, and check its books. Nothing may lie
    there; False when the books are wrong. Raises Refusal, OutputError, BackupRefused, RootBusy."""
    config = load_config(flags)
    _be_private()
    target = config.root(region)
    eu = config.root("eu")
    facts = restore(
        target,
        lambda folder: _unpacked(file, folder, passphrase, region),
        beside=[eu.name] if eu.parent == target else [],
    )
    value = {"ok": True, "directory": str(target), **asdict(facts), **_verified(config, region)}
    print_value(value, as_json=as_json)
    return bool(value["ok"])


def _tried(config: Config, region: str, file: Path, passphrase: bytes | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix=".backup-check-", dir=file.absolute().parent) as folder:
        root = Path(folder) / "root"
        _unpacked(file, root, passphrase, region)
        elsewhere = {"data_dir": root} if region == "us" else {"eu_data_dir": root}
        return _verified(replace(config, **elsewhere), region)  # type: ignore[arg-type]


def _unpacked(file: Path, target: Path, passphrase: bytes | None, region: str) -> backup.Facts:
    try:
        with file.open("rb") as stream, progress_bar() as bar:
            task = bar.add_task("restoring", total=None)
            facts = backup.read(
                stream, target, passphrase=passphrase,
                advanced=lambda count: bar.advance(task, count),
            )  # fmt: skip
    except FileNotFoundError:
        raise OutputError(f"{file} is not there") from None
    except IsADirectoryError:
        raise OutputError(f"{file} is a directory, and no backup") from None
    if facts.region != region:
        raise Refusal(
            409, "other_region",
            f"this backup is of the region {facts.region}: say --region {facts.region}",
        )  # fmt: skip
    return facts


def _verified(config: Config, region: str) -> dict[str, Any]:
    """`verify` of a directory that no server has yet, in a few words."""
    from appliance.offline import open_root

    with waiting("verify") as bar, open_root(config, region) as root:
        report = root.run("verify", {}, bar.advance)
    assert isinstance(report, dict), "verify gives a map"
    return {"ok": report["ok"], "findings": report.get("findings", [])}


def run_upgrade_check(flags: Mapping[str, str], *, as_json: bool) -> bool:
    """Print what was tried; False when this version could not go on from it. Raises ConfigError."""
    # Here: backups need none of it.
    from appliance.upgrade_check import examine

    _be_private()
    with progress_bar() as bar:
        bar.add_task("trying on copies", total=None)
        tried = list(examine(load_config(flags)))
    rows = [one._asdict() | {"seconds": round(one.seconds, 3)} for one in tried]
    print_value(rows, as_json=as_json)
    return not any(one.outcome == "failed" for one in tried)
