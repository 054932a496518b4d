"""`backup` of a server that serves, `restore`, and what the restored one knows."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import run, until
from tests.e2e.storage_kit import mount, needs_root, small_disk
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
LARGE = {**ASK, "messages": [{"role": "user", "content": "x" * 3_000_000}]}
SECRET = "a passphrase of some length"
ENVIRON = {"HELICONE_BACKUP_PASSPHRASE": SECRET}


def command(tmp_path: Path, *arguments: str, code: int = 0, environ: Any = ENVIRON) -> Any:
    done = run(tmp_path, *arguments, "--json", environ=environ)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def ids(tmp_path: Path, data: Path) -> set[str]:
    sql = "SELECT request_id FROM requests"
    return {row["request_id"] for row in command(tmp_path, "query", sql, "--data-dir", str(data))}


class Load:
    """Calls from four threads; the ids of those that have ended."""

    def __init__(self, appliance: Appliance) -> None:
        self.done: list[str] = []
        self._appliance = appliance
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            reply = self._appliance.call(CHAT, ASK)
            assert reply.status == 200
            self.done.append(str(reply.id))


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain root", "encrypted root"])
def test_under_load_it_holds_all_that_ended_before(
    tmp_path: Path, provider: Provider, encrypted: bool
) -> None:
    key = 'master_key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"\n'
    config = key if encrypted else ""
    file, new = tmp_path / "b.backup", tmp_path / "new"
    with Appliance(tmp_path / "a", provider, config=config) as appliance:
        given = ("--data-dir", str(appliance.data), "--config", str(appliance.config))
        appliance.command("roll")
        large = str(appliance.call(CHAT, LARGE).id)
        made = appliance.command("keys.create", name="kept")
        with Load(appliance) as load:
            until(lambda: len(load.done) > 200)
            appliance.command("roll")
            until(lambda: len(load.done) > 300)
            before = set(load.done)
            told = command(tmp_path, "backup", str(file), *given, "--check")
            assert len(load.done) > len(before)  # it went on serving
        assert told["ok"] is True
        assert not list((appliance.data / "tmp").glob("backup-*"))
        assert file.stat().st_mode & 0o077 == 0
        assert b"gpt-4o" not in file.read_bytes()
    config_file = ("--config", str(appliance.config))
    back = command(tmp_path, "restore", str(file), "--data-dir", str(new), *config_file)
    assert (back["ok"], back["findings"]) == (True, [])
    with Appliance(tmp_path / "b", provider, config=config, data=new) as again:
        until(lambda: before | {large} <= rows(again))  # it takes in its journal first
        names = [one["name"] for one in again.command("keys.list")]
        assert made["name"] in names
        assert again.call(CHAT, ASK).status == 200


def rows(appliance: Appliance) -> set[str]:
    done = run(
        appliance.directory, "query", "SELECT request_id::VARCHAR AS request_id FROM requests",
        "--data-dir", str(appliance.data), "--config", str(appliance.config), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {row["request_id"] for row in json.loads(done.stdout)}


def test_without_a_server_and_what_is_refused(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path / "a", provider) as appliance:
        done = appliance.call(CHAT, ASK).id
    data, file = str(appliance.data), str(tmp_path / "b.backup")
    assert "--passphrase-file" in command(
        tmp_path, "backup", file, "--data-dir", data, code=2, environ={}
    )
    assert not os.path.exists(file)
    (tmp_path / "words").write_text(SECRET + "\n")
    words = ("--passphrase-file", str(tmp_path / "words"))
    assert command(tmp_path, "backup", file, "--data-dir", data, *words)["ok"] is True
    new = ("--data-dir", str(tmp_path / "new"))
    other = {"HELICONE_BACKUP_PASSPHRASE": "quite another one"}
    for arguments, environ, said in (
        (("--data-dir", data), ENVIRON, "is not empty"),
        (new, other, "passphrase is another one"),
        ((*new, "--unencrypted"), {}, "give its passphrase"),
        ((*new, "--region", "eu"), ENVIRON, "of the region us: say --region us"),
    ):
        assert said in command(tmp_path, "restore", file, *arguments, code=1, environ=environ)
        assert not list((tmp_path / "new").glob("*"))
    assert command(tmp_path, "restore", file, *new)["ok"] is True
    assert ids(tmp_path, tmp_path / "new") == {done}


@needs_root
def test_into_a_volume_of_its_own(tmp_path: Path, provider: Provider) -> None:
    """As a container has it: the directory is a mount, and all around it can be read alone."""
    with Appliance(tmp_path / "a", provider) as appliance:
        done = appliance.call(CHAT, ASK).id
    file, image = str(tmp_path / "b.backup"), tmp_path / "image"
    command(tmp_path, "backup", file, "--data-dir", str(appliance.data))
    with small_disk(image, 1), small_disk(image / "data", 64) as new:
        mount("-o", "remount,ro", str(image))
        assert command(tmp_path, "restore", file, "--data-dir", str(new))["ok"] is True
        assert ids(tmp_path, new) == {done}


def test_a_command_that_is_killed_leaves_nothing_behind(tmp_path: Path, provider: Provider) -> None:
    from appliance.control_client import ControlClient

    with Appliance(tmp_path, provider) as appliance:
        assert appliance.call(CHAT, ASK).status == 200
        client = ControlClient.connect(appliance.data)
        assert client is not None
        reply = next(client.replies("backup", {"region": "us"}))
        assert all(Path(path).exists() for _, path, _ in reply["value"])
        client.close()
        until(lambda: not list((appliance.data / "tmp").glob("backup-*")))
        assert appliance.command("roll")["ok"] is True  # nothing is held up
