"""Webhooks through the program: real receivers, the documented check of the signature, kill -9."""

from __future__ import annotations

import hmac
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.hooks_kit import NODE, Receiver, add_webhook, data, rest, signed_by_node
from tests.e2e.starting import until
from tests.e2e.test_kill import SEED_VARIABLE
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

CONFIG = 'webhook_allow = ["127.0.0.1"]\n'
ASK: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": 'Grüße \U0001f600 \u2028 </script> " \\ \n'}],
    "metadata": {"10": 1.0, "9": 1e21, "b": 12345678901234567890, "a": 1e-7, "": []},
}


@pytest.fixture
def server(tmp_path: Path, provider: Provider) -> Appliance:
    return Appliance(tmp_path, provider, config=CONFIG)


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_the_documented_check_of_the_signature(server: Appliance) -> None:
    receiver = Receiver()
    with receiver.listening(), server as appliance:
        made = add_webhook(appliance, receiver)
        for body in (ASK, {**ASK, "stream": True}):
            reply = appliance.call(
                CHAT, body, {"Helicone-User-Id": "u-1", "Helicone-Property-Env": "prod"}
            )
            assert reply.status == 200
        whole, streamed = receiver.wait(2)
        for got in (whole, streamed):
            assert got.headers["Helicone-Signature"] == signed_by_node(got, made["hmac_key"])
            assert got.path == "/in/?from=appliance"
        sent = next(one.json for one in receiver.got if not one.json["request_body"].get("stream"))
        assert sent["request_body"]["messages"] == ASK["messages"]
        assert (sent["user_id"], sent["model"], sent["provider"]) == ("u-1", "gpt-4o", "OPENAI")
        assert sent["metadata"]["totalTokens"] > 0
        assert sent["metadata"]["cost"] > 0
        assert "choices" in sent["response_body"]
        # Nothing says under which URL this server is reached.
        assert "request_response_url" not in sent
        path = f"/v1/webhooks/{made['id']}"
        tried = data(rest(appliance, "POST", f"{path}/test"))
        assert (tried["success"], tried["status"]) == (True, 200)
        got = receiver.wait(3)[2]
        assert got.headers["Helicone-Signature"] == signed_by_node(got, made["hmac_key"])
        log = data(rest(appliance, "GET", f"{path}/deliveries"))["deliveries"]
        assert [row["state"] for row in log] == ["delivered", "delivered"]
        assert {row["id"] for row in log} == {
            got.headers["Helicone-Delivery-Id"] for got in receiver.got[:2]
        }
        again = data(rest(appliance, "POST", f"{path}/deliveries/{log[0]['id']}/replay"))
        assert again["state"] == "waiting"
        assert receiver.wait(4)[3].headers["Helicone-Delivery-Id"] == log[0]["id"]
        assert made["hmac_key"] not in appliance.log


def test_a_receiver_that_redirects_breaks_or_is_private(server: Appliance) -> None:
    receiver = Receiver(answers=[302, 500])
    with receiver.listening(), server as appliance:
        made = add_webhook(appliance, receiver)
        appliance.call(CHAT, ASK)
        path = f"/v1/webhooks/{made['id']}/deliveries"

        def first() -> Any:
            return data(rest(appliance, "GET", path))["deliveries"][:1]

        until(lambda: first() and first()[0]["attempts"] == 1)
        (row,) = first()
        assert (row["state"], row["status"]) == ("waiting", 302)
        assert "redirects are not followed" in row["error"]
        # An address that is not listed, by a name that leads to it.
        port = receiver.port
        for url in (f"https://localhost:{port}/", f"https://127.0.0.2:{port}/", "http://10.0.0.1/"):
            assert rest(appliance, "POST", "/v1/webhooks", {"destination": url}).status == 422
        # One that leads to ourselves is refused when it is dialled.
        own = {"destination": f"{appliance.url}/v1/webhooks"}
        itself = data(rest(appliance, "POST", "/v1/webhooks", own))
        tried = data(rest(appliance, "POST", f"/v1/webhooks/{itself['id']}/test"))
        assert (tried["success"], tried["status"]) == (False, None)
        assert "this server itself" in tried["message"]


def test_killed_between_commit_and_delivery(server: Appliance) -> None:
    """Every call that was answered is delivered, whenever the process is killed; what comes twice
    comes under the same id."""
    seed = int(os.environ.get(SEED_VARIABLE, "20261122"))
    print(f"{SEED_VARIABLE}={seed}")
    moments = random.Random(seed)
    receiver = Receiver(usual="hold")
    with receiver.listening(), server as appliance:
        made = add_webhook(appliance, receiver)
        asked = []
        for _ in range(4):
            for _ in range(5):
                reply = appliance.call(CHAT, ASK)
                assert reply.status == 200
                asked.append(reply.first("helicone-id"))
            time.sleep(moments.uniform(0, 0.8))
            appliance.restart()
        receiver.usual = 200
        receiver.release.set()
        path = f"/v1/webhooks/{made['id']}/deliveries?state=delivered&limit=500"
        until(lambda: len(data(rest(appliance, "GET", path))["deliveries"]) == len(asked))
        ids = {
            row["request_id"]: row["id"] for row in data(rest(appliance, "GET", path))["deliveries"]
        }
    assert set(ids) == {(name or b"").decode() for name in asked}
    for got in receiver.got:
        assert got.headers["Helicone-Delivery-Id"] == ids[got.json["request_id"]]


def test_a_receiver_that_hangs_holds_up_no_call(server: Appliance) -> None:
    receiver = Receiver(usual="hold")
    with receiver.listening(), server as appliance:
        add_webhook(appliance, receiver)
        for _ in range(10):
            assert appliance.call(CHAT, ASK).status == 200
        receiver.wait(4)
        took_s = []
        for _ in range(20):
            began_s = time.monotonic()
            assert appliance.call(CHAT, ASK).status == 200
            took_s.append(time.monotonic() - began_s)
        assert len(receiver.got) == 4
        assert min(took_s) < 0.25
        # It ends at once though deliveries hang, and they come after the next start.
        began_s = time.monotonic()
        assert appliance.stop() == 0
        assert time.monotonic() - began_s < 10
        receiver.usual = 200
        appliance.start()
        until(lambda: len({got.headers["Helicone-Delivery-Id"] for got in receiver.got}) == 30)


def test_the_signature_needs_no_node(server: Appliance) -> None:
    receiver = Receiver()
    with receiver.listening(), server as appliance:
        made = add_webhook(appliance, receiver)
        appliance.call(CHAT, {**ASK, "messages": [{"role": "user", "content": "x" * 300_000}]})
        (got,) = receiver.wait(1)
        known = hmac.new(made["hmac_key"].encode(), got.body, "sha256").hexdigest()
        assert got.headers["Helicone-Signature"] == known
        assert "more than the 262144 of a webhook" in got.json["request_body"]
        assert len(got.body) < 100_000
