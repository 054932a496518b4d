"""What a password and an address must be, and how a password is kept: Argon2id, as a PHC string.

Pure but for the salt. Deriving takes a twentieth of a second and 19 MiB: for a thread, and one at
a time.
"""

import os
import re
from typing import Final

from appliance.core.provider_key_input import looks_ours
from appliance.errors import Refusal

CHARACTERS_MIN: Final = 10
CHARACTERS_MAX: Final = 200
EMAIL: Final = re.compile(
    r"[^\s@<>()\[\],;:\\\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)
NAME_CHARACTERS_MAX: Final = 200
# The smaller of OWASP's two equal recommendations: memory is what this process has least of.
MEMORY_KIB: Final = 19 * 1024
ITERATIONS: Final = 2
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32


def check_email(value: object, field: str = "email") -> str:
    """An address in lower case. Raises Refusal 422."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if len(text) > 254 or not text.isprintable() or EMAIL.fullmatch(text) is None:
        raise Refusal(422, "field_invalid", f"{field}: expected an e-mail address")
    return text


def check_person(value: object, field: str = "name") -> str:
    """What somebody is called; may be empty. Raises Refusal 422."""
    text = "" if value is None else value.strip() if isinstance(value, str) else None
    if text is None or len(text) > NAME_CHARACTERS_MAX or not text.isprintable():
        raise Refusal(
            422, "field_invalid",
            f"{field}: expected at most {NAME_CHARACTERS_MAX} printable characters",
        )  # fmt: skip
    if looks_ours(text):
        raise Refusal(422, "field_invalid", f"{field}: this looks like a key")
    return text


def check_password(value: object, email: str, field: str = "password") -> str:
    """One that may be set: long, and not the address. Raises Refusal 422."""
    if not isinstance(value, str) or not CHARACTERS_MIN <= len(value) <= CHARACTERS_MAX:
        raise Refusal(
            422, "field_invalid",
            f"{field}: expected {CHARACTERS_MIN} to {CHARACTERS_MAX} characters",
        )  # fmt: skip
    if value.strip().lower() in (email, email.partition("@")[0]) or len(set(value)) < 4:
        raise Refusal(422, "field_invalid", f"{field}: too easy to guess")
    return value


def hash_password(password: str) -> str:
    """Takes long."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    return Argon2id(
        salt=os.urandom(SALT_BYTES), length=HASH_BYTES, iterations=ITERATIONS, lanes=1,
        memory_cost=MEMORY_KIB,
    ).derive_phc_encoded(_bytes(password))  # fmt: skip


def is_password(password: str, stored: str) -> bool:
    """Whether `stored` was made of this password. Takes long."""
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(_bytes(password), stored)
    except InvalidKey:
        return False
    return True


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
