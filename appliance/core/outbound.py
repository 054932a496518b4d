"""Where this server may send news of its own: what users enter for webhooks and alerts.

Pure, by the name alone. The address that it stands for is judged again when it is dialled.
"""

import re
from typing import Final

from appliance.core.urls import HostList, is_private, parse_target
from appliance.errors import Refusal

CHARACTERS_MAX: Final = 2000
# Beside those that mean a private network to everybody.
PRIVATE_ENDS: Final = (".corp", ".home", ".intranet", ".private")
_SHOWN: Final = 4


def check_destination(url: object, allowed: HostList, field: str) -> str:
    """The URL as it was entered. `allowed` is webhook_allow. Raises Refusal 422."""
    if not isinstance(url, str) or not url:
        raise _invalid(field, "expected a URL, https://…")
    if len(url) > CHARACTERS_MAX:
        raise _invalid(field, f"longer than {CHARACTERS_MAX} characters")
    if "#" in url:
        raise _invalid(field, "a URL to send to has no fragment (#…)")
    try:
        target = parse_target(url)
    except ValueError as error:
        raise _invalid(field, str(error)) from None
    if allowed.has(target.host, target.port):
        return url
    if target.scheme != "https":
        raise _invalid(
            field, f"expected https://; http is for hosts of webhook_allow ({target.netloc})"
        )
    if is_private(target.host) or target.host.endswith(PRIVATE_ENDS):
        raise _invalid(
            field, f"{target.netloc} is of a private network: whoever runs this server may list it "
            "in webhook_allow",
        )  # fmt: skip
    return url


def masked(url: str) -> str:
    """A URL whose path is a secret, as Slack's: host and last characters."""
    origin = re.match(r"https?://[^/]+", url)
    return f"{origin[0] if origin else ''}/…{url[-_SHOWN:]}"


def _invalid(field: str, why: str) -> Refusal:
    return Refusal(422, "field_invalid", f"{field}: {why}")
