"""What a status says of a target."""

from __future__ import annotations

import pytest

from appliance.core.router_verdict import goes_on, verdict_of


@pytest.mark.parametrize(
    ("status", "verdict", "on"),
    [
        (200, "good", False), (204, "good", False), (302, "good", False), (400, "good", False),
        (401, "bad", True), (402, "bad", True), (403, "bad", True), (404, "unknown", True),
        (408, "bad", True), (413, "good", False), (422, "good", False), (429, "limited", True),
        (500, "bad", True), (503, "bad", True), (529, "bad", True), (599, "bad", True),
    ],
)  # fmt: skip
def test_a_status(status: int, verdict: str, on: bool) -> None:
    assert (verdict_of(status), goes_on(status)) == (verdict, on)


def test_no_reply_is_bad() -> None:
    assert verdict_of(None) == "bad"
