"""What a person may do in an organisation: owner, admin, member, viewer.

Pure. A role says as much as a key's permission does (`core.access`), and beyond it who may change
settings and who may say who belongs to the organisation.
"""

from collections.abc import Mapping
from typing import Final, Literal

from appliance.core.keys import Permission
from appliance.errors import Refusal

Role = Literal["owner", "admin", "member", "viewer"]

ROLES: Final[tuple[Role, ...]] = ("owner", "admin", "member", "viewer")
# The permission of a key that may do as much: a viewer reads, and adds or changes nothing.
PERMISSION_OF: Final[Mapping[str, Permission]] = {
    "owner": "rw", "admin": "rw", "member": "rw", "viewer": "r",
}  # fmt: skip


def role_of(value: object, field: str = "role") -> Role:
    """A role as it was given. Raises Refusal 422."""
    if value not in ROLES:
        raise Refusal(422, "field_invalid", f"{field}: expected one of {', '.join(ROLES)}")
    return value


def check_grant(actor: str, now: str, wanted: str) -> None:
    """Whether whoever has the role `actor` may turn the role `now` into `wanted`; "" stands for no
    member. An admin manages all but owners: else he could make himself one. Raises Refusal 403."""
    if actor not in ("owner", "admin"):
        raise Refusal(403, "role_too_low", "Only owners and admins say who belongs here.")
    if actor != "owner" and "owner" in (now, wanted):
        raise Refusal(403, "role_too_low", "Only an owner may make or remove an owner.")
