"""`verify` and `rebuild`: the books checked, and the database made anew. With a server and without.

A server lets its helper process do the reading: Python work of minutes has no place on its loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from appliance.errors import Refusal
from storage.verify_rows import Report

if TYPE_CHECKING:
    from appliance.actors.region import Region

Progress = Callable[[dict[str, Any]], None]


def report_value(report: Report) -> dict[str, Any]:
    """A report as it is printed: whether all is well, what was counted, what was found."""
    return {"ok": report.is_whole, **asdict(report)}


async def verify(region: Region) -> dict[str, Any]:
    """Check a region that is being served: journal, lake and bodies, in the helper process."""
    return await region.roller.verify()


async def rebuild(region: Region) -> dict[str, Any]:
    """Only without a server: its queries would stand still meanwhile."""
    raise Refusal(409, "server_running", "stop the server first: rebuild replaces the database")
