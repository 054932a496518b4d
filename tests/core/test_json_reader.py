"""Hostile and sloppy JSON survives, with a bound on everything (field.md B16)."""

from decimal import Decimal

import pytest

from appliance.core.json_reader import read_json, salvage_object, salvage_string


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":1e400}', {"a": float("inf")}),
        (b'{"a":"\\ud800"}', {"a": "\ud800"}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":"x\ny"}', {"a": "x\ny"}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{"a":99999999999999999999}', {"a": 99999999999999999999}),
        (b"9" * 5000, float("inf")),
    ],
)
def test_readable(data, value):
    assert read_json(data) == (value, "")


def test_nan_is_read():
    value, problem = read_json(b'{"a":NaN}')
    assert problem == ""
    assert value["a"] != value["a"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "depth"),
        (b'{"a":' * 100_000, "depth"),
        (b"", "syntax"),
        (b"<html>", "syntax"),
        (b'{"a":1', "syntax"),
        (b"\x00\xff", "syntax"),
    ],
)
def test_unreadable_is_a_word(data, problem):
    assert read_json(data) == (None, problem)


def test_fractions_keep_their_digits_when_asked():
    value, _ = read_json(b'{"cost":0.000123456789012345678}', exact=True)
    assert value["cost"] == Decimal("0.000123456789012345678")
    value, _ = read_json(b'{"cost":1E+999999,"x":NaN}', exact=True)
    assert value["cost"] == Decimal("1E+999999")


def test_salvage_from_a_body_without_its_middle():
    body = b'{"model":"m-1","messages":[ ... cut ... "x"}],"usage":{"prompt_tokens":3}}'
    assert salvage_object(body, b"usage") == {"prompt_tokens": 3}
    assert salvage_string(body, b"model") == "m-1"
    assert salvage_object(b'"usage":null ... "usage":{"a"', b"usage") is None
    assert salvage_object(b'{"usage":{"a":1}} "usage":null', b"usage") == {"a": 1}
    assert salvage_string(b"{}", b"model") is None
