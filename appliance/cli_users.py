"""The commands about people and about who changed what: parsed here, done in commands_users.py."""

from typing import Annotated

import typer

from appliance.cli_options import Asked, Org, asking, command_group

users = command_group("People who sign in: who they are and what they may do.")
GROUPS = {users: "users"}

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The address they sign in with.")]


@users.command("create")
@asking
def users_create(
    asked: Asked,
    email: Email,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="owner, admin, member or viewer.")
    ] = "member",
    name: Annotated[str, typer.Option("--name", help="What they are called.")] = "",
    org: Org = "",
) -> None:
    """Make a user. Prints a one-time link, good for 15 minutes, to set a password with.

    Example: helicone-appliance users create ada@example.com --role admin
    """
    given = {"email": email, "role": role, "name": name, "org": org}
    asked.value("users.create", given)


@users.command("list")
@asking
def users_list(asked: Asked) -> None:
    """List users with their organisations and roles.

    Example: helicone-appliance users list --json
    """
    asked.value("users.list", {})


@users.command("reset")
@asking
def users_reset(asked: Asked, email: Email) -> None:
    """Print a one-time link to set a new password. The old one and all sessions end at once.

    Example: helicone-appliance users reset ada@example.com
    """
    asked.value("users.reset", {"email": email})


@users.command("remove")
@asking
def users_remove(asked: Asked, email: Email) -> None:
    """Take a user off file. The last owner of an organisation stays.

    Example: helicone-appliance users remove ada@example.com
    """
    asked.value("users.remove", {"email": email})


@asking
def audit(
    asked: Asked,
    limit: Annotated[int, typer.Option("--limit", help="The newest so many, up to 1000.")] = 100,
    org: Org = "",
) -> None:
    """List who changed what, and when: settings, keys, people, deletions.

    Example: helicone-appliance audit --limit 20 --org acme
    """
    asked.value("audit", {"limit": limit, "org": org})


@asking
def delete(
    asked: Asked,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="request, session, user, span or organization.")
    ],
    name: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, as records have it; SINCE/UNTIL.")
    ],
    org: Org = "",
) -> None:
    """Delete everything of a request, session, user, span of time or organisation, for good.

    A span is SINCE/UNTIL in UTC: 2026-01-01/2026-02-01, or /2026-02-01 for all before.
    A running server begins at once; without one it is done by the next that starts.

    Example: helicone-appliance delete user ada@example.com
    """
    asked.value("delete", {"kind": kind, "id": name, "org": org})
