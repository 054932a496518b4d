"""Who may call (M1, Access): pages, hosts, keys, and a broken key store."""

from dataclasses import replace

import pytest

from appliance.core.access import (
    AccessRules,
    Identity,
    check_caller,
    check_region,
    cors_headers,
    identify,
    require_read,
    split_host,
)
from appliance.core.credentials import Credentials, find_credentials
from appliance.core.keys import DEFAULT_ORGANIZATION, KeyInfo, parse_key
from appliance.errors import Refusal
from storage.state import DEFAULT_ORGANIZATION_ID

G = "abcdefg-1234567-hijklmn-7654321"
OPEN = AccessRules.from_config(
    "open", allow_hosts=("llm.lan", "*.corp.example"), allow_origins=("https://app.example.com",),
    public_url="https://Helicone.example.com:8443/x",
)  # fmt: skip
KEYS = AccessRules.from_config("keys", allow_origins=("https://app.example.com",))
LOCAL = b"127.0.0.1:8585"
INFO = KeyInfo(b"o" * 16, "key-1", "rw", "us", "mine", "ask")


def caller(headers: dict[str, str], host: bytes, rules: AccessRules, *, proxied: bool) -> int:
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    try:
        check_caller(raw, host, rules, proxied=proxied)
    except Refusal as refusal:
        return refusal.status
    return 200


def test_the_default_organisation_is_the_stores() -> None:
    assert DEFAULT_ORGANIZATION.hex() == DEFAULT_ORGANIZATION_ID.replace("-", "")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8585", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8585", 200),
        ("oai.localhost:8585", 200), ("127.1.2.3", 200), ("localhost.", 200), ("llm.lan:8585", 200),
        ("a.corp.example", 200), ("helicone.example.com:8443", 200),
        ("rebound.evil.tld:8585", 403), ("192.168.1.2:8585", 403), ("localhost.evil.tld", 403),
        ("127.0.0.1.evil.tld", 403), ("0.0.0.0:8585", 403),
        ("good/abc?x=", 400), ("a@localhost", 400), ("", 400), ("local host", 400), ("a:b", 400),
        ("localhost:8585:1", 400), ("locälhost", 400),
    ],
)  # fmt: skip
def test_open_access_answers_on_its_own_names(host: str, status: int) -> None:
    assert caller({}, host.encode(), OPEN, proxied=True) == status
    assert caller({}, host.encode(), OPEN, proxied=False) == status


@pytest.mark.parametrize(
    ("headers", "open_status", "keys_proxied", "keys_own"),
    [
        ({}, 200, 200, 200),
        ({"origin": "http://127.0.0.1:8585"}, 200, 200, 200),
        ({"origin": "https://127.0.0.1:8585"}, 200, 200, 200),
        ({"origin": "https://app.example.com"}, 200, 200, 200),
        ({"origin": "HTTPS://APP.example.com"}, 200, 200, 200),
        ({"origin": "http://127.0.0.1:3000"}, 403, 200, 403),
        ({"origin": "https://evil.tld"}, 403, 200, 403),
        ({"origin": "null"}, 403, 200, 403),
        ({"origin": ""}, 403, 200, 403),
        ({"origin": "file://127.0.0.1:8585"}, 403, 200, 403),
        ({"origin": "https://app.example.com.evil.tld"}, 403, 200, 403),
        # A plain cross-site POST: no preflight, and in old browsers no Origin.
        ({"origin": "https://evil.tld", "content-type": "text/plain"}, 403, 200, 403),
        ({"sec-fetch-site": "cross-site"}, 403, 200, 200),
        ({"sec-fetch-site": "same-origin"}, 200, 200, 200),
        ({"sec-fetch-site": "none"}, 200, 200, 200),
        # A listed page is cross-site and may call.
        ({"sec-fetch-site": "cross-site", "origin": "https://app.example.com"}, 200, 200, 200),
        # A WebSocket is not bound by CORS; its Origin is checked all the same.
        ({"upgrade": "websocket", "origin": "https://evil.tld"}, 403, 200, 403),
    ],
)  # fmt: skip
def test_pages(headers: dict[str, str], open_status: int, keys_proxied: int, keys_own: int) -> None:
    assert caller(headers, LOCAL, OPEN, proxied=True) == open_status
    assert caller(headers, LOCAL, OPEN, proxied=False) == open_status
    assert caller(headers, b"any.example", KEYS, proxied=True) == keys_proxied
    assert caller(headers, LOCAL, KEYS, proxied=False) == keys_own


def test_the_public_url_is_our_own_origin() -> None:
    headers = {"origin": "https://helicone.example.com:8443"}
    assert caller(headers, LOCAL, OPEN, proxied=False) == 200


def test_cors_goes_to_allowed_origins_only() -> None:
    foreign = {b"origin": b"https://evil.tld"}
    assert cors_headers({}, LOCAL, OPEN, proxied=True) == []
    assert cors_headers(foreign, LOCAL, OPEN, proxied=True) == []
    assert cors_headers(foreign, LOCAL, KEYS, proxied=False) == []
    assert cors_headers({b"origin": b"a\r\nb"}, LOCAL, KEYS, proxied=True) == []
    for rules, origin in ((OPEN, b"https://app.example.com"), (KEYS, b"https://any.example")):
        found = dict(cors_headers({b"origin": origin}, LOCAL, rules, proxied=True))
        assert found[b"Access-Control-Allow-Origin"] == origin
        assert found[b"Vary"] == b"Origin"
        assert b"Access-Control-Allow-Credentials" not in found


def test_preflight() -> None:
    headers = {
        b"origin": b"https://app.example.com",
        b"access-control-request-method": b"POST",
        b"access-control-request-headers": b"authorization, helicone-auth",
        b"access-control-request-private-network": b"true",
    }
    found = dict(cors_headers(headers, LOCAL, OPEN, proxied=True))
    assert b"POST" in found[b"Access-Control-Allow-Methods"]
    assert found[b"Access-Control-Allow-Headers"] == b"authorization, helicone-auth"
    assert found[b"Access-Control-Allow-Private-Network"] == b"true"
    assert found[b"Access-Control-Max-Age"] == b"600"
    headers[b"access-control-request-headers"] = b"a\r\nSet-Cookie: x"
    assert b"Access-Control-Allow-Headers" not in dict(
        cors_headers(headers, LOCAL, OPEN, proxied=True)
    )


@pytest.mark.parametrize("place", ["authorization", "x-api-key", "helicone-auth"])
@pytest.mark.parametrize("rules", [OPEN, KEYS])
def test_a_key_on_file_is_its_own_organisation(rules: AccessRules, place: str) -> None:
    credentials = find_credentials({place.encode(): f"Bearer sk-helicone-{G}".encode()})
    found = identify(credentials, INFO, rules)
    assert found == Identity(b"o" * 16, "key-1", "rw", "us", "ask")


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (Credentials(), "key_missing"),
        (Credentials(own=True), "key_missing"),
        (find_credentials({b"helicone-auth": f"Bearer sk-helicone-{G}".encode()}), "key_unknown"),
        (find_credentials({b"helicone-auth": b"Bearer "}), "key_missing"),
    ],
)
def test_access_by_keys_refuses_helpfully(credentials: Credentials, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        identify(credentials, None, KEYS)
    assert (refusal.value.status, refusal.value.code) == (401, code)
    assert "keys create" in refusal.value.message
    assert G not in refusal.value.message
    assert "WWW-Authenticate" in refusal.value.headers


@pytest.mark.parametrize(
    ("key", "host_region", "region"),
    [
        ("", "", "us"),
        ("", "eu", "eu"),
        (f"sk-helicone-{G}", "", "us"),
        (f"sk-helicone-eu-{G}", "", "eu"),
    ],
)
def test_open_access_takes_anyone_for_the_default_organisation(
    key: str, host_region: str, region: str
) -> None:
    found = identify(find_credentials({}, key), None, OPEN, host_region=host_region)
    assert found == Identity(DEFAULT_ORGANIZATION, region=region)


@pytest.mark.parametrize("rules", [OPEN, KEYS])
def test_unknown_stand_ins_are_refused(rules: AccessRules) -> None:
    credentials = find_credentials({b"authorization": f"Bearer sk-cp-{G}".encode()})
    for info in (None, INFO):
        with pytest.raises(Refusal) as refusal:
            identify(credentials, info, rules)
        assert (refusal.value.status, refusal.value.code) == (401, "stand_in_unknown")


OWN = Credentials(own=True)
OWN_AND_KEY = Credentials(key="sk-helicone-x", own=True)
KEY_ONLY = Credentials(key="sk-helicone-x")


@pytest.mark.parametrize(
    ("credentials", "rules", "built_in", "org"),
    [
        (OWN, KEYS, True, b""),
        (OWN_AND_KEY, KEYS, True, b""),
        (OWN_AND_KEY, OPEN, True, b""),
        (OWN, OPEN, False, DEFAULT_ORGANIZATION),
        (OWN, KEYS, False, None),
        (OWN_AND_KEY, OPEN, False, None),
        (KEY_ONLY, KEYS, True, None),
        (KEY_ONLY, OPEN, True, None),
        (Credentials(), KEYS, True, None),
    ],
)
def test_a_broken_key_store(
    credentials: Credentials, rules: AccessRules, built_in: bool, org: bytes | None
) -> None:
    def run() -> Identity:
        return identify(credentials, None, rules, store_broken=True, to_built_in=built_in)

    if org is None:
        with pytest.raises(Refusal) as refusal:
            run()
        assert refusal.value.status == 503
        return
    assert run().org == org
    assert run().failed_open == (org == b"")


@pytest.mark.parametrize(
    ("key", "host_region", "unread_region", "region"),
    [
        (f"sk-helicone-{G}", "", "us", "us"),
        (f"sk-helicone-eu-{G}", "", "us", "eu"),
        (f"sk-helicone-{G}", "eu", "us", "eu"),
        (f"sk-helicone-{G}", "", "eu", "eu"),  # an organisation of the EU's may have such keys
    ],
)
def test_calls_of_nobody_that_may_be_the_eus_are_recorded_there(
    key: str, host_region: str, unread_region: str, region: str
) -> None:
    credentials = Credentials(key=key, shape=parse_key(key), own=True)
    found = identify(
        credentials, None, KEYS,
        store_broken=True, host_region=host_region, unread_region=unread_region,
    )  # fmt: skip
    assert (found.failed_open, found.region) == (True, region)


def test_an_eu_key_on_file_elsewhere_opens_nothing() -> None:
    eu, us = (find_credentials({}, f"sk-helicone-{mark}{G}") for mark in ("eu-", ""))
    with pytest.raises(Refusal) as refusal:
        check_region(eu, INFO, ("us", "eu"))
    assert (refusal.value.status, refusal.value.code) == (401, "key_region")
    assert "--region eu" in refusal.value.message
    of_eu = replace(INFO, region="eu")
    check_region(eu, of_eu, ("us", "eu"))
    check_region(us, of_eu, ("us", "eu"))  # an organisation of the EU's with keys as they were
    check_region(us, INFO, ("us",))
    with pytest.raises(Refusal) as refusal:
        check_region(eu, None, ("us",))
    assert (refusal.value.status, refusal.value.code) == (503, "region_closed")


def test_a_known_key_is_served_from_memory_while_the_store_is_broken() -> None:
    assert identify(KEY_ONLY, INFO, KEYS, store_broken=True).org == INFO.org


def test_write_only_keys_do_not_read() -> None:
    with pytest.raises(Refusal) as refusal:
        require_read(Identity(permission="w"))
    assert refusal.value.status == 403
    require_read(Identity())


def test_no_name_is_too_long_to_be_a_host() -> None:
    """What is remembered of hosts is bounded in bytes as well; digits alone were let through."""
    for name in ("1" * 256, "1." * 200 + "1", "a" * 60_000, "a." * 150 + "b"):
        with pytest.raises(Refusal) as refusal:
            split_host(name.encode())
        assert refusal.value.status == 400
    assert split_host(b"1" * 255 + b":80") == ("1" * 255, "80")


def test_split_host() -> None:
    assert split_host(b"[::1]:8585") == ("::1", "8585")
    assert split_host(b"OAI.Helicone.AI") == ("oai.helicone.ai", "")
