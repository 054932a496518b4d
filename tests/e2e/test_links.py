"""Links that leave the house, behind nginx with TLS and another host name: whoever follows one gets
what it names; a changed one opens nothing."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.certificates import Authority
from tests.e2e.hooks_kit import Receiver, add_webhook, data, rest
from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

NAME = "llm.example.com"
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Grüße"}]}
FILTER: dict[str, Any] = {"filter": "all", "limit": 10}
CONF = """
daemon off; master_process off; worker_processes 1; error_log {folder}/error.log; pid {folder}/pid;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name {name};
    ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Nginx:
    """TLS for `NAME` before the appliance; `get` follows a URL as a client elsewhere does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._authority = Authority()
        self.head: dict[str, str] = {}
        self.port = free_port()
        self.url = f"https://{NAME}:{self.port}"

    @contextmanager
    def before(self, upstream: str) -> Iterator[None]:
        certificate, key = self._authority.issue(NAME).write(self._folder, "nginx")
        conf = self._folder / "nginx.conf"
        conf.write_text(
            CONF.format(
                folder=self._folder, port=self.port, name=NAME, certificate=certificate, key=key,
                upstream=upstream,
            )
        )  # fmt: skip
        process = subprocess.Popen([NGINX or "nginx", "-c", str(conf), "-p", str(self._folder)])
        try:
            until(self._listens)
            yield
        finally:
            process.terminate()
            process.wait(30)

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, method: str, url: str, body: Any = None) -> tuple[int, bytes]:
        """Through TLS, by the name in the URL; it has to be ours."""
        parts = urlsplit(url)
        assert (parts.scheme, parts.hostname, parts.port) == ("https", NAME, self.port), url
        context = ssl.create_default_context(cadata=self._authority.certificate.decode())
        connection = http.client.HTTPSConnection(NAME, self.port, context=context, timeout=30)
        sock = socket.create_connection(("127.0.0.1", self.port), 30)
        connection.sock = context.wrap_socket(sock, server_hostname=NAME)
        try:
            connection.request(
                method,
                parts.path + (f"?{parts.query}" if parts.query else ""),
                json.dumps(body) if body is not None else None,
                {"Content-Type": "application/json"} if body is not None else {},
            )
            reply = connection.getresponse()
            self.head = {name.lower(): value for name, value in reply.getheaders()}
            return reply.status, reply.read()
        finally:
            connection.close()

    def head_of(self, method: str, url: str, body: Any) -> dict[str, str]:
        """The reply's head, its status beside the lines."""
        status, _ = self.ask(method, url, body)
        return {**self.head, "status": str(status)}

    def get(self, url: str) -> tuple[int, Any]:
        status, body = self.ask("GET", url)
        return status, json.loads(body)


@pytest.fixture
def nginx(tmp_path: Path) -> Nginx:
    return Nginx(tmp_path / "nginx")


def config(*lines: str) -> str:
    return "\n".join(['webhook_allow = ["127.0.0.1"]', f'allow_hosts = ["{NAME}"]', *lines, ""])


def is_the_call(status: int, found: Any) -> bool:
    return status == 200 and found["request"]["messages"] == ASK["messages"] and found["response"]


def test_with_a_public_url(tmp_path: Path, provider: Provider, nginx: Nginx) -> None:
    receiver = Receiver()
    appliance = Appliance(tmp_path, provider, config=config(f'public_url = "{nginx.url}"'))
    with receiver.listening(), appliance, nginx.before(appliance.url):
        add_webhook(appliance, receiver)
        appliance.call(CHAT, ASK)
        (got,) = receiver.wait(1)
        url = got.json["request_response_url"]
        assert is_the_call(*nginx.get(url))
        # The same link in the rows, whoever asks for them and how.
        (row,) = data(rest(appliance, "POST", "/v1/request/query-clickhouse", FILTER))
        assert is_the_call(*nginx.get(row["signed_body_url"]))
        status, _ = nginx.get(url.replace("expires=", "expires=1"))
        assert status == 403
        status, _ = nginx.get(url[:-1] + ("0" if url[-1] != "0" else "1"))
        assert status == 403


def test_behind_a_proxy_that_is_trusted(tmp_path: Path, provider: Provider, nginx: Nginx) -> None:
    receiver = Receiver()
    appliance = Appliance(tmp_path, provider, config=config('trusted_proxies = ["127.0.0.1"]'))
    with receiver.listening(), appliance, nginx.before(appliance.url):
        add_webhook(appliance, receiver)
        appliance.call(CHAT, ASK)
        # Nobody has called for a webhook: no link is better than one that leads elsewhere.
        assert "request_response_url" not in receiver.wait(1)[0].json
        query = f"{nginx.url}/v1/request/query-clickhouse"
        status, body = nginx.ask("POST", query, FILTER)
        assert status == 200
        (row,) = json.loads(body)["data"]
        assert row["signed_body_url"].startswith(f"{nginx.url}/v1/signed/us/")
        assert is_the_call(*nginx.get(row["signed_body_url"]))


def test_a_prompts_link(tmp_path: Path, provider: Provider, nginx: Nginx) -> None:
    """Helicone's packages follow it with a plain GET."""
    appliance = Appliance(tmp_path, provider, config=config('trusted_proxies = ["127.0.0.1"]'))
    with appliance, nginx.before(appliance.url):
        prompt = {"name": "greet", "tags": [], "promptBody": ASK}
        made = json.loads(nginx.ask("POST", f"{nginx.url}/v1/prompt-2025", prompt)[1])["data"]
        status, body = nginx.ask(
            "POST",
            f"{nginx.url}/v1/prompt-2025/query/production-version",
            {"promptId": made["id"]},
        )
        assert status == 200
        assert nginx.get(json.loads(body)["data"]["s3_url"]) == (200, ASK)


def test_a_sign_in_link(tmp_path: Path, provider: Provider, nginx: Nginx) -> None:
    """It leads to the public name, opens a session there once, and the cookie is for TLS alone."""
    lines = (f'public_url = "{nginx.url}"', 'trusted_proxies = ["127.0.0.1"]', 'access = "keys"')
    appliance = Appliance(tmp_path, provider, config=config(*lines))
    with appliance, nginx.before(appliance.url):
        link = appliance.command("users.create", email="ann@example.com", role="admin")["url"]
        assert link.startswith(f"{nginx.url}/sign-in?token=us.")
        given = {"token": link.partition("token=")[2], "password": "an Owl at Midnight"}
        head = nginx.head_of("POST", f"{nginx.url}/v1/auth/link", given)
        assert head["status"] == "200"
        assert head["set-cookie"].startswith("__Host-helicone_session=")
        assert "; Secure" in head["set-cookie"]
        assert nginx.ask("POST", f"{nginx.url}/v1/auth/link", given)[0] == 404


def test_what_an_untrusted_proxy_says_is_not_believed(
    tmp_path: Path, provider: Provider, nginx: Nginx
) -> None:
    appliance = Appliance(tmp_path, provider, config=config())
    with appliance, nginx.before(appliance.url):
        appliance.call(CHAT, ASK)
        lie = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
        reply = appliance.call("/v1/request/query-clickhouse", FILTER, lie)
        (row,) = data(reply)
        assert row["signed_body_url"].startswith(f"{appliance.url}/v1/signed/us/")
