"""Prices of a provider's regional hosts."""

import pytest

from appliance.core.derive import bill_of
from appliance.core.price_place import of_everywhere, priced_as
from appliance.core.usage_types import Usage
from appliance.providers.price_data import open_book

NOW_US = 1_790_000_000_000_000
BOOK = open_book([])
TOKENS = Usage(input=1_000_000, cached_input=1_000, output=1_000)


@pytest.mark.parametrize(
    ("provider", "url", "expected"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions", "openai"),
        ("openai", "https://us.api.openai.com/v1/chat/completions", "openai@regional"),
        ("openai", "https://eu.api.openai.com", "openai@regional"),
        ("openai", "https://eu.api.openai.com:443/v1", "openai@regional"),
        ("openai", "https://eu.api.openai.com.evil.example/v1", "openai"),
        ("openai", "https://x.example/?https://eu.api.openai.com/", "openai"),
        ("openai", "", "openai"),
        ("azure", "https://eu.api.openai.com/v1", "azure"),
    ],
)
def test_where_a_call_goes(provider: str, url: str, expected: str) -> None:
    assert priced_as(provider, url) == expected
    assert of_everywhere(expected) == provider


@pytest.mark.parametrize(
    ("model", "tenths"),
    [("gpt-5.4", 11), ("gpt-5.4-mini", 11), ("gpt-5.5-2026-04-23", 11), ("gpt-6.1-terra", 11),
     ("gpt-4o", 10), ("gpt-5", 10), ("gpt-5.1", 10), ("gpt-5.3-codex", 10)],
)  # fmt: skip
def test_a_tenth_more_for_newer_models(model: str, tenths: int) -> None:
    plain = BOOK.price("openai", model, TOKENS, NOW_US).cost_pico
    regional = BOOK.price("openai@regional", model, TOKENS, NOW_US).cost_pico
    assert plain is not None
    assert regional is not None
    assert regional * 10 == plain * tenths > 0
    by_url = BOOK.price("https://eu.api.openai.com/v1", model, TOKENS, NOW_US).cost_pico
    assert by_url == regional


def test_own_rows_hold_there_too() -> None:
    row = {"provider": "openai", "model": "gpt-5.4", "input": "1", "output": "1"}
    book = open_book([row])
    assert book.price("openai@regional", "gpt-5.4", Usage(input=10**6), NOW_US).cost_pico == 10**12
    dearer = open_book([{**row, "provider": "openai@regional", "input": "2"}, row])
    assert (
        dearer.price("openai@regional", "gpt-5.4", Usage(input=10), NOW_US).cost_pico == 2 * 10**7
    )
    assert dearer.price("openai", "gpt-5.4", Usage(input=10), NOW_US).cost_pico == 10**7


def test_the_bill_of_a_call() -> None:
    reply = b'{"model":"gpt-5.4","usage":{"prompt_tokens":1000,"completion_tokens":10}}'
    meta = {
        "gateway_provider": "openai", "dialect": "openai", "http_status": 200,
        "outcome": "complete", "created_at_us": NOW_US, "path": "/v1/chat/completions",
    }  # fmt: skip
    costs = [
        bill_of({**meta, "target_url": url}, b"{}", reply, price=BOOK.price).cost_pico
        for url in ("https://api.openai.com/v1", "https://us.api.openai.com/v1")
    ]
    assert costs == [2_650_000_000, 2_915_000_000]
