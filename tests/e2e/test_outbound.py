"""The way out: outbound proxies, private CAs, client certificates, and addresses nobody may reach
through us."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.e2e.starting import failed_start, until
from tests.fakes.appliance import CHAT, Appliance, Row
from tests.fakes.fronts import ConnectProxy, Names, TlsFront
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Reply

CA = Authority()
STRANGER = Authority("a stranger's CA")
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}
Closed = tuple[Appliance, Names]
KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyzab"
PASSWORD = "p@ss:w/rd-canary"
LOGIN = "user:" + PASSWORD
QUOTED = "user:p%40ss%3Aw%2Frd-canary"


def openai_at(url: str, *lines: str) -> str:
    front = ["[providers.openai]", f'base_url = "{url}"', 'auth = "none"']
    return "\n".join([*front, *lines]) + "\n"


def trusting(directory: Path) -> str:
    return f'ca_file = "{CA.write(directory)}"'


def message(reply: Reply) -> str:
    text: str = reply.json["error"]["message"]
    return text


def to(appliance: Appliance, url: str, **headers: str) -> Reply:
    return appliance.call("/v1/chat/completions", ASK, {"Helicone-Target-URL": url, **headers})


# -- TLS towards the provider --------------------------------------------------------------------


def test_a_private_ca(provider: Provider, tmp_path: Path) -> None:
    with TlsFront(provider.url, CA.issue("127.0.0.1"), tmp_path) as front:
        config = openai_at(front.url, trusting(tmp_path))
        with Appliance(tmp_path, config=config) as appliance:
            with appliance.client() as client:
                for ask in (ASK, STREAM, {**ASK, "model": "fake-big-1000"}):
                    reply = client.call(CHAT, ask)
                    assert (reply.status, reply.end) == (200, "clean")
            assert front.connections == 1
            row = appliance.row(reply.id)
            assert row["target_url"].startswith(front.url)


@pytest.mark.parametrize(
    ("name", "trusted", "said"),
    [
        ("127.0.0.1", False, "ca_file"),
        ("other.example.com", True, "not for 127.0.0.1"),
    ],
)
def test_a_certificate_that_is_not_accepted(
    provider: Provider, tmp_path: Path, name: str, trusted: bool, said: str
) -> None:
    with TlsFront(provider.url, CA.issue(name), tmp_path) as front:
        config = openai_at(front.url, *([trusting(tmp_path)] if trusted else []))
        with Appliance(tmp_path, config=config) as appliance:
            reply = appliance.call(CHAT, ASK)
            assert reply.status == 502
            assert said in message(reply)
            row = appliance.row(reply.id)
            assert (row["outcome"], row["http_status"]) == ("connect_failed", 502)


def test_sighup_reads_the_files_again_and_keeps_what_it_has_when_they_are_broken(
    provider: Provider, tmp_path: Path
) -> None:
    file = CA.write(tmp_path)
    with TlsFront(provider.url, CA.issue("127.0.0.1"), tmp_path) as front:
        config = openai_at(front.url, f'ca_file = "{file}"')
        with Appliance(tmp_path, config=config) as appliance:

            def reloaded(word: str) -> None:
                seen = appliance.log.count("reload")
                os.kill(appliance.pid, signal.SIGHUP)
                until(lambda: appliance.log.count("reload") > seen)
                assert word in appliance.log.splitlines()[-1]

            file.write_text("nonsense")
            reloaded("providers.openai.ca_file")
            assert appliance.call(CHAT, ASK).status == 200
            STRANGER.write(tmp_path)
            reloaded("INFO")
            front.hang_up()
            assert appliance.call(CHAT, ASK).status == 502


def test_a_client_certificate(provider: Provider, tmp_path: Path) -> None:
    ca = CA.write(tmp_path)
    mine = tmp_path / "mine.pem"
    mine.write_bytes(CA.issue("a client").both)
    with TlsFront(provider.url, CA.issue("127.0.0.1"), tmp_path, client_ca=ca) as front:
        config = openai_at(front.url, f'ca_file = "{ca}"', f'client_cert = "{mine}"')
        with Appliance(tmp_path / "with", config=config) as appliance:
            assert appliance.call(CHAT, ASK).status == 200
            assert "a client" in front.shown[0]
        with Appliance(
            tmp_path / "without", config=openai_at(front.url, trusting(tmp_path))
        ) as bare:
            reply = bare.call(CHAT, ASK)
            assert reply.status == 502
            assert "client_cert" in message(reply)


def test_a_provider_that_speaks_no_tls(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.recv(1000)

        threading.Thread(target=answer).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with Appliance(tmp_path, config=openai_at(url)) as appliance:
            reply = appliance.call(CHAT, ASK)
        assert reply.status == 502
        assert "does not speak TLS" in message(reply)


@pytest.mark.parametrize("option", ["ca_file", "client_cert"])
@pytest.mark.parametrize("text", [None, "nonsense"])
def test_files_that_cannot_be_used_stop_the_start(
    tmp_path: Path, option: str, text: str | None
) -> None:
    file = tmp_path / "some.pem"
    if text is not None:
        file.write_text(text)
    config = tmp_path / "appliance.toml"
    config.write_text(openai_at("https://127.0.0.1:1", f'{option} = "{file}"'))
    code, said = failed_start(tmp_path, "--config", str(config))
    assert code == 2
    assert f"providers.openai.{option}" in said
    assert str(file) in said


# -- outbound proxies ----------------------------------------------------------------------------


def test_calls_go_through_the_proxy_with_its_password(provider: Provider, tmp_path: Path) -> None:
    certificate = CA.issue("llm.example.com")
    with TlsFront(provider.url, certificate, tmp_path) as front:
        ports = {"llm.example.com:443": front.port}
        with ConnectProxy(ports, login=LOGIN) as proxy:
            environ = {"HTTPS_PROXY": f"http://{QUOTED}@127.0.0.1:{proxy.port}"}
            config = openai_at("https://llm.example.com", trusting(tmp_path))
            with Appliance(tmp_path, config=config, environ=environ) as appliance:
                with appliance.client() as client:
                    replies = [client.call(CHAT, ask) for ask in (ASK, STREAM)]
                assert [(reply.status, reply.end) for reply in replies] == [(200, "clean")] * 2
                assert proxy.asked == ["CONNECT llm.example.com:443 HTTP/1.1"]
                url = "https://my.openai.azure.com"
                unknown = to(appliance, url, Authorization="Bearer sk-of-the-client")
                assert unknown.status == 502
                assert "403" in message(unknown)
            assert "canary" not in appliance.log + str(unknown)


def test_a_proxy_that_wants_another_password(provider: Provider, tmp_path: Path) -> None:
    with ConnectProxy({}, login="somebody:else") as proxy:
        environ = {"https_proxy": f"http://{QUOTED}@127.0.0.1:{proxy.port}"}
        config = openai_at("https://llm.example.com")
        with Appliance(tmp_path, config=config, environ=environ) as appliance:
            reply = appliance.call(CHAT, ASK)
            assert reply.status == 502
            assert "407" in message(reply)
            row = appliance.row(reply.id)
        assert "canary" not in appliance.log + str(reply) + str(row)


def test_plain_targets_are_tunnelled_too_and_no_proxy_is_obeyed(
    provider: Provider, tmp_path: Path
) -> None:
    names = Names(tmp_path)
    names.tell({"direct.example.com": "127.0.0.1"})
    with ConnectProxy({"plain.example.com:80": provider.port}) as proxy:
        environ = {
            **names.environ, "HTTP_PROXY": proxy.url, "NO_PROXY": "direct.example.com,10.0.0.0/8",
        }  # fmt: skip
        config = openai_at("http://plain.example.com")
        config += f'[providers.direct]\nbase_url = "http://direct.example.com:{provider.port}"\n'
        config += 'auth = "none"\n'
        with Appliance(tmp_path, config=config, environ=environ) as appliance:
            assert appliance.call(CHAT, ASK).status == 200
            assert proxy.asked == ["CONNECT plain.example.com:80 HTTP/1.1"]
            direct = appliance.call("/v1/gateway/direct/v1/chat/completions", ASK)
            assert direct.status == 200
            assert len(proxy.asked) == 1


def test_a_proxy_that_is_not_there(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "http://127.0.0.1:1"}
    config = openai_at("https://llm.example.com")
    with Appliance(tmp_path, config=config, environ=environ) as appliance:
        reply = appliance.call(CHAT, ASK)
        assert reply.status == 502
        assert "proxy" in message(reply)


@pytest.mark.parametrize(
    "url", ["socks5://127.0.0.1:1080", "http://canary:canary@bad host", "http://127.0.0.1:99999"]
)
def test_a_proxy_that_cannot_be_used_stops_the_start(tmp_path: Path, url: str) -> None:
    code, said = failed_start(tmp_path, environ={"HTTPS_PROXY": url})
    assert code == 2
    assert "https_proxy" in said
    assert "canary" not in said


# -- which addresses may be reached --------------------------------------------------------------

REBOUND = ("127.0.0.1", "10.0.0.5", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0")
NOWHERE = [
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]",
    "http://100.100.100.200",
    "http://168.63.129.16",
    "http://[::ffff:169.254.169.254]",
]
NEARBY = [
    "http://127.0.0.1:{port}", "http://localhost:{port}", "http://10.0.0.1", "http://192.168.1.1",
    "http://[::1]:{port}", "http://box:{port}", "http://a.localhost:{port}",
]  # fmt: skip
DISGUISED = [
    "http://0:{port}", "http://0x7f.1:{port}", "http://2130706433:{port}", "http://0177.0.0.1:{port}",
    "http://127.1:{port}", "http://user:pass@127.0.0.1:{port}", "http://①②⑦.0.0.1:{port}",
    "file:///etc/passwd", "http://127.0.0.1:{port}#@api.openai.com", "//127.0.0.1:{port}",
]  # fmt: skip


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Provider]:
    """A service of this machine that is no provider of ours."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def closed(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    """With keys: nothing nearby, but for what is listed."""
    directory = tmp_path_factory.mktemp("closed")
    names = Names(directory)
    config = 'access = "keys"\nallow_targets = ["10.9.8.7", "listed.example.com"]\n'
    environ = {**names.environ, "HELICONE_APPLIANCE_BOOTSTRAP_KEY": KEY}
    running = Appliance(directory, provider, config=config, environ=environ)
    with running:
        yield running, names


@pytest.mark.parametrize("url", NEARBY + NOWHERE)
def test_with_keys_nothing_nearby_is_reached(closed: Closed, neighbour: Provider, url: str) -> None:
    appliance, _ = closed
    reply = to(appliance, url.format(port=neighbour.port), **{"Helicone-Auth": f"Bearer {KEY}"})
    assert reply.status == 403
    assert not neighbour.received


@pytest.mark.parametrize("url", DISGUISED)
def test_addresses_in_disguise_are_no_urls(closed: Closed, neighbour: Provider, url: str) -> None:
    appliance, _ = closed
    reply = to(appliance, url.format(port=neighbour.port), **{"Helicone-Auth": f"Bearer {KEY}"})
    assert reply.status in (400, 403)
    assert not neighbour.received


@pytest.mark.parametrize("url", NOWHERE)
def test_open_access_reaches_no_metadata_service(appliance: Appliance, url: str) -> None:
    reply = to(appliance, url)
    assert reply.status == 403


def test_open_access_reaches_this_machine(appliance: Appliance, provider: Provider) -> None:
    for url in (provider.url, provider.url.replace("127.0.0.1", "localhost")):
        assert to(appliance, url).status == 200


def test_a_base_url_of_the_configuration_may_be_private(closed: Closed) -> None:
    appliance, _ = closed
    assert appliance.call(CHAT, ASK, {"Helicone-Auth": f"Bearer {KEY}"}).status == 200


def test_a_name_that_is_rebound_is_judged_where_it_is_dialled(
    closed: Closed, provider: Provider
) -> None:
    """An approved name, whoever controls its DNS, leads to no address of ours."""
    appliance, names = closed
    provider.clear()
    for number, address in enumerate(REBOUND):
        name = f"rebound-{number}.openai.azure.com"
        names.tell({name: address})
        url = f"http://{name}:{provider.port}"
        theirs = {"Helicone-Auth": f"Bearer {KEY}", "Authorization": "Bearer sk-of-the-client"}
        reply = to(appliance, url, **theirs)
        assert (reply.status, reply.json["error"]["code"]) == (403, "target_refused")
        assert "allow_targets" in message(reply)
    assert not provider.received
    row: Row = appliance.row(reply.id)
    assert (row["outcome"], row["http_status"]) == ("refused", 403)


def test_a_listed_name_may_be_private_and_its_metadata_address_still_not(
    closed: Closed, provider: Provider
) -> None:
    appliance, names = closed
    key = {"Helicone-Auth": f"Bearer {KEY}"}
    names.tell({"listed.example.com": "169.254.169.254"})
    url = f"http://listed.example.com:{provider.port}"
    assert to(appliance, url, **key).status == 403
    with Appliance(
        appliance.directory / "fresh",
        config='access = "keys"\nallow_targets = ["listed.example.com"]\n',
        environ={**names.environ, "HELICONE_APPLIANCE_BOOTSTRAP_KEY": KEY},
    ) as fresh:
        names.tell({"listed.example.com": "127.0.0.1"})
        assert to(fresh, url, **key).status == 200


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "a.localhost", "here.internal"])
def test_our_own_listener_is_no_target(tmp_path: Path, listen: str, host: str) -> None:
    names = Names(tmp_path)
    names.tell({"here.internal": "127.0.0.1"})
    config = 'access = "open"\n'
    appliance = Appliance(tmp_path, config=config, environ=names.environ)
    appliance.start("--host", listen)
    try:
        reply = to(appliance, f"http://{host}:{appliance.url.rpartition(':')[2]}")
        assert (reply.status, reply.json["error"]["code"]) == (403, "target_refused")
        assert "this server itself" in message(reply)
    finally:
        assert appliance.stop() == 0


def test_a_redirect_is_passed_on_and_not_followed(appliance: Appliance, provider: Provider) -> None:
    reply = appliance.call(CHAT, ASK, {"x-fake": "fake-redirect"})
    assert reply.status == 302
    assert reply.first("location") == b"http://169.254.169.254/latest"
    row = appliance.row(reply.id)
    assert (row["http_status"], len(row["attempts"])) == (302, 1)
