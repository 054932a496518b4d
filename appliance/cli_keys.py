"""The commands about organisations and keys: parsed here, done in `commands_*.py`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli_options import Asked, Org, asking, command_group, pairs_of

keys = command_group("Helicone keys.")
orgs = command_group("Organisations: tenants whose calls and keys are apart.")
provider_keys = command_group("Keys of providers that calls without one are made with.")
proxy_keys = command_group("Keys to hand out that stand in for a provider's key, with limits.")
vault = command_group("The keys under which secrets are sealed and, with master_key, everything.")
GROUPS = {
    keys: "keys", orgs: "orgs", provider_keys: "provider-keys", proxy_keys: "proxy-keys",
    vault: "vault",
}  # fmt: skip

# A service account's file has three thousand.
SECRET_CHARACTERS_MAX = 65_536
Key = Annotated[str, typer.Argument(metavar="KEY", help="Its id, its name, or its provider.")]


@keys.command("create")
@asking
def keys_create(
    asked: Asked,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    write_only: Annotated[
        bool, typer.Option("--write-only", help="It may be used for calls, not for reading.")
    ] = False,
    rate_limited: Annotated[
        bool, typer.Option("--rate-limited", help="Under its organisation's limits: see limits.")
    ] = False,
    org: Org = "",
) -> None:
    """Make a key. It is shown once; only the key is printed when piped.

    Example: helicone-appliance keys create laptop --write-only
    """
    from appliance.commands_run import run_create_key

    given = {"name": name, "write_only": write_only, "rate_limited": rate_limited, "org": org}
    run_create_key(asked.flags, asked.region, given, as_json=asked.as_json)


@keys.command("list")
@asking
def keys_list(
    asked: Asked,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked keys as well.")] = False,
) -> None:
    """List keys; what a key is cannot be shown again.

    Example: helicone-appliance keys list --revoked
    """
    asked.value("keys.list", {"revoked": revoked})


@keys.command("revoke")
@asking
def keys_revoke(
    asked: Asked,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, name or text.")],
) -> None:
    """Take a key out of use; it is refused from the next request on.

    Example: helicone-appliance keys revoke laptop
    """
    asked.value("keys.revoke", {"key": key})


@keys.command("import")
@asking
def keys_import(
    asked: Asked,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, JSON lines or CSV.")],
) -> None:
    """Take over Helicone's stored key hashes, so that deployed keys keep working.

    The file is an export of helicone_api_keys: api_key_hash, api_key_name, key_permissions, …

    Example: helicone-appliance keys import helicone_api_keys.csv
    """
    from appliance.commands_run import read_import

    asked.value("keys.import", {"text": read_import(file)})


@orgs.command("create")
@asking
def orgs_create(
    asked: Asked,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
) -> None:
    """Make an organisation.

    Example: helicone-appliance orgs create acme
    """
    asked.value("orgs.create", {"name": name})


@orgs.command("list")
@asking
def orgs_list(asked: Asked) -> None:
    """List organisations.

    Example: helicone-appliance orgs list --json
    """
    asked.value("orgs.list", {})


@provider_keys.command("add")
@asking
def provider_keys_add(
    asked: Asked,
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
) -> None:
    """Store a provider's key, which is read from stdin. One of the same name is replaced.

    Example: helicone-appliance provider-keys add openai < key.txt
    """
    given = {
        "provider": provider, "name": name, "base_url": base_url, "org": org,
        "config": pairs_of(settings or [], "--set"), "secret": read_secret(),
    }  # fmt: skip
    asked.value("provider-keys.add", given)


@provider_keys.command("list")
@asking
def provider_keys_list(asked: Asked, org: Org = "") -> None:
    """List stored keys; what a key is cannot be shown again.

    Example: helicone-appliance provider-keys list --org acme
    """
    asked.value("provider-keys.list", {"org": org})


@provider_keys.command("rotate")
@asking
def provider_keys_rotate(asked: Asked, key: Key, org: Org = "") -> None:
    """Enter the secret of a key anew, from stdin.

    Example: helicone-appliance provider-keys rotate openai < key.txt
    """
    given = {"key": key, "org": org, "secret": read_secret()}
    asked.value("provider-keys.rotate", given)


@provider_keys.command("remove")
@asking
def provider_keys_remove(asked: Asked, key: Key, org: Org = "") -> None:
    """Take a key off file, with the proxy keys that stand in for it.

    Example: helicone-appliance provider-keys remove openai
    """
    asked.value("provider-keys.remove", {"key": key, "org": org})


@proxy_keys.command("create")
@asking
def proxy_keys_create(
    asked: Asked,
    key: Key,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="POLICY", help="100;w=3600, or 500;w=86400;u=cents."),
    ] = None,
    org: Org = "",
) -> None:
    """Make a key that stands in for a stored one. It is shown once.

    Example: helicone-appliance proxy-keys create openai --name ci --limit "100;w=3600"
    """
    given = {"key": key, "name": name, "limits": limits or [], "org": org}
    asked.value("proxy-keys.create", given)


@proxy_keys.command("list")
@asking
def proxy_keys_list(asked: Asked, org: Org = "") -> None:
    """List proxy keys.

    Example: helicone-appliance proxy-keys list --org acme
    """
    asked.value("proxy-keys.list", {"org": org})


@proxy_keys.command("remove")
@asking
def proxy_keys_remove(
    asked: Asked,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id.")],
    org: Org = "",
) -> None:
    """Take a proxy key off file; it is refused from the next request on.

    Example: helicone-appliance proxy-keys remove 3f1c9a52-8a44-4f0e-9d5e-6b1f6f0c2a10
    """
    asked.value("proxy-keys.remove", {"key": key, "org": org})


@vault.command("rotate")
@asking
def vault_rotate(
    asked: Asked,
    new_master_key: Annotated[
        bool, typer.Option("--new-master-key", help="Wrap all keys anew; it is read from stdin.")
    ] = False,
) -> None:
    """Begin a new key and seal provider keys with it; nothing is out of use meanwhile.

    Older keys stay in the vault for what they have encrypted. With --new-master-key the next start
    needs the new one: before it, do the same with --region eu where that region is kept.

    Example: helicone-appliance vault rotate --new-master-key < master.txt
    """
    given = {"master_key": read_secret().strip()} if new_master_key else {}
    asked.value("vault.rotate", given)


def read_secret() -> str:
    """From stdin, unseen where a person types it."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Key: ")
    try:
        text = sys.stdin.read(SECRET_CHARACTERS_MAX)
        text.encode()  # some locales let bytes through that are no text
    except UnicodeError:
        raise typer.BadParameter("stdin is not UTF-8 text") from None
    return text
