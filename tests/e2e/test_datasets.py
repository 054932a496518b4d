"""Datasets of a running server: calls that were made become examples, nothing of them can be read
in an encrypted directory, and a deletion reaches what the lake does not have any more.
"""

from __future__ import annotations

import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import until
from tests.e2e.storage_kit import control, files_with
from tests.e2e.test_retention import DAY_US, write_old
from tests.fakes.appliance import OAI, Appliance
from tests.fakes.provider import Provider

PATH = "/v1/helicone-dataset"
MASTER = "HELICONE_APPLIANCE_MASTER_KEY"
KEY = "a passphrase that nobody guesses"


class Desk:
    """A server, and somebody with a key."""

    def __init__(self, appliance: Appliance) -> None:
        self.appliance = appliance
        self.key = appliance.command("keys.create", name="k")["key"]
        self.bearer = {"Authorization": f"Bearer {self.key}"}

    def call(self, text: str, user: str, session: str = "s") -> str:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        headers = {
            "Helicone-Auth": f"Bearer {self.key}", "Helicone-User-Id": user,
            "Helicone-Session-Id": session,
        }  # fmt: skip
        reply = self.appliance.call(f"{OAI}/v1/chat/completions", body, headers)
        assert reply.status == 200
        return str(reply.id)

    def ask(self, path: str, body: Any, status: int = 200) -> Any:
        reply = self.appliance.call(f"{PATH}{path}", body, self.bearer)
        assert reply.status == status, reply.body
        return reply.json["data"]

    def export(self, dataset: str, query: str) -> Any:
        target = f"{PATH}/{dataset}/export?{query}"
        return self.appliance.call(target, None, self.bearer, method="GET")

    def delete(self, kind: str, subject: str) -> None:
        body = {"kind": kind, "id": subject}
        reply = self.appliance.call("/v1/appliance/deletions", body, self.bearer)
        assert reply.status == 202
        until(lambda: all(row["state"] == "done" for row in self.deletions()))

    def deletions(self) -> Any:
        path = "/v1/appliance/deletions"
        return self.appliance.call(path, None, self.bearer, method="GET").json["data"]


@pytest.mark.parametrize("key", [None, KEY])
def test_calls_become_examples(provider: Provider, tmp_path: Path, key: str | None) -> None:
    word, user = f"asked-{uuid.uuid4().hex}", f"user-{uuid.uuid4().hex}"
    environ = {MASTER: key} if key else {}
    with Appliance(tmp_path, provider, environ=environ) as appliance:
        desk = Desk(appliance)
        ids = [desk.call(word, user), desk.call("other", "bob")]
        dataset = desk.ask("", {"datasetName": "d", "requestIds": ids})["datasetId"]
        rows = desk.ask(f"/{dataset}/query", {"offset": 0, "limit": 10})
        assert [row["origin_request_id"] for row in rows] == ids[::-1]
        link = rows[1]["signed_url"]["data"]
        with urllib.request.urlopen(link) as reply:
            held = json.load(reply)
        assert held["request"]["messages"][0]["content"] == word
        lines = desk.export(dataset, "shape=openai").body.splitlines()
        first = json.loads(lines[0])["messages"]
        assert [message["role"] for message in first] == ["user", "assistant"]
        assert first[0]["content"] == word
        assert len(lines) == 2
        assert word.encode() in desk.export(dataset, "format=csv").body
        parquet = desk.export(dataset, "format=parquet")
        # No file with it in the clear is made where all is encrypted.
        assert parquet.status == (422 if key else 200)
        if not key:
            assert parquet.body[:4] == parquet.body[-4:] == b"PAR1"
        appliance.restart()  # killed
        assert desk.ask(f"/{dataset}/count", None) == 2
        if key:
            for text in (word, user):
                assert files_with(appliance.data, text.encode()) == []
        acts = [act["action"] for act in appliance.command("audit")]
        assert "dataset.create" in acts


def test_deletions_reach_the_copies(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config='access = "keys"\n') as appliance:
        desk = Desk(appliance)
        kept = desk.call("of bob", "bob")
        gone = [desk.call("of ann", "ann"), desk.call("of cay", "cay", "t"), desk.call("x", "dee")]
        dataset = desk.ask("", {"datasetName": "d", "requestIds": [kept, *gone]})["datasetId"]
        edit = {"requestBody": {"secret": "edited-of-ann"}}
        desk.ask(f"/{dataset}/request/{gone[0]}", edit)
        for kind, subject, left in (
            ("user", "ann", 3),
            ("session", "t", 2),
            ("request", gone[2], 1),
        ):
            desk.delete(kind, subject)
            assert desk.ask(f"/{dataset}/count", None) == left
        [row] = desk.ask(f"/{dataset}/query", {})
        assert row["origin_request_id"] == kept
        desk.ask(f"/{dataset}/mutate", {"addRequests": [gone[0]]}, 404)


def test_retention_reaches_the_copies(provider: Provider, tmp_path: Path) -> None:
    """But for those that somebody has edited, and not where the operator says that they stay."""
    appliance = Appliance(tmp_path, provider)
    write_old(appliance.data, [40 * DAY_US, 39 * DAY_US, 5 * DAY_US], 100)
    ids = [str(uuid.UUID(int=number)) for number in range(3)]
    with appliance:
        until(lambda: appliance.query("SELECT count(*) AS n FROM requests") == [{"n": 3}])
        desk = Desk(appliance)
        dataset = desk.ask("", {"datasetName": "d", "requestIds": ids})["datasetId"]
        edited = desk.ask(f"/{dataset}/query", {"offset": 0, "limit": 10})[1]["id"]
        desk.ask(f"/{dataset}/request/{edited}", {"requestBody": "written anew"})
    usual = appliance.config.read_text()
    for said, left in ("retention_datasets = false\n", ids), ("", ids[1:]):
        appliance.config.write_text(f"retention_days = 30\n{said}{usual}")
        with appliance:
            control(appliance, "roll")
            assert appliance.query("SELECT count(*) AS n FROM requests") == [{"n": 1}]
            rows = desk.ask(f"/{dataset}/query", {"offset": 0, "limit": 10})
            assert [row["origin_request_id"] for row in rows] == left[::-1]
