"""People and the whole program: the first start's link, sign-in, roles, commands, both regions."""

from __future__ import annotations

import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.e2e.starting import environment, until
from tests.fakes.appliance import ROOT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.raw_client import RawClient, Reply

PASSWORD = "correct horse battery"
CA = Authority()
KEYS = 'access = "keys"\n'


class Browser:
    """Keeps the cookie and the token."""

    def __init__(self, appliance: Appliance) -> None:
        self.appliance = appliance
        self.cookie = self.csrf = ""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        if self.cookie:
            headers |= {"Cookie": self.cookie, "X-CSRF-Token": self.csrf}
        reply: Reply = self.appliance.call(path, body, headers, method=method)
        cookie = reply.first("set-cookie")
        if cookie is not None:
            self.cookie = cookie.decode().partition(";")[0]
            self.csrf = reply.json["data"]["csrf_token"] if reply.json["data"] else ""
        return reply

    def follow(self, url: str, **body: str) -> Reply:
        token = url.partition("token=")[2]
        return self.call("POST", "/v1/auth/link", {"token": token, "password": PASSWORD, **body})


def test_the_first_start_prints_a_link_that_makes_the_owner(tmp_path: Path) -> None:
    data, ready = tmp_path / "data", tmp_path / "ready.json"
    command = [sys.executable, "-m", "appliance.cli", "serve", "--port", "0", "--data-dir",
               str(data), "--ready-file", str(ready), "--access", "keys"]  # fmt: skip
    out = tmp_path / "out"

    def started() -> subprocess.Popen[bytes]:
        ready.unlink(missing_ok=True)
        with out.open("wb") as stream:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment(tmp_path), stdout=stream,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        until(ready.exists)
        until(lambda: b"listens on" in out.read_bytes())
        return process

    process = started()
    try:
        url = json.loads(ready.read_text())["url"]
        said = re.search(r"sign in +(\S+)  \(once", out.read_text())
        assert said is not None
        assert said[1].startswith(f"{url}/sign-in?token=us.")
        token = said[1].partition("token=")[2]
        body = {"token": token, "email": "ann@example.com", "password": PASSWORD}
        with RawClient(url) as client:
            page = client.call(f"/sign-in?token={token}", None, {}, method="GET")
            assert page.status == 200
            assert b"<form" in page.body
        with RawClient(url) as client:
            assert client.call("/v1/auth/link", body, {}).status == 200
        with RawClient(url) as client:
            assert client.call("/v1/auth/link", body, {}).status == 404
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    process = started()
    try:
        assert "sign in" not in out.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def test_people_keys_and_commands(tmp_path: Path) -> None:
    with Appliance(tmp_path, None, config=KEYS) as appliance:
        made = appliance.command("users.create", email="ann@example.com", role="owner")
        assert made["url"].startswith(appliance.url)
        ann = Browser(appliance)
        assert ann.follow(made["url"]).status == 200
        org = ann.call("GET", "/v1/organization").json["data"][0]["id"]
        invited = ann.call(
            "POST", f"/v1/organization/{org}/members", {"email": "b@x.example", "role": "viewer"}
        ).json["data"]
        bob = Browser(appliance)
        assert bob.follow(invited["url"]).status == 200
        query = "POST", "/v1/request/query-clickhouse", {"filter": "all"}
        assert bob.call(*query).status == 200
        assert Browser(appliance).call(*query).status == 401
        bob.csrf = ""
        assert bob.call(*query).status == 403

        key = appliance.command("keys.create", name="k")["key"]
        web = {"_type": "bearer", "token": key}
        for org_id, status in ((org, 200), ("00000000-0000-4000-8000-0000000000ff", 403)):
            header = json.dumps({**web, "orgId": org_id})
            reply = Browser(appliance).call(*query, **{"Helicone-Authorization": header})
            assert reply.status == status

        # What is found after a crash is what was answered.
        appliance.restart()
        assert ann.call(*query).status == 200
        appliance.command("users.reset", email="ann@example.com")
        assert ann.call(*query).status == 401
        acts = appliance.command("audit")
        actions = [act["action"] for act in acts]
        assert actions == [
            "users.create", "sign-in.link.reset", "member.invite", "sign-in.link.invite",
            "keys.create", "users.reset",
        ]  # fmt: skip
        kept = json.dumps(acts) + appliance.log
        for secret in (key, PASSWORD, invited["url"].partition("token=")[2], ann.cookie):
            assert secret not in kept
    # The same without a server.
    assert key.encode() not in b"".join(path.read_bytes() for path in appliance.data.glob("state*"))


def test_without_users_and_keys_it_is_open_as_ever(tmp_path: Path) -> None:
    with Appliance(tmp_path, None) as appliance:
        query = "POST", "/v1/request/query-clickhouse", {"filter": "all"}
        assert Browser(appliance).call(*query).status == 200
        told = Browser(appliance).call("GET", "/v1/auth/session").json["data"]
        assert (told["signed_in"], told["open"]) == (False, True)
        org = told["organization"]["id"]
        members = f"/v1/organization/{org}/members"
        body = {"email": "eve@example.com", "role": "owner"}
        assert Browser(appliance).call("POST", members, body).status == 403
        # Signed in, a role counts there too.
        made = appliance.command("users.create", email="bob@example.com", role="viewer")
        bob = Browser(appliance)
        assert bob.follow(made["url"]).status == 200
        assert bob.call("GET", "/v1/appliance/audit").status == 403
        assert bob.call(*query).status == 200


def test_regions_know_their_own_people(tmp_path: Path) -> None:
    config = KEYS + f'eu_data_dir = "{tmp_path}/eu"\n'
    with Appliance(tmp_path, None, config=config) as appliance:
        made = appliance.command("users.create", email="ann@x.example", role="owner", region="eu")
        assert "token=eu." in made["url"]
        ann = Browser(appliance)
        reply = ann.follow(made["url"])
        assert reply.json["data"]["organization"]["region"] == "eu"
        assert "=eu." in ann.cookie
        assert appliance.command("users.list", region="us") == []
        assert appliance.command("audit", region="us") == []
        body = {"email": "ann@x.example", "password": PASSWORD}
        assert Browser(appliance).call("POST", "/v1/auth/sign-in", body).status == 200
        there = {**body, "region": "us"}
        assert Browser(appliance).call("POST", "/v1/auth/sign-in", there).status == 401
        for path in (tmp_path / "data").rglob("*"):
            if path.is_file():
                assert b"ann@x.example" not in path.read_bytes(), path


@pytest.mark.parametrize("forwarded", [True, False])
def test_behind_a_proxy_with_tls(tmp_path: Path, forwarded: bool) -> None:
    config = KEYS + ('trusted_proxies = ["127.0.0.1"]\n' if forwarded else "")
    with Appliance(tmp_path, None, config=config) as appliance:
        made = appliance.command("users.create", email="ann@x.example", role="owner")
        body = {"token": made["url"].partition("token=")[2], "password": PASSWORD}
        headers = {
            "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "llm.example",
        }  # fmt: skip
        reply = appliance.call("/v1/auth/link", body, headers)
        cookie = reply.first("set-cookie")
        assert cookie is not None
        assert (b"; Secure" in cookie) is forwarded
        assert cookie.startswith(b"__Host-") is forwarded
        [act] = [act for act in appliance.command("audit") if act["actor"] != "command"]
        assert act["address"] == ("192.0.2.7" if forwarded else "127.0.0.1")


def test_over_our_own_tls(tmp_path: Path) -> None:
    certificate, key = CA.issue("127.0.0.1").write(tmp_path, "server")
    config = KEYS + f'tls_cert = "{certificate}"\ntls_key = "{key}"\n'
    with Appliance(tmp_path, None, config=config) as appliance:
        made = appliance.command("users.create", email="ann@x.example", role="owner")
        assert made["url"].startswith("https://")
        body = {"token": made["url"].partition("token=")[2], "password": PASSWORD}
        url = f"{appliance.url}/v1/auth/link"
        context = ssl.create_default_context(cadata=CA.certificate.decode())
        asked = urllib.request.Request(url, json.dumps(body).encode())
        with urllib.request.urlopen(asked, context=context, timeout=PATIENCE_S) as reply:
            assert reply.headers["set-cookie"].startswith("__Host-")
