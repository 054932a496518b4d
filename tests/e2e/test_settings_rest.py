"""Settings changed over REST hold for the next call through the proxy, and after a crash."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fakes.appliance import OAI, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

PLANTED = "sk-planted-secret-0123456789"
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def test_each_change_holds_for_the_next_call(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config='access = "keys"\n', lends=True) as appliance:
        root = appliance.command("keys.create", name="root")["key"]
        bearer = {"Authorization": f"Bearer {root}"}

        def rest(method: str, path: str, body: object = None) -> Reply:
            reply: Reply = appliance.call(path, body, bearer, method=method)
            assert reply.status in (200, 201), reply.body
            assert PLANTED.encode() not in reply.body
            return reply

        def ask(key: str) -> int:
            headers = {"Helicone-Auth": f"Bearer {key}"}
            return int(appliance.call(f"{OAI}/v1/chat/completions", BODY, headers).status)

        made = rest("POST", "/v1/api-keys", {"api_key_name": "k", "rate_limited": True}).json
        assert ask(made["apiKey"]) == 401  # no provider's key yet
        given = {"providerName": "openai", "providerKeyName": "main", "providerKey": PLANTED}
        stored = rest("POST", "/v1/api-keys/provider-key", given).json
        assert ask(made["apiKey"]) == 200
        assert provider.received[-1].first(b"authorization") == b"Bearer " + PLANTED.encode()
        rule = {"name": "few", "quota": 1, "window_seconds": 3600, "unit": "requests"}
        limit = rest("POST", "/v1/rate-limits", rule).json["data"]
        assert [ask(made["apiKey"]) for _ in range(2)] == [200, 429]
        assert ask(root) == 200  # not made for limits
        rest("DELETE", f"/v1/rate-limits/{limit['id']}")
        assert ask(made["apiKey"]) == 200
        place = f"/v1/api-keys/provider-key/{stored['id']}"
        assert rest("PATCH", place, {"base_url": "https://evil.example"}).json["needs_key"] is True
        before = len(provider.received)
        assert ask(made["apiKey"]) >= 400
        assert len(provider.received) == before
        rest("DELETE", f"/v1/api-keys/{made['id']}")
        appliance.restart()
        assert ask(made["apiKey"]) == 401
        acts = [act["action"] for act in rest("GET", "/v1/appliance/audit").json["data"]]
        assert acts == [
            "key.revoke", "provider-key.change", "rate-limit.remove", "rate-limit.create",
            "provider-key.add", "key.create", "keys.create",
        ]  # fmt: skip
        kept = json.dumps(appliance.command("audit")) + appliance.log
        assert PLANTED not in kept
        assert made["apiKey"] not in kept
