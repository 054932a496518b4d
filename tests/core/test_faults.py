"""Faults on request: what is understood, and what they make of a reply."""

from __future__ import annotations

import json

import pytest

from appliance.core.faults import Fault, cut_pieces, fault_reply, parse_fault
from appliance.errors import Refusal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status=503", Fault("status=503", 503)),
        ("delay=250ms", Fault("delay=250ms", 0, 0.25)),
        ("delay=2", Fault("delay=2", 0, 2.0)),
        ("cut=0", Fault("cut=0", cut_bytes=0)),
        (
            "status=429; delay=1.5s,times=2",
            Fault("status=429; delay=1.5s,times=2", 429, 1.5, None, 2),
        ),
    ],
)
def test_what_is_understood(text: str, expected: Fault) -> None:
    assert parse_fault(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    ["", "503", "status=200", "status=600", "delay=601s", "delay=2h", "cut=-1", "status=5;status=6",
     "cut=9999999999", "colour=red", "times=9999999"],
)  # fmt: skip
def test_what_is_not(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_fault(text.encode())
    assert (refused.value.status, refused.value.code) == (400, "fault_invalid")


def test_a_status_comes_with_an_error_that_sdks_can_read() -> None:
    head, _, body = fault_reply(parse_fault(b"status=529")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 529 ")
    assert b"content-length: %d" % len(body) in head
    assert json.loads(body)["error"]["code"] == "injected_fault"


def test_delay_and_cut() -> None:
    pieces = [(0.5, b"head"), (0.0, b"abc"), (0.0, b"def")]
    assert cut_pieces(pieces, None) == pieces
    assert cut_pieces(pieces, Fault("", delay_s=2)) == [(2.5, b"head"), *pieces[1:]]
    assert cut_pieces(pieces, Fault("", cut_bytes=4)) == [*pieces[:2], (0.0, b"d")]
    assert cut_pieces(pieces, Fault("", cut_bytes=0)) == pieces[:1]
