"""Which addresses may be dialled: every spelling of field.md B8, and the lists that allow them."""

import pytest

from appliance.errors import Refusal
from appliance.upstream.address import (
    AddressPolicy,
    Origin,
    classify,
    is_localhost,
    normalise_host,
    parse_origin,
)

KINDS = [
    ("8.8.8.8", "public"),
    ("2606:4700::1111", "public"),
    ("127.0.0.1", "loopback"),
    ("127.255.0.9", "loopback"),
    ("::1", "loopback"),
    ("0.0.0.0", "unspecified"),
    ("::", "unspecified"),
    ("0.1.2.3", "private"),
    ("10.1.2.3", "private"),
    ("172.16.0.1", "private"),
    ("172.32.0.1", "public"),
    ("192.168.1.1", "private"),
    ("100.64.0.1", "private"),
    ("100.127.255.255", "private"),
    ("100.128.0.1", "public"),
    ("198.18.0.1", "private"),
    ("fd00::1", "private"),
    ("fc00::1", "private"),
    ("fec0::1", "private"),
    ("169.254.1.1", "link_local"),
    ("fe80::1", "link_local"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("100.100.100.200", "metadata"),
    ("fd00:ec2::254", "metadata"),
    ("168.63.129.16", "metadata"),
    ("224.0.0.1", "multicast"),
    ("ff02::1", "multicast"),
    ("255.255.255.255", "reserved"),
    ("240.0.0.1", "reserved"),
    ("192.0.2.1", "reserved"),
    ("2001:db8::1", "reserved"),
    ("4000::1", "reserved"),
    # One address inside another: as bad as the inner one, and never public.
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:169.254.169.254", "metadata"),
    ("::ffff:10.0.0.1", "private"),
    ("::ffff:8.8.8.8", "private"),
    ("::ffff:0:7f00:1", "loopback"),
    ("::7f00:1", "loopback"),
    ("64:ff9b::7f00:1", "loopback"),
    ("64:ff9b::a9fe:a9fe", "metadata"),
    ("64:ff9b::808:808", "private"),
    ("64:ff9b:1::a00:1", "private"),
    ("2002:7f00:1::", "loopback"),
    ("2002:a9fe:a9fe::1", "metadata"),
    ("2002:808:808::1", "private"),
    ("2001:0:808:808::80ff:fffe", "loopback"),
    ("2001:0:808:808::f7f7:f7f7", "private"),
]


@pytest.mark.parametrize(("ip", "kind"), KINDS)
def test_kinds(ip, kind):
    assert classify(ip) == kind


@pytest.mark.parametrize(("ip", "kind"), KINDS)
def test_only_public_addresses_pass_by_default(ip, kind):
    refusal = AddressPolicy().check("name.example", 443, ip)
    assert (refusal is None) == (kind == "public")
    if refusal:
        assert "allow_targets" in refusal
        assert ip in refusal


@pytest.mark.parametrize(("ip", "kind"), KINDS)
def test_open_access_covers_this_machine_and_its_network_only(ip, kind):
    near = kind in ("public", "loopback", "private", "unspecified")
    assert (AddressPolicy(allow_private=True).check("h", 80, ip) is None) == near


HOSTS = [
    ("API.OpenAI.com", "api.openai.com"),
    ("api.openai.com.", "api.openai.com"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("with_underscore.example", "with_underscore.example"),
    ("_service.example", "_service.example"),
    ("a", "a"),
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1.", "127.0.0.1"),
    ("[::1]", "::1"),
    ("[::FFFF:127.0.0.1]", "::ffff:7f00:1"),
    ("::1", "::1"),
    ("LOCALHOST", "localhost"),
    ("evil.localhost.", "evil.localhost"),
    ("1.example", "1.example"),
    ("0x7f.example", "0x7f.example"),
]

REFUSED_HOSTS = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a.example..",
    "0",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "0x7f000001",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "127.0.0.256",
    "1.2.3.4.5",
    "example.0x",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "bücher.example",
    "user:pass@127.0.0.1",
    "user@host",
    "a b",
    "a\tb",
    "a\nb",
    "a\x00b",
    "a%2e",
    "a/b",
    "a?b",
    "a#b",
    "a\\b",
    "a:80",
    "[::1",
    "::1]",
    "[]",
    "[127.0.0.1]",
    "[fe80::1%eth0]",
    "fe80::1%eth0",
    "-a.example",
    "a-.example",
    "a" * 64 + ".example",
    ".".join(["a" * 50] * 6),
]


@pytest.mark.parametrize(("text", "host"), HOSTS)
def test_one_spelling(text, host):
    try:
        got = normalise_host(text)
    except Refusal as refusal:
        pytest.fail(refusal.message)
    assert got in (host, "::ffff:127.0.0.1" if host == "::ffff:7f00:1" else host)
    assert normalise_host(got) == got


@pytest.mark.parametrize("text", REFUSED_HOSTS)
def test_refused_spellings(text):
    with pytest.raises(Refusal) as caught:
        normalise_host(text)
    assert (caught.value.status, caught.value.code) == (400, "target_refused")


def test_names_of_this_machine():
    assert is_localhost("localhost")
    assert is_localhost("a.b.localhost")
    assert not is_localhost("localhost.example")
    assert not is_localhost("notlocalhost")


URLS = [
    ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443)),
    ("http://api.openai.com", Origin("http", "api.openai.com", 80)),
    ("HTTPS://API.openai.com:8443?x=@y", Origin("https", "api.openai.com", 8443)),
    ("http://[::1]:11434/v1", Origin("http", "::1", 11434)),
    ("http://localhost.:80/", Origin("http", "localhost", 80)),
    ("http://a.example:/", Origin("http", "a.example", 80)),
]


@pytest.mark.parametrize(("url", "origin"), URLS)
def test_origins(url, origin):
    assert parse_origin(url) == origin
    assert parse_origin(f"{origin.scheme}://{origin.authority}/") == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "//api.openai.com",
        "ftp://a.example",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://user:pass@127.0.0.1/",
        "https://a.example@127.0.0.1/",
        "https://a.example\\@127.0.0.1/",
        "https://a.example\\.b/",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:+80/",
        "https://a.example:８０/",
        "https://a.example:80:80/",
        "https://[::1]80/",
        "https://0x7f.1/",
        " https://a.example/",
    ],
)
def test_refused_urls(url):
    with pytest.raises(Refusal):
        parse_origin(url)


LISTED = [
    # entry, host asked for, port, its address, allowed?
    ("localhost", "localhost", 11434, "127.0.0.1", True),
    ("localhost", "localhost", 11434, "::1", True),
    ("localhost", "evil.localhost", 80, "127.0.0.1", False),
    ("localhost:11434", "localhost", 11434, "127.0.0.1", True),
    ("localhost:11434", "localhost", 11435, "127.0.0.1", False),
    ("Ollama.Internal.", "ollama.internal", 80, "10.0.0.5", True),
    ("ollama.internal", "x.ollama.internal", 80, "10.0.0.5", False),
    ("*.internal", "x.internal", 80, "10.0.0.5", True),
    ("*.internal", "internal", 80, "10.0.0.5", False),
    ("*.internal:81", "x.internal", 80, "10.0.0.5", False),
    # A name vouches for its network, but not for the machine's credentials.
    ("ollama.internal", "ollama.internal", 80, "169.254.169.254", False),
    ("ollama.internal", "ollama.internal", 80, "fe80::1", False),
    ("10.0.0.0/8", "any.example", 80, "10.9.9.9", True),
    ("10.0.0.0/8", "any.example", 80, "11.0.0.1", True),
    ("10.0.0.0/8", "any.example", 80, "192.168.0.1", False),
    ("127.0.0.1", "127.0.0.1", 1, "127.0.0.1", True),
    ("127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1", True),
    ("127.0.0.1:1", "127.0.0.1", 2, "127.0.0.1", False),
    ("127.0.0.1:1", "rebound.example", 1, "127.0.0.1", True),
    ("[::1]:5", "::1", 5, "::1", True),
    ("::1", "::1", 5, "::1", True),
    ("64:ff9b::/96", "dns64.example", 443, "64:ff9b::808:808", True),
    ("169.254.169.254", "metadata.example", 80, "169.254.169.254", True),
]


@pytest.mark.parametrize(("entry", "host", "port", "ip", "allowed"), LISTED)
def test_listed_targets(entry, host, port, ip, allowed):
    assert (AddressPolicy(allow=(entry,)).check(host, port, ip) is None) == allowed


@pytest.mark.parametrize("entry", ["", "http://a.example", "a b", "10.0.0.0/33", "a:b", "0x7f.1"])
def test_a_bad_entry_is_named(entry):
    with pytest.raises(ValueError, match="allow_targets"):
        AddressPolicy(allow=(entry,))


OWN = [
    # listener, target address and port, refused?
    (("127.0.0.1", 8585), "127.0.0.1", 8585, True),
    (("127.0.0.1", 8585), "::ffff:127.0.0.1", 8585, True),
    (("127.0.0.1", 8585), "0.0.0.0", 8585, True),
    (("127.0.0.1", 8585), "127.0.0.1", 8586, False),
    (("0.0.0.0", 8585), "127.0.0.1", 8585, True),
    (("0.0.0.0", 8585), "127.0.0.9", 8585, True),
    (("::", 8585), "::1", 8585, True),
    (("::", 8585), "0.0.0.0", 8585, True),
    (("192.168.1.5", 8585), "192.168.1.5", 8585, True),
    (("192.168.1.5", 8585), "192.168.1.6", 8585, False),
]


@pytest.mark.parametrize(("listener", "ip", "port", "refused"), OWN)
def test_our_own_listeners_are_never_dialled(listener, ip, port, refused):
    policy = AddressPolicy(allow_private=True, allow=(ip,), deny_own=frozenset({listener}))
    refusal = policy.check("h", port, ip)
    assert (refusal is not None) == refused
    assert refusal is None or "this server itself" in refusal


def test_behind_a_proxy_names_stand_in():
    policy = AddressPolicy(allow=("10.1.1.1",))
    assert policy.allows_name("api.openai.com", 443)
    assert policy.allows_name("8.8.8.8", 443)
    assert policy.allows_name("10.1.1.1", 443)
    assert not policy.allows_name("10.1.1.2", 443)
    assert not policy.allows_name("localhost", 443)
    assert not policy.allows_name("a.localhost", 443)
    assert AddressPolicy(allow_private=True).allows_name("localhost", 443)


def test_policies_are_values():
    one, two = (AddressPolicy(True, ("a",), frozenset({("::1", 1)})) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert "_rules" not in repr(one)
