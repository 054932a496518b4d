"""The pattern of a search in any case, held against DuckDB's `lower` over all that there is."""

import duckdb
import pytest

from appliance.core.text_search import (
    CHARACTERS_MAX,
    PIECE_CASES_MAX,
    any_case,
    cases,
    rare_piece,
)

LOWER_OF_ALL = (
    "SELECT one, lower(one) FROM (SELECT chr(n::INTEGER) AS one FROM range(1, 1114112) AS t(n)"
    " WHERE n NOT BETWEEN 55296 AND 57343)"
)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def test_every_character_with_the_same_lower_case_is_among_the_cases(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    alike: dict[str, list[str]] = {}
    for one, lower in connection.execute(LOWER_OF_ALL).fetchall():
        alike.setdefault(lower, []).append(one)
    assert max(map(len, alike)) == 1  # one to one: a pattern can go character by character
    for several in alike.values():
        for one in several:
            assert cases(one).issuperset(several), hex(ord(one))


TEXTS = (
    "A zebra", "ZEBRA", "zEbRa\nand more", "zebr", "zeb\nra", "", None, "\u212aelvin",
    "\u0130stanbul", "kelvin und istanbul", "Stra\u00dfe", "STRA\u1e9eE", "STRASSE", "100% _x_",
    "\u65e5\u672c\u8a9e", "a\\b [c] (d) {e} ^$.*+?|", "\u03a3\u03c2\u03c3", "\U0001f600 \u00e5",
    "\u212b", "\u2126 \u03f4 \u017f", "x" * 500 + "End",
)  # fmt: skip
WORDS = (
    "zebra", "ZEBRA", "z", "kelvin", "KELVIN", "\u0130STANBUL", "istanbul", "stra\u00dfe",
    "strasse", "\u672c\u8a9e", "% _", "\\B [C] (D) {e} ^$.*+?|", "\u03c3", "\u03c2", "\u00c5",
    "\u03c9", "\u03b8", "s", "\u017f", "\U0001f600", "\n", "zeb\nra", "x" * 100 + "e", "y" * 70,
    "x" * (CHARACTERS_MAX + 1),
)  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_it_finds_whatever_lower_finds(connection: duckdb.DuckDBPyConnection, word: str) -> None:
    missed = connection.execute(
        "SELECT x FROM unnest($1::VARCHAR[]) AS t(x) WHERE contains(lower(x), lower($2))"
        " AND NOT (regexp_extract(x, $3) <> '' AND list_bool_or([contains(x, p) FOR p IN $4]))",
        [list(TEXTS), word, any_case(word), rare_piece(word)],
    ).fetchall()
    assert missed == []


@pytest.mark.parametrize("word", WORDS)
def test_a_piece_is_of_the_text_itself_in_every_case(word: str) -> None:
    piece = rare_piece(word)
    assert 1 <= len(piece) <= PIECE_CASES_MAX
    assert any(one in word for one in piece)
    assert rare_piece("") == []


def test_the_rarest_piece_is_taken() -> None:
    assert "zeb" in rare_piece("zebra")
    assert "uiz" in rare_piece("the quiz is on")
    assert rare_piece("\u65e5\u672c\u8a9e") == ["\u65e5\u672c\u8a9e"]


def test_it_tells_most_others_apart(connection: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT regexp_matches($1, $2)"
    assert connection.execute(sql, ["a zebra", any_case("Zebra")]).fetchall() == [(True,)]
    assert connection.execute(sql, ["a zebr.", any_case("Zebra")]).fetchall() == [(False,)]


def test_nothing_of_what_was_sent_is_in_it() -> None:
    assert any_case("q'") == "[\\x{51}\\x{71}][\\x{27}]"
    assert len(any_case("\u03c9" * 10_000)) < 50 * CHARACTERS_MAX
