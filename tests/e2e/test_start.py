"""The start: what stops it with one line, what is printed, and when it is ready."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.e2e.starting import environment, failed_start, until
from tests.fakes.appliance import ROOT, Appliance
from tests.fakes.patience import PATIENCE_S, soonest
from tests.fakes.raw_client import RawClient

# The rule is 1.0 s (M1), on a machine that does nothing else.
FIRST_REPLY_S = 2.0


def failed_with(directory: Path, toml: str) -> tuple[int, str]:
    file = directory / "appliance.toml"
    file.write_text(toml)
    return failed_start(directory, "--config", str(file))


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = failed_start(tmp_path, "--port", str(port))
    assert code == 1
    assert f"127.0.0.1:{port}" in said
    assert "in use" in said
    assert not (tmp_path / "data").exists()


def test_a_host_that_is_not_ours(tmp_path: Path) -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        code, said = failed_start(tmp_path, "--host", host)
        assert code == 1
        assert f"cannot listen on {host}" in said


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    code, said = failed_start(tmp_path)
    assert code == 1
    assert str(tmp_path / "data") in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    code, said = failed_start(tmp_path)
    assert code == 1
    assert "Permission denied" in said


def test_a_data_directory_of_a_newer_version(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "FORMAT").write_text("99\n")
    code, said = failed_start(tmp_path)
    assert code == 1
    assert "newer version" in said


def test_the_wrong_master_key(tmp_path: Path) -> None:
    first = {"HELICONE_APPLIANCE_MASTER_KEY": "a passphrase of some length"}
    with Appliance(tmp_path, environ=first):
        pass
    environ = {"HELICONE_APPLIANCE_MASTER_KEY": "another passphrase, canary"}
    code, said = failed_start(tmp_path, environ=environ)
    assert code == 1
    assert "canary" not in said


BAD = {
    "unknown option": ("hots = 1\n", "did you mean host"),
    "a value that is not allowed": ('log_level = "loud"\n', "log_level"),
    "a size out of range": ('memory_bytes_max = "1MiB"\n', "memory_bytes_max"),
    "unknown provider without a URL": ("[providers.mine]\ndialect = 'openai'\n", "base_url"),
    "a reserved id": ("[providers.v1]\nbase_url = 'http://x.example'\n", "path of its own"),
    "two names of one provider": (
        "[providers.oai]\nname = 'A'\n[providers.openai]\nname = 'B'\n", "are the same",
    ),
    "an unknown auth style": ("[providers.openai]\nauth = 'magic'\n", "auth"),
    "an unknown dialect": ("[providers.openai]\ndialect = 'klingon'\n", "dialect"),
    "a price row that is none": ("[[prices]]\nprovider = 'openai'\n", "prices"),
    "a ready file nowhere": ("ready_file = '/no/such/place/ready'\n", "ready_file"),
    "no TOML": ("port = \n", "TOML"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_configuration_that_cannot_be(tmp_path: Path, name: str) -> None:
    toml, word = BAD[name]
    code, said = failed_with(tmp_path, toml)
    assert code == 2
    assert word in said
    assert not (tmp_path / "data").exists()


@contextmanager
def serving(
    directory: Path, *flags: str, environ: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str]]:
    """Serve with these flags: what it printed, and its URL by the ready file."""
    ready = directory / "ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "appliance.cli", "serve", "--ready-file", str(ready)]
    if "--port" not in flags:
        command += ["--port", "0"]
    command += ["--data-dir", str(directory / "data"), *flags]
    out = directory / "printed.txt"
    with out.open("w") as stdout:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(directory, environ),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        until(lambda: ready.exists() or process.poll() is not None)
        told = json.loads(ready.read_text())
        assert told["pid"] == process.pid
        until(lambda: "ask it" in out.read_text())
        yield out.read_text(), told["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert said == ""


def test_the_ready_file_appears_when_it_accepts(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text('{"url": "http://127.0.0.1:1", "pid": 1}')  # of an earlier run
    with Appliance(tmp_path) as appliance:
        for _ in range(3):
            assert appliance.call("/healthcheck", method="GET").status == 200
        told = json.loads(ready.read_text())
        assert told == {"url": appliance.url, "pid": appliance.pid}
        until(lambda: appliance.call("/readycheck", method="GET").status == 200)


def test_the_first_reply_comes_soon(tmp_path: Path) -> None:
    def start() -> float:
        began_s = time.monotonic()
        with serving(tmp_path) as (_, url), RawClient(url) as client:
            assert client.call("/healthcheck", method="GET").status == 200
            return time.monotonic() - began_s

    soonest(start, FIRST_REPLY_S)


def test_what_is_printed_in_open_access(tmp_path: Path) -> None:
    with serving(tmp_path) as (printed, url):
        assert f"listens on {url}\n" in printed
        assert url.startswith("http://127.0.0.1:")
        assert f"data: {tmp_path / 'data'}\n" in printed
        assert f'OpenAI(base_url="{url}/v1/gateway/oai/v1")' in printed
        assert f'Anthropic(base_url="{url}/v1/gateway/anthropic")' in printed
        assert "Helicone-Auth" not in printed
        assert "warning" not in printed


def test_what_is_printed_on_every_address(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as (printed, url):
        assert url.startswith("http://127.0.0.1:")
        assert "Helicone-Auth" in printed
        assert "keys create NAME --data-dir" in printed
        assert "all addresses" in printed


def test_what_is_printed_with_tls_and_a_public_url(tmp_path: Path) -> None:
    certificate, key = Authority().issue("127.0.0.1").write(tmp_path, "server")
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serving(tmp_path, *tls) as (printed, url):
        assert url.startswith("https://127.0.0.1:")
        assert f'OpenAI(base_url="{url}/v1/gateway/oai/v1")' in printed
    with serving(tmp_path, "--public-url", "https://llm.example.com/x") as (printed, _):
        assert 'base_url="https://llm.example.com/x/v1/gateway/oai/v1"' in printed


IDLE = """
admin_key = "canary-canary-canary"
[providers.openai]
[providers.openai.deadlines]
client_write = "5s"
first_byte = "5s"
"""
NAMED = ["providers.openai.deadlines.client_write"]


def test_options_without_effect_are_named_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(IDLE)
    with serving(tmp_path, "--config", str(file)) as (printed, _):
        warned = [line for line in printed.splitlines() if "warning" in line]
    assert len(warned) == 1
    assert sorted(warned[0].partition("version: ")[2].split(", ")) == sorted(NAMED)
    assert "canary" not in printed


def test_open_access_on_every_address_is_warned_about(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", "--access", "open") as (printed, _):
        assert "warning: access is open on 0.0.0.0" in printed


def test_a_reader_of_its_output_that_goes_does_not_end_it(tmp_path: Path) -> None:
    appliance = Appliance(tmp_path)
    ready = tmp_path / "ready.json"
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "appliance.cli", "serve", "--port", "0", "--ready-file"]
    process = subprocess.Popen(
        [*command, str(ready), "--data-dir", str(appliance.data)],
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=write,
        stderr=write,
    )
    os.close(write)
    until(ready.exists)
    url = json.loads(ready.read_text())["url"]
    with RawClient(url) as client:
        assert client.call("/no/such/door", method="GET").status == 404  # a log line
        assert client.call("/healthcheck", method="GET").status == 200
    process.terminate()
    assert process.wait(PATIENCE_S) == 0


def test_closed_standard_streams_do_not_become_files_of_ours(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command: list[Any] = [sys.executable, "-m", "appliance.cli", "serve", "--port", "0"]
    command += ["--ready-file", ready, "--data-dir", tmp_path / "data"]
    line = " ".join(f"'{part}'" for part in command)
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {line} <&- >&- 2>&-"], cwd=ROOT, env=environment(tmp_path)
    )
    until(lambda: ready.exists() or process.poll() is not None)
    places = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
    assert places == ["/dev/null"] * 3
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
