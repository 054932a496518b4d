"""What may be asked to be deleted, and what a span of time means."""

import pytest

from appliance.core.erasure import check_erasure, span_of
from appliance.errors import Refusal

NOW_US = 1_800_000_000_000_000
DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "since_us", "until_us"),
    [
        ("1970-01-02/1970-01-03", DAY_US, 2 * DAY_US),
        ("1970-01-02T00:00:00Z/1970-01-03T01:00:00+01:00", DAY_US, 2 * DAY_US),
        ("/1970-01-02", None, DAY_US),
        ("1969-12-31/1970-01-01T00:00:00.000001", -DAY_US, 1),
        ("1970-01-02/2999-01-01", DAY_US, NOW_US),
    ],
)
def test_spans_are_in_microseconds_and_end_now(text: str, since_us: int | None, until_us: int):
    kind, subject = check_erasure("span", text, NOW_US)
    assert kind == "span"
    assert span_of(subject) == (since_us, until_us)


@pytest.mark.parametrize(
    ("kind", "subject", "says"),
    [
        ("everything", "x", "kind: expected one of request, session"),
        ("user", "", "id: expected text"),
        ("user", "x" * 4097, "id: expected text"),
        ("request", "7", "id: expected a UUID"),
        ("span", "2026-01-01", "id: expected a span"),
        ("span", "2026-01-01/", "id: expected a span"),
        ("span", "yesterday/2026-01-01", "id: expected a span"),
        ("span", "2026-01-01/2026-01-02/2026-01-03", "id: expected a span"),
        ("span", "2026-01-02/2026-01-02", "id: the span ends before it begins"),
        ("span", "2999-01-01/2999-01-02", "id: the span ends before it begins, or begins later"),
    ],
)
def test_what_cannot_be_is_named(kind: str, subject: str, says: str):
    with pytest.raises(Refusal) as refused:
        check_erasure(kind, subject, NOW_US)
    assert refused.value.status == 422
    assert refused.value.message.startswith(says)
