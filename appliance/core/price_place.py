"""Where a call is processed, as far as that changes its price.

OpenAI charges a tenth more at its regional hosts, for models released since March 5, 2026
(developers.openai.com/api/docs/guides/data-residency). Such a call is priced under a name of its
own: `openai@regional`, whose rows stand in `prices.csv`; for what they do not say the provider's
hold.
"""

import re
from typing import Final

REGIONAL: Final = "@regional"
_HOSTS: Final = {
    "openai": re.compile(r"https?://(?:[^/?#@]*@)?[a-z]{2}\.api\.openai\.com(?=[:/?#]|$)"),
}


def priced_as(provider: str, target_url: str) -> str:
    """The name under which the price book knows a provider's calls to this URL."""
    hosts = _HOSTS.get(provider)
    return provider + REGIONAL if hosts is not None and hosts.match(target_url) else provider


def of_everywhere(name: str) -> str:
    """The provider, wherever it is called."""
    return name.removesuffix(REGIONAL)
