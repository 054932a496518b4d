"""`backup`, `restore` and `upgrade-check`, as a person types them."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli_options import AsJson, ConfigFile, DataDir, Region, option_flags

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="PATH", help="Where the passphrase stands."),
]
Unencrypted = Annotated[
    bool, typer.Option("--unencrypted", help="Without a passphrase: whoever has it has the keys.")
]


def backup(
    file: File,
    passphrase_file: Passphrase = None,
    unencrypted: Unencrypted = False,
    check: Annotated[
        bool, typer.Option("--check", help="Restore it aside and verify that.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Write everything of a region into one encrypted file, while the server goes on serving.

    Example: helicone-appliance backup monday.backup --passphrase-file secret.txt --check
    """
    from appliance.commands_backup import passphrase_of, run_backup

    passphrase = passphrase_of(passphrase_file, unencrypted=unencrypted, twice=True)
    flags = option_flags(data_dir, config)
    if not run_backup(flags, region, file, passphrase, check=check, as_json=as_json):
        raise typer.Exit(1)


def restore(
    file: File,
    passphrase_file: Passphrase = None,
    unencrypted: Unencrypted = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Put a backup into a data directory in which nothing is yet, and verify it.

    Example: helicone-appliance restore monday.backup --passphrase-file secret.txt --data-dir new
    """
    from appliance.commands_backup import passphrase_of, run_restore

    passphrase = passphrase_of(passphrase_file, unencrypted=unencrypted)
    flags = option_flags(data_dir, config)
    if not run_restore(flags, region, file, passphrase, as_json=as_json):
        raise typer.Exit(1)


def upgrade_check(
    data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Try on copies what this version would change in a directory that an older one made. Exit code
    1 when it could not go on from it.

    Example: helicone-appliance upgrade-check --data-dir /var/lib/helicone-appliance
    """
    from appliance.commands_backup import run_upgrade_check

    if not run_upgrade_check(option_flags(data_dir, config), as_json=as_json):
        raise typer.Exit(1)
