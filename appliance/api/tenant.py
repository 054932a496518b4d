"""Whose settings a call is about; text and objects of its body, checked for all of them alike."""

from typing import Any

from fastapi import Request

from appliance.api.incoming import invalid
from appliance.api.permissions import identity_of
from appliance.api.services_settings import Settings, Tenant
from appliance.api.signed_in import services_of


def tenant_of(request: Request) -> Tenant:
    """The caller's organisation: nothing in the call says another one."""
    identity = identity_of(request)
    return Tenant(identity.region, identity.org)


def settings_of(request: Request) -> Settings:
    """The process's."""
    return services_of(request).settings


def text(body: dict[str, Any], field: str, *, required: bool = False) -> str:
    """Text from the body; "" where there is none."""
    value = body.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        invalid(field, "expected text" + (", and it is required" if required else ""))
    return value


def mapping(body: dict[str, Any], field: str) -> dict[str, object] | None:
    """An object from the body; None where there is none."""
    value = body.get(field)
    if value is not None and not isinstance(value, dict):
        invalid(field, "expected an object")
    return value
