"""The signed links of recorded requests: to their bodies, and to the files within them."""

from __future__ import annotations

from fastapi import Request

from appliance.api.assets import asset_id
from appliance.api.links import SIGNED, caller_of, links_of
from appliance.core.signed_url import DAY_S


class LinksTo:
    """Makes links of one answer; how this server is reached is worked out once."""

    def __init__(self, request: Request, region: str) -> None:
        self._links = links_of(request)
        self._base = self._links.base(caller_of(request))
        self._region = region

    def bodies(self, exchange_id: str) -> str:
        """`signed_body_url`: `{request, response}` of an exchange."""
        return self._link(f"bodies/{exchange_id}")

    def assets(self, exchange_id: str, count: int) -> dict[str, str]:
        """URLs of the files in a request's body by their ids."""
        return {
            asset_id(exchange_id, number): self.asset(exchange_id, number)
            for number in range(1, count + 1)
        }

    def asset(self, exchange_id: str, number: int) -> str:
        """The URL of one file, counted from 1."""
        return self._link(f"assets/{exchange_id}/{number}")

    def dataset_row(self, row_id: str) -> str:
        """`signed_url`: `{request, response}` of a row of a dataset."""
        return self._link(f"dataset-rows/{row_id}")

    def _link(self, rest: str) -> str:
        path = f"{SIGNED}/{self._region}/{rest}"
        return f"{self._base}{self._links.signed(self._region, path, (), DAY_S)}"
