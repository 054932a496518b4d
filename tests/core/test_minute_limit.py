from appliance.core import minute_limit
from appliance.core.minute_limit import MinuteLimit


def test_so_many_in_any_minute() -> None:
    limit = MinuteLimit(3)
    assert [limit.take("a", now) for now in (0.0, 1.0, 30.0)] == [0, 0, 0]
    assert limit.take("a", 31.5) == 29, "the first leaves the window at 60"
    assert limit.take("b", 31.5) == 0
    assert limit.take("a", 60.0) == 0
    assert limit.take("a", 60.5) == 1


def test_callers_are_forgotten_in_the_end(monkeypatch: object) -> None:
    limit = MinuteLimit(1)
    for number in range(minute_limit.KEPT_MAX + 1):
        assert limit.take(number, 0.0) == 0
    assert limit.take(0, 1.0) == 0, "the one that called least lately starts anew"
    assert limit.take(minute_limit.KEPT_MAX, 1.0) > 0
