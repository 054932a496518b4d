"""What the gateway passes to the named provider as it came: forms with files, audio, files."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator

import openai
import pytest

from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
FOUND = {"OPENAI_API_KEY": "sk-env-openai", "ANTHROPIC_API_KEY": "sk-env-anthropic"}
SOUND = b"ID3\0" + bytes(range(256)) * 8
TOLD = b'{"text":"hello","usage":{"type":"duration","seconds":7}}'


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("gateway-passed")
    with Appliance(directory, provider, environ=FOUND, lends=True) as appliance:
        yield appliance


def answer(body: bytes, kind: bytes) -> bytes:
    head = b"HTTP/1.1 200 Told\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


def client(gateway: Appliance, **headers: str) -> openai.OpenAI:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return openai.OpenAI(
        api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0, default_headers=named
    )


@pytest.mark.parametrize("size", [2048, 3_000_000])
def test_a_transcription(gateway: Appliance, provider: Provider, size: int) -> None:
    sound = io.BytesIO(SOUND * (size // len(SOUND)))
    sound.name = "a.mp3"
    name = provider.add(f"told-{size}", answer(TOLD, b"application/json"))
    with client(gateway, x_fake=name) as sdk:
        reply = sdk.audio.transcriptions.create(model="whisper-1/openai", file=sound)
    assert reply.text == "hello"
    received = provider.received[-1]
    assert received.target == b"/v1/audio/transcriptions"
    assert received.first(b"authorization") == b"Bearer sk-env-openai"
    assert (received.first(b"content-type") or b"").startswith(b"multipart/form-data; boundary=")
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in received.body
    assert sound.getvalue() in received.body
    assert received.first(b"content-length") == b"%d" % len(received.body)


def test_speech_comes_as_it_is(gateway: Appliance, provider: Provider) -> None:
    name = provider.add("speech", answer(SOUND, b"audio/mpeg"))
    with client(gateway, x_fake=name) as sdk:
        reply = sdk.audio.speech.create(model="tts-1/openai", voice="alloy", input="Hello")
    assert reply.content == SOUND
    assert reply.response.headers["content-type"] == "audio/mpeg"
    assert provider.received[-1].json["model"] == "tts-1"
    row = gateway.row(reply.response.headers["helicone-id"])
    assert (row["outcome"], row["http_status"]) == ("complete", 200)


def test_speech_is_kept_as_it_is(gateway: Appliance, provider: Provider) -> None:
    name = provider.add("speech-kept", answer(SOUND, b"audio/mpeg"))
    text, told = secrets.token_hex(8), []
    with client(gateway, x_fake=name, helicone_cache_enabled="true") as sdk:
        for _ in range(2):
            reply = sdk.audio.speech.create(model="tts-1/openai", voice="alloy", input=text)
            assert reply.content == SOUND
            told.append(reply.response.headers["helicone-cache"])
    assert told == ["MISS", "HIT"]
    assert len(provider.all(name)) == 1


def test_files_of_one_provider(gateway: Appliance, provider: Provider) -> None:
    file = b'{"id":"file-1","object":"file","bytes":3,"created_at":1,"filename":"a","purpose":"x"}'
    name = provider.add("file", answer(file, b"application/json"))
    where = {"provider": "openai"}
    with client(gateway, x_fake=name) as sdk:
        made = sdk.files.create(file=("a", b"abc"), purpose="batch", extra_query=where)
        assert made.id == "file-1"
        sent = provider.received[-1]
        assert (sent.target, b"abc" in sent.body) == (b"/v1/files", True)
        sdk.files.retrieve("file-1", extra_query=where)
        assert provider.received[-1].target == b"/v1/files/file-1"
        sdk.files.list(limit=3, extra_query=where)
        assert provider.received[-1].target == b"/v1/files?limit=3"
        sdk.files.delete("file-1", extra_query=where)
        assert provider.received[-1].head.startswith(b"DELETE /v1/files/file-1 HTTP")
        with pytest.raises(openai.BadRequestError, match="name it in the query"):
            sdk.files.list()
        with pytest.raises(openai.BadRequestError, match="anthropic has no /v1/files"):
            sdk.files.list(extra_query={"provider": "anthropic"})


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("multipart/form-data; boundary=B", b"none", "body_invalid"),
        ("multipart/form-data; boundary=B", b"--B--", "model_missing"),
        ("multipart/form-data", b"--B--", "body_invalid"),
        ("application/octet-stream", SOUND, "body_invalid"),
    ],
)
def test_bad_forms(
    gateway: Appliance, provider: Provider, content_type: str, body: bytes, code: str
) -> None:
    provider.clear()
    headers = {"Authorization": f"Bearer {KEY}", "content-type": content_type}
    reply = gateway.call("/v1/audio/transcriptions", body, headers)
    assert (reply.status, reply.json["error"]["code"]) == (400, code)
    assert provider.received == []
