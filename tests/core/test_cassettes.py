"""Cassettes: what is kept of calls and replies, how they are compared, and what is never kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.cassette import (
    Player,
    Take,
    in_order,
    read_cassette,
    take_text,
    write_cassette,
)  # fmt: skip
from appliance.core.cassette_asked import Asked, asked_of, differences, nearest
from appliance.core.cassette_reply import CUT, ReplyReader, Told, told_of, wire_pieces
from appliance.core.cassette_scrub import Scrubber
from appliance.core.chunked import encode_chunk

URL = "https://api.openai.com/v1/chat/completions"
SECRET = "sk-proj-0123456789abcdefghij"
JSON_HEAD = {b"content-type": b"application/json", b"authorization": f"Bearer {SECRET}".encode()}
PLAIN = Scrubber()


def ask(body: Any, url: str = URL, scrubber: Scrubber = PLAIN, **headers: str) -> Asked:
    fields = {**JSON_HEAD, **{k.replace("_", "-").encode(): v.encode() for k, v in headers.items()}}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asked_of("POST", url, fields, data, scrubber)


def reply_of(data: bytes, scrubber: Scrubber = PLAIN, end: str = "complete") -> Told:
    reader = ReplyReader(b"POST")
    reader.feed(data, 7)
    return told_of(reader, end, scrubber, (SECRET,))


def http(body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


# -- requests


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ask({"a": 1, "b": [1, {"c": 2, "d": 3}]}), ask(b'{ "b":[1,{"d":3,"c":2}],"a":1 }')),
        (ask({}, URL + "?b=2&a=1"), ask({}, URL + "?a=1&b=2")),
        (ask({}, URL + "?key=AAAA"), ask({}, URL + "?key=BBBB")),
        (ask({}, content_type="application/json; charset=utf-8"), ask({})),
        (ask({}, user_agent="OpenAI/1"), ask({}, user_agent="OpenAI/2")),
        (ask({}, authorization="Bearer other"), ask({})),
        (
            ask(b"--xyz\r\nfile\r\n--xyz--", content_type="multipart/form-data; boundary=xyz"),
            ask(b"--abcd\r\nfile\r\n--abcd--", content_type='multipart/form-data; boundary="abcd"'),
        ),
    ],
)
def test_what_is_the_same_request(one: Asked, other: Asked) -> None:
    assert one == other
    assert differences(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        (ask({"a": [1, 2]}), ask({"a": [3, 2]}), "json.a[0]: recorded 1, asked 3"),
        (ask({"a": 1}), ask({"a": True}), "json.a: recorded 1, asked true"),
        (ask({"a": 1}), ask({}), "json.a: recorded 1, asked nothing"),
        (ask({"a": []}), ask({"a": [1]}), "json.a[0]: recorded nothing, asked 1"),
        (ask({}), ask({}, "https://api.openai.com/v1/responses"), "url: recorded"),
        (ask({}), ask({}, openai_beta="x"), 'header openai-beta: recorded nothing, asked "x"'),
        (ask({}), ask(b""), 'body: recorded "json", asked "none"'),
        (ask(b"\xff1"), ask(b"\xff2"), "bytes.sha256"),
    ],
)
def test_what_is_another_one_and_where(one: Asked, other: Asked, place: str) -> None:
    found = differences(one, other)
    assert found[0].startswith(place)
    assert len(found) == 1


def test_a_long_text_is_shown_where_it_differs() -> None:
    text = "x" * 5000
    line = differences(ask({"a": text + "left" + text}), ask({"a": text + "right" + text}))[0]
    assert "left" in line
    assert "right" in line
    assert len(line) < 400


def test_true_is_not_one_for_the_player_either() -> None:
    player = Player("x", [Take(ask({"stream": 1}), Told(200))])
    assert player.play(ask({"stream": True})) is None
    assert player.play(ask({"stream": 1})) is not None


# -- replies


JSON_BODIES = [
    b'{"a":1,"b":"\xc3\xa9"}',
    b'{"a": 1}',
    b'{\n  "a": [\n    1\n  ]\n}',
    b'{"a":"\\u00e9"}',
]


@pytest.mark.parametrize("body", [*JSON_BODIES, b'{"a":1, "b":2}', b"plain", b"\xff\x00", b""])
def test_a_body_comes_back_byte_for_byte(body: bytes) -> None:
    told = reply_of(http(body))
    again = read_cassette(write_cassette([Take(ask({}), told)]))[0].told
    assert b"".join(again.pieces) == body
    assert ("json" in told.as_map()) is (body in JSON_BODIES)


EVENTS = [b'data: {"a":1}\n\n', b": ping\n\n", b"data: [DONE]\n\n"]


@given(st.lists(st.integers(1, 30), max_size=5))
def test_events_are_the_same_however_they_were_cut(cuts: list[int]) -> None:
    whole = b"".join(EVENTS)
    reader = ReplyReader(b"POST")
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    reader.feed(head, 1)
    at = 0
    for number, size in enumerate([*cuts, len(whole)]):
        reader.feed(encode_chunk(whole[at : at + size]), number)
        at += size
    reader.feed(b"0\r\n\r\n", 99)
    assert reader.done
    told = told_of(reader, "complete", PLAIN, ())
    assert list(told.pieces) == EVENTS
    assert sorted(told.timing_ms) == list(told.timing_ms)
    assert len(told.timing_ms) == len(EVENTS)


def test_what_goes_over_the_wire() -> None:
    told = Told(200, {"content-type": "text/event-stream"}, EVENTS, (40, 40, 1040))
    pieces = wire_pieces(told, b"POST", timed=False)
    assert [wait_s for wait_s, _ in pieces] == [0.0] * 5
    assert pieces[1:] == [*((0.0, encode_chunk(event)) for event in EVENTS), (0.0, b"0\r\n\r\n")]
    timed = wire_pieces(told, b"POST", timed=True)
    assert [wait_s for wait_s, _ in timed] == [0.04, 0.0, 0.0, 1.0, 0.0]


def test_a_reply_that_was_cut_is_cut_again() -> None:
    told = Told(200, {}, [b"half"], end=CUT)
    pieces = wire_pieces(told, b"POST", timed=False)
    assert b"transfer-encoding: chunked" in pieces[0][1]
    assert pieces[1:] == [(0.0, b"4\r\nhalf\r\n")]


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"POST", 204), (b"POST", 304)])
def test_replies_without_a_body(method: bytes, status: int) -> None:
    pieces = wire_pieces(Told(status, {}, [b"x"]), method, timed=False)
    assert len(pieces) == 1
    assert b"length" not in pieces[0][1]


# -- secrets


def test_no_secret_reaches_the_file() -> None:
    scrubber = Scrubber(["x-tenant-key", "password"])
    tenant = "tenant-0123456789-secret"
    asked = ask(
        {"note": f"my key is {SECRET}", "password": "p1", "deep": [{"Password": "p2"}]},
        URL + "?api_key=q1secret&x-tenant-key=q2secret",
        scrubber,
        x_tenant_key=tenant,
        cookie="session=c00kie",
    )
    body = json.dumps({"password": "p3", "key": SECRET, "other": "AKIA" + "A" * 16}).encode()
    told = reply_of(http(body, more=f"Set-Cookie: sid=c00kie\r\nX-Key: {SECRET}\r\n"), scrubber)
    events = reply_of(
        http(
            b'data: {"password":"p4","t":"' + SECRET.encode() + b'"}\n\ndata: x\n\n',
            "text/event-stream",
        ),
        scrubber,
    )
    text = write_cassette([Take(asked, told), Take(asked, events)])
    for secret in (
        SECRET,
        "AKIAA",
        "p1",
        "p2",
        "p3",
        "p4",
        "q1secret",
        "q2secret",
        tenant,
        "c00kie",
    ):
        assert secret not in text, secret
    assert text.count("REDACTED") >= 9
    assert "my key is REDACTED" in text


def test_a_secret_that_two_events_share_is_found() -> None:
    texts = ["data: sk-proj-01234", "56789abcdefghij end\n\n", "data: x"]
    found = PLAIN.texts(texts, ())
    assert found == ["data: REDACTED", " end\n\n", "data: x"]
    assert PLAIN.texts(texts, (SECRET,)) == found


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_secret_that_json_writes_otherwise_is_found(kind: str) -> None:
    """`\\/` and `\\u002d` are the same text, and the file would have it in clear."""
    secret = "tok/en-0123456789/abcdef"
    begin, end = ("data: ", "\n\n") if kind.startswith("text") else ("", "")
    escaped = secret.replace("/", "\\/").replace("-", "\\u002d")
    body = f'{begin}{{"note": "it is {escaped}"}}{end}'.encode()
    headers = {**JSON_HEAD, b"authorization": f"Bearer {secret}".encode()}
    asked = asked_of("POST", URL, headers, f'{{"note": "it is {escaped}"}}'.encode(), PLAIN)
    reader = ReplyReader(b"POST")
    reader.feed(http(body, kind), 1)
    told = told_of(reader, "complete", PLAIN, (secret,))
    text = write_cassette([Take(asked, told)])
    assert text.count("it is REDACTED") == 2
    assert "0123456789" not in text


def test_a_secret_beside_what_is_no_text_is_found() -> None:
    """One byte that is no UTF-8, or a stream that was cut within a letter."""
    for kind in ("application/octet-stream", "text/event-stream"):
        told = reply_of(http(f"data: {SECRET}\n\ndata: ".encode() + b"\xc3", kind))
        body = b"".join(told.pieces)
        assert body == b"data: REDACTED\n\ndata: \xc3"
        assert read_cassette(write_cassette([Take(ask({}), told)]))[0].told.pieces == told.pieces


def test_headers_that_are_named_are_hidden_on_both_sides() -> None:
    scrubber = Scrubber(["X-Account", "openai-beta"])
    told = reply_of(http(b"{}", more="X-Account: acme\r\nX-Other: stays\r\n"), scrubber)
    assert told.headers["x-account"] == "REDACTED"
    assert told.headers["x-other"] == "stays"
    assert ask({}, scrubber=scrubber, openai_beta="v1").headers["openai-beta"] == "REDACTED"


def test_half_of_an_emoji_is_kept_and_told() -> None:
    """Of a prompt that was cut: it is JSON, and no UTF-8."""
    asked = ask(b'{"content":"cut \\ud83d"}')
    body = b'{"said":"cut \\ud83d"}'
    player = Player("x", read_cassette(write_cassette([Take(asked, reply_of(http(body)))])))
    told = player.play(asked)
    assert told is not None
    assert b"".join(told.pieces) == body
    player.why_not(ask(b'{"content":"\\ud83d other"}')).encode()
    hidden = reply_of(http(b'{"said":"\\ud83d","user":"me"}'), Scrubber(["user"]))
    assert b"".join(hidden.pieces) == b'{"said": "\\ud83d", "user": "REDACTED"}'


def test_what_is_nested_without_end_is_kept_as_text() -> None:
    deep = b"[" * 5000 + b'"\\/"' + b"]" * 5000
    assert ask(deep).kind == "text"
    told = reply_of(http(deep), Scrubber(["user"]))
    assert told.as_map()["text"] == deep.decode()
    events = reply_of(http(b"data: " + deep + b"\n\n", "text/event-stream"), Scrubber(["user"]))
    assert b"".join(events.pieces) == b"data: " + deep + b"\n\n"


def test_a_status_line_that_is_none() -> None:
    reader = ReplyReader(b"POST")
    reader.feed(b"HTTP/1.1 " + b"9" * 5000 + b" what\r\n\r\n", 1)
    assert reader.status == 0


@pytest.mark.parametrize(
    "secret",
    [
        "csk-" + "a1" * 12, "ek_" + "a1" * 12, "sk_" + "a1" * 12, "fw_" + "a1" * 12,
        "tgp_v1_" + "a-1" * 8, "rk_live_" + "a1" * 8, "xoxb-" + "1234-" * 4,
    ],
)  # fmt: skip
def test_what_looks_like_a_key_is_hidden(secret: str) -> None:
    assert PLAIN.text(f'"{secret}"') == '"REDACTED"'


def test_ordinary_words_stay() -> None:
    text = "a task-management-system-for-everybody, sk-short, pk_customer_orders_history, replayed"
    assert PLAIN.text(text, PLAIN.credentials({b"authorization": b"Bearer replayed"})) == text


# -- files


def take(name: str, began_s: float, ended_s: float) -> Take:
    return Take(ask({"name": name}), Told(200), began_s, ended_s)


def test_the_order_is_that_of_the_calls_and_the_same_for_those_at_once() -> None:
    takes = [take("z", 0, 1), take("c", 2, 5), take("a", 3, 4), take("b", 4.5, 6), take("a", 7, 8)]
    expected = ["z", "a", "b", "c", "a"]
    assert [one.asked.body["name"] for one in in_order(takes)] == expected
    assert [one.asked.body["name"] for one in in_order(takes[::-1])] == expected


def test_a_file_is_written_as_json_is_with_an_indent() -> None:
    takes = [
        Take(ask({"a": [1, {"b": "line\nend"}]}), reply_of(http(b'{"c":[]}'))),
        Take(ask({}), reply_of(http(EVENTS[0] + EVENTS[2], "text/event-stream"))),
    ]
    text = write_cassette(takes)
    assert json.dumps(json.loads(text), indent=1) + "\n" == text
    known = [replace(take, text=take_text(take.asked, take.told)) for take in takes]
    assert write_cassette(known) == text


def test_what_was_written_once_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a recording of a thousand calls would hold up each of them for a second."""
    takes = [replace(take(str(at), at, at + 0.5), text="{}") for at in range(3)]
    monkeypatch.setattr(Asked, "as_map", None)
    assert write_cassette(takes).count("{}") == 3


def test_the_nearest_of_many_is_found_among_those_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    ratio = SequenceMatcher.quick_ratio
    monkeypatch.setattr(
        SequenceMatcher, "quick_ratio", lambda self: compared.append(1) or ratio(self)
    )
    words = ["x" * (at * 7) for at in range(500)]
    recorded = [
        ask({"a": word}, URL + ("/other" if at % 2 else "")) for at, word in enumerate(words)
    ]
    assert nearest(recorded, ask({"a": words[300][:-1] + "y"})) == 300
    assert len(compared) <= 100


def test_each_reply_is_given_once_and_in_order() -> None:
    asked = ask({"a": 1})
    player = Player("x.json", [Take(asked, Told(500)), Take(asked, Told(200))])
    given = [player.play(asked) for _ in range(3)]
    assert [told and told.status for told in given] == [500, 200, None]
    assert "has this call 2 times, and it was replayed as often" in player.why_not(asked)


def test_a_miss_names_the_nearest_call_and_the_difference() -> None:
    recorded = [
        ask({"model": m, "messages": [{"content": c}]}) for m, c in (("a", "Hi"), ("b", "Ho"))
    ]
    player = Player("x.json", [Take(one, Told(200)) for one in recorded])
    why = player.why_not(ask({"model": "b", "messages": [{"content": "Hu"}]}))
    assert f"Nearest: call 2 of 2, POST {URL}" in why
    assert '\n  json.messages[0].content: recorded "Ho", asked "Hu"\n' in why
    assert "model" not in why
    assert "is empty" in Player("x.json", []).why_not(recorded[0])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting"),
        ("[]", "no cassette of version 1"),
        ('{"cassette": 2}', "no cassette of version 1"),
        ('{"cassette": 1, "exchanges": [{}]}', "exchange 1: 'request'"),
        ('{"cassette": 1, "exchanges": [{"request": {"method": "GET"}, "reply": {"status": 1}}]}',
         "exchange 1: a reply has a status"),
        ('{"cassette": 1, "exchanges": [{"request": {"method": 1}, "reply": {"status": 200}}]}',
         "exchange 1: a request has a method"),
    ],
)  # fmt: skip
def test_what_is_no_cassette_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        read_cassette(text)


def test_nothing_in_a_file_can_turn_a_terminal_or_a_diff() -> None:
    text = write_cassette([Take(ask({"a": "x\u202ey\x1b[31m"}), Told(200))])
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert read_cassette(text)[0].asked.body == {"a": "x\u202ey\x1b[31m"}
