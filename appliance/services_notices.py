"""News of alerts and reports as the REST API sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import trio

from appliance.core.outbound import check_destination
from appliance.core.urls import HostList
from appliance.errors import Refusal
from storage.notice_tables import Notice
from storage.report_tables import ReportRow
from storage.vault import Vault, VaultError

if TYPE_CHECKING:
    from appliance.actors import notices
    from appliance.actors.region import Region
    from appliance.actors.reports import Ways
    from appliance.config import Config
    from appliance.core.notices import Channels
    from appliance.services_links import LinksOf

PURPOSE: Final = b"notice "
NO_MAIL: Final = "No mail server is configured ([smtp]): mails are not sent."
NO_LINKS: Final = "public_url is not set: webhooks and mails have no links."


def sealed(vault: Vault, owner_id: str, text: str) -> bytes:
    """For this owner alone."""
    return vault.seal(text.encode(), PURPOSE + owner_id.encode())


def unsealed(vault: Vault, owner_id: str, seal: bytes) -> str:
    """Raises VaultError."""
    return vault.open_sealed(seal, PURPOSE + owner_id.encode()).decode()


class NoticesOf:
    """Wired to what runs."""

    def __init__(
        self,
        regions: Mapping[str, Region],
        actors: Mapping[str, notices.Notices],
        config: Config,
        links: LinksOf,
        report_ways: Callable[[str], Ways],
        allow: Callable[[], tuple[str, ...]],
    ) -> None:
        self._regions = regions
        self._actors = actors
        self._has_mail = config.smtp is not None
        self._links = links
        self._report_ways = report_ways
        self._allow = allow

    def check_destination(self, url: object, field: str) -> str:
        """The URL, which may be sent to by its name."""
        return check_destination(url, HostList(self._allow()), field)

    def seal(self, region: str, owner_id: str, text: str) -> bytes:
        """As it is stored."""
        return sealed(self._regions[region].vault, owner_id, text)

    def unseal(self, region: str, owner_id: str, sealed: bytes) -> str:
        """Raises Refusal 503."""
        try:
            return unsealed(self._regions[region].vault, owner_id, sealed)
        except VaultError as error:
            raise Refusal(503, "vault", f"A stored destination does not open: {error}") from None

    async def report_now(self, region: str, row: ReportRow) -> list[Notice]:
        """The news of a report for the time up to now."""
        from appliance.actors import reports  # who has none needs none of it

        now_s = time.time()
        try:
            return await reports.made(row, self._report_ways(region), int(now_s), f"test {now_s}")
        except VaultError as error:
            raise Refusal(503, "vault", f"A stored destination does not open: {error}") from None
        except trio.TooSlowError:
            raise Refusal(503, "too_slow", "The records did not answer in time.") from None

    def changed(self, region: str) -> None:
        """There is something to send."""
        self._actors[region].changed()

    def warnings(self, channels: Channels) -> list[str]:
        """What keeps news from arriving as they should."""
        found = [NO_MAIL] if channels.emails and not self._has_mail else []
        return found if self._links.base() else [*found, NO_LINKS]
