"""Google's token endpoint: a signed statement in, an access token out, as RFC 7523 has it."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes.provider import Provider

PATH = b"/google/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://oauth2.googleapis.com/token"
PROJECT = "project-1"
EMAIL = "robot@project-1.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EXPIRES_S = 3599


def account(key: rsa.RSAPrivateKey = KEY, **changes: Any) -> dict[str, Any]:
    """A service account's file, as the console gives it."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account", "project_id": PROJECT, "private_key_id": "kid-1",
        "private_key": pem, "client_email": EMAIL, "client_id": "1234567890",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": AUDIENCE,
        "universe_domain": "googleapis.com", **changes,
    }  # fmt: skip


class TokenDesk:
    """Buys and knows tokens; `issued` are those that were given out."""

    def __init__(self) -> None:
        self.issued: list[str] = []
        self.gate = ""  # what every answer waits for
        self.broken = False

    def answer(self, body: bytes) -> tuple[int, bytes]:
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if fields.get("grant_type") != GRANT:
            return 400, _error("unsupported_grant_type", f"Invalid grant_type: {fields}")
        if self.broken:
            return 503, b"upstream connect error"
        problem = _problem(fields.get("assertion", ""))
        if problem:
            return 400, _error("invalid_grant", problem)
        self.issued.append(f"ya29.fake-{len(self.issued) + 1}")
        told = {
            "access_token": self.issued[-1], "expires_in": EXPIRES_S, "token_type": "Bearer",
        }  # fmt: skip
        return 200, json.dumps(told).encode()


def desk_of(provider: Provider) -> TokenDesk:
    """The desk of a fake provider, opened when first asked for."""
    if provider.tokens is None:
        provider.tokens = TokenDesk()
    found: TokenDesk = provider.tokens
    return found


def _problem(assertion: str) -> str:
    parts = assertion.split(".")
    if len(parts) != 3:
        return "Bad Request"
    head, claims = (json.loads(_decoded(part)) for part in parts[:2])
    if head.get("alg") != "RS256" or claims.get("aud") != AUDIENCE or claims.get("scope") != SCOPE:
        return "Invalid JWT: its alg, aud or scope is wrong."
    now_s = time.time()
    if not claims["iat"] <= now_s < claims["exp"] <= claims["iat"] + 3600:
        return "Invalid JWT: Token must be a short-lived token (60 minutes)."
    if claims.get("iss") != EMAIL:
        return "Invalid grant: account not found"
    try:
        signed = ".".join(parts[:2]).encode()
        KEY.public_key().verify(_decoded(parts[2]), signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return "Invalid JWT Signature."
    return ""


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _error(code: str, description: str) -> bytes:
    return json.dumps({"error": code, "error_description": description}).encode()
