"""What the REST API asks of the process where alerts and reports are kept."""

from typing import Protocol

from appliance.core.notices import Channels
from storage.notice_tables import Notice
from storage.report_tables import ReportRow


class Notices(Protocol):
    """News of all regions, and their destinations."""

    def check_destination(self, url: object, field: str) -> str:
        """The URL, which may be sent to by its name. Raises Refusal 422."""

    def seal(self, region: str, owner_id: str, text: str) -> bytes:
        """Secrets of an alert, a report or a notice, as they are stored."""

    def unseal(self, region: str, owner_id: str, sealed: bytes) -> str:
        """Raises Refusal 503."""

    async def report_now(self, region: str, row: ReportRow) -> list[Notice]:
        """The news of a report for the time up to now, each time under other ids. Raises Refusal
        503."""

    def changed(self, region: str) -> None:
        """There is something to send."""

    def warnings(self, channels: Channels) -> list[str]:
        """What keeps news from arriving as they should: no mail server, no public_url."""
