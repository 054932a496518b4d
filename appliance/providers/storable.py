"""For which providers keys can be stored, and what each wants beside its secret: what a form needs.

Pure. What may be stored in truth is decided by `core/provider_key_input.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from appliance.core.provider_key_input import AWS, DISPLAY_NAMES
from appliance.providers.table import SERVICE_ACCOUNTS, Provider

AZURE: Final = "azure"
REGION: Final = "{region}"
# Settings that a dialect's builder reads; every provider takes heliconeModelId beside them.
OF_DIALECT: Final[Mapping[str, tuple[str, ...]]] = {
    "bedrock": ("region", "crossRegion"),
    "vertex": ("projectId", "region", "crossRegion"),
}


def storable(rows: Iterable[Provider]) -> list[dict[str, Any]]:
    """Those that ask for a key, by id. `secret` is what it is made of: key, pair (AWS's two
    halves) or service_account (Google's JSON)."""
    return [
        {
            "id": row.id,
            "aliases": [
                *row.aliases,
                *(name for name, of in DISPLAY_NAMES.items() if of == row.id),
            ],
            "base_url": row.base_url,
            "secret": _secret(row),
            "settings": list(_settings(row)),
            "needs_address": not row.base_url,
        }
        for row in sorted(rows, key=lambda row: row.id)
        if row.auth != "none"
    ]


def _secret(row: Provider) -> str:
    if row.auth == AWS:
        return "pair"
    return "service_account" if row.id == SERVICE_ACCOUNTS else "key"


def _settings(row: Provider) -> tuple[str, ...]:
    if row.id == AZURE:
        return ("resourceName", "deploymentName", "apiVersion")
    found = OF_DIALECT.get(row.dialect, ())
    return found or (("region",) if REGION in row.base_url else ())
