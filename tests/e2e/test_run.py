"""`run`: a program's calls go through a server, under a key, a session and a budget of its own; its
signals, its output and its exit code are its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from appliance.control_client import ControlClient
from appliance.run_lease import in_use
from tests.certificates import Authority
from tests.e2e.starting import environment, until
from tests.fakes.appliance import ROOT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider

# One of the official SDK, as anybody has it: no base URL, no header of ours.
PROGRAM = """
import sys, openai
client = openai.OpenAI(max_retries=0)
for line in sys.stdin:
    try:
        reply = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": line.strip()}], max_tokens=100)
        print(reply.choices[0].message.content)
    except openai.APIStatusError as error:
        print(error.status_code, error.code)
sys.exit(7)
"""
# 19 tokens in at $2.50 and 11 out at $10 per million.
CALL_COST = Decimal("0.0001575")


def run(
    directory: Path, *arguments: str, asks: str = "Hello\n", environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance.cli", "run", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(directory, environ), input=asks, capture_output=True,
        text=True, timeout=2 * PATIENCE_S,
    )  # fmt: skip


def sends_to(provider: Provider) -> dict[str, str]:
    """Where an environment without `run` would send calls."""
    return {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "sk-test"}


def told(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stderr.splitlines()[-1])


def query(directory: Path, sql: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "query", sql, "--json", "--data-dir", directory],
        cwd=ROOT, env=environment(directory), capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def program(tmp_path: Path) -> str:
    (tmp_path / "program.py").write_text(PROGRAM)
    return str(tmp_path / "program.py")


def test_a_program_s_calls_are_its_session(
    provider: Provider, tmp_path: Path, program: str
) -> None:
    data = tmp_path / "data"
    done = run(
        tmp_path, "--session", "trip plan", "--data-dir", str(data), "--", sys.executable, program,
        asks="Hello\nAgain\n", environ=sends_to(provider),
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert done.stdout.count("Hello from the fake provider") == 2
    first, second = done.stderr.splitlines()
    assert first.startswith("trip plan: 2 calls in ")
    assert first.endswith(" · 38 tokens in, 22 out · $0.000315")
    assert second.startswith("slowest: gpt-4o, ")
    rows = query(
        data, "select session_id, session_name, api_key_id, cost_usd, request_path from requests"
    )
    assert len(rows) == 2
    assert {row["session_name"] for row in rows} == {"trip plan"}
    assert len({row["session_id"] for row in rows}) == len({row["api_key_id"] for row in rows}) == 1
    assert {row["request_path"] for row in rows} == {"/v1/gateway/openai/v1/chat/completions"}
    assert provider.find("Bearer sk-test")


def test_a_key_that_the_program_sends_itself_is_no_way_around_it(
    provider: Provider, tmp_path: Path
) -> None:
    """As every program does that was written for Helicone: known here or not."""
    with Appliance(tmp_path / "server", provider) as server:
        own = server.command("keys.create", name="own")["key"]
        for key in (own, "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyzab"):
            auth = f'default_headers={{"Helicone-Auth": "Bearer {key}"}}'
            script = PROGRAM.replace("max_retries=0", f"max_retries=0, {auth}")
            (tmp_path / "program.py").write_text(script)
            done = run(
                tmp_path, "--budget", "0.0001", "--json", "--data-dir", str(server.data), "--",
                sys.executable, str(tmp_path / "program.py"), asks="Hello\nHello\n",
                environ={"OPENAI_API_KEY": "sk-test"},
            )  # fmt: skip
            assert done.stdout.splitlines()[1:] == ["429 budget_exceeded"]
            summary = told(done)
            assert (summary["calls"], summary["cost_usd"]) == (2, str(CALL_COST))


@pytest.mark.parametrize("short_pico", [0, 1])
def test_a_strict_budget_refuses_to_the_last_digit(
    provider: Provider, tmp_path: Path, program: str, short_pico: int
) -> None:
    """What a call costs at worst must fit, beside what was spent: with one picodollar less the
    second call is not made."""
    worst = worst_of_a_call(provider, tmp_path, program)
    budget = CALL_COST + worst - Decimal(short_pico) / 10**12
    done = run(
        tmp_path, "--budget", f"{budget:f}", "--strict", "--json", "--data-dir",
        str(tmp_path / "data"), "--", sys.executable, program,
        asks="Hello\nHello\nHello\n", environ=sends_to(provider),
    )  # fmt: skip
    made = 2 - short_pico
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[made:] == ["429 budget_exceeded"] * (3 - made)
    assert all(line.startswith("Hello from") for line in lines[:made])
    summary = told(done)
    assert Decimal(summary["cost_usd"]) == made * CALL_COST
    assert Decimal(summary["budget_usd"]) == budget
    assert summary["errors"] == [{"status": 429, "code": "budget_exceeded", "calls": 3 - made}]
    assert (summary["calls"], summary["exit_code"], summary["mode"]) == (3, 7, "live")


def worst_of_a_call(provider: Provider, tmp_path: Path, program: str) -> Decimal:
    """As the refusal of a budget of nothing tells it."""
    script = PROGRAM.replace("error.code)", "error.body['message'])")
    (tmp_path / "asks.py").write_text(script)
    done = run(
        tmp_path, "--budget", "0", "--strict", "--data-dir", str(tmp_path / "worst"), "--",
        sys.executable, str(tmp_path / "asks.py"), environ=sends_to(provider),
    )  # fmt: skip
    words = done.stdout.partition("This call may cost $")[2]
    return Decimal(words.partition(". It begins")[0])


def test_a_directory_with_modules_of_our_names(
    provider: Provider, tmp_path: Path, program: str
) -> None:
    """A project may have a `storage` of its own; it is not ours to import."""
    (tmp_path / "storage.py").write_text("raise RuntimeError('theirs was taken for ours')\n")
    command = [sys.executable, "-P", "-m", "appliance.cli", "run", "--data-dir", "data"]
    environ = environment(tmp_path, {**sends_to(provider), "PYTHONPATH": str(ROOT)})
    done = subprocess.run(
        [*command, "--", sys.executable, "-P", program], cwd=tmp_path, env=environ, input="Hello\n",
        capture_output=True, text=True, timeout=2 * PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr


def test_a_certificate_of_the_configuration_is_told(tmp_path: Path) -> None:
    """A server of the program's own has it too, and few programs trust it for 127.0.0.1."""
    certificate, key = Authority().issue("example.com").write(tmp_path, "server")
    file = tmp_path / "tls.toml"
    file.write_text(f'tls_cert = "{certificate}"\ntls_key = "{key}"\n')
    data = str(tmp_path / "data")
    done = run(tmp_path, "--config", str(file), "--data-dir", data, "--", "true")
    assert done.returncode == 0, done.stderr
    assert "speaks TLS with the certificate of tls_cert (from " in done.stderr.splitlines()[0]


def test_a_running_server_is_used(provider: Provider, tmp_path: Path, program: str) -> None:
    with Appliance(tmp_path / "server", provider) as server:
        arguments = ("--data-dir", str(server.data), "--json")
        key = {"OPENAI_API_KEY": "sk-test"}
        done = run(
            tmp_path, "--budget", "1", *arguments, "--", sys.executable, program, environ=key
        )
        assert done.returncode == 7, done.stderr
        summary = told(done)
        assert (summary["calls"], summary["budget_usd"]) == (1, "1.00")
        rows = server.query("select session_id, session_name from requests")
        assert rows == [
            {"session_id": summary["session_id"], "session_name": Path(sys.executable).name}
        ]
        assert server.command("budgets.list") == []
        keys = server.command("keys.list", revoked=True)
        assert [key["revoked_at"] is not None for key in keys] == [True]
        strict = run(tmp_path, "--budget", "1", "--strict", *arguments, "--", "true")
        assert (strict.returncode, strict.stdout) == (1, "")
        assert "--budget-mode strict" in strict.stderr
        elsewhere = run(
            tmp_path, *arguments, "--", "true", environ={"OPENAI_BASE_URL": "http://gpu:8000/v1"}
        )
        assert elsewhere.returncode == 1
        assert "http://gpu:8000/v1" in elsewhere.stderr
        tapes = run(tmp_path, "--record", str(tmp_path / "t"), *arguments, "--", "true")
        assert tapes.returncode == 1
        assert "leave --data-dir out" in tapes.stderr


def test_signals_and_how_it_ends(tmp_path: Path) -> None:
    """TERM reaches the program, whose words and whose end are its own."""
    script = (
        "import os, signal, sys, time\n"
        "def end(*_): os.write(1, b'told\\n'); sys.exit(9)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "os.write(1, b'ready\\n')\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-m", "appliance.cli", "run", "--data-dir", str(tmp_path / "data")]
    command += ["--", sys.executable, "-c", script]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (out, process.returncode) == ("told\n", 9), err
    assert ": 0 calls in " in err


def test_ended_before_the_program_begins_it_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "appliance.cli", "run", "--record", str(tmp_path / "tapes")]
    process = subprocess.Popen(
        [*command, "--", "sleep", "60"], cwd=ROOT,
        env=environment(tmp_path, {"TMPDIR": str(tmp_path / "tmp")}),
    )  # fmt: skip
    # It is written when signals have somebody to take them, and before the server is there.
    until(lambda: any((tmp_path / "tmp").glob("helicone-start-*/log.txt")))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    assert list((tmp_path / "tmp").iterdir()) == []


def test_where_it_is_killed_the_server_ends_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "appliance.cli", "run", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(
        [*command, "--", "sh", "-c", "echo ready; exec sleep 60"], cwd=ROOT,
        env=environment(tmp_path), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        until(lambda: "sleep" in children_of(process.pid))
        sleeper = children_of(process.pid)["sleep"]
        process.kill()
    os.kill(sleeper, signal.SIGKILL)
    until(lambda: not serves(tmp_path / "data"))


# Says when it has begun, and what became of each call that it is then told to make.
SLOWLY = PROGRAM.replace(
    "for line in sys.stdin:", "print('ready', flush=True)\nfor line in sys.stdin:"
)
SLOWLY = SLOWLY.replace(".content)", ".content, flush=True)").replace("exit(7)", "exit(0)")


@dataclass
class Running:
    """A `run` whose program makes a call for each line that it is given."""

    process: subprocess.Popen[str]

    @classmethod
    def begin(cls, tmp_path: Path, *arguments: str, environ: dict[str, str]) -> Running:
        (tmp_path / "slowly.py").write_text(SLOWLY)
        command = [sys.executable, "-m", "appliance.cli", "run", "--json", *arguments]
        command += ["--data-dir", str(tmp_path / "data"), "--", sys.executable]
        return cls(
            subprocess.Popen(
                [*command, str(tmp_path / "slowly.py")], cwd=ROOT, text=True,
                env=environment(tmp_path, environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )  # fmt: skip

    def reads(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def calls(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("Hello\n")
        self.process.stdin.flush()
        return self.reads()

    def ends(self) -> tuple[int, str]:
        """Exit code, and the last line on stderr."""
        _, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, err.splitlines()[-1]


def test_two_at_once_share_a_server_until_the_last_ends(provider: Provider, tmp_path: Path) -> None:
    environ = sends_to(provider)
    # In the same moment: neither is refused.
    both = [Running.begin(tmp_path, "--budget", "1", environ=environ) for _ in range(2)]
    assert [one.reads() for one in both] == ["ready\n"] * 2
    for one, other in (both, both[::-1]):
        assert one.calls().startswith("Hello from")
        assert other.calls().startswith("Hello from")
    code, summary = both[0].ends()
    assert (code, json.loads(summary)["calls"]) == (0, 2)
    assert both[1].calls().startswith("Hello from")
    code, summary = both[1].ends()
    assert (code, json.loads(summary)["calls"]) == (0, 3)
    assert not in_use(tmp_path / "data"), "the last one has waited for the server's end"


@pytest.mark.parametrize("killed", [0, 1])
def test_one_of_two_is_killed_and_the_other_goes_on(
    provider: Provider, tmp_path: Path, killed: int
) -> None:
    both = [Running.begin(tmp_path, environ=sends_to(provider))]
    assert both[0].reads() == "ready\n"
    both.append(Running.begin(tmp_path, environ=sends_to(provider)))
    assert both[1].reads() == "ready\n"
    victim, other = both[killed], both[1 - killed]
    victim.process.kill()
    victim.process.communicate()  # its program has read to the end of what it was told
    assert other.calls().startswith("Hello from")
    assert other.ends()[0] == 0
    assert not in_use(tmp_path / "data")


def test_environments_that_send_calls_to_different_places_share_none(
    provider: Provider, tmp_path: Path
) -> None:
    one = Running.begin(tmp_path, environ=sends_to(provider))
    assert one.reads() == "ready\n"
    other = Running.begin(tmp_path, environ={"OPENAI_BASE_URL": "http://gpu:8000/v1"})
    code, why = other.ends()
    assert code == 1
    assert "another `run` has started the server" in why
    assert one.ends()[0] == 0


def test_where_the_server_dies_its_key_and_budget_go_all_the_same(
    provider: Provider, tmp_path: Path
) -> None:
    one = Running.begin(tmp_path, "--budget", "1", environ=sends_to(provider))
    assert one.reads() == "ready\n"
    client = ControlClient.connect(tmp_path / "data")
    assert client is not None
    with client:
        status = client.value("status", {"region": "us"})
    assert isinstance(status, dict)
    os.kill(status["pid"], signal.SIGKILL)
    code, why = one.ends()
    assert code == 1
    assert "what it called is not known" in why
    for listed in (["keys", "list"], ["budgets", "list"]):
        done = subprocess.run(
            [
                sys.executable, "-m", "appliance.cli", *listed, "--json", "--data-dir",
                str(tmp_path / "data"),
            ],
            cwd=ROOT, env=environment(tmp_path), text=True, capture_output=True, timeout=PATIENCE_S,
        )  # fmt: skip
        assert json.loads(done.stdout) == [], done.stderr


def serves(root: Path) -> bool:
    client = ControlClient.connect(root)
    if client is None:
        return False
    client.close()
    return True


def children_of(pid: int) -> dict[str, int]:
    """By name."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found[Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return found


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--", "no-such-program"), 127, "no-such-program was not found"),
        (("--", "/etc/passwd"), 126, "/etc/passwd may not be run"),
        (("--strict", "--", "true"), 2, "--strict is about a budget"),
        (("--record", "a", "--replay", "b", "--", "true"), 2, "give one of them"),
        (("--replay-timing", "--", "true"), 2, "--replay-timing is about --replay"),
        (("--budget", "", "--", "true"), 2, "--budget is empty"),
        (("--budget", " ", "--strict", "--", "true"), 2, "--budget is empty"),
        (("--session", "a\nb", "--", "true"), 2, "--session is a name of"),
        (("--session", "x" * 201, "--", "true"), 2, "--session is a name of"),
        (("--session", "\udcff", "--", "true"), 2, "--session is a name of"),
        (("--budget", "much", "--", "true"), 2, "limit: 'much' is not a decimal number"),
        (("--replay", "/nowhere", "--", "true"), 1, "/nowhere is not a directory"),
        ((), 2, "COMMAND"),
    ],
)
def test_what_cannot_be_run(
    tmp_path: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_program_of_any_name_and_variables_that_are_none(tmp_path: Path) -> None:
    odd = tmp_path / "odd\udcff\nname"
    odd.write_text("#!/bin/sh\nexit 4\n")
    odd.chmod(0o755)
    done = run(tmp_path, "--json", "--data-dir", str(tmp_path / "data"), "--", str(odd))
    assert done.returncode == 4, done.stderr
    assert told(done)["session_name"] == "odd__name"
    done = run(tmp_path, "--", "true", environ={"OLLAMA_HOST": "gpu:many"})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "OLLAMA_HOST has no valid port" in done.stderr


def test_the_options_behind_the_program_are_its_own(tmp_path: Path) -> None:
    script = "import sys; print(sys.argv[1:], sys.stdin.read())"
    done = run(
        tmp_path, "--data-dir", str(tmp_path / "data"), sys.executable, "-c", script, "--json",
        "--budget", "x", asks="what it reads",
    )  # fmt: skip
    assert done.stdout == "['--json', '--budget', 'x'] what it reads\n"
    assert done.returncode == 0


def test_what_could_not_be_recorded_is_said(
    provider: Provider, tmp_path: Path, program: str
) -> None:
    (tmp_path / "tapes" / "calls.json").mkdir(parents=True)
    done = run(
        tmp_path, "--record", str(tmp_path / "tapes"), "--", sys.executable, program,
        environ=sends_to(provider),
    )  # fmt: skip
    assert done.returncode == 7
    assert "error: not all is recorded: " in done.stderr
    assert "calls.json cannot be written" in done.stderr


def test_recorded_and_replayed_with_nobody_listening(tmp_path: Path, program: str) -> None:
    tapes = str(tmp_path / "tapes")
    with Provider() as provider:
        environ = sends_to(provider)
        recorded = run(tmp_path, "--record", tapes, "--", sys.executable, program, environ=environ)
    assert recorded.returncode == 7, recorded.stderr
    del environ["OPENAI_API_KEY"]
    arguments = ("--replay", tapes, "--json", "--", sys.executable, program)
    again = run(tmp_path, *arguments, environ=environ)
    assert (again.returncode, again.stdout) == (7, recorded.stdout)
    missed = run(tmp_path, *arguments, asks="Bye\n", environ=environ)
    assert missed.stdout == "404 cassette_miss\n"
    assert told(missed)["errors"] == [{"status": 404, "code": "cassette_miss", "calls": 1}]
    assert told(missed)["mode"] == "replay"
    assert not (tmp_path / ".local").exists(), "what is replayed is kept nowhere"


# It sends no credential of its own: the server's key goes in its place.
WITHOUT_A_KEY = """
import json, os, urllib.error, urllib.request
body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}).encode()
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
request = urllib.request.Request(url, body, {"content-type": "application/json"})
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code, json.load(error)["error"]["code"])
"""


def test_what_the_server_s_own_key_paid_for_is_replayed_without_it(tmp_path: Path) -> None:
    tapes = str(tmp_path / "tapes")
    command = ("--", sys.executable, "-c", WITHOUT_A_KEY)
    with Provider() as provider:
        base_url = f'base_url = "{provider.url}/v1"\n'
        config = tmp_path / "app.toml"
        config.write_text(f'data_dir = "{tmp_path / "data"}"\n[providers.openai]\n{base_url}')
        given = ("--config", str(config))
        environ = {"OPENAI_API_KEY": "sk-test"}
        recorded = run(tmp_path, "--record", tapes, *given, *command, environ=environ)
        assert recorded.stdout == "200\n", recorded.stderr
        assert provider.find("Bearer sk-test")
    again = run(tmp_path, "--replay", tapes, *given, *command)
    assert again.stdout == "200\n", again.stderr
