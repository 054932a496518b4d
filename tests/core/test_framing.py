"""Framing decisions, one row per case of field.md B12 and B13."""

import pytest

from appliance.core.framing import (
    Framing,
    FramingError,
    check_head,
    field_fault,
    request_framing,
    response_framing,
)

HOST = (b"Host", b"a.example")


def te(value: bytes) -> tuple[bytes, bytes]:
    return (b"Transfer-Encoding", value)


def cl(value: bytes) -> tuple[bytes, bytes]:
    return (b"Content-Length", value)


REQUESTS_GOOD = [
    ("1.1", b"GET", [], b"/", Framing("none", 0, True)),
    ("1.1", b"POST", [], b"/", Framing("none", 0, True)),
    ("1.1", b"POST", [cl(b"0")], b"/", Framing("length", 0, True)),
    ("1.1", b"POST", [cl(b"1024")], b"/", Framing("length", 1024, True)),
    ("1.1", b"POST", [cl(b" 7 ")], b"/", Framing("length", 7, True)),
    ("1.1", b"POST", [cl(b"007")], b"/", Framing("length", 7, True)),
    ("1.1", b"GET", [cl(b"3")], b"/", Framing("length", 3, True)),
    ("1.1", b"POST", [cl(b"9" * 19)], b"/", Framing("length", 10**19 - 1, True)),
    ("1.1", b"POST", [te(b"chunked")], b"/", Framing("chunked", 0, True)),
    ("1.1", b"POST", [te(b"Chunked ")], b"/", Framing("chunked", 0, True)),
    ("1.1", b"GET", [(b"Connection", b"close")], b"/", Framing("none", 0, False)),
    ("1.1", b"GET", [(b"connection", b"TE, Close")], b"/", Framing("none", 0, False)),
    ("1.0", b"GET", [], b"/", Framing("none", 0, False)),
    ("1.0", b"GET", [(b"Connection", b"Keep-Alive")], b"/", Framing("none", 0, True)),
    ("1.1", b"OPTIONS", [], b"*", Framing("none", 0, True)),
    ("1.1", b"GET", [], b"http://a.example/x?y", Framing("none", 0, True)),
    ("1.1", b"GET", [], b"HTTP://A.Example:80/", Framing("none", 0, True)),
    ("1.1", b"GET", [], b"https://a.example:443", Framing("none", 0, True)),
    ("1.1", b"GET", [(b"X-Odd", b"tab\there \xff")], b"/\xc3\xa9", Framing("none", 0, True)),
]


@pytest.mark.parametrize(("version", "method", "headers", "target", "expected"), REQUESTS_GOOD)
def test_requests_we_take(version, method, headers, target, expected):
    assert request_framing(version, method, [HOST, *headers], target=target) == expected


REQUESTS_BAD = [
    # headers beside Host, status
    ([te(b"chunked"), cl(b"5")], 400),
    ([cl(b"5"), te(b"chunked")], 400),
    ([cl(b"5"), cl(b"6")], 400),
    ([cl(b"5"), cl(b"5")], 400),
    ([cl(b"5, 5")], 400),
    ([cl(b"+0")], 400),
    ([cl(b"-1")], 400),
    ([cl(b"0x10")], 400),
    ([cl(b"1_0")], 400),
    ([cl(b"1e3")], 400),
    ([cl(b"5.0")], 400),
    ([cl(b"")], 400),
    ([cl(b"5 5")], 400),
    ([cl("٣".encode())], 400),
    ([cl(b"1" * 20)], 400),
    ([te(b"chunked, identity")], 400),
    ([te(b"identity")], 400),
    ([te(b"xchunked")], 400),
    ([te(b"chunked chunked")], 400),
    ([te(b"chunked, chunked")], 400),
    ([te(b"chunked;q=1")], 400),
    ([te(b"\x0bchunked")], 400),
    ([te(b"")], 400),
    ([te(b"chunked"), te(b"chunked")], 400),
    ([te(b"identity"), te(b"chunked")], 400),
    ([te(b"gzip, chunked")], 501),
    ([(b"Content-Length ", b"5")], 400),
    ([(b"Transfer-Encoding ", b"chunked")], 400),
    ([(b" Folded", b"x")], 400),
    ([(b"", b"x")], 400),
    ([(b"X:Y", b"x")], 400),
    ([(b"X\xc3", b"x")], 400),
    ([(b"X", b"a\r\nY: b")], 400),
    ([(b"X", b"a\r\n b")], 400),
    ([(b"X", b"a\x00b")], 400),
    ([(b"X", b"a\nb")], 400),
    ([(b"X", b"a\x7fb")], 400),
    ([(b"host", b"a.example")], 400),
]


@pytest.mark.parametrize(("headers", "status"), REQUESTS_BAD)
def test_requests_we_refuse(headers, status):
    with pytest.raises(FramingError) as caught:
        request_framing("1.1", b"POST", [HOST, *headers])
    assert caught.value.status == status
    assert caught.value.text


@pytest.mark.parametrize(
    ("version", "method", "status"),
    [("2.0", b"GET", 505), ("0.9", b"GET", 505), ("1.2", b"GET", 505), ("1.1", b"CONNECT", 405)],
)
def test_versions_and_methods_we_do_not_speak(version, method, status):
    with pytest.raises(FramingError) as caught:
        request_framing(version, method, [HOST])
    assert caught.value.status == status


def test_transfer_encoding_in_http_1_0_is_refused():
    with pytest.raises(FramingError, match=r"HTTP/1\.0"):
        request_framing("1.0", b"POST", [HOST, te(b"chunked")])


HOSTS = [
    # Host header or none, target, accepted
    (None, b"/", False),
    (b"", b"/", False),
    (b"a.example:8585", b"/", True),
    (b"127.0.0.1:1", b"/", True),
    (b"[::1]:8585", b"/", True),
    (b"under_score", b"/", True),
    (b"good/abc?x=", b"/", False),
    (b"a.example, b.example", b"/", False),
    (b"a b", b"/", False),
    (b"user@a.example", b"/", False),
    (b"a.example:", b"/", False),
    (b"a.example:123456", b"/", False),
    (b"[::1", b"/", False),
    (b"a.example\\x", b"/", False),
    ("ａ.example".encode(), b"/", False),
    (b"a.example", b"http://b.example/", False),
    (b"a.example", b"http://a.example:8080/", False),
    (b"a.example", b"http://user@a.example/", False),
    (b"a.example", b"http:///x", False),
    (b"a.example", b"ftp://a.example/", False),
    (b"a.example", b"a.example:443", False),
    (b"a.example", b"", False),
    (b"a.example", b"x", False),
    (b"a.example", b"/a b", False),
    (b"a.example", b"/a\x00", False),
    (None, b"http://a.example/", False),
]


@pytest.mark.parametrize(("host", "target", "accepted"), HOSTS)
def test_host_and_target(host, target, accepted):
    headers = [] if host is None else [(b"Host", host)]
    if accepted:
        assert request_framing("1.1", b"GET", headers, target=target).kind == "none"
        return
    with pytest.raises(FramingError) as caught:
        request_framing("1.1", b"GET", headers, target=target)
    assert caught.value.status == 400


def test_http_1_0_may_leave_host_out():
    assert request_framing("1.0", b"GET", []).kind == "none"


RESPONSES_GOOD = [
    ("1.1", b"POST", 200, [cl(b"12")], Framing("length", 12, True)),
    ("1.1", b"POST", 200, [cl(b"0")], Framing("length", 0, True)),
    ("1.1", b"POST", 200, [te(b"chunked")], Framing("chunked", 0, True)),
    (
        "1.1",
        b"POST",
        200,
        [te(b"chunked"), (b"Connection", b"close")],
        Framing("chunked", 0, False),
    ),
    ("1.1", b"POST", 200, [], Framing("until_close", 0, False)),
    ("1.0", b"POST", 200, [], Framing("until_close", 0, False)),
    ("1.0", b"POST", 200, [cl(b"3")], Framing("length", 3, False)),
    ("1.0", b"POST", 200, [cl(b"3"), (b"Connection", b"keep-alive")], Framing("length", 3, True)),
    ("1.0", b"POST", 200, [te(b"chunked")], Framing("chunked", 0, False)),
    ("1.1", b"HEAD", 200, [cl(b"12")], Framing("none", 0, True)),
    ("1.1", b"HEAD", 200, [te(b"chunked")], Framing("none", 0, True)),
    ("1.1", b"GET", 204, [], Framing("none", 0, True)),
    ("1.1", b"GET", 304, [cl(b"12")], Framing("none", 0, True)),
    ("1.1", b"POST", 100, [], Framing("none", 0, True)),
    ("1.1", b"POST", 103, [(b"Link", b"x")], Framing("none", 0, True)),
    ("1.1", b"GET", 101, [], Framing("none", 0, False)),
    # Transfer-Encoding wins, and the connection is not trusted with another request.
    ("1.1", b"POST", 200, [te(b"chunked"), cl(b"12")], Framing("chunked", 0, False)),
    ("1.1", b"POST", 200, [cl(b"12"), te(b"CHUNKED")], Framing("chunked", 0, False)),
    ("1.1", b"POST", 200, [cl(b"12"), cl(b"12")], Framing("length", 12, False)),
    ("1.1", b"POST", 200, [cl(b"12, 12")], Framing("length", 12, True)),
    ("1.1", b"POST", 200, [te(b"identity"), cl(b"12")], Framing("length", 12, False)),
    ("1.1", b"POST", 200, [te(b"identity")], Framing("until_close", 0, False)),
]


@pytest.mark.parametrize(("version", "method", "status", "headers", "expected"), RESPONSES_GOOD)
def test_replies_we_take(version, method, status, headers, expected):
    assert response_framing(version, method, status, headers) == expected


RESPONSES_BAD = [
    [cl(b"12"), cl(b"13")],
    [cl(b"12, 13")],
    [cl(b"+12")],
    [cl(b"-1")],
    [cl(b"0x10")],
    [cl(b"")],
    [cl(b"12,")],
    [cl(b"1" * 20)],
    [te(b"gzip, chunked")],
    [te(b"chunked, identity")],
    [te(b"chunked"), te(b"chunked")],
    [te(b"gzip")],
    [(b"X", b"a\r\nSet-Cookie: b")],
    [(b"X", b"a\x00")],
    [(b"X ", b"a")],
]


@pytest.mark.parametrize("headers", RESPONSES_BAD)
def test_replies_nobody_should_guess_about(headers):
    with pytest.raises(FramingError) as caught:
        response_framing("1.1", b"POST", 200, headers)
    assert caught.value.status == 502


HEADS = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\ty\r\n\r\n", None),
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", "bare"),
    (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "bare"),
    (b"GET / HTTP/1.1\r\nHost: a\rX: b\n\r\n", "bare"),
    (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "bare"),
    (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", "control"),
    (b"GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n", "control"),
    (b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", "folded"),
    (b"GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n", "folded"),
]


@pytest.mark.parametrize(("head", "fault"), HEADS)
def test_raw_heads(head, fault):
    if fault is None:
        check_head(head)
        return
    with pytest.raises(FramingError, match=fault) as caught:
        check_head(head)
    assert caught.value.status == 400


def test_one_field():
    assert field_fault(b"X-Any", b"value, with \xe9") is None
    assert field_fault(b"X Any", b"v") == "field name is not a token"
    assert field_fault(b"X", b"a\nb") == "control character in a field value"
