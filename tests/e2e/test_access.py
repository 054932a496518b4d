"""Who may call, and what never shows: keys and prompts in no log line, error, metric or row."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import run, until
from tests.fakes.appliance import CHAT, MESSAGES, Appliance
from tests.fakes.http2_client import Http2Client
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Headers, RawClient

KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyzab"
WRITE_KEY = "pk-helicone-bcdefgh-ijklmno-pqrstuv-wxyzabc"
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}
REST = "/v1/request/query-clickhouse"
NOBODY = "/v1/request/00000000-0000-0000-0000-000000000000"


def bearer(key: str) -> dict[str, str]:
    return {"Helicone-Auth": f"Bearer {key}"}


@pytest.fixture(scope="module")
def keyed(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """Bound to every address, as behind a container's port: keys by default."""
    directory = tmp_path_factory.mktemp("keyed")
    environ = {"HELICONE_APPLIANCE_BOOTSTRAP_KEY": KEY}
    config = 'host = "0.0.0.0"\nallow_origins = ["https://app.example.com"]\n'
    with Appliance(directory, provider, config=config, environ=environ) as running:
        yield running


# -- keys ----------------------------------------------------------------------------------------


def test_every_address_asks_for_keys_by_default(keyed: Appliance) -> None:
    assert keyed.call(CHAT, ASK).status == 401
    assert keyed.call(CHAT, ASK, bearer(KEY)).status == 200
    assert keyed.call(CHAT, ASK, bearer(KEY[:-1] + "c")).status == 401
    assert keyed.call(NOBODY, method="GET").status == 401
    until(lambda: keyed.call("/readycheck", method="GET").status == 200)
    assert keyed.call(NOBODY, None, bearer(KEY), method="GET").status == 404
    # A Host of any name is fine with keys: they, not names, tell who calls.
    assert keyed.call(CHAT, ASK, [(b"Helicone-Auth", b"Bearer " + KEY.encode())]).status == 200


def test_the_bootstrap_key_may_come_from_a_file(provider: Provider, tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_text(KEY + "\n")
    environ = {"HELICONE_APPLIANCE_BOOTSTRAP_KEY_FILE": str(file)}
    with Appliance(tmp_path, provider, config='access = "keys"\n', environ=environ) as appliance:
        assert appliance.call(CHAT, ASK, bearer(KEY)).status == 200
        kept = b"".join(path.read_bytes() for path in appliance.data.rglob("*") if path.is_file())
        assert KEY.encode() not in kept
        listed = run(tmp_path, "keys", "list", "--json", "--data-dir", str(appliance.data))
        assert json.loads(listed.stdout) == []


def test_a_write_only_key_reads_nothing(provider: Provider, tmp_path: Path) -> None:
    environ = {"HELICONE_APPLIANCE_BOOTSTRAP_KEY": WRITE_KEY}
    with Appliance(tmp_path, provider, config='access = "keys"\n', environ=environ) as appliance:
        made = appliance.call(CHAT, ASK, bearer(WRITE_KEY))
        assert made.status == 200
        for path, method in ((f"/v1/request/{made.id}", "GET"), (REST, "POST")):
            refused = appliance.call(path, b"{}", bearer(WRITE_KEY), method=method)
            assert refused.status == 403
        create = ("keys", "create", "reader", "--data-dir", str(appliance.data))
        read_key = run(tmp_path, *create).stdout.strip()
        found = appliance.call(f"/v1/request/{made.id}", None, bearer(read_key), method="GET")
        assert found.status == 200


def from_elsewhere(appliance: Appliance) -> str:
    """The same server by an address that is not loopback."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address")
        address = sock.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no other address")
    return f"http://{address}:{appliance.url.rpartition(':')[2]}"


def test_metrics_from_elsewhere_need_a_read_key(
    keyed: Appliance, provider: Provider, tmp_path: Path
) -> None:
    assert keyed.call("/metrics", method="GET").status == 200  # loopback
    elsewhere = from_elsewhere(keyed)

    def metrics(url: str, headers: dict[str, str] | None = None) -> int:
        with RawClient(url) as client:
            return client.call("/metrics", None, headers, method="GET").status

    assert metrics(elsewhere) == 401
    assert metrics(elsewhere, bearer(KEY)) == 200
    network = elsewhere.partition("://")[2].partition(":")[0] + "/32"
    config = f'host = "0.0.0.0"\nmetrics_allow = ["{network}"]\n'
    environ = {"HELICONE_APPLIANCE_BOOTSTRAP_KEY": WRITE_KEY}
    with Appliance(tmp_path / "a", provider, config=config, environ=environ) as allowing:
        assert metrics(from_elsewhere(allowing)) == 200
    config = 'host = "0.0.0.0"\n'
    with Appliance(tmp_path / "b", provider, config=config, environ=environ) as closed:
        assert metrics(from_elsewhere(closed), bearer(WRITE_KEY)) == 403


# -- web pages -----------------------------------------------------------------------------------

FOREIGN: list[Headers] = [
    [(b"Origin", b"https://evil.example")],
    [(b"Origin", b"null")],
    [(b"Sec-Fetch-Site", b"cross-site")],
]


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("lane", ["fast", "full", "http2"])
def test_pages_are_refused_before_their_body_is_read(
    appliance: Appliance, provider: Provider, foreign: Headers, lane: str
) -> None:
    """A body is announced and never sent: the answer comes all the same."""
    mark = f"page-{time.monotonic_ns()}"
    if lane == "http2":
        with Http2Client(appliance.url) as http2:
            headers = {name.decode().lower(): value.decode() for name, value in foreign}
            number = http2.start(CHAT, b"{", {**headers, "x-mark": mark}, end=False)
            http2.read_until(lambda: http2.streams[number].status)
            assert http2.streams[number].status == 403
    else:
        with appliance.client() as client:
            if lane == "full":
                assert client.call("/healthcheck", method="GET").status == 200
            headers_sent = [*foreign, (b"X-Mark", mark.encode()), (b"Content-Length", b"1000")]
            reply = client.call(CHAT, None, headers_sent, framing=False)
            assert reply.status == 403
            assert reply.first("access-control-allow-origin") is None
    assert not provider.all(mark)


@pytest.mark.parametrize("path", [CHAT, REST, "/healthcheck", "/metrics", NOBODY])
def test_a_rebound_name_is_refused_at_every_door(appliance: Appliance, path: str) -> None:
    with appliance.client() as client:
        client.host = b"evil.example:80"
        method = "POST" if path in (CHAT, REST) else "GET"
        assert client.call(path, b"{}", method=method).status == 403


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/healthcheck", "//evil.example/healthcheck", "/%2e%2e/healthcheck"],
)
def test_what_is_decided_on_is_what_is_served(appliance: Appliance, target: str) -> None:
    """Absolute forms, double slashes, dots: no way around the Host (field.md B3)."""
    with appliance.client() as client:
        assert client.call(target, method="GET").status in (400, 403, 404)
    with appliance.client() as client:
        client.host = b"good.example/abc?x="
        assert client.call("/healthcheck", method="GET").status == 400


@pytest.mark.parametrize("method", ["get", "TRACE", "CONNECT", "PRI", "FOO"])
def test_odd_methods_open_nothing(keyed: Appliance, method: str) -> None:
    reply = keyed.call(NOBODY, None, {"X-HTTP-Method-Override": "GET"}, method=method)
    assert reply.status >= 400
    again = keyed.call("/healthcheck", method="GET")
    assert again.status == 200


def test_a_page_that_is_allowed_gets_its_headers(keyed: Appliance) -> None:
    origin = {"Origin": "https://app.example.com"}
    asked = {
        **origin, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "helicone-auth,content-type",
    }  # fmt: skip
    preflight = keyed.call(CHAT, None, asked, method="OPTIONS")
    assert preflight.status == 204
    assert preflight.first("access-control-allow-origin") == b"https://app.example.com"
    assert preflight.first("access-control-allow-headers") == b"helicone-auth,content-type"
    for path, method in ((CHAT, "POST"), (NOBODY, "GET")):
        reply = keyed.call(path, ASK, {**origin, **bearer(KEY)}, method=method)
        assert reply.first("access-control-allow-origin") == b"https://app.example.com"
        assert reply.first("vary") == b"Origin"


def test_with_keys_other_pages_call_the_proxy_and_never_rest(keyed: Appliance) -> None:
    origin = {"Origin": "https://any.example", **bearer(KEY)}
    assert keyed.call(CHAT, ASK, origin).status == 200
    assert keyed.call(NOBODY, None, origin, method="GET").status == 403


# -- what never shows ----------------------------------------------------------------------------

CANARY = "canary7f3a9b2c"
PROVIDER_KEY = f"sk-proj-{CANARY}provider"
BAD_KEY = f"sk-helicone-{CANARY}-unknown"
PROMPT = f"{CANARY} prompt, and nobody else's business"
ODD: dict[str, bytes] = {
    "SQL": f"Bearer {CANARY}' OR 1=1; DROP TABLE api_keys; --".encode(),
    "non-ASCII": b"Bearer " + CANARY.encode() + "ключ".encode(),
    "Latin-1": b"Bearer " + CANARY.encode() + b"\xe9\xff",
    "NUL": b"Bearer " + CANARY.encode() + b"\x00",
    "60 KB": b"Bearer " + CANARY.encode() * 4000,
    "1 MB": b"Bearer " + CANARY.encode() * 75_000,
    "comma-joined": f"Bearer {PROVIDER_KEY}, Bearer {BAD_KEY}".encode(),
    "nothing": b"Bearer ",
    "empty": b"",
}
KEY_HEADERS = ("Authorization", "Helicone-Auth", "x-api-key", "api-key", "x-goog-api-key", "Cookie")


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("header", KEY_HEADERS)
@pytest.mark.parametrize("access", ["open", "keys"])
def test_odd_keys_are_answered_and_never_repeated(
    appliance: Appliance, keyed: Appliance, access: str, header: str, name: str
) -> None:
    server = appliance if access == "open" else keyed
    for path, method in ((CHAT, "POST"), (NOBODY, "GET")):
        with server.client() as client:
            with suppress(OSError):  # it may hang up on a head that is too large
                client.request(path, ASK, [(header.encode(), ODD[name])], method=method)
            reply = client.reply(method)
        assert reply.status < 500 or reply.status == 501
        assert CANARY.encode() not in reply.body
        assert CANARY not in str(reply.headers)
    assert CANARY not in server.log
    assert server.call("/healthcheck", method="GET").status == 200


def planted(server: Appliance, *more: tuple[bytes, bytes]) -> Headers:
    return [(b"Authorization", f"Bearer {PROVIDER_KEY}".encode()), *more]


@pytest.mark.parametrize("form", ["text", "json"])
def test_keys_and_prompts_show_nowhere_but_in_the_bodies(
    provider: Provider, tmp_path: Path, form: str
) -> None:
    """All that can go wrong goes wrong, with canaries in every place (field.md B1, B2)."""
    ask = {**ASK, "messages": [{"role": "user", "content": PROMPT}]}
    config = f'access_log = true\nlog_format = "{form}"\nlog_level = "debug"\n'
    config += '[deadlines]\nfirst_byte = "0.2s"\ngap = "0.2s"\n'
    replies = []
    with Appliance(tmp_path, provider, config=config) as appliance:
        for model in (
            "gpt-4o", "fake-stall", "fake-stall-after-1", "fake-cut-after-1", "fake-malformed-head",
            "fake-reset-before-headers", "fake-error-401", "fake-error-500", "fake-error-in-200",
            "fake-malformed-chunk",
        ):  # fmt: skip
            for key in (BAD_KEY, ""):
                more = [(b"Helicone-Auth", b"Bearer " + key.encode())] if key else []
                body = {**ask, "model": model, "stream": "after" in model}
                replies.append(appliance.call(CHAT, body, planted(appliance, *more)))
        path = f"/v1/chat/completions?key={PROVIDER_KEY}&x=1"
        for target in ("http://nowhere.invalid", "http://169.254.169.254", provider.url, "no url"):
            headers = planted(appliance, (b"Helicone-Target-URL", target.encode()))
            replies.append(appliance.call(path, ask, headers))
        in_path = appliance.call(f"/{KEY}{CHAT}?api_key={PROVIDER_KEY}", ask, planted(appliance))
        replies += [in_path, appliance.call(MESSAGES, ask, [(b"x-api-key", PROVIDER_KEY.encode())])]
        replies.append(appliance.call(CHAT, b"{not json " + PROMPT.encode(), planted(appliance)))
        replies.append(appliance.call(REST, json.dumps({"filter": {CANARY: 1}}).encode()))
        with appliance.client() as client:
            client.send(f"GET /{CANARY} HTTP/9.9\r\nX: {PROMPT}\r\n\r\n".encode())
            replies.append(client.reply())
        metrics = appliance.call("/metrics", method="GET").body.decode()
        appliance.row(appliance.call(CHAT, ASK).id)  # all before it are there
        rows = appliance.query("SELECT * FROM requests")
        assert len(rows) >= 25
    log = appliance.log
    for place in (log, metrics, json.dumps(rows, default=str)):
        assert CANARY not in place
        assert KEY not in place
    for reply in replies:
        if b"helicone_" in reply.body:  # an error of ours
            assert CANARY.encode() not in reply.body
        assert CANARY not in str(reply.headers)
    if form == "json":
        assert all("event" in json.loads(line) for line in log.splitlines())
    kept = [path for path in appliance.data.rglob("*") if path.is_file()]
    secrets = (PROVIDER_KEY.encode(), KEY.encode(), BAD_KEY.encode())
    assert not [path for path in kept if any(s in path.read_bytes() for s in secrets)]


def test_the_log_has_a_line_for_each_good_call_only_when_asked(
    provider: Provider, tmp_path: Path
) -> None:
    config = 'access_log = true\nlog_format = "json"\n'
    with Appliance(tmp_path / "asked", provider, config=config) as appliance:
        ids = [appliance.call(CHAT, ask).id for ask in (ASK, STREAM)]
        with appliance.client() as client:
            client.call("/healthcheck", method="GET")
            ids.append(client.call(CHAT, ASK).id)  # the full lane
        failed = appliance.call(CHAT, {**ASK, "model": "fake-reset-before-headers"})
        until(lambda: appliance.log.count("\n") >= 4)
        lines = [json.loads(line) for line in appliance.log.splitlines()]
    calls = [line for line in lines if line["event"] == "call"]
    assert [line["id"] for line in calls] == ids
    assert set(calls[0]) == {
        "time", "level", "event", "method", "path", "client", "provider", "status", "outcome",
        "ms", "id",
    }  # fmt: skip
    assert {line["client"] for line in calls} == {"127.0.0.1"}
    assert [line["id"] for line in lines if line["event"] != "call"] == [failed.id]
    with Appliance(tmp_path / "not", provider) as appliance:
        assert appliance.call(CHAT, ASK).status == 200
    assert appliance.log == ""


@pytest.mark.parametrize(
    ("trusted", "written", "address"),
    [
        ("127.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", f"1.1.1.1, {CANARY}", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
    ],
)
def test_behind_a_proxy_the_log_says_who_called(
    provider: Provider, tmp_path: Path, trusted: str, written: str, address: str
) -> None:
    config = f'access_log = true\nlog_format = "json"\ntrusted_proxies = ["{trusted}"]\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        with appliance.client() as client:
            client.call(CHAT, ASK, {"X-Forwarded-For": written})
            client.call("/healthcheck", method="GET")
            client.call(CHAT, ASK, {"X-Forwarded-For": written})  # the full lane
        until(lambda: appliance.log.count("\n") >= 2)
        lines = [json.loads(line) for line in appliance.log.splitlines()]
    assert [line["client"] for line in lines] == [address] * 2
    assert CANARY not in appliance.log


def test_refusals_have_one_line_each(provider: Provider, tmp_path: Path) -> None:
    config = 'access = "keys"\nlog_format = "json"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        assert appliance.call(CHAT, ASK).status == 401
        assert appliance.call(NOBODY, method="GET").status == 401
        assert appliance.call("/v1/gateway/nobody/x", ASK).status == 400
    lines = [json.loads(line) for line in appliance.log.splitlines()]
    assert [(line["event"], line["status"]) for line in lines] == [
        ("refused", 401), ("refused", 401), ("refused", 400),
    ]  # fmt: skip


def test_a_process_of_another_user_cannot_ask(appliance: Appliance) -> None:
    """The control socket and all that is kept are for their owner alone."""
    for path in (appliance.data, appliance.data / "control.sock", appliance.data / "state.sqlite"):
        assert os.stat(path).st_mode & 0o077 == 0, path
