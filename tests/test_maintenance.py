"""The books, beside a server at work."""

from types import SimpleNamespace
from typing import Any

from appliance import maintenance
from tests.storage.analytics_rows import opened


async def test_verify_beside_a_database_that_is_being_closed() -> None:
    """As for a deletion: its rows are not counted, and nothing is wrong."""
    analytics = opened(None)
    analytics.close()

    async def verify() -> dict[str, Any]:
        return {"ok": True, "findings": []}

    region: Any = SimpleNamespace(
        roller=SimpleNamespace(verify=verify, rolled_upto=0),
        ingest=SimpleNamespace(analytics=analytics),
    )
    assert await maintenance.verify(region) == {"ok": True, "findings": [], "hot_rows": None}
