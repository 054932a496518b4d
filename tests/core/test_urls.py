"""Targets, joining, unclear paths and scrubbing (proxy.md 1.3, field.md B3, B8)."""

import time

import pytest

from appliance.core.urls import (
    HostList,
    TargetPolicy,
    is_loopback,
    is_private,
    join_base,
    parse_target,
    scrub,
    split_target,
    unclear_path,
)
from appliance.errors import Refusal


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("https://api.openai.com", "https://api.openai.com"),
        ("https://API.OpenAI.com./v1/", "https://api.openai.com/v1"),
        ("https://api.openai.com:443/v1", "https://api.openai.com/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[0:0::1]:8000/v1", "http://[::1]:8000/v1"),
        ("https://host/v1?x=1#y", "https://host/v1"),
        ("https://my_host.example/a//b", "https://my_host.example/a//b"),
    ],
)
def test_targets(text: str, base_url: str) -> None:
    assert parse_target(text).base_url == base_url


@pytest.mark.parametrize(
    "text",
    [
        "", "api.openai.com", "ftp://api.openai.com", "https://", "https:///v1", "file:///etc/passwd",
        "https://user:pass@api.openai.com", "https://api.openai.com@evil.tld", "https://a b/",
        "https://api.openai.com\\@evil.tld", "http://0x7f.1", "http://2130706433", "http://0",
        "http://0177.0.0.1", "http://127.1", "http://١٢٧.0.0.1", "https://api.openai.com:0",
        "https://api.openai.com:99999", "https://a..b", "https://-a.b", "https://h/%2e%2e/x",
        "https://h/../x", "https://h/a\nb", "https://[::1", "https://[fe80::1%25eth0]/",
        "https://" + "a" * 3000, "https://api.openai.com..",
    ],
)  # fmt: skip
def test_bad_targets_say_why(text: str) -> None:
    with pytest.raises(ValueError):
        parse_target(text)


@pytest.mark.parametrize(
    ("base", "path", "joined"),
    [
        ("", "/v1/chat", "/v1/chat"),
        ("/v1", "/v1/chat?a=/v1", "/v1/chat?a=/v1"),
        ("/v1", "/chat", "/v1/chat"),
        ("/v1", "/v1", "/v1"),
        ("/v1", "/v1/", "/v1/"),
        ("/v1", "/", "/v1/"),
        ("/v1", "/v12/chat", "/v1/v12/chat"),
        ("/openai/v1", "/v1/models", "/openai/v1/models"),
        ("/openai/v1", "/openai/v1/models", "/openai/v1/models"),
        ("/openai/v1", "/models", "/openai/v1/models"),
        ("/inference/v1", "/inference/v1/x?y", "/inference/v1/x?y"),
        ("/v1", "/v1/v1/x", "/v1/v1/x"),
        ("/v1", "//v1/x", "/v1//v1/x"),
        ("/api/paas/v4", "/v1/chat", "/api/paas/v4/v1/chat"),
    ],
)
def test_join_writes_shared_segments_once(base: str, path: str, joined: str) -> None:
    assert join_base(base.encode(), path.encode()).decode() == joined


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b", "/..", "/./a", "/a/.", "/%2e%2e/a", "/%2E./a", "/.%2e/a", "/..;x/a", "/a/..;/b",
        "/%252e%252e/a", "/..%2fa", "/a%2f..%2fb", "/a%5c..%5cb", "/a\\b", "/a b", "/a\x00b",
        "/a%00", "/a%0d%0ab", "/a\x7f", "/a#b", "/%2f..",
    ],
)  # fmt: skip
def test_unclear_paths(path: str) -> None:
    assert unclear_path(path.encode("latin-1"))
    with pytest.raises(Refusal) as refusal:
        split_target(path.encode("latin-1"), b"localhost")
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions", "/v1.1/models/gpt-4.1", "/a;x=1/b", "/model/arn%3Aaws%3A%2Fx",
        "/v1beta/models/gemini-2.5-pro:generateContent", "/.well-known/x", "/a/...", "/a..b/c",
        "//a", "/caf\xe9",
    ],
)  # fmt: skip
def test_clear_paths(path: str) -> None:
    assert unclear_path(path.encode("latin-1")) == ""


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/v1?a=../b", b"/v1", b"?a=../b"),
        (b"http://localhost:8585/v1/x?q", b"/v1/x", b"?q"),
        (b"HTTP://LOCALHOST:8585", b"/", b""),
        (b"http://localhost:8585?q", b"/", b"?q"),
    ],
)
def test_request_targets(target: bytes, path: bytes, query: bytes) -> None:
    assert split_target(target, b"localhost:8585") == (path, query)


@pytest.mark.parametrize(
    "target",
    [b"http://evil.tld/v1", b"localhost:443", b"*", b"", b"/v1?a=\x01", b"ftp://localhost:8585/"],
)
def test_request_targets_refused(target: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        split_target(target, b"localhost:8585")
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1beta/models/g:x?alt=sse&key=AIzaSy", "/v1beta/models/g:x?alt=sse&key=***"),
        ("/a?%6bey=s&x=1", "/a?%6bey=***&x=1"),
        ("/a?API_KEY=s", "/a?API_KEY=***"),
        ("/a?X-Amz-Signature=abc&b", "/a?X-Amz-Signature=***&b"),
        ("/a?token=", "/a?token=***"),
        ("/a?q=sk-proj-abcdefgh", "/a?q=***"),
        ("/a?sk-proj-abcdefgh", "/a?***"),
        ("/sk-helicone-abcdefg-1/v1", "/***/v1"),
        ("/sk%2Dhelicone-abcdefg-1/v1", "/***/v1"),
        ("https://h/v1/AIzaSyA1234567890123456789012/x", "https://h/v1/***/x"),
        ("/v1/models/sk-8?monkey=1", "/v1/models/sk-8?monkey=1"),
        ("/v1/task-abcdefghij/x", "/v1/task-abcdefghij/x"),
        ("/a/eyJhbGciOiJI.eyJzdWIi.c2ln", "/a/***"),
        ("/a?x=1+eyJhbGciOiJI.eyJzdWIi", "/a?x=***"),
        ("/a?b=%2BeyJhbGciOiJI.eyJzdWIi&c", "/a?b=***&c"),
    ],
)
def test_secrets_are_scrubbed(url: str, kept: str) -> None:
    assert scrub(url) == kept


@pytest.mark.parametrize("text", ["eyJ", "sk-", "ya29.", "AKIA", "gsk_", "%41", "/eyJ", "&eyJ="])
def test_scrubbing_a_hostile_url_is_quick(text: str) -> None:
    """Tried to the end at each place again, these would take ten seconds."""
    began_s = time.thread_time()
    for begin in ("/a/", "/a?b="):
        scrub(begin + text * 60_000)
    assert time.thread_time() - began_s < 1


def test_host_lists() -> None:
    hosts = HostList(["gpu", "box:8000", "*.corp.example", "10.0.0.0/8", "[::1]:9000", "*.p:81"])
    assert hosts.has("gpu")
    assert hosts.has("gpu", 1)
    assert hosts.has("box", 8000)
    assert not hosts.has("box", 8001)
    assert hosts.has("a.b.corp.example")
    assert not hosts.has("corp.example")
    assert not hosts.has("corp.example.evil.tld")
    assert hosts.has("10.1.2.3", 80)
    assert not hosts.has("11.1.2.3")
    assert hosts.has("::1", 9000)
    assert hosts.has("a.p", 81)
    assert HostList(["*"]).has("anything")
    assert not HostList().has("anything")


def test_private_names_need_leave() -> None:
    for url in (
        "http://localhost:1",
        "http://gpu",
        "http://10.0.0.1",
        "http://[::1]",
        "http://a.lan",
    ):
        assert TargetPolicy(HostList(), private=True).allows(parse_target(url))
        assert not TargetPolicy(HostList()).allows(parse_target(url))
    assert not TargetPolicy(HostList(), private=True).allows(parse_target("https://evil.tld"))
    assert is_private("10.0.0.1")
    assert not is_private("8.8.8.8")
    assert is_loopback("127.9.9.9")
    assert is_loopback("oai.localhost")
    assert not is_loopback("localhost.evil.tld")
