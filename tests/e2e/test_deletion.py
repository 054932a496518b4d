"""Deletion over REST and by command: nothing of it is left in the directory, also after a kill."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.e2e.starting import until
from tests.fakes.appliance import OAI, Appliance
from tests.fakes.provider import Provider

WORDS = ("Xanadu-of-ann", "Ypsilon-of-bob")


def found_in(data: Path, word: str) -> list[str]:
    return [
        str(path) for path in data.rglob("*")
        if path.is_file() and word.encode() in path.read_bytes()
    ]  # fmt: skip


def at() -> str:
    return datetime.now(UTC).isoformat()


def test_a_user_goes_and_others_stay(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config='access = "keys"\n') as appliance:
        key = appliance.command("keys.create", name="k")["key"]
        bearer = {"Authorization": f"Bearer {key}"}

        def call(user: str, word: str, session: str) -> str:
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": word}]}
            headers = {"Helicone-Auth": f"Bearer {key}", "Helicone-User-Id": user,
                       "Helicone-Session-Id": session}  # fmt: skip
            reply = appliance.call(f"{OAI}/v1/chat/completions", body, headers)
            assert reply.status == 200
            return str(reply.id)

        def users() -> list[str]:
            rows = appliance.query("SELECT DISTINCT user_id AS u FROM requests ORDER BY 1")
            return [row["u"] for row in rows]

        def state() -> list[Any]:
            reply = appliance.call("/v1/appliance/deletions", None, bearer, method="GET")
            return [(row["kind"], row["state"], row["exchanges"]) for row in reply.json["data"]]

        call("ann", WORDS[0], "s1")
        kept = call("bob", WORDS[1], "s2")
        gone = call("bob", "Zeta-of-bob", "s3")
        assert users() == ["ann", "bob"]
        body = {"kind": "user", "id": "ann"}
        assert appliance.call("/v1/appliance/deletions", body, bearer).status == 202
        appliance.restart()  # killed: it is carried out all the same
        until(lambda: state() == [("user", "done", 1)])
        assert users() == ["bob"]
        sql = {"sql": "SELECT user_id FROM request_response_rmt", "format": "csv"}
        link = appliance.call("/v1/helicone-sql/download", sql, bearer).json["data"]
        with urlopen(link) as file:
            assert b"bob" in file.read()
        appliance.command("delete", kind="request", id=gone)
        until(lambda: ("request", "done", 1) in state())
        with pytest.raises(HTTPError):  # a result that may hold it goes as well
            urlopen(link)
        assert [row["r"] for row in appliance.query("SELECT request_id AS r FROM requests")] == [
            kept
        ]
        acts = [act["action"] for act in appliance.command("audit")]
        assert acts.count("deletion.done") == 2
        assert "ann" not in str([act["target"] for act in appliance.command("audit")])
        middle = at()
        late = call("cy", "Theta-of-cy", "s4")
        sent = {"kind": "span", "id": f"/{middle}"}
        assert appliance.call("/v1/appliance/deletions", sent, bearer).json["data"]["id"]
        until(lambda: ("span", "done", 1) in state())
        assert [row["r"] for row in appliance.query("SELECT request_id AS r FROM requests")] == [
            late
        ]
        appliance.command("delete", kind="span", id=f"{middle}/2999-01-01")
        until(lambda: state().count(("span", "done", 1)) == 2)
        assert appliance.query("SELECT request_id AS r FROM requests") == []
        reply = appliance.call("/v1/appliance/deletions", {"kind": "span", "id": middle}, bearer)
        assert (reply.status, "SINCE/UNTIL" in reply.json["error"]) == (422, True)
    for word in (*WORDS, "Zeta-of-bob", "Theta-of-cy"):
        assert found_in(appliance.data, word) == []
