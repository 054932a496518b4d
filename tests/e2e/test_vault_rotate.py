"""`vault rotate`: a new key of the vault under load, without a server, and killed at any moment."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.e2e.storage_kit import MIB, control, offline, told_on_stderr, wait_until
from tests.e2e.test_provider_keys import command
from tests.fakes.appliance import CHAT, ROOT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
MASTER = "HELICONE_APPLIANCE_MASTER_KEY"
PASSPHRASE = "a passphrase that nobody guesses"
ORGS = 12


def with_keys(appliance: Appliance, count: int = ORGS) -> dict[str, str]:
    """Organisations with a stored provider key each: Helicone key → what the provider must see."""
    found = {}
    for number in range(count):
        org = control(appliance, "orgs.create", name=f"org {number}")["id"]
        key = control(appliance, "keys.create", name="k", org=org)["key"]
        secret = f"sk-planted-{number}"
        control(appliance, "provider-keys.add", provider="openai", org=org, secret=secret)
        found[key] = secret
    return found


def check_all(appliance: Appliance, provider: Provider, keys: dict[str, str]) -> None:
    for key, secret in keys.items():
        reply = appliance.call(CHAT, ASK, {"helicone-auth": f"Bearer {key}"})
        assert reply.status == 200, reply
        assert provider.received[-1].first(b"authorization") == b"Bearer " + secret.encode()


def epochs(appliance: Appliance) -> list[int]:
    connection = sqlite3.connect(f"file:{appliance.data}/state.sqlite?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute("SELECT key_epoch FROM provider_keys")]
    finally:
        connection.close()


def vault_epoch(appliance: Appliance) -> int:
    document = json.loads((appliance.data / "vault.epochs").read_bytes())
    return max(row["epoch"] for row in document["epochs"])


def test_under_load_no_key_is_out_of_use(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider, lends=True) as appliance:
        keys = with_keys(appliance)
        found: list[int] = []
        stop = threading.Event()

        def load() -> None:
            with appliance.client() as client:
                while not stop.is_set():
                    for key in keys:
                        auth = {"helicone-auth": f"Bearer {key}"}
                        found.append(client.call(CHAT, ASK, auth).status)

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(2, 8):
                told = json.loads(command(appliance, "vault", "rotate", "--json"))
                assert told == {
                    "epoch": number, "provider_keys_sealed": ORGS, "provider_keys_left": 0,
                    "ok": True,
                }  # fmt: skip
                assert epochs(appliance) == [number] * ORGS
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert len(found) > 6 * ORGS
        assert set(found) == {200}
        check_all(appliance, provider, keys)
        assert json.loads(appliance.call("/healthcheck", method="GET").body)["reasons"] == []
        # Without a server, and known to the next one.
        assert appliance.stop() == 0
        assert offline(appliance, "vault.rotate")["epoch"] == 8
        assert epochs(appliance) == [8] * ORGS
        appliance.start()
        check_all(appliance, provider, keys)


def test_killed_at_any_moment_it_goes_on(tmp_path: Path, provider: Provider) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    appliance = Appliance(tmp_path, provider, lends=True)
    with appliance:
        keys = with_keys(appliance)
        for _ in range(4):
            before = vault_epoch(appliance)
            rotating = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "vault", "rotate", "--data-dir",
                 str(appliance.data)],
                cwd=ROOT, env=appliance.environ, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            # From the moment at which the new key is on the disk; some rounds before or after it.
            while chance.random() < 0.999 and rotating.poll() is None:
                if vault_epoch(appliance) > before:
                    time.sleep(chance.random() * 0.02)
                    break
            appliance.kill()
            rotating.wait(60)
            appliance.start()
            check_all(appliance, provider, keys)
            wait_until(lambda: epochs(appliance) == [vault_epoch(appliance)] * ORGS)
        check_all(appliance, provider, keys)


def test_everything_encrypted_and_a_new_master_key(tmp_path: Path, provider: Provider) -> None:
    """What was recorded under older keys is read as before, what comes goes under the new one:
    small and large, straight after the change and after a roll."""
    appliance = Appliance(tmp_path, provider, lends=True, environ={MASTER: PASSPHRASE})
    with appliance:
        keys = with_keys(appliance, 2)
        auth = {"helicone-auth": f"Bearer {next(iter(keys))}"}
        texts = []

        def speak() -> None:
            for size in (20, 3 * MIB):
                text = f"said-{len(texts)}-"
                texts.append(text)
                ask = {**ASK, "user": text + "x" * size}
                assert appliance.call(CHAT, ask, auth).status == 200

        def readable() -> None:
            for text in texts:
                sql = f"SELECT count(*) AS n FROM bodies WHERE request LIKE '%{text}%'"
                assert appliance.query(sql) == [{"n": 1}], text

        speak()
        assert control(appliance, "vault.rotate")["epoch"] == 2
        speak()
        readable()
        assert control(appliance, "roll")["ok"]
        assert control(appliance, "vault.rotate")["ok"]
        speak()
        readable()
        assert control(appliance, "verify")["ok"]
        other = "another passphrase that nobody guesses"
        command(appliance, "vault", "rotate", "--new-master-key", given=other + "\n")
        speak()
        readable()
        appliance.kill()
        told = told_on_stderr(appliance.data, "verify", environ={MASTER: PASSPHRASE})
        assert told.returncode == 1
        assert "master_key is not the key" in told.stderr
        appliance.environ[MASTER] = other
        appliance.start()
        readable()
        check_all(appliance, provider, keys)
        # What no configuration could hold, or nothing at all, is no new key.
        for given in ("x\n", "", " \n", "schöne lange Wörter", "twelve\tcharacters"):
            said = command(
                appliance, "vault", "rotate", "--new-master-key", given=given, fails=True
            )
            assert "12 characters" in said
        assert vault_epoch(appliance) == 4


def test_a_new_master_key_where_there_is_none_is_refused(
    tmp_path: Path, provider: Provider
) -> None:
    with Appliance(tmp_path, provider) as appliance:
        said = command(
            appliance, "vault", "rotate", "--new-master-key", given=PASSPHRASE, fails=True
        )
        assert "set master_key and start again" in said
        assert vault_epoch(appliance) == 1
