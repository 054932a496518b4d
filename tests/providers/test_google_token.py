"""Service accounts and the tokens they buy."""

import base64
import json
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance.errors import Refusal, UpstreamFailed
from appliance.providers.google_token import (
    RENEW_BEFORE_S,
    Token,
    TokenCache,
    read_account,
    read_token,
    token_request,
)

NOW_S = 1_780_000_000.7
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


ACCOUNT = {
    "type": "service_account", "project_id": "project-1", "private_key_id": "kid-1",
    "private_key": pem(KEY), "client_email": "a@project-1.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}  # fmt: skip


def account(**changes):
    return read_account(json.dumps({**ACCOUNT, **changes}))


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_what_is_asked_is_signed_by_the_account():
    request = token_request(account(), NOW_S)
    assert request.url == "https://oauth2.googleapis.com/token"
    assert request.content_type == "application/x-www-form-urlencoded"
    fields = parse_qs(request.body.decode(), strict_parsing=True)
    assert fields["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = fields["assertion"]
    header, claims, signature = assertion.split(".")
    assert "=" not in assertion
    assert json.loads(part(header)) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert json.loads(part(claims)) == {
        "iss": ACCOUNT["client_email"],
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_779_999_990,
        "exp": 1_780_003_590,
    }
    signed = f"{header}.{claims}".encode()
    KEY.public_key().verify(part(signature), signed, PKCS1v15(), SHA256())


def test_the_project_is_the_account_s():
    assert account().project == "project-1"
    assert account(project_id=None).project == ""


def test_an_account_has_one_id_and_shows_no_key():
    assert account().id == account().id
    assert account().id != account(client_email="b@project-1").id
    assert "PRIVATE" not in repr(account())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_email": None}, "client_email"),
        ({"private_key": 7}, "private_key"),
        ({"token_uri": "http://169.254.169.254/token"}, "token_uri"),
        ({"token_uri": "https://oauth2.googleapis.com.evil.test/token"}, "token_uri"),
    ],
)
def test_what_is_no_account(changes, said):
    with pytest.raises(Refusal, match=said) as refusal:
        account(**changes)
    assert (refusal.value.status, refusal.value.code) == (401, "provider_key_invalid")


@pytest.mark.parametrize("text", ["", "[]", "{", "ya29.token"])
def test_other_text_is_no_account(text):
    with pytest.raises(Refusal, match="no JSON object"):
        read_account(text)


@pytest.mark.parametrize("key", ["x", pem(ec.generate_private_key(ec.SECP256R1()))])
def test_a_key_of_another_kind_is_refused_without_being_told(key):
    with pytest.raises(Refusal, match="private_key is no") as refusal:
        token_request(account(private_key=key), NOW_S)
    assert key not in refusal.value.message or key == "x"


def answer(**fields) -> bytes:
    return json.dumps(fields).encode()


def test_a_token_and_its_end():
    body = answer(access_token="ya29.abc", expires_in=3599, token_type="Bearer")
    assert read_token(200, body, NOW_S) == Token("ya29.abc", NOW_S + 3599)
    assert "ya29" not in repr(read_token(200, body, NOW_S))


@pytest.mark.parametrize("lasts", [None, "x", 0, -1, 10**9])
def test_an_end_that_is_none_is_an_hour(lasts):
    body = answer(access_token="ya29.abc", expires_in=lasts)
    assert read_token(200, body, NOW_S).expires_s == NOW_S + 3600


def test_google_says_no():
    body = answer(error="invalid_grant", error_description="Invalid JWT Signature.")
    with pytest.raises(Refusal, match="Invalid JWT Signature") as refusal:
        read_token(400, body, NOW_S)
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b"later"),
        (429, answer(error="rate_limit")),
        (200, b"{}"),
        (200, b"[1]"),
        (200, answer(access_token="two words")),
        (200, answer(access_token="line\r\nbreak")),
        (200, answer(access_token="x" * 9000)),
    ],
)
def test_google_cannot_say(status, body):
    with pytest.raises(UpstreamFailed, match=str(status)) as failed:
        read_token(status, body, NOW_S)
    assert failed.value.retryable


def test_a_token_is_used_until_shortly_before_its_end():
    cache = TokenCache()
    assert cache.get("a", NOW_S) == ""
    cache.put("a", Token("t", NOW_S + 3600))
    assert cache.get("a", NOW_S) == "t"
    assert cache.get("a", NOW_S + 3600 - RENEW_BEFORE_S - 1) == "t"
    assert cache.get("a", NOW_S + 3600 - RENEW_BEFORE_S) == ""
    cache.forget("a")
    assert cache.get("a", NOW_S) == ""


def test_the_oldest_goes_when_the_cache_is_full():
    cache = TokenCache(tokens_max=2)
    for name in ("a", "b", "a", "c"):
        cache.put(name, Token(name, NOW_S + 3600))
    assert len(cache) == 2
    assert [cache.get(name, NOW_S) for name in "abc"] == ["a", "", "c"]
