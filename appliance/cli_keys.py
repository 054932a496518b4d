"""The commands about organisations and keys: parsed here, done in `commands_*.py`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli_options import AsJson, ConfigFile, DataDir, Region, option_flags, value


def _group(text: str) -> typer.Typer:
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=text)


keys = _group("Helicone keys.")
orgs = _group("Organisations: tenants whose calls and keys are apart.")
provider_keys = _group("Keys of providers that calls without one are made with.")
proxy_keys = _group("Keys to hand out that stand in for a provider's key, with limits.")
vault = _group("The keys under which secrets are sealed and, with master_key, everything.")
GROUPS = {
    keys: "keys", orgs: "orgs", provider_keys: "provider-keys", proxy_keys: "proxy-keys",
    vault: "vault",
}  # fmt: skip

# A service account's file has three thousand.
SECRET_CHARACTERS_MAX = 65_536
Org = Annotated[str, typer.Option("--org", metavar="ORG", help="An organisation's id or name.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Its id, its name, or its provider.")]


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    write_only: Annotated[
        bool, typer.Option("--write-only", help="It may be used for calls, not for reading.")
    ] = False,
    rate_limited: Annotated[
        bool, typer.Option("--rate-limited", help="Under its organisation's limits: see limits.")
    ] = False,
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once; only the key is printed when piped."""
    from appliance.commands_run import run_create_key

    given = {"name": name, "write_only": write_only, "rate_limited": rate_limited, "org": org}
    run_create_key(option_flags(data_dir, config), region, given, as_json=as_json)


@keys.command("list")
def keys_list(
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked keys as well.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """List keys; what a key is cannot be shown again."""
    value(data_dir, config, region, "keys.list", {"revoked": revoked}, as_json)


@keys.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, name or text.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Take a key out of use; it is refused from the next request on."""
    value(data_dir, config, region, "keys.revoke", {"key": key}, as_json)


@keys.command("import")
def keys_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, JSON lines or CSV.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Take over Helicone's stored key hashes, so that deployed keys keep working.

    The file is an export of helicone_api_keys: api_key_hash, api_key_name, key_permissions, …
    """
    from appliance.commands_run import read_import

    value(data_dir, config, region, "keys.import", {"text": read_import(file)}, as_json)


@orgs.command("create")
def orgs_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Make an organisation."""
    value(data_dir, config, region, "orgs.create", {"name": name}, as_json)


@orgs.command("list")
def orgs_list(
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """List organisations."""
    value(data_dir, config, region, "orgs.list", {}, as_json)


@provider_keys.command("add")
def provider_keys_add(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="See: providers.")],
    name: Annotated[str, typer.Option("--name", help="To keep several of one provider.")] = "",
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="The only place it may go to.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="region, projectId, deploymentName, …"),
    ] = None,
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Store a provider's key, which is read from stdin. One of the same name is replaced.

    Example: helicone-appliance provider-keys add openai < key.txt
    """
    given = {
        "provider": provider, "name": name, "base_url": base_url, "org": org,
        "config": _settings(settings or []), "secret": read_secret(),
    }  # fmt: skip
    value(data_dir, config, region, "provider-keys.add", given, as_json)


@provider_keys.command("list")
def provider_keys_list(
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """List stored keys; what a key is cannot be shown again."""
    value(data_dir, config, region, "provider-keys.list", {"org": org}, as_json)


@provider_keys.command("rotate")
def provider_keys_rotate(
    key: Key,
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Enter the secret of a key anew, from stdin."""
    given = {"key": key, "org": org, "secret": read_secret()}
    value(data_dir, config, region, "provider-keys.rotate", given, as_json)


@provider_keys.command("remove")
def provider_keys_remove(
    key: Key,
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Take a key off file, with the proxy keys that stand in for it."""
    value(data_dir, config, region, "provider-keys.remove", {"key": key, "org": org}, as_json)


@proxy_keys.command("create")
def proxy_keys_create(
    key: Key,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="POLICY", help="100;w=3600, or 500;w=86400;u=cents."),
    ] = None,
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Make a key that stands in for a stored one. It is shown once."""
    given = {"key": key, "name": name, "limits": limits or [], "org": org}
    value(data_dir, config, region, "proxy-keys.create", given, as_json)


@proxy_keys.command("list")
def proxy_keys_list(
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """List proxy keys."""
    value(data_dir, config, region, "proxy-keys.list", {"org": org}, as_json)


@proxy_keys.command("remove")
def proxy_keys_remove(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id.")],
    org: Org = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Take a proxy key off file; it is refused from the next request on."""
    value(data_dir, config, region, "proxy-keys.remove", {"key": key, "org": org}, as_json)


@vault.command("rotate")
def vault_rotate(
    new_master_key: Annotated[
        bool, typer.Option("--new-master-key", help="Wrap all keys anew; it is read from stdin.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    region: Region = "us",
    as_json: AsJson = False,
) -> None:
    """Begin a new key and seal provider keys with it; nothing is out of use meanwhile.

    Older keys stay in the vault for what they have encrypted. With --new-master-key the next start
    needs the new one.
    """
    given = {"master_key": read_secret().strip()} if new_master_key else {}
    value(data_dir, config, region, "vault.rotate", given, as_json)


def read_secret() -> str:
    """From stdin, unseen where a person types it."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Key: ")
    return sys.stdin.read(SECRET_CHARACTERS_MAX)


def _settings(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, mark, setting = text.partition("=")
        if not mark or not name:
            raise typer.BadParameter(f"{text}: NAME=VALUE is expected", param_hint="--set")
        found[name.strip()] = setting.strip()
    return found
