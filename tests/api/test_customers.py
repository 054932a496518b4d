"""Customers below an organisation: there are none, and whoever asks is told what there is."""

import pytest

from appliance.api.paths import PERMISSIONS
from tests.api.kit import House


@pytest.mark.parametrize("path", ["/v1/customer/query", "/v1/customer/c-1/usage/query"])
async def test_the_answer_names_what_there_is_instead(house: House, path: str) -> None:
    reply = await house.post(path, {})
    assert (reply.status, reply.json["data"]) == (501, None)
    for named in "/v1/user/query", "/v1/property/{key}/top-costs/query":
        assert ("POST", named) in PERMISSIONS
        assert named in reply.json["error"]
    house.access.open = False
    assert (await house.post(path, {})).status == 401
