"""Signed URLs: what counts is what was signed, letter by letter, until its time."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.forwarded import Caller
from appliance.core.links import base_url
from appliance.core.signed_url import check_signed, signed_path
from appliance.errors import Refusal

KEY = bytes(range(32))
NOW_S = 1_800_000_000


def parts(url: str) -> tuple[str, list[tuple[str, str]]]:
    split = urlsplit(url)
    return unquote(split.path), parse_qsl(split.query, keep_blank_values=True)


def refusal(key: bytes, path: str, query: list[tuple[str, str]], now_s: float) -> str:
    with pytest.raises(Refusal) as caught:
        check_signed(key, path, query, now_s)
    return f"{caught.value.status} {caught.value.code}"


names = st.text(min_size=1).filter(lambda name: name not in ("expires", "signature"))
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, st.lists(st.tuples(names, texts), max_size=4))
def test_comes_back_as_it_was_made(text: str, query: list[tuple[str, str]]) -> None:
    query = [(name.encode("utf-8", "replace").decode(), value) for name, value in query]
    path, pairs = parts("http://h" + signed_path(KEY, "/v1/" + text, NOW_S + 60, query))
    assert path == "/v1/" + text
    check_signed(KEY, path, pairs, NOW_S)
    check_signed(KEY, path, pairs[::-1], NOW_S)  # the order of parameters says nothing


def test_any_change_is_refused() -> None:
    path, pairs = parts(signed_path(KEY, "/v1/signed/us/body/1", NOW_S + 60, [("a", "b")]))
    (name, value), (_, expires), (_, signature) = pairs
    changed = [
        (path[:-1] + "2", pairs),
        (path, [(name, value + "c"), *pairs[1:]]),
        (path, pairs[1:]),
        (path, [*pairs, ("more", "1")]),
        (path, [pairs[0], ("expires", str(int(expires) + 1)), pairs[2]]),
        (path, [*pairs[:2], ("signature", signature[:-1] + "x")]),
        (path, [*pairs[:2], ("signature", "é")]),
    ]
    for where, query in changed:
        assert refusal(KEY, where, query, NOW_S) == "403 link_invalid"
    assert refusal(b"another" * 5, path, pairs, NOW_S) == "403 link_invalid"


def test_moved_letters_are_another_url() -> None:
    path, pairs = parts(signed_path(KEY, "/v1/x", NOW_S, [("ab", "c")]))
    moved = [("a", "bc") if name == "ab" else (name, value) for name, value in pairs]
    assert refusal(KEY, path, moved, NOW_S) == "403 link_invalid"


@pytest.mark.parametrize("lost", ["expires", "signature"])
def test_one_time_and_one_signature(lost: str) -> None:
    path, pairs = parts(signed_path(KEY, "/v1/x", NOW_S + 60))
    without = [pair for pair in pairs if pair[0] != lost]
    twice = [*pairs, *(pair for pair in pairs if pair[0] == lost)]
    assert refusal(KEY, path, without, NOW_S) == "403 link_unsigned"
    assert refusal(KEY, path, twice, NOW_S) == "403 link_unsigned"


def test_its_time_is_over() -> None:
    path, pairs = parts(signed_path(KEY, "/v1/x", NOW_S + 60))
    check_signed(KEY, path, pairs, NOW_S + 59.9)
    assert refusal(KEY, path, pairs, NOW_S + 60) == "410 link_expired"


@pytest.mark.parametrize(
    ("public_url", "caller", "expected"),
    [
        ("https://h.example/llm/", Caller("1.2.3.4", "http", "10.0.0.1:8585"), "https://h.example/llm"),
        (None, Caller("1.2.3.4", "https", "h.example"), "https://h.example"),
        (None, Caller("1.2.3.4", "", "h:8585"), "http://h:8585"),
        (None, Caller("1.2.3.4", "http", ""), None),
        (None, None, None),
        ("https://h.example", None, "https://h.example"),
    ],
)  # fmt: skip
def test_base(public_url: str | None, caller: Caller | None, expected: str | None) -> None:
    assert base_url(public_url, caller) == expected
