"""Chaos' books: they hold for what was done, and each lie about it is found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import chaos_books
from chaos import TOP_UP, run
from chaos_books import Books, merged, still_readable, verified, wait_deleted, wallet
from chaos_load import Seen, Weather, Worker

from tests.e2e.shop_kit import Shop
from tests.e2e.starting import until
from tests.fakes.provider import Provider

KINDS = {"proxy", "stream", "claude", "paid", "paid stream", "cached", "log"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Seen]]:
    """A server, and what a worker of every kind saw of it."""
    weather = Weather()
    with Provider() as provider:
        shop = Shop(tmp_path_factory.mktemp("chaos"), provider)
        try:
            shop.top_up(TOP_UP, "paid once")
            worker = Worker(shop, weather, 5, pause_s=0.0)
            worker.start()
            weather.go.set()
            until(
                lambda: (
                    {call.kind for call in worker.seen.calls.values()} >= KINDS
                    and worker.seen.edits
                    and worker.seen.deleted
                )
            )
            weather.ended = True
            worker.join(30)
            assert list(wait_deleted(shop)) == []
            yield shop, merged([worker.seen])
        finally:
            shop.appliance.kill()


def lines(shop: Shop, seen: Seen, weather: Weather | None = None) -> list[str]:
    return Books(shop, seen, weather or Weather()).differences()


def test_the_books_hold(played: tuple[Shop, Seen]) -> None:
    shop, seen = played
    assert lines(shop, seen) == []
    assert list(wallet(shop, seen, Weather())) == []


def one_of(seen: Seen, kind: str) -> str:
    return next(
        name for name, call in seen.calls.items() if call.kind == kind and name not in seen.deleted
    )


def test_each_lie_is_found(played: tuple[Shop, Seen]) -> None:
    shop, seen = played
    name, stream = one_of(seen, "proxy"), one_of(seen, "stream")
    nobody = "01a20557-0000-7000-8000-000000000000"
    proxy, streamed = seen.calls[name], seen.calls[stream]
    lies: list[tuple[Seen, str]] = [
        (replace(seen, calls={nobody: replace(proxy, id=nobody)}), "seen finished, not on record"),
        (replace(seen, calls={name: replace(proxy, response="0")}), "the response is not what"),
        (replace(seen, calls={name: replace(proxy, request="0")}), "the request is not what"),
        (replace(seen, edits={name: "other"}), "other was acknowledged"),
        (replace(seen, deleted={stream: streamed.mark}), "was deleted, and is there"),
        (replace(seen, begun=1), "rows of 1 calls"),
        (replace(seen, wrong=["proxy: 500"]), "proxy: 500"),
    ]
    for told, complaint in lies:
        assert any(complaint in line for line in lines(shop, told)), complaint


def test_what_may_be_lost_is_what_said_so(played: tuple[Shop, Seen]) -> None:
    """A record in memory alone goes with the process: where the reply had told, or began before."""
    shop, seen = played
    nobody, weather = "01a20557-0000-7000-8000-000000000000", Weather(lost={3})
    call = replace(
        seen.calls[one_of(seen, "proxy")], id=nobody, windows=frozenset({3}), apart=False,
        degraded=True,
    )  # fmt: skip
    assert lines(shop, replace(seen, calls={nobody: call}), weather) == []
    silent = replace(call, degraded=False)
    assert lines(shop, replace(seen, calls={nobody: silent}), weather)
    assert lines(shop, replace(seen, calls={nobody: replace(silent, apart=True)}), weather) == []
    assert lines(
        shop, replace(seen, calls={nobody: replace(call, windows=frozenset({2}))}), weather
    )


def test_money_that_is_missing_is_found(
    played: tuple[Shop, Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, seen = played
    with monkeypatch.context() as other:
        other.setattr(chaos_books, "TOP_UP_USD", Decimal(1001))
        assert any("1001 paid in" in line for line in wallet(shop, seen, Weather()))
    with monkeypatch.context() as other:
        other.setattr(shop, "spent_on_record", lambda: Decimal(0))
        assert any("too much" in line for line in wallet(shop, seen, Weather()))
        everything_lost = replace(seen, paid=[frozenset({1})] * len(seen.paid))
        assert list(wallet(shop, everything_lost, Weather(lost={1}))) == []


def test_after_it_was_stopped(played: tuple[Shop, Seen]) -> None:
    shop, seen = played
    assert shop.appliance.stop() == 0
    version = shop.appliance.data / "FORMAT"
    said = version.read_text()
    try:
        assert list(verified(shop)) == []
        assert list(still_readable(shop, seen)) == []
        kept = {name: call.mark for name, call in seen.calls.items() if call.kind == "proxy"}
        assert list(still_readable(shop, replace(seen, deleted=kept)))
        version.write_text("?\n")
        assert list(verified(shop))
    finally:
        version.write_text(said)
        shop.appliance.start()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_minutes_of_everything(tmp_path: Path) -> None:
    assert run(tmp_path, 20261122, 2.0) == []
