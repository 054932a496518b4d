"""What somebody enters as a provider's key, checked: provider, name, secret, settings, base URL.

Pure. Also the keys that the environment has under the names of the SDKs. A Refusal names the field
and the fix, never the secret.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from appliance.core.credentials import LOOKS_OURS
from appliance.core.keys import parse_key
from appliance.core.provider_credentials import ProviderRow, Secret
from appliance.core.urls import parse_target
from appliance.errors import Refusal

NAME_CHARACTERS_MAX: Final = 200
KEY_LIKE_CHARACTERS: Final = 40
SECRET_CHARACTERS_MAX: Final = 8192
SETTING_CHARACTERS_MAX: Final = 512
SHOWN_CHARACTERS_MAX: Final = 60
# proxy.md 10.2; `baseUri` and `resourceName` say where the key goes, and are kept apart.
SETTINGS: Final = (
    "region", "location", "projectId", "baseUri", "deploymentName", "resourceName", "apiVersion",
    "crossRegion", "heliconeModelId",
)  # fmt: skip
RESOURCE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.IGNORECASE)
AZURE_HOST: Final = "https://{}.openai.azure.com"
# A header's value could not hold anything else.
ONE_LINE: Final = re.compile(r"[!-~]+")
AWS: Final = "aws-sigv4"
# A variable of this end names a file.
FILE_NAMED: Final = "_CREDENTIALS"
# What other systems call providers whose ids and aliases are none of it.
DISPLAY_NAMES: Final = {
    "google ai (gemini)": "google-ai-studio", "google ai": "google-ai-studio",
    "google ai studio": "google-ai-studio", "gemini": "google-ai-studio",
    "google vertex ai": "vertex", "azure openai service": "azure", "amazon bedrock": "bedrock",
    "x.ai (grok)": "xai", "x.ai": "xai", "deepseek ai": "deepseek",
}  # fmt: skip

RowOf = Callable[[str], ProviderRow | None]


class Settings(NamedTuple):
    """The checked settings of a key: where it goes ("": the provider's own address), the model it
    is for alone, and all of them by name."""

    base_url: str
    model: str
    values: Mapping[str, str]


def provider_of(name: str, row_of: RowOf) -> ProviderRow:
    """The provider meant by an id, alias or display name. Raises Refusal 400: names that no row
    has are never stored."""
    wanted = name.strip().lower()
    row = None
    if len(wanted) <= SHOWN_CHARACTERS_MAX:
        for candidate in (wanted, DISPLAY_NAMES.get(wanted, ""), re.sub(r"[\s_]+", "-", wanted)):
            row = row_of(candidate) if candidate else None
            if row is not None:
                break
    if row is None:
        raise _refused(
            "provider_unknown",
            f"provider: {_shown(name)} is no known provider; helicone-appliance providers lists "
            "them, and [providers.<id>] adds one.",
        )
    if row.auth == "none":
        raise _refused("provider_unknown", f"provider: {row.id} asks for no key.")
    return row


def check_name(name: str) -> str:
    """What a key is called; a second one of the same provider and name replaces the first."""
    found = name.strip()
    if len(found) > NAME_CHARACTERS_MAX or not found.isprintable():
        raise _refused("name_invalid", f"name: at most {NAME_CHARACTERS_MAX} printable characters.")
    if looks_ours(found) or (len(found) >= KEY_LIKE_CHARACTERS and ONE_LINE.fullmatch(found)):
        raise _refused("name_invalid", "name: this looks like a key; names are shown to everybody.")
    return found


def check_secret(row: ProviderRow, key: str, second: str = "", session: str = "") -> Secret:
    """The secret as it is stored. Raises Refusal 400 for what could not be one."""
    key, second, session = key.strip(), second.strip(), session.strip()
    if not key:
        raise _refused("secret_invalid", "key: is empty.")
    for name, part in (("key", key), ("secret key", second), ("session token", session)):
        if len(part) > SECRET_CHARACTERS_MAX:
            raise _refused("secret_invalid", f"{name}: more than {SECRET_CHARACTERS_MAX} bytes.")
        if looks_ours(part) and row.id != "helicone":
            raise _refused(
                "secret_invalid",
                f"{name}: this is a Helicone key; enter the one that {row.id} gave you.",
            )
    if key.startswith("{"):
        return _service_account(key)
    for name, part in (("key", key), ("secret key", second), ("session token", session)):
        if part and ONE_LINE.fullmatch(part) is None:
            raise _refused(
                "secret_invalid", f"{name}: has blanks, line breaks or letters beyond ASCII in it."
            )
    if (second or session) and row.auth != AWS:
        raise _refused("secret_invalid", f"secret key: {row.id} has keys of one part.")
    if session and not second:
        raise _refused("secret_invalid", "session token: comes with a secret key only.")
    return Secret(key, second, session)


def _service_account(text: str) -> Secret:
    """Google's JSON. Written anew in one line: what is sealed has one form."""
    try:
        found = json.loads(text)
        usable = (
            isinstance(found.get("client_email"), str) and "PRIVATE KEY" in found["private_key"]
        )
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        usable = False
    if not usable:
        raise _refused(
            "secret_invalid",
            "key: begins with { and is no service account's JSON (client_email, private_key).",
        )
    return Secret(json.dumps(found))


def check_settings(row: ProviderRow, given: Mapping[str, object], base_url: str = "") -> Settings:
    """The settings of a key. Raises Refusal 400 that names the one at fault."""
    values: dict[str, str] = {}
    for name, value in given.items():
        if name not in SETTINGS:
            raise _refused(
                "config_invalid", f"config.{_shown(name)}: there are {', '.join(SETTINGS)}."
            )
        text = str(value).lower() if isinstance(value, bool) else value
        if not isinstance(text, str) or len(text) > SETTING_CHARACTERS_MAX or looks_ours(text):
            raise _refused("config_invalid", f"config.{name}: a short text is expected.")
        text = text.strip()
        if text and ONE_LINE.fullmatch(text) is None:
            raise _refused("config_invalid", f"config.{name}: has blanks in it.")
        if text:
            values[name] = text
    where = base_url.strip() or values.pop("baseUri", "")
    resource = values.get("resourceName", "")
    if resource and RESOURCE.fullmatch(resource) is None:
        raise _refused("config_invalid", "config.resourceName: letters, digits and dashes.")
    if not where and resource and row.id == "azure":
        where = AZURE_HOST.format(resource.lower())
    values.pop("baseUri", None)
    try:
        where = parse_target(where).base_url if where else ""
    except ValueError as error:
        raise _refused("base_url_invalid", f"base URL: it {error}.") from None
    return Settings(where, values.get("heliconeModelId", ""), values)


def environment_secrets(
    rows: Iterable[ProviderRow], environ: Mapping[str, str], read: Callable[[str], str]
) -> tuple[dict[str, Secret], list[str]]:
    """Keys under the names that SDKs use, by provider, and what is wrong with those that cannot be
    used, in words. `read` gives the text of a file that is named instead of a key (OSError)."""
    found: dict[str, Secret] = {}
    wrong: list[str] = []
    for row in rows:
        values = [environ.get(name, "").strip() for name in row.key_env]
        try:
            if row.auth == AWS:
                if len(values) > 1 and values[0] and values[1]:
                    found[row.id] = check_secret(row, *values[:3])
                continue
            value = next(filter(None, values), "")
            if value and value[0] != "{" and row.key_env[0].endswith(FILE_NAMED):
                value = read(value)
            if value and row.auth != "none":
                found[row.id] = check_secret(row, value)
        except Refusal as refusal:
            wrong.append(f"{' or '.join(row.key_env)} is not used: {refusal.message}")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or "it is not text"
            wrong.append(f"{row.key_env[0]} is not used: {reason}")
    return found, wrong


def looks_ours(text: str) -> bool:
    """Whether this is, or was meant as, a Helicone key."""
    return text.startswith(LOOKS_OURS) or parse_key(text) is not None


def _shown(text: str) -> str:
    """Words of somebody else, short; what might be a key is none of them."""
    if len(text) > SHOWN_CHARACTERS_MAX or not text.isprintable() or looks_ours(text):
        return "this"
    return f"{text!r}"


def _refused(code: str, message: str) -> Refusal:
    return Refusal(400, code, message)
