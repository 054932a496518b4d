"""How a key is written into a request: every `auth` style, and nothing of the client's left."""

from __future__ import annotations

import pytest

from appliance.core.credential_header import scheme_of, with_bearer, with_secret
from appliance.core.provider_credentials import AuthType, Secret
from appliance.providers.table import AUTH_STYLES, ProviderTable

KEY = Secret("sk-1/+=")
PAIR = Secret("AKIA", "second", "token")
DOCUMENT = Secret('{"client_email": "x"}')
CLIENT = [
    (b"Content-Type", b"application/json"), (b"authorization", b"Bearer sk-helicone-x"),
    (b"X-Api-Key", b"a"), (b"API-KEY", b"b"), (b"x-goog-api-key", b"c"), (b"aws-secret-key", b"d"),
    (b"anthropic-version", b"2023-06-01"),
]  # fmt: skip
KEPT = [CLIENT[0], CLIENT[6]]


@pytest.mark.parametrize(
    ("style", "path", "secret", "auth_type", "scheme", "added", "sent_path"),
    [
        ("bearer", b"/v1", KEY, "key", "bearer", (b"Authorization", b"Bearer sk-1/+="), b"/v1"),
        ("x-api-key", b"/v1", KEY, "key", "x-api-key", (b"x-api-key", b"sk-1/+="), b"/v1"),
        ("api-key", b"/v1", KEY, "key", "api-key", (b"api-key", b"sk-1/+="), b"/v1"),
        ("query:key", b"/v1", KEY, "key", "query", None, b"/v1?key=sk-1%2F%2B%3D"),
        ("query:key", b"/v1?alt=sse", KEY, "key", "query", None, b"/v1?alt=sse&key=sk-1%2F%2B%3D"),
        (
            "query:key", b"/v1beta/openai/x", KEY, "key", "bearer",
            (b"Authorization", b"Bearer sk-1/+="), b"/v1beta/openai/x",
        ),
        ("aws-sigv4", b"/m", PAIR, "key", "sign", None, b"/m"),
        ("aws-sigv4", b"/m", KEY, "key", "bearer", (b"Authorization", b"Bearer sk-1/+="), b"/m"),
        ("bearer", b"/m", DOCUMENT, "key", "mint", None, b"/m"),
        *(
            (
                style, b"/m", KEY, "session_token", "bearer",
                (b"Authorization", b"Bearer sk-1/+="), b"/m",
            )
            for style in ("bearer", "x-api-key", "api-key", "query:key")
        ),
    ],
)  # fmt: skip
def test_styles(
    style: str,
    path: bytes,
    secret: Secret,
    auth_type: AuthType,
    scheme: str,
    added: tuple[bytes, bytes] | None,
    sent_path: bytes,
) -> None:
    written = with_secret(CLIENT, path, style, secret, auth_type)
    assert written == (KEPT + ([added] if added else []), sent_path, scheme)


def test_a_provider_without_authentication_gets_nothing() -> None:
    assert with_secret(CLIENT, b"/v1", "none", KEY) == (CLIENT, b"/v1", "none")


def test_a_token_that_was_bought_takes_the_place_of_all() -> None:
    assert with_bearer(CLIENT, "ya29") == [*KEPT, (b"Authorization", b"Bearer ya29")]


def test_every_style_of_the_table_is_written_in_one_way() -> None:
    assert {scheme_of(style, b"/v1", KEY) for style in AUTH_STYLES} == {
        "bearer", "x-api-key", "api-key", "query", "none",
    }  # fmt: skip
    for row in ProviderTable.built_in().rows.values():
        written = with_secret([], b"/v1", row.auth, KEY)
        assert (written.fields != []) or written.scheme in ("query", "none"), row.id
