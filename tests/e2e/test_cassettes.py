"""Servers that record, replay and make faults: what a client gets again with nobody listening, what
it is told of a call that was not recorded, and that a usual server does none of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.e2e.starting import failed_start, until
from tests.fakes.appliance import CHAT, MESSAGES, OAI, Appliance, providers_toml
from tests.fakes.provider import Provider
from tests.fakes.provider_openai import TEXT
from tests.fakes.raw_client import Reply

SECRET = "sk-proj-0123456789abcdefghijklmn"
KEY = {"Authorization": f"Bearer {SECRET}"}
ASK: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: Any = {**ASK, "stream": True}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
# What a provider may do: path and request.
KINDS: dict[str, tuple[str, Any]] = {
    "whole": (CHAT, ASK),
    "stream": (CHAT, STREAM),
    "messages": (MESSAGES, {**STREAM, "model": "claude-sonnet-4-5", "max_tokens": 9}),
    "error": (CHAT, {**ASK, "model": "fake-error-429"}),
    "cut": (CHAT, {**STREAM, "model": "fake-cut-after-3"}),
    "until-close": (CHAT, {**ASK, "model": "fake-until-close"}),
    "no-content": (CHAT, {**ASK, "model": "fake-204"}),
    "early": (CHAT, {**ASK, "model": "fake-1xx"}),
    "paced": (CHAT, {**STREAM, "model": "fake-paced-60"}),
}


@dataclass
class Recorded:
    """Cassettes, and what a client was given while they were made."""

    directory: Path
    config: str
    replies: dict[str, Reply]
    gzipped: Reply

    @property
    def tapes(self) -> Path:
        return self.directory / "tapes"

    def text(self, name: str) -> str:
        return (self.tapes / f"{name}.json").read_text()

    def exchanges(self, name: str) -> Any:
        return json.loads(self.text(name))["exchanges"]

    def replaying(self, name: str, *flags: str) -> Appliance:
        flags = ("--replay", str(self.tapes), *flags)
        return Appliance(self.directory / name, config=self.config, flags=flags)


def sdk(appliance: Appliance, tags: str = "", **options: Any) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{appliance.url}{tags}{OAI}/v1", api_key=SECRET, max_retries=0, **options
    )


def tool_call(client: openai.OpenAI) -> tuple[str, str]:
    """Of the official SDK, streamed: name and arguments."""
    with client.chat.completions.stream(
        model="gpt-4o", messages=ASK["messages"], tools=TOOLS
    ) as events:
        for _ in events:
            pass
        calls = events.get_final_completion().choices[0].message.tool_calls
    assert calls is not None
    return calls[0].function.name, calls[0].function.arguments


def words(client: openai.OpenAI) -> str:
    stream = client.chat.completions.create(**STREAM)
    with stream:
        return " ".join(e.choices[0].delta.content or "" for e in stream if e.choices).strip()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    directory = tmp_path_factory.mktemp("cassettes")
    with Provider() as provider:
        config = 'cassette_scrub = ["user"]\n' + providers_toml(provider)
        flags = ("--record", str(directory / "tapes"))
        with Appliance(directory / "recording", config=config, flags=flags) as appliance:
            replies = {
                name: appliance.call(path, body, {**KEY, "Helicone-Cassette": f"kinds/{name}"})
                for name, (path, body) in KINDS.items()
            }
            gzipped = appliance.call(
                CHAT, {**ASK, "model": "fake-gzip", "user": "ann@example.com"},
                {**KEY, "Accept-Encoding": "gzip", "Helicone-Cassette": "gzip"},
            )  # fmt: skip
            with sdk(appliance, "/helicone-cassette=sdk") as client:
                assert tool_call(client) == ("get_weather", '{"city":"Paris"}')
                assert words(client) == TEXT
                reply = client.chat.completions.create(**ASK)
                assert reply.choices[0].message.content == TEXT
    return Recorded(directory, config, replies, gzipped)


@pytest.fixture(scope="module")
def replaying(recorded: Recorded) -> Iterator[Appliance]:
    """The provider is gone."""
    with recorded.replaying("replaying") as appliance:
        yield appliance


def replayed(appliance: Appliance, name: str, take: str = "") -> Reply:
    path, body = KINDS[name]
    headers = {"Helicone-Cassette": f"kinds/{name}", "Authorization": "Bearer other"}
    return appliance.call(path, body, {**headers, "Helicone-Cassette-Take": take or name})


@pytest.mark.parametrize("name", KINDS)
def test_a_client_gets_again_what_it_was_given(
    recorded: Recorded, replaying: Appliance, name: str
) -> None:
    was, now = recorded.replies[name], replayed(replaying, name)
    assert (now.status, now.body, now.end) == (was.status, was.body, was.end)
    assert now.values("helicone-not-applied") == was.values("helicone-not-applied") == []
    assert now.first("content-type") == was.first("content-type")
    assert now.first("x-request-id") == was.first("x-request-id")
    assert replaying.row(now.id)["outcome"] == ("cut" if name == "cut" else "complete")


def test_a_stream_comes_event_by_event(recorded: Recorded, replaying: Appliance) -> None:
    (one,) = recorded.exchanges("kinds/stream")
    events = one["reply"]["events"]
    assert len(events) > 5
    assert events[-1] == "data: [DONE]\n\n"
    reply = replayed(replaying, "stream", "event by event")
    assert [frame.decode() for frame in reply.frames] == events


def test_coded_bodies_are_kept_decoded_and_fields_hidden(
    recorded: Recorded, replaying: Appliance
) -> None:
    assert recorded.gzipped.first("content-encoding") == b"gzip"
    (one,) = recorded.exchanges("gzip")
    assert one["reply"]["json"]["choices"][0]["message"]["content"] == TEXT
    assert one["request"]["json"]["user"] == "REDACTED"
    again = {**ASK, "model": "fake-gzip", "user": "somebody else"}
    reply = replaying.call(CHAT, again, {"Helicone-Cassette": "gzip"})
    assert reply.first("content-encoding") is None
    assert reply.json["choices"][0]["message"]["content"] == TEXT


def test_no_secret_is_on_any_cassette(recorded: Recorded) -> None:
    texts = [path.read_text() for path in recorded.tapes.rglob("*.json")]
    assert len(texts) == len(KINDS) + 2
    assert not [text for text in texts if SECRET in text or "ann@example" in text]


def test_the_official_sdk_with_nobody_listening(replaying: Appliance) -> None:
    tags = "/helicone-cassette=sdk/helicone-cassette-take=sdk/helicone-user-id=u-1"
    with sdk(replaying, tags) as client:
        assert tool_call(client) == ("get_weather", '{"city":"Paris"}')
        assert words(client) == TEXT
        reply = client.chat.completions.with_raw_response.create(**ASK)
    row = replaying.row(str(reply.headers["helicone-id"]))
    assert (row["user_id"], row["prompt_tokens"], row["http_status"]) == ("u-1", 19, 200)


def test_a_call_that_was_not_recorded(replaying: Appliance) -> None:
    tags = "/helicone-cassette=sdk/helicone-cassette-take=miss"
    with sdk(replaying, tags) as client, pytest.raises(openai.NotFoundError) as missed:
        client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": "Bye"}]})
    assert missed.value.code == "cassette_miss"
    said = str(missed.value.body["message"])  # type: ignore[index]
    assert "Nearest: call 3 of 3" in said
    assert 'json.messages[0].content: recorded "Hello", asked "Bye"' in said


def test_each_reply_is_given_once_in_a_take(replaying: Appliance) -> None:
    assert replayed(replaying, "whole", "once").status == 200
    second = replayed(replaying, "whole", "once")
    assert (second.status, second.json["error"]["code"]) == (404, "cassette_miss")
    assert "more often than when it was recorded" in second.json["error"]["message"]
    assert replayed(replaying, "whole", "another").status == 200


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("nowhere", 404, "cassette_missing"),
        ("../tapes/sdk", 400, "cassette_name_invalid"),
        ("/etc/passwd", 400, "cassette_name_invalid"),
        (".hidden", 400, "cassette_name_invalid"),
        ("broken", 500, "cassette_broken"),
    ],
)
def test_cassettes_that_cannot_be_played(
    recorded: Recorded, replaying: Appliance, name: str, status: int, code: str
) -> None:
    (recorded.tapes / "broken.json").write_text("{")
    try:
        reply = replaying.call(CHAT, ASK, {"Helicone-Cassette": name})
    finally:
        (recorded.tapes / "broken.json").unlink()
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_with_its_timing(recorded: Recorded, replaying: Appliance) -> None:
    (one,) = recorded.exchanges("kinds/paced")
    times = [int(part) for part in one["reply"]["timing_ms"].split()]
    assert times[-1] - times[0] > 200
    began_s = time.monotonic()
    with recorded.replaying("timed", "--replay-timing") as timed:
        began_s = time.monotonic()
        slow = replayed(timed, "paced")
        slow_s = time.monotonic() - began_s
    assert slow.body == recorded.replies["paced"].body
    assert slow_s >= times[-1] / 1000
    began_s = time.monotonic()
    replayed(replaying, "paced", "quick")
    assert time.monotonic() - began_s < slow_s


# -- faults


def faulty(appliance: Appliance, fault: str, take: str, name: str = "whole") -> Reply:
    path, body = KINDS[name]
    headers = {"Helicone-Cassette": f"kinds/{name}", "Helicone-Cassette-Take": take}
    return appliance.call(path, body, {**headers, "Helicone-Fault": fault})


def test_a_status_on_request(replaying: Appliance) -> None:
    first = faulty(replaying, "status=503; times=1", "status")
    assert (first.status, first.json["error"]["code"]) == (503, "injected_fault")
    assert faulty(replaying, "status=503; times=1", "status").status == 200, "due once"


def test_the_program_s_own_retries_get_over_it(replaying: Appliance) -> None:
    tags = "/helicone-cassette=kinds%2Fwhole/helicone-cassette-take=retry"
    tags += "/helicone-fault=status%3D500%3Btimes%3D2"
    with sdk(replaying, tags).with_options(max_retries=2) as client:
        assert client.chat.completions.create(**ASK).choices[0].message.content == TEXT


def test_a_delay_on_request(replaying: Appliance) -> None:
    began_s = time.monotonic()
    assert faulty(replaying, "delay=400ms", "delay").status == 200
    assert time.monotonic() - began_s >= 0.4


@pytest.mark.parametrize(("name", "size"), [("whole", 40), ("stream", 300), ("whole", 0)])
def test_an_end_on_request(recorded: Recorded, replaying: Appliance, name: str, size: int) -> None:
    reply = faulty(replaying, f"cut={size}", f"cut {name} {size}", name)
    whole = recorded.replies[name].body
    if size:
        assert reply.end == "cut"
        assert reply.body
        assert whole.startswith(reply.body)
        assert len(reply.body) <= size < len(whole)
    else:
        assert (reply.status, reply.json["error"]["code"]) == (502, "cut")


def test_a_fault_that_is_none(replaying: Appliance) -> None:
    reply = faulty(replaying, "status=200", "none")
    assert (reply.status, reply.json["error"]["code"]) == (400, "fault_invalid")


def test_faults_on_real_calls(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, flags=("--faults",)) as appliance:
        assert appliance.call(CHAT, ASK).status == 200
        seen = len(provider.all(""))
        assert appliance.call(CHAT, ASK, {"Helicone-Fault": "status=418"}).status == 418
        assert len(provider.all("")) == seen, "nobody was called"
        cut = appliance.call(CHAT, STREAM, {"Helicone-Fault": "cut=200; delay=300ms"})
        assert (cut.end, cut.status) == ("cut", 200)
        assert 0 < len(cut.body) <= 200
        again = appliance.call(CHAT, STREAM)
        assert (again.end, again.body.endswith(b"data: [DONE]\n\n")) == ("clean", True)


def test_a_usual_server_makes_no_fault_and_plays_nothing(
    appliance: Appliance, provider: Provider
) -> None:
    headers = {
        "Helicone-Fault": "status=503", "Helicone-Cassette": "../x", "X-Mark": "no-fault",
    }  # fmt: skip
    reply = appliance.call(CHAT, ASK, headers)
    assert reply.status == 200
    assert sorted(reply.values("helicone-not-applied")) == [
        b"cassette;reason=not-here", b"fault;reason=not-here",
    ]  # fmt: skip
    tagged = appliance.call("/helicone-fault=status%3D503" + CHAT, ASK)
    assert tagged.status == 200
    assert not [
        name for name, _ in provider.find("no-fault").headers if b"helicone" in name.lower()
    ]


# -- recording


def test_a_stream_that_the_program_left(provider: Provider, tmp_path: Path) -> None:
    tapes = tmp_path / "tapes"
    with Appliance(tmp_path / "a", provider, flags=("--record", str(tapes))) as appliance:
        with sdk(appliance) as client:
            stream = client.chat.completions.create(**{**STREAM, "model": "fake-stall-after-2"})
            first = next(iter(stream))
            stream.close()
        until((tapes / "calls.json").exists)
        with appliance.client() as raw:  # hangs up right behind the last event, before the end
            raw.request(CHAT, STREAM, {"Helicone-Cassette": "done"})
            raw.read_until(b"[DONE]")
        until((tapes / "done.json").exists)
        refused = appliance.call(CHAT, ASK, {"Helicone-Fault": "status=503"})
        assert (refused.status, refused.json["error"]["code"]) == (400, "fault_not_here")
    assert first.choices
    (left,) = json.loads((tapes / "calls.json").read_text())["exchanges"]
    assert left["reply"]["end"] == "left"
    assert 1 <= len(left["reply"]["events"]) <= 2
    (done,) = json.loads((tapes / "done.json").read_text())["exchanges"]
    assert "end" not in done["reply"]


def test_two_recordings_of_the_same_calls_are_the_same(provider: Provider, tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        flags = ("--record", str(tmp_path / name / "tapes"))
        with Appliance(tmp_path / name, provider, flags=flags) as appliance:
            for body in (ASK, STREAM):
                appliance.call(CHAT, body, KEY)
        made = json.loads((tmp_path / name / "tapes" / "calls.json").read_text())
        for one in made["exchanges"]:
            one["reply"].pop("timing_ms", None)
        texts.append(json.dumps(made))
    assert texts[0] == texts[1]


def test_a_cassette_that_cannot_be_written_stops_no_call(
    provider: Provider, tmp_path: Path
) -> None:
    (tmp_path / "tapes" / "calls.json").mkdir(parents=True)
    flags = ("--record", str(tmp_path / "tapes"))
    with Appliance(tmp_path / "a", provider, flags=flags) as appliance:
        assert appliance.call(CHAT, ASK).status == 200
        until(lambda: "cannot be written" in appliance.log)
        (part,) = appliance.command("status")["degraded"]
        assert part["part"] == "cassettes"


def test_one_server_at_a_time_records_to_a_directory(provider: Provider, tmp_path: Path) -> None:
    """Each would write its cassette over the other's. Those of pytest's workers are apart."""
    flags, apart = ("--record", str(tmp_path / "tapes")), {"HELICONE_RUN_CASSETTES_APART": "1"}
    with Appliance(tmp_path / "a", provider, flags=flags):
        code, said = failed_start(tmp_path, *flags)
        assert code == 2
        assert said == f"error: record: another server records to {tmp_path / 'tapes'}\n"
        assert failed_start(tmp_path, *flags, environ=apart)[0] == 2
    first = Appliance(tmp_path / "b", provider, flags=flags, environ=apart)
    second = Appliance(tmp_path / "c", provider, flags=flags, environ=apart)
    with first, second:
        assert failed_start(tmp_path, *flags)[0] == 2


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--record", "x", "--replay", "y"), "record and replay are both set"),
        (("--faults", "--host", "0.0.0.0"), "faults is for open access on loopback"),
        (("--record", "x", "--access", "keys"), "record is for open access on loopback"),
        (("--replay-timing",), "replay_timing is about replay"),
        (("--replay", "/nowhere/at/all"), "/nowhere/at/all is not a directory"),
        (("--record", "/dev/null/tapes"), "record: /dev/null/tapes cannot be written to"),
    ],
)
def test_where_it_does_not_start(tmp_path: Path, flags: tuple[str, ...], why: str) -> None:
    code, said = failed_start(tmp_path, *flags)
    assert code == 2
    assert why in said


def test_it_cannot_be_left_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("faults = true\n")
    code, said = failed_start(tmp_path, "--config", str(tmp_path / "a.toml"))
    assert code == 2
    assert 'unknown option "faults"' in said
