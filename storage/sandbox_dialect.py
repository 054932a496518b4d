"""ClickHouse's spellings in user SQL, as far as Helicone's documents and users write them: most are
macros, what DuckDB's parser would not take is written anew before it.

Text only; what comes out is parsed and checked like anything else.
"""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<text>[eE]?'(?:[^']|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z)
        |\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))
    |(?P<word>[^\W\d]\w*)
    |(?P<number>\d[\w.]*)
    |(?P<other>.)""",
    re.X | re.S,
)
# quantile(0.95)(x): the aggregate that takes x and what stands in the first brackets.
_WITH_PARAMETERS: Final = {
    "quantile": "quantile_cont",
    "quantileexact": "quantile_disc",
    "quantiletiming": "quantile_cont",
    "quantiletdigest": "quantile_cont",
    "quantiles": "quantile_cont",
    "quantilesexact": "quantile_disc",
    "topk": "approx_top_k",
}
_NO_AGGREGATE_BEFORE: Final = frozenset(("=", ">", "<", "!"))

# In ClickHouse's letters; case does not matter. A list: one for each count of arguments.
_MACROS: Final[dict[str, str]] = {
    "toStartOfMinute": "(t) AS date_trunc('minute', t)",
    "toStartOfFiveMinutes": "(t) AS time_bucket(INTERVAL 5 MINUTE, t)",
    "toStartOfFiveMinute": "(t) AS time_bucket(INTERVAL 5 MINUTE, t)",
    "toStartOfTenMinutes": "(t) AS time_bucket(INTERVAL 10 MINUTE, t)",
    "toStartOfFifteenMinutes": "(t) AS time_bucket(INTERVAL 15 MINUTE, t)",
    "toStartOfHour": "(t) AS date_trunc('hour', t)",
    "toStartOfDay": "(t) AS CAST(date_trunc('day', t) AS TIMESTAMP)",
    # ClickHouse's weeks begin on Sunday unless mode 1 is asked for.
    "toStartOfWeek": "(t) AS CAST(date_trunc('week', t + INTERVAL 1 DAY) AS DATE) - 1, "
    "(t, mode) AS CAST(CASE WHEN mode % 2 = 1 THEN date_trunc('week', t) "
    "ELSE date_trunc('week', t + INTERVAL 1 DAY) - INTERVAL 1 DAY END AS DATE)",
    "toMonday": "(t) AS CAST(date_trunc('week', t) AS DATE)",
    "toStartOfMonth": "(t) AS CAST(date_trunc('month', t) AS DATE)",
    "toStartOfQuarter": "(t) AS CAST(date_trunc('quarter', t) AS DATE)",
    "toStartOfYear": "(t) AS CAST(date_trunc('year', t) AS DATE)",
    "toStartOfInterval": "(t, width) AS time_bucket(width, t)",
    "toDate": "(t) AS CAST(t AS DATE)",
    "toDateTime": "(t) AS CAST(t AS TIMESTAMP), (t, zone) AS CAST(t AS TIMESTAMP)",
    "toDateTime64": "(t) AS CAST(t AS TIMESTAMP), (t, digits) AS CAST(t AS TIMESTAMP), "
    "(t, digits, zone) AS CAST(t AS TIMESTAMP)",
    "parseDateTimeBestEffort": "(t) AS CAST(t AS TIMESTAMP)",
    "fromUnixTimestamp": "(s) AS make_timestamp(CAST(s AS BIGINT) * 1000000)",
    "toUnixTimestamp": "(t) AS CAST(epoch(t) AS BIGINT)",
    "toUnixTimestamp64Milli": "(t) AS epoch_ms(t)",
    "toYear": "(t) AS year(t)",
    "toQuarter": "(t) AS quarter(t)",
    "toMonth": "(t) AS month(t)",
    "toDayOfMonth": "(t) AS day(t)",
    "toDayOfWeek": "(t) AS isodow(t)",
    "toDayOfYear": "(t) AS dayofyear(t)",
    "toHour": "(t) AS hour(t)",
    "toMinute": "(t) AS minute(t)",
    "toSecond": "(t) AS second(t)",
    "toYYYYMM": "(t) AS year(t) * 100 + month(t)",
    "toYYYYMMDD": "(t) AS year(t) * 10000 + month(t) * 100 + day(t)",
    "yesterday": "() AS current_date - 1",
    "now64": "() AS now(), (digits) AS now()",
    "addDays": "(t, n) AS t + to_days(n)",
    "addHours": "(t, n) AS t + to_hours(n)",
    "addMinutes": "(t, n) AS t + to_minutes(n)",
    "subtractDays": "(t, n) AS t - to_days(n)",
    "subtractHours": "(t, n) AS t - to_hours(n)",
    "subtractMinutes": "(t, n) AS t - to_minutes(n)",
    "toIntervalDay": "(n) AS to_days(n)",
    "toIntervalHour": "(n) AS to_hours(n)",
    "toIntervalMinute": "(n) AS to_minutes(n)",
    "formatDateTime": "(t, form) AS strftime(t, replace(form, '%i', '%M'))",
    "toString": "(v) AS CAST(v AS VARCHAR)",
    "toInt32": "(v) AS CAST(v AS INTEGER)",
    "toInt64": "(v) AS CAST(v AS BIGINT)",
    "toUInt8": "(v) AS CAST(v AS UTINYINT)",
    "toUInt32": "(v) AS CAST(v AS UINTEGER)",
    "toUInt64": "(v) AS CAST(v AS UBIGINT)",
    "toFloat32": "(v) AS CAST(v AS FLOAT)",
    "toFloat64": "(v) AS CAST(v AS DOUBLE)",
    "toInt64OrZero": "(v) AS coalesce(TRY_CAST(v AS BIGINT), 0)",
    "toInt64OrNull": "(v) AS TRY_CAST(v AS BIGINT)",
    "toFloat64OrZero": "(v) AS coalesce(TRY_CAST(v AS DOUBLE), 0)",
    "toFloat64OrNull": "(v) AS TRY_CAST(v AS DOUBLE)",
    "toUUID": "(v) AS CAST(v AS UUID)",
    "sumIf": "(v, c) AS sum(v) FILTER (WHERE c)",
    "avgIf": "(v, c) AS avg(v) FILTER (WHERE c)",
    "minIf": "(v, c) AS min(v) FILTER (WHERE c)",
    "maxIf": "(v, c) AS max(v) FILTER (WHERE c)",
    "anyIf": "(v, c) AS any_value(v) FILTER (WHERE c)",
    "uniq": "(a) AS count(DISTINCT a), (a, b) AS count(DISTINCT (a, b)), "
    "(a, b, c) AS count(DISTINCT (a, b, c))",
    "uniqExact": "(a) AS count(DISTINCT a), (a, b) AS count(DISTINCT (a, b))",
    "uniqCombined": "(a) AS count(DISTINCT a)",
    "uniqHLL12": "(a) AS approx_count_distinct(a)",
    "uniqIf": "(a, c) AS count(DISTINCT a) FILTER (WHERE c)",
    "anyLast": "(v) AS last(v)",
    "groupArray": "(v) AS list(v)",
    "groupUniqArray": "(v) AS list(DISTINCT v)",
    "stddevPop": "(v) AS stddev_pop(v)",
    "stddevSamp": "(v) AS stddev_samp(v)",
    "varPop": "(v) AS var_pop(v)",
    "varSamp": "(v) AS var_samp(v)",
    "has": "(held, v) AS contains(held, v)",
    "mapContains": "(m, k) AS map_contains(m, k)",
    "mapKeys": "(m) AS map_keys(m)",
    "mapValues": "(m) AS map_values(m)",
    "arrayJoin": "(l) AS unnest(l)",
    "arrayStringConcat": "(l) AS array_to_string(l, ''), (l, s) AS array_to_string(l, s)",
    "splitByChar": "(s, v) AS string_split(v, s)",
    "splitByString": "(s, v) AS string_split(v, s)",
    "empty": "(v) AS length(v) = 0",
    "notEmpty": "(v) AS length(v) > 0",
    "assumeNotNull": "(v) AS v",
    "toNullable": "(v) AS v",
    "multiIf": "(a, b, c) AS CASE WHEN a THEN b ELSE c END, "
    "(a, b, c, d, e) AS CASE WHEN a THEN b WHEN c THEN d ELSE e END, "
    "(a, b, c, d, e, f, g) AS CASE WHEN a THEN b WHEN c THEN d WHEN e THEN f ELSE g END, "
    "(a, b, c, d, e, f, g, h, i) AS CASE WHEN a THEN b WHEN c THEN d WHEN e THEN f WHEN g THEN h "
    "ELSE i END",
    "lowerUTF8": "(v) AS lower(v)",
    "upperUTF8": "(v) AS upper(v)",
    "lengthUTF8": "(v) AS length(v)",
    "substringUTF8": "(v, n) AS substring(v, n), (v, n, m) AS substring(v, n, m)",
    "replaceAll": "(v, old, new) AS replace(v, old, new)",
    "replaceRegexpAll": "(v, old, new) AS regexp_replace(v, old, new, 'g')",
    "match": "(v, form) AS regexp_matches(v, form)",
    "startsWith": "(v, part) AS starts_with(v, part)",
    "endsWith": "(v, part) AS ends_with(v, part)",
    "positionCaseInsensitive": "(v, part) AS strpos(lower(v), lower(part))",
    "intDiv": "(a, b) AS a // b",
    "JSONExtractString": "(v, a) AS coalesce(v::JSON ->> CAST(a AS VARCHAR), ''), "
    "(v, a, b) AS coalesce(v::JSON -> CAST(a AS VARCHAR) ->> CAST(b AS VARCHAR), '')",
    "JSONExtractInt": "(v, a) AS coalesce(TRY_CAST(v::JSON ->> CAST(a AS VARCHAR) AS BIGINT), 0), "
    "(v, a, b) AS coalesce(TRY_CAST(v::JSON -> CAST(a AS VARCHAR) ->> CAST(b AS VARCHAR)"
    " AS BIGINT), 0)",
    "JSONExtractFloat": "(v, a) AS coalesce(TRY_CAST(v::JSON ->> CAST(a AS VARCHAR) AS DOUBLE), 0),"
    " (v, a, b) AS coalesce(TRY_CAST(v::JSON -> CAST(a AS VARCHAR) ->> CAST(b AS VARCHAR)"
    " AS DOUBLE), 0)",
    "JSONExtractBool": "(v, a) AS coalesce(v::JSON ->> CAST(a AS VARCHAR) = 'true', false)",
    "JSONExtractRaw": "(v, a) AS CAST(v::JSON -> CAST(a AS VARCHAR) AS VARCHAR)",
    "JSONHas": "(v, a) AS json_exists(v, CAST(a AS VARCHAR))",
    "isValidJSON": "(v) AS json_valid(v)",
}
_STATEMENTS: Final = {
    name.lower(): f"CREATE MACRO {name}{definition}" for name, definition in _MACROS.items()
}
MACROS: Final = frozenset(_STATEMENTS)


def macro_statements(functions: frozenset[str]) -> list[str]:
    """What must be run before a query that calls these."""
    return [_STATEMENTS[name] for name in sorted(functions & MACROS)]


def rewrite(sql: str) -> str:
    """In words that DuckDB parses, without the semicolon at the end."""
    tokens = [(match.lastgroup or "", match.group()) for match in _tokens(sql)]
    while tokens and (tokens[-1][0] == "space" or tokens[-1][1] == ";"):
        tokens.pop()
    return "".join(_rewritten(tokens))


def _tokens(sql: str) -> Iterator[re.Match[str]]:
    yield from _TOKEN.finditer(sql)


def _rewritten(tokens: list[tuple[str, str]]) -> list[str]:
    out = [text for _, text in tokens]
    for number, (kind, text) in enumerate(tokens):
        if text.startswith("`"):
            out[number] = '"' + text.strip("`").replace('"', '""') + '"'
        elif kind == "word":
            opening = _next(tokens, number)
            if opening is None or tokens[opening][1] != "(":
                continue
            if text.lower() == "any" and _is_aggregate(tokens, number, opening):
                out[number] = "any_value"
            elif text.lower() in _WITH_PARAMETERS:
                _move_parameters(tokens, out, number, opening)
    return out


def _is_aggregate(tokens: list[tuple[str, str]], number: int, opening: int) -> bool:
    """`x = ANY (SELECT …)` is something else."""
    before = next((text for kind, text in reversed(tokens[:number]) if kind != "space"), "")
    after = _next(tokens, opening)
    inner = "" if after is None else tokens[after][1].lower()
    return before not in _NO_AGGREGATE_BEFORE and inner not in ("select", "with")


def _move_parameters(
    tokens: list[tuple[str, str]], out: list[str], number: int, opening: int
) -> None:
    closing = _closing(tokens, opening)
    second = None if closing is None else _next(tokens, closing)
    if closing is None or second is None or tokens[second][1] != "(":
        return
    end = _closing(tokens, second)
    if end is None:
        return
    name = tokens[number][1].lower()
    given = "".join(text for _, text in tokens[opening + 1 : closing])
    several = name.startswith("quantiles")
    out[number] = _WITH_PARAMETERS[name]
    for place in range(opening, second):
        out[place] = ""
    out[end] = f", [{given}])" if several else f", {given})"


def _next(tokens: list[tuple[str, str]], number: int) -> int | None:
    """The next that is no space."""
    for place in range(number + 1, len(tokens)):
        if tokens[place][0] != "space":
            return place
    return None


def _closing(tokens: list[tuple[str, str]], opening: int) -> int | None:
    depth = 0
    for place in range(opening, len(tokens)):
        text = tokens[place][1]
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return place
    return None
