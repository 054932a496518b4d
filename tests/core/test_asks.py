"""Headers to Asks (proxy.md 2): every name, its value, and what is said of values that are none."""

from typing import Any

import pytest

from appliance.core import headers as names
from appliance.core.ask_types import NOTHING_ASKED, Asks, CodeRange, Fallback
from appliance.core.asks import READERS, cache_age_s, parse_asks
from appliance.errors import Refusal

ID = "123E4567-E89B-72D3-A456-426614174000"


def ask(headers: dict[str, str]) -> Asks:
    return parse_asks({name.lower().encode(): value.encode() for name, value in headers.items()})


def test_nothing_asked_is_one_shared_value() -> None:
    assert ask({"Content-Type": "application/json", "Cache-Control": "max-age=1"}) is NOTHING_ASKED
    assert ask({"Helicone-Auth": "Bearer x"}) is NOTHING_ASKED
    assert Asks() == NOTHING_ASKED


@pytest.mark.parametrize(
    ("header", "value", "field", "expected"),
    [
        ("Helicone-Target-URL", "https://api.groq.com", "target_url", "https://api.groq.com"),
        (
            "Helicone-OpenAI-Api-Base",
            "https://x.openai.azure.com",
            "openai_api_base",
            "https://x.openai.azure.com",
        ),
        ("Helicone-Gateway-Body-Mapping", "NO_MAPPING", "body_mapping", "NO_MAPPING"),
        ("Helicone-Request-Id", ID, "request_id", ID.lower()),
        ("Helicone-User-Id", "ann@example.com", "user_id", "ann@example.com"),
        ("Helicone-User-Id", "Jürgen", "user_id", "Jürgen"),
        ("Helicone-Model-Override", "gpt-4o", "model_override", "gpt-4o"),
        ("Helicone-Node-Id", "n", "node_id", "n"),
        ("Helicone-Manual-Access-Key", "k", "manual_access_key", "k"),
        ("x-stripe-customer-id", "cus_1", "stripe_customer_id", "cus_1"),
        ("__helicone-mock-response", '{"a": 1}', "mock_response", b'{"a": 1}'),
        ("Helicone-Gateway-Router-Id", "r", "gateway_router_id", "r"),
        ("Helicone-Gateway-Deployment-Target", "d", "gateway_deployment_target", "d"),
        ("Helicone-Session-Id", "s", "session_id", "s"),
        ("Helicone-Session-Path", "/a/b", "session_path", "/a/b"),
        ("Helicone-Session-Name", "n", "session_name", "n"),
        ("Helicone-Prompt-Id", "p", "prompt_id", "p"),
        ("Helicone-Prompt-Id", "p", "prompt_mode", "production"),
        ("Helicone-Prompt-Mode", "testing", "prompt_mode", "testing"),
        ("Helicone-Prompt-Version", "v", "prompt_version", "v"),
        ("Helicone-Prompt-Name", "n", "prompt_name", "n"),
        ("Helicone-Prompt-Format", "f", "prompt_format", "f"),
        ("Helicone-Experiment-Id", "e", "experiment_id", "e"),
        ("Helicone-Experiment-Column-Id", "c", "experiment_column_id", "c"),
        ("Helicone-Experiment-Row-Index", "3", "experiment_row_index", "3"),
        ("Helicone-Posthog-Key", "k", "posthog_key", "k"),
        ("Helicone-Posthog-Host", "h", "posthog_host", "h"),
        ("Helicone-Lytix-Key", "k", "lytix_key", "k"),
        ("Helicone-Lytix-Host", "h", "lytix_host", "h"),
        ("Helicone-Webhook-Enabled", "true", "webhook_enabled", True),
        ("Helicone-Cache-Enabled", "true", "cache_enabled", True),
        ("Helicone-Cache-Enabled", "TRUE", "cache_enabled", False),
        ("Helicone-Cache-Enabled", "TRUE", "cache_read", True),
        ("Helicone-Cache-Enabled", "True", "cache_save", True),
        ("Helicone-Cache-Save", "True", "cache_save", True),
        ("Helicone-Cache-Read", "true", "cache_read", True),
        ("Helicone-Cache-Control", "max-age=60", "cache_control", "max-age=60"),
        ("Helicone-Cache-Bucket-Max-Size", "20", "cache_buckets", 20),
        ("Helicone-Cache-Bucket-Max-Size", "0", "cache_buckets", 0),
        ("Helicone-Cache-Bucket-Max-Size", "x", "cache_buckets", 0),
        ("Helicone-Cache-Seed", "s", "cache_seed", "s"),
        ("Helicone-Cache-Ignore-Keys", "a,b", "cache_ignore_keys", ("a", "b")),
        ("Helicone-Cache-Ignore-Keys", '"a", "b"', "cache_ignore_keys", ("a", "b")),
        ("Helicone-Cache-Ignore-Keys", '["a"]', "cache_ignore_keys", ("a",)),
        ("Helicone-Retry-Enabled", "true", "retry_enabled", True),
        ("Helicone-Retry-Enabled", "1", "retry_enabled", True),
        ("Helicone-Retry-Enabled", "False", "retry_enabled", False),
        ("helicone-retry-num", "3", "retry_num", 3),
        ("helicone-retry-factor", "1.5", "retry_factor", 1.5),
        ("helicone-retry-min-timeout", "10", "retry_min_timeout_ms", 10),
        ("helicone-retry-max-timeout", "20", "retry_max_timeout_ms", 20),
        ("Helicone-RateLimit-Policy", "10;w=60", "rate_limit_policy", "10;w=60"),
        ("Helicone-Omit-Request", "true", "omit_request", True),
        ("Helicone-Omit-Request", "false", "omit_request", False),
        ("Helicone-Omit-Response", "true", "omit_response", True),
        ("Helicone-Moderations-Enabled", "true", "moderations_enabled", True),
        ("Helicone-LLM-Security-Enabled", "True", "security_enabled", True),
        ("Helicone-Prompt-Security-Enabled", "true", "security_enabled", True),
        ("Helicone-LLM-Security-Advanced", "1", "security_advanced", True),
        ("Helicone-LLM-Security-Advanced", "false", "security_advanced", False),
        ("Helicone-Stream-Usage", "true", "stream_usage", True),
        ("Helicone-Stream-Force-Format", "true", "stream_force_format", True),
        ("Helicone-Increase-Timeout", "true", "increase_timeout", True),
        (
            "Helicone-Token-Limit-Exception-Handler",
            "Middle-Out",
            "token_limit_handler",
            "middle-out",
        ),
    ],
)
def test_each_header(header: str, value: str, field: str, expected: Any) -> None:
    assert getattr(ask({header: value}), field) == expected


def test_every_name_of_the_contract_has_a_reader() -> None:
    spelled = {value for name, value in vars(names).items() if isinstance(value, bytes)}
    ours = {name for name in spelled if name.startswith(b"helicone-") and name.islower()}
    not_asks = {
        names.PREFIX,
        names.PROPERTY_PREFIX,
        names.AUTH,
        names.JWT,
        names.ORG_ID,
        names.REPLY_ERROR,
    }
    assert ours - not_asks == {n for n in READERS if n.startswith(b"helicone-")}


@pytest.mark.parametrize(
    ("header", "value", "word"),
    [
        ("Helicone-Request-Id", "None", "request-id;reason=not-a-uuid"),
        ("Helicone-Request-Id", "", "request-id;reason=not-a-uuid"),
        ("Helicone-Request-Id", "0" * 10_000, "request-id;reason=not-a-uuid"),
        (
            "Helicone-Request-Id",
            "00000000-0000-0000-0000-000000000000",
            "request-id;reason=not-a-uuid",
        ),
        ("Helicone-Omit-Request", "True", "omit-request;reason=not-true-or-false"),
        ("Helicone-Cache-Enabled", "yes", "cache-enabled;reason=not-true-or-false"),
        ("helicone-retry-num", "many", "retry-num;reason=not-a-number"),
        ("helicone-retry-factor", "nan", "retry-factor;reason=out-of-range"),
        ("helicone-retry-factor", "-1", "retry-factor;reason=out-of-range"),
        ("Helicone-Gateway-Body-Mapping", "openai", "gateway-body-mapping;reason=unknown-value"),
        (
            "Helicone-Token-Limit-Exception-Handler",
            "drop",
            "token-limit-exception-handler;reason=unknown-value",
        ),
        ("Helicone-Cache-Bucket-Max-Size", "-1", "cache-bucket-max-size;reason=out-of-range"),
    ],
)
def test_values_that_are_not_applied_are_named(header: str, value: str, word: str) -> None:
    asks = ask({header: value})
    assert asks.not_applied == (word,)
    assert not asks.request_id
    assert not asks.omit_request


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Helicone-Prompt-Mode", "live", 400),
        ("Helicone-Fallbacks", "not json", 400),
        ("Helicone-Fallbacks", "{}", 400),
        ("Helicone-Fallbacks", "[]", 400),
        ("Helicone-Fallbacks", '[{"target-url": "https://a.b"}]', 400),
        ("Helicone-Fallbacks", "[" * 60_000, 400),
        ("Helicone-Cache-Bucket-Max-Size", "21", 500),
        ("__helicone-mock-response", "{", 400),
    ],
)
def test_what_the_contract_refuses_names_its_header(header: str, value: str, status: int) -> None:
    with pytest.raises(Refusal) as refusal:
        ask({header: value})
    assert refusal.value.status == status
    assert header.lower() in refusal.value.message


def test_fallbacks_are_typed() -> None:
    text = (
        '[{"target-url": "https://api.openai.com", "headers": {"Authorization": "Bearer x"}, '
        '"onCodes": [429, {"from": 500, "to": 599}], "bodyKeyOverride": {"model": "m"}}]'
    )
    assert ask({"Helicone-Fallbacks": text}).fallbacks == (
        Fallback(
            "https://api.openai.com",
            {"Authorization": "Bearer x"},
            [429, CodeRange(500, 599)],
            {"model": "m"},
        ),
    )


def test_properties_are_lower_case_and_injected_ones_are_not() -> None:
    asks = ask({
        "Helicone-Property-App": "shop", "Helicone-Property-": "nameless",
        "Helicone-Property-Session": "x", "Helicone-Session-Id": "s", "Helicone-Session-Path": "/p",
        "Helicone-Session-Name": "n", "Helicone-Prompt-Id": "p", "Helicone-Experiment-Id": "e",
        "Helicone-Posthog-Key": "phc", "x-stripe-customer-id": "cus", "Helicone-Cache-Seed": "7x",
        "Helicone-Cache-Enabled": "true", "Helicone-Cache-Bucket-Max-Size": "3.9",
        "Helicone-Cache-Control": "max-age=1", "Helicone-Property-__proto__": "odd",
    })  # fmt: skip
    assert asks.properties == {
        "app": "shop", "session": "x", "__proto__": "odd", "Helicone-Session-Id": "s",
        "Helicone-Session-Path": "/p", "Helicone-Session-Name": "n", "Helicone-Prompt-Id": "p",
        "Helicone-Experiment-Id": "e", "Helicone-Sent-To-Posthog": "true",
        "stripe_customer_id": "cus", "Helicone-Cache-Seed": "7", "Helicone-Cache-Enabled": "true",
        "Helicone-Cache-Bucket-Max-Size": "3", "Helicone-Cache-Control": "max-age=1",
    }  # fmt: skip


def test_facts_are_what_goes_on_the_record() -> None:
    asks = ask({
        "Helicone-User-Id": "u", "Helicone-Omit-Request": "true", "Helicone-Omit-Response": "no",
        "Helicone-Session-Id": "s", "Helicone-Stream-Usage": "true",
    })  # fmt: skip
    assert asks.facts == {"user_id": "u", "omit_request": True, "session_id": "s"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 604_800), ("no-store", 604_800), ("max-age=60", 60), ("max-age=1, s-maxage=2", 2),
        ("public,MAX-AGE = 5", 5), ("s-maxage=99999999999", 31_536_000), ("x-max-age=3", 604_800),
    ],
)  # fmt: skip
def test_cache_age(text: str, seconds: int) -> None:
    assert cache_age_s(text) == seconds


def test_cache_control_counts_when_caching_is_asked() -> None:
    headers = {"Helicone-Cache-Enabled": "true", "Cache-Control": "max-age=90"}
    assert ask(headers).cache_age_s == 90


def test_latin_1_values_are_read() -> None:
    assert parse_asks({b"helicone-user-id": b"J\xfcrgen"}).user_id == "Jürgen"
