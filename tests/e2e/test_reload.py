"""SIGHUP: what is read again holds for the next call; what cannot be used changes nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, Appliance, providers_toml
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
COST = "SELECT request_id::varchar AS id, cost_usd::double AS cost FROM requests"


def prices(dollars: int) -> str:
    """USD per million tokens, either way, of any model of OpenAI's."""
    return (
        f'[[prices]]\nprovider = "openai"\nmodel = "gpt-4o*"\ninput = {dollars}\n'
        f"output = {dollars}\n"
    )


def told(appliance: Appliance, config: str) -> str:
    """Write the file, tell the server, and give the line that it logged."""
    appliance.config.write_text(config + providers_toml(appliance.provider))
    seen = appliance.log.count(" reload")
    os.kill(appliance.pid, signal.SIGHUP)
    until(lambda: appliance.log.count(" reload") > seen)
    return next(line for line in reversed(appliance.log.splitlines()) if " reload" in line)


def costs(appliance: Appliance) -> dict[str, float]:
    return {row["id"]: row["cost"] for row in appliance.query(COST)}


def test_prices_hold_from_the_next_call_on(provider: Provider, tmp_path: Path) -> None:
    gate = f"reload-{time.monotonic_ns()}"
    held = {"x-fake": "fake-held", "x-fake-gate": gate}
    with Appliance(tmp_path, provider, config=prices(1000)) as appliance:
        before = appliance.call(CHAT, ASK).id
        with appliance.client() as client:
            client.request(CHAT, {**ASK, "stream": True}, held)
            reply = client.head()
            client.frame(reply)
            said = told(appliance, prices(3000))
            assert "INFO" in said
            assert "changed=prices" in said
            after = appliance.call(CHAT, ASK).id
            provider.open_gate(gate)
            while client.frame(reply):
                pass
        appliance.row(reply.id, wait_s=PATIENCE_S)
        found = costs(appliance)
        assert found[after] == 3 * found[before] > 0
        row = appliance.row(reply.id)
        tokens = row["prompt_tokens"] + row["completion_tokens"]
        assert found[reply.id] * 1000 == tokens > 0  # as it was when the call came


def test_providers_and_routers(provider: Provider, tmp_path: Path) -> None:
    more = (
        f'[providers.mine]\nbase_url = "{provider.url}"\nauth = "none"\n'
        '[[routers.chat.targets]]\nprovider = "mine"\n'
    )
    with Appliance(tmp_path, provider) as appliance:
        through = "/router/chat/v1/chat/completions"
        assert appliance.call(through, ASK).status == 404
        assert "changed=providers, routers" in told(appliance, more).replace('"', "")
        assert appliance.call(through, ASK).status == 200
        assert out_of_chat(appliance) == [0, 0, 0]
        told(appliance, "")
        assert appliance.call(through, ASK).status == 404
        assert out_of_chat(appliance) == []


def test_a_router_that_stays_keeps_what_it_knows(provider: Provider, tmp_path: Path) -> None:
    """Its one target has failed and is left out; a reload for other reasons does not forget it."""
    router = (
        f'[providers.mine]\nbase_url = "{provider.url}"\nauth = "none"\n'
        '[routers.chat]\nfailures_max = 1\nopen = "1h"\n'
        '[[routers.chat.targets]]\nprovider = "mine"\n'
    )
    with Appliance(tmp_path, provider, config=router) as appliance:
        failing = {**ASK, "model": "fake-error-500"}
        assert appliance.call("/router/chat/v1/chat/completions", failing).status == 500
        left_out = out_of_chat(appliance)
        assert sum(left_out) == 1
        told(appliance, router + prices(5))
        assert out_of_chat(appliance) == left_out
        said = told(appliance, router.replace('open = "1h"', 'open = "30m"'))
        assert "routers" in said
        assert "INFO" in said
        assert sum(out_of_chat(appliance)) == 0


def out_of_chat(appliance: Appliance) -> list[int]:
    """In how many books the router's target is left out, by reason; nothing without a router."""
    text = appliance.call("/metrics", method="GET").body.decode()
    lines = [line for line in text.splitlines() if "router_target_out{" in line]
    return [int(line.split()[-1]) for line in lines if 'router="chat"' in line]


def test_allow_lists(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance:
        page = {"Origin": "https://app.example.com"}

        def statuses() -> list[int]:
            with appliance.client() as client, appliance.client() as named:
                named.host = b"llm.internal"
                return [
                    client.call("/v1/models", method="GET", headers=page).status,
                    named.call("/v1/models", method="GET").status,
                ]

        assert statuses() == [403, 403]
        lists = 'allow_origins = ["https://app.example.com"]\nallow_hosts = ["llm.internal"]\n'
        said = told(appliance, lists)
        assert "allow_hosts, allow_origins" in said
        assert statuses() == [200, 200]
        told(appliance, "")
        assert statuses() == [403, 403]


NOBODY = '[[routers.chat.targets]]\nprovider = "nobody"\n'
NO_FILE = '[providers.mine]\nca_file = "/nowhere.pem"\nbase_url = "https://x.example"\n'
BAD = [
    (prices(3000) + NOBODY, "routers.chat.targets[1].provider"),
    (prices(3000) + NO_FILE, "providers.mine.ca_file"),
    ("unknown = 1\n" + prices(3000), "unknown option"),
    (prices(3000) + "nonsense\n", "is not valid TOML"),
]


def test_a_bad_file_changes_nothing(provider: Provider, tmp_path: Path) -> None:
    """Not even what is good in it."""
    with Appliance(tmp_path, provider, config=prices(1000)) as appliance:
        for bad, why in BAD:
            said = told(appliance, bad)
            assert "ERROR" in said, said
            assert "nothing has changed" in said
            assert why in said
        appliance.config.unlink()
        os.kill(appliance.pid, signal.SIGHUP)
        until(lambda: "cannot be read" in appliance.log)
        one = appliance.call(CHAT, ASK).id
        row = appliance.row(one)
        cost = costs(appliance)[one]
        assert cost * 1000 == row["prompt_tokens"] + row["completion_tokens"]


def test_what_cannot_change_is_named(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance:
        said = told(appliance, 'log_level = "error"\ngrace_s = 5\nretention_days = 7\n')
        assert "WARNING" in said
        assert "retention_days, grace_s, log_level: takes effect at the next start" in said
        assert appliance.call(CHAT, ASK).status == 200
        assert "later" not in told(appliance, "")
