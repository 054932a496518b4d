"""Spans of charts, compared with the database's own date_trunc."""

from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import duckdb
import pytest

from appliance.core.time_buckets import (
    INCREMENTS,
    TRUNC,
    begin_of,
    bucket_sql,
    buckets,
    count_at_most,
)


@pytest.mark.parametrize("increment", INCREMENTS)
def test_a_begin_is_what_the_database_says(increment: str) -> None:
    seed = 20_260_101
    random = Random(seed)
    print(f"seed {seed}")
    connection = duckdb.connect()
    for _ in range(50):
        moment = datetime(2020, 1, 1) + timedelta(seconds=random.randrange(10 * 366 * 86400))
        found = connection.execute(
            f"SELECT CAST(date_trunc('{TRUNC.get(increment, increment)}', ?) AS TIMESTAMP)",
            [moment],
        ).fetchone()
        assert found == (begin_of(moment, increment),)
    connection.close()


@pytest.mark.parametrize("increment", INCREMENTS)
def test_buckets_follow_each_other_without_a_gap(increment: str) -> None:
    start, end = datetime(2023, 12, 30, 23, 59), datetime(2024, 3, 1)
    if increment == "min":
        start = end - timedelta(hours=3)
    found = list(buckets(start, end, increment, 60))
    assert len(found) <= count_at_most(start, end, increment)
    assert found[0] == begin_of(start - timedelta(hours=1), increment)
    for before, after in pairwise(found):
        assert begin_of(after, increment) == after
        assert begin_of(after - timedelta(seconds=1), increment) == before


def test_the_sql_names_a_known_span() -> None:
    assert bucket_sql("t", "min", 0) == "date_trunc('minute', t)"
    with pytest.raises(AssertionError):
        bucket_sql("t", "hour'); DROP", 0)
