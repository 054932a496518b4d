"""Stored rate limits of organisations, as an operator sets them with commands, and what callers
with keys of the `-rl-` shape then see (proxy.md 5.5)."""

from __future__ import annotations

import json
import secrets
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from appliance.core.keys import parse_key
from tests.e2e.storage_kit import metric, noise_over_state, reasons, wait_healthy
from tests.e2e.test_provider_keys import command
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
UNREADABLE = b"ratelimit-policy;reason=policies-unreadable"


def told(appliance: Appliance, *arguments: str) -> Any:
    return json.loads(command(appliance, *arguments, "--json"))


def new_key(appliance: Appliance, *options: str) -> str:
    return command(appliance, "keys", "create", secrets.token_hex(4), *options).strip()


def new_org(appliance: Appliance) -> str:
    return str(told(appliance, "orgs", "create", f"org {secrets.token_hex(4)}")["id"])


def ask(appliance: Appliance, key: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return appliance.call(CHAT, ASK, {"helicone-auth": f"Bearer {key}", **named})


def statuses(appliance: Appliance, key: str, calls: int, **headers: str) -> list[int]:
    return [ask(appliance, key, **headers).status for _ in range(calls)]


def test_stored_limits_hold_for_keys_of_their_shape_alone(appliance: Appliance) -> None:
    org = new_org(appliance)
    limited = new_key(appliance, "--rate-limited", "--org", org)
    plain = new_key(appliance, "--org", org)
    writer = new_key(appliance, "--rate-limited", "--write-only", "--org", org)
    assert limited.startswith("sk-helicone-rl-")
    assert writer.startswith("pk-helicone-rl-")
    assert statuses(appliance, limited, 2) == [200, 200]  # nothing is stored yet
    made = told(appliance, "limits", "set", "2;W=3600", "--org", org)
    assert (made["policy"], made["counts"], made["replaced"]) == ("2;w=3600", "all", "")
    first = ask(appliance, limited)
    assert first.first("helicone-ratelimit-policy") == b"2;w=3600"
    assert first.first("helicone-ratelimit-remaining") == b"1"
    assert statuses(appliance, writer, 2) == [200, 429]
    refused = ask(appliance, limited)
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limited")
    row = appliance.row(refused.id)
    assert row["properties"]["Helicone-Rate-Limit-Status"] == "bucket_rate_limited"
    assert statuses(appliance, plain, 3) == [200] * 3
    assert statuses(appliance, new_key(appliance, "--rate-limited"), 3) == [200] * 3
    # A header takes the place of what is stored, also one that is no policy.
    own = ask(appliance, limited, helicone_ratelimit_policy="9;w=60;s=user", helicone_user_id="u")
    assert own.first("helicone-ratelimit-policy") == b"9;w=60;s=user"
    wrong = ask(appliance, limited, helicone_ratelimit_policy="nine")
    assert wrong.status == 200
    assert b"ratelimit-policy;reason=policy-invalid" in wrong.values("helicone-not-applied")
    removed = told(appliance, "limits", "remove", "2;w=3600", "--org", org)
    assert removed["id"] == made["id"]
    assert ask(appliance, limited).status == 200


def test_the_nearest_policy_counts_and_a_change_keeps_what_was_taken(appliance: Appliance) -> None:
    org = new_org(appliance)
    key = new_key(appliance, "--rate-limited", "--org", org)
    for policy in ("50;w=3600", "2;w=3600;s=user", "40;w=3600;s=plan"):
        told(appliance, "limits", "set", policy, "--org", org)
    listed = told(appliance, "limits", "list", "--org", org)
    assert [row["policy"] for row in listed] == [
        "40;w=3600;s=plan", "2;w=3600;s=user", "50;w=3600",
    ]  # fmt: skip
    assert statuses(appliance, key, 3, helicone_user_id="ann") == [200, 200, 429]
    assert ask(appliance, key, helicone_user_id="bob").status == 200
    gold = ask(appliance, key, helicone_user_id="ann", helicone_property_plan="gold")
    assert gold.first("helicone-ratelimit-policy") == b"40;w=3600;s=plan"
    assert ask(appliance, key).first("helicone-ratelimit-remaining") == b"49"
    raised = told(appliance, "limits", "set", "3;w=3600;s=user", "--org", org)
    assert raised["replaced"] == "2;w=3600;s=user"
    # Full buckets do not come with a new policy: what ann has taken stays taken.
    assert ask(appliance, key, helicone_user_id="ann").status == 429
    assert statuses(appliance, key, 2, helicone_user_id="cid") == [200, 200]


def test_explain_says_which_why_and_what_is_left(appliance: Appliance) -> None:
    org = new_org(appliance)
    key = new_key(appliance, "--rate-limited", "--org", org)
    explain = ("limits", "explain", "--org", org)
    assert "limits set" in told(appliance, *explain)["why"]
    for policy in ("5;w=3600", "2;w=3600;s=user"):
        told(appliance, "limits", "set", policy, "--org", org)
    assert statuses(appliance, key, 2, helicone_user_id="ann") == [200, 200]
    found = told(appliance, "limits", "explain", "--key", key, "--user", "ann")
    assert (found["policy"], found["bucket"], found["source"]) == (
        "2;w=3600;s=user", "the user = ann", "stored",
    )  # fmt: skip
    assert (found["remaining"], found["passes"], found["limit"]) == (0, False, "2")
    assert 0 < found["full_in_s"] <= 3600
    assert "2 stored policies that fit" in found["why"]
    for _ in range(2):  # it takes nothing
        other = told(appliance, *explain, "--user", "bob")
        assert (other["remaining"], other["passes"], other["full_in_s"]) == (2, True, 0)
    header = told(appliance, *explain, "--policy", "1;w=60;s=team", "--property", "Team=red")
    assert (header["source"], header["bucket"]) == ("header", "the property team = red")
    missing = told(appliance, *explain, "--policy", "1;w=60;s=team")
    assert missing["not_applied"] == "ratelimit-policy;reason=segment-missing"
    plain = new_key(appliance, "--org", org)
    assert told(appliance, "limits", "explain", "--key", plain)["policy"] == ""
    names = {row["id"]: row for row in told(appliance, "keys", "list")}
    by_name = [row["name"] for row in names.values() if row["rate_limited"]][-1]
    assert told(appliance, "limits", "explain", "--key", by_name)["policy"] == "5;w=3600"


def test_a_key_that_nobody_knows_is_not_limited_and_told(appliance: Appliance) -> None:
    told(appliance, "limits", "set", "1;w=3600;s=nobody")
    unknown = "sk-helicone-rl-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
    for _ in range(2):
        reply = ask(appliance, unknown)
        assert reply.status == 200
        assert reply.values("helicone-not-applied") == [b"ratelimit-policy;reason=key-unknown"]
    assert "ratelimit-policy;reason=key-unknown" in appliance.row(reply.id)["not_applied"]
    told(appliance, "limits", "remove", "1;w=3600;s=nobody")


def test_a_mocked_reply_takes_no_token_and_says_so(appliance: Appliance) -> None:
    org = new_org(appliance)
    told(appliance, "limits", "set", "1;w=3600", "--org", org)
    limited = new_key(appliance, "--rate-limited", "--org", org)
    plain = new_key(appliance, "--org", org)
    for key, more, says in (
        (limited, {}, ["ratelimit-policy;reason=mocked"]),
        (plain, {"helicone_ratelimit_policy": "1;w=3600"}, ["ratelimit-policy;reason=mocked"]),
        (plain, {}, []),
        (plain, {"helicone_cache_enabled": "true", "helicone_moderations_enabled": "true",
                 "helicone_llm_security_enabled": "true"},
         [f"{name};reason=mocked" for name in (
             "cache-enabled", "llm-security-enabled", "moderations-enabled")]),
    ):  # fmt: skip
        for _ in range(2):
            named = {name.replace("_", "-"): value for name, value in more.items()}
            named |= {"helicone-auth": f"Bearer {key}", "__helicone-mock-response": "{}"}
            reply = appliance.call(CHAT, ASK, named)
            assert (reply.status, reply.body) == (200, b"{}")
            found = [value.decode() for value in reply.values("helicone-not-applied")]
            assert found == says, (key, more)
        assert appliance.row(reply.id)["not_applied"] == says
    assert statuses(appliance, limited, 2) == [200, 429]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("set", "0;w=60"), "quota: 0 is not above 0"),
        (("set", "5;w=59"), "w=59 is not between 60"),
        (("set", "5;w=60;u=tokens"), "tokens"),
        (("set", "5;w=60", "--org", "nowhere"), "orgs list"),
        (("remove", "777;w=60"), "limits list"),
        (("explain", "--key", "k", "--org", "o"), "not both"),
        (("explain", "--key", "nothing like a key"), "no key in use"),
        (("explain", "--property", "team"), "NAME=VALUE"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    appliance: Appliance, arguments: tuple[str, ...], word: str
) -> None:
    said = command(appliance, "limits", *arguments, fails=True)
    assert word in said
    assert len(said.splitlines()) == 1


def test_limits_outlive_a_restart_and_are_set_without_a_server(
    tmp_path: Path, provider: Provider
) -> None:
    with Appliance(tmp_path, provider) as appliance:
        key = new_key(appliance, "--rate-limited")
        told(appliance, "limits", "set", "3;w=3600")
        assert ask(appliance, key).status == 200
        appliance.stop()
        explained = told(appliance, "limits", "explain", "--key", key)
        assert (explained["policy"], explained["remaining"]) == ("3;w=3600", 2)
        told(appliance, "limits", "set", "2;w=3600")
        second = new_key(appliance, "--rate-limited")
        appliance.start()
        assert statuses(appliance, second, 3) == [200, 200, 429]
        # What is stored is no policy: those of this organisation limit nobody, and it is said.
        appliance.stop()
        spoil_policies(appliance.data / "state.sqlite")
        appliance.start()
        reply = ask(appliance, key)
        assert reply.status == 200
        assert UNREADABLE in reply.values("helicone-not-applied")
        assert "rate limits" in reasons(appliance)["keys"]
        assert metric(appliance, "failed_open_total") >= 1
        assert told(appliance, "limits", "list")[0]["note"].startswith("is no policy")
        told(appliance, "limits", "set", "2;w=3600")
        wait_healthy(appliance)
        assert ask(appliance, key).status == 429


def test_noise_over_the_state_file_at_run_time_changes_no_limit(
    tmp_path: Path, provider: Provider
) -> None:
    with Appliance(tmp_path, provider) as appliance:
        key = new_key(appliance, "--rate-limited")
        told(appliance, "limits", "set", "2;w=3600")
        noise_over_state(appliance)
        assert statuses(appliance, key, 3) == [200, 200, 429]
        said = command(appliance, "limits", "set", "9;w=3600", fails=True)
        assert "key store is broken" in said
        assert ask(appliance, key).status == 429
        appliance.kill()
        appliance.start()
        # Now nobody knows whose the key is: its own credential goes on, unlimited, and marked.
        reply = appliance.call(
            "/v1/gateway/ollama/v1/models", None,
            {"helicone-auth": f"Bearer {key}", "authorization": "Bearer sk-own"}, method="GET",
        )  # fmt: skip
        assert UNREADABLE in reply.values("helicone-not-applied")


def test_keys_of_the_eu_are_limited_by_their_region(tmp_path: Path, provider: Provider) -> None:
    config = f'eu_data_dir = "{tmp_path / "europe"}"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        eu = ("--region", "eu", "--config", str(appliance.config))
        key = new_key(appliance, "--rate-limited", *eu)
        shape = parse_key(key)
        assert shape is not None
        assert (shape.region, shape.limited, shape.write_only) == ("eu", True, False)
        us = new_key(appliance, "--rate-limited")
        told(appliance, "limits", "set", "1;w=3600", *eu)
        assert statuses(appliance, key, 2) == [200, 429]
        assert statuses(appliance, us, 2) == [200, 200]
        assert told(appliance, "limits", "list") == []


def test_of_a_thousand_at_once_exactly_the_quota_passes(
    appliance: Appliance, provider: Provider
) -> None:
    """A thousand connections, all open and all asked before one answer is read."""
    org = new_org(appliance)
    key = new_key(appliance, "--rate-limited", "--org", org)
    told(appliance, "limits", "set", "100;w=86400", "--org", org)
    host, port = appliance.url.removeprefix("http://").split(":")
    body = json.dumps(ASK).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}:{port}\r\nHelicone-Auth: Bearer {key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    provider.clear()
    connections = []
    try:
        for _ in range(1000):
            connections.append(socket.create_connection((host, int(port)), PATIENCE_S))
        for connection in connections:
            connection.sendall(head.encode() + body)
        found = [status_of(connection) for connection in connections]
    finally:
        for connection in connections:
            connection.close()
    assert (found.count(b"200"), found.count(b"429"), len(found)) == (100, 900, 1000)
    assert len(provider.all(b"POST")) == 100


def status_of(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n" not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data.split(b" ", 2)[1]


def spoil_policies(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE rate_policies SET policy = 'what?'")
    connection.close()
