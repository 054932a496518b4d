"""Two regions in one process: own directory, journal and keys each; nothing spans them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import failed_start, run
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
EU_KEY = "sk-helicone-eu-abcdefg-hijklmn-opqrstu-vwxyzab"
US_KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyzab"
SQL = "select count(*) as n, any_value(request_id) as id from requests"


def both(directory: Path, provider: Provider, config: str = "") -> Appliance:
    eu = directory / "europe"
    return Appliance(directory, provider, config=f'eu_data_dir = "{eu}"\n{config}')


def command(appliance: Appliance, *arguments: str) -> str:
    done = run(
        appliance.directory,
        *arguments,
        "--config", str(appliance.config),
        "--data-dir", str(appliance.data),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def counted(appliance: Appliance, region: str) -> tuple[int, str]:
    out = command(appliance, "query", SQL, "--region", region, "--format", "json")
    row = json.loads(out)[0]
    return row["n"], row["id"]


def bearer(key: str) -> dict[str, str]:
    return {"Helicone-Auth": f"Bearer {key}"}


def test_records_lie_in_their_region_alone(provider: Provider, tmp_path: Path) -> None:
    with both(tmp_path, provider) as appliance:
        eu = appliance.call(CHAT, {**ASK, "user": "a planted word: gnocchi"}, bearer(EU_KEY))
        us = appliance.call(CHAT, ASK, bearer(US_KEY))
        assert (eu.status, us.status) == (200, 200)
        assert counted(appliance, "eu") == (1, eu.id)
        assert counted(appliance, "us") == (1, us.id)
        found = appliance.call(f"/v1/request/{eu.id}", None, bearer(EU_KEY), method="GET")
        assert found.json["data"]["request_id"] == eu.id
        other = appliance.call(f"/v1/request/{eu.id}", None, bearer(US_KEY), method="GET")
        assert other.status == 404
    # Without a server too.
    assert counted(appliance, "eu") == (1, eu.id)
    assert counted(appliance, "us") == (1, us.id)
    for place, ours, theirs in (
        (tmp_path / "europe", eu.id, us.id),
        (appliance.data, us.id, eu.id),
    ):
        kept = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
        assert ours.encode() in kept
        assert theirs.encode() not in kept


def test_keys_live_in_their_region_and_work_at_once(provider: Provider, tmp_path: Path) -> None:
    with both(tmp_path, provider, 'access = "keys"\n') as appliance:
        assert appliance.call(CHAT, ASK, bearer(EU_KEY)).status == 401
        eu = command(appliance, "keys", "create", "one", "--region", "eu")
        us = command(appliance, "keys", "create", "two")
        assert "-eu-" in eu
        assert "-eu-" not in us
        assert appliance.call(CHAT, ASK, bearer(eu)).status == 200
        assert appliance.call(CHAT, ASK, bearer(us)).status == 200
        assert counted(appliance, "eu")[0] == counted(appliance, "us")[0] == 1
        listed = json.loads(command(appliance, "keys", "list", "--json", "--region", "eu"))
        assert [row["name"] for row in listed] == ["one"]
        command(appliance, "keys", "revoke", "one", "--region", "eu")
        assert appliance.call(CHAT, ASK, bearer(eu)).status == 401
        assert appliance.call(CHAT, ASK, bearer(us)).status == 200
    # Without a server, and known after the next start.
    again = command(appliance, "keys", "create", "three", "--region", "eu")
    appliance.start()
    assert appliance.call(CHAT, ASK, bearer(again)).status == 200
    assert appliance.stop() == 0


def test_imported_hashes_of_eu_keys(provider: Provider, tmp_path: Path) -> None:
    from appliance.core.keys import hash_key

    file = tmp_path / "keys.csv"
    file.write_text(f"api_key_hash,api_key_name\n{hash_key(EU_KEY)},old\n")
    with both(tmp_path, provider, 'access = "keys"\n') as appliance:
        command(appliance, "keys", "import", str(file), "--region", "eu")
        assert appliance.call(CHAT, ASK, bearer(EU_KEY)).status == 200
        assert counted(appliance, "eu")[0] == 1


@pytest.mark.parametrize("access", ["open", "keys"])
def test_without_an_eu_directory_an_eu_key_gets_a_503_that_says_so(
    provider: Provider, tmp_path: Path, access: str
) -> None:
    config = f'access = "{access}"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        reply = appliance.call(CHAT, ASK, bearer(EU_KEY))
        # With keys it is unknown as well; that no EU key can be known here is the better answer.
        assert reply.status == 503
        assert "eu_data_dir" in reply.json["error"]["message"]
        rest = appliance.call(f"/v1/request/{'0' * 8}-0000-0000-0000-{'0' * 12}", None,
                              bearer(EU_KEY), method="GET")  # fmt: skip
        assert rest.status == 503
        done = run(
            tmp_path, "keys", "create", "x", "--region", "eu", "--data-dir", str(appliance.data)
        )
        assert done.returncode == 1
        assert "eu_data_dir" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_an_eu_bootstrap_key_needs_its_region(provider: Provider, tmp_path: Path) -> None:
    environ = {"HELICONE_APPLIANCE_BOOTSTRAP_KEY": EU_KEY}
    code, said = failed_start(tmp_path, environ=environ)
    assert code == 2
    assert "eu_data_dir" in said
    assert EU_KEY not in said
    eu = tmp_path / "europe"
    config = f'eu_data_dir = "{eu}"\naccess = "keys"\n'
    with Appliance(tmp_path, provider, config=config, environ=environ) as appliance:
        assert appliance.call(CHAT, ASK, bearer(EU_KEY)).status == 200
        assert counted(appliance, "eu")[0] == 1


def test_metrics_and_health_name_the_region(provider: Provider, tmp_path: Path) -> None:
    with both(tmp_path, provider) as appliance:
        assert appliance.call(CHAT, ASK, bearer(EU_KEY)).status == 200
        text = appliance.call("/metrics", method="GET").body.decode()
        assert 'region="eu"' in text
        assert 'journal_frames_total{region="eu"} 1' in text
        assert appliance.call("/healthcheck", method="GET").json["status"] == "healthy"
