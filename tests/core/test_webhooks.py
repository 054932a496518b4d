import json
import uuid
from decimal import Decimal
from typing import Any

import pytest

from appliance.core import webhooks
from appliance.core.webhooks import Webhook, headers_of, payload, signature, wait_s

ID = "1f0e3a52-0b6e-4c3a-9d7a-3f2f5f5d8a11"
ROW: dict[str, Any] = {
    "request_id": uuid.UUID(int=7), "user_id": "u-1", "model": "gpt-4o", "provider": "OPENAI",
    "cost_usd": Decimal("0.0021"), "prompt_tokens": 10, "completion_tokens": 5,
    "reasoning_tokens": None, "latency_ms": 12.6,
}  # fmt: skip


def hook(**more: Any) -> Webhook:
    return Webhook(ID, bytes(16), "https://a.example/x", **more)


def test_payload_with_data_and_without():
    url = "https://here/v1/signed"
    full = payload(hook(), ROW, ({"a": 1}, "text"), url)
    assert full == {
        "request_id": str(uuid.UUID(int=7)),
        "request_body": {"a": 1},
        "response_body": "text",
        "user_id": "u-1",
        "request_response_url": url,
        "model": "gpt-4o",
        "provider": "OPENAI",
        "metadata": {
            "cost": Decimal("0.0021"), "promptTokens": 10, "completionTokens": 5,
            "totalTokens": 15, "latencyMs": 13,
        },
    }  # fmt: skip
    assert list(full)[:3] == ["request_id", "request_body", "response_body"]
    assert "request_response_url" not in payload(hook(), ROW, (None, None), None)
    few = payload(hook(include_data=False), ROW, (1, 2), url)
    assert set(few) == {"request_id", "request_body", "response_body", "user_id"}
    unknown = dict.fromkeys(ROW, None) | {"request_id": uuid.UUID(int=7)}
    assert payload(hook(), unknown, (1, 2), None)["metadata"] == {}
    assert "user_id" not in payload(hook(), unknown, (1, 2), None)


def test_filters_all_have_to_match():
    wants = hook(filters=(("env", "prod"), ("team", "a"))).wants
    assert wants(b"x" * 16, {"env": "prod", "team": "a", "more": "b"})
    assert not wants(b"x" * 16, {"env": "prod"})
    assert not wants(b"x" * 16, {"env": "prod", "team": "A"})
    assert not wants(b"x" * 16, {})


@pytest.mark.parametrize("percent", [0.0, 0.5, 25.0, 99.9, 100.0])
def test_a_sample_is_of_its_size_and_drawn_once(percent: float):
    one = hook(sample_percent=percent)
    ids = [uuid.UUID(int=number).bytes for number in range(20_000)]
    chosen = [key for key in ids if one.wants(key, {})]
    assert abs(len(chosen) / 200 - percent) < 1.5
    assert [key for key in ids if one.wants(key, {})] == chosen
    if percent == 25:
        other = Webhook(str(uuid.UUID(int=9)), bytes(16), "", sample_percent=25.0)
        assert {key for key in ids if other.wants(key, {})} != set(chosen)


def test_signature_and_headers():
    # printf '%s' "The quick…" | openssl dgst -sha256 -hmac key
    known = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    assert signature("key", b"The quick brown fox jumps over the lazy dog") == known
    one = hook(key="secret")
    headers = headers_of(one, one.delivery_id(b"x" * 16), b"{}", 1_800_000_000.9)
    assert headers == {
        "Helicone-Signature": signature("secret", b"{}"),
        "Helicone-Timestamp": "1800000000",
        "Helicone-Webhook-Id": ID,
        "Helicone-Delivery-Id": one.delivery_id(b"x" * 16),
    }
    assert "secret" not in repr(one)


def test_a_delivery_keeps_its_id_and_no_two_have_the_same():
    other = Webhook(str(uuid.UUID(int=9)), bytes(16), "")
    ids = {w.delivery_id(bytes([n] * 16)) for w in (hook(), other) for n in range(50)}
    assert len(ids) == 100
    assert hook().delivery_id(bytes(16)) == hook().delivery_id(bytes(16))


def test_waits_grow_and_end():
    usual = [wait_s(attempt, 0.5) for attempt in range(1, webhooks.ATTEMPTS_MAX)]
    assert usual[:4] == [10.0, 30.0, 90.0, 270.0]
    assert usual[-1] == webhooks.LONGEST_WAIT_S
    assert wait_s(webhooks.ATTEMPTS_MAX, 0.5) is None
    assert wait_s(1, 0.0) == 7.5
    assert wait_s(1, 1.0) == 12.5
    assert 12 * 3600 < sum(wait or 0 for wait in usual) < 24 * 3600


def test_filters_as_they_are_stored():
    assert webhooks.read_filters(json.dumps([["ü", "v"]])) == (("ü", "v"),)


def test_the_sample_has_both_shapes_of_what_a_receiver_reads():
    found = webhooks.sample_payload(hook())
    assert json.loads(found["request_body"])["model"] == found["model"]
    assert found["metadata"]["totalTokens"] == 20
