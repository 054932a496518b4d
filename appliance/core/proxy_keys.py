"""Proxy keys: they stand where a provider's key would, and carry limits (proxy.md 1.7).

Pure. The limits are rate limits of one segment, this key: the limiter counts them as any other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from appliance.core.keys import KeyInfo, generate_key
from appliance.core.rate_policy import Policy, PolicyInvalid, parse_policy
from appliance.errors import Refusal

PREFIX: Final = "sk-helicone-"
# No property of a client has a dot where a policy may name it: these buckets are ours alone.
SEGMENT: Final = "proxy.key"
AUTHENTICATE: Final = {"WWW-Authenticate": 'Bearer realm="helicone"'}


@dataclass(frozen=True, slots=True)
class StandIn:
    """A proxy key on file: whose it is, the stored key that it stands for, and its limits. All
    `policies` hold; the limiter is asked with `properties`."""

    org: bytes
    proxy_id: str
    key_id: str
    provider: str
    policies: tuple[Policy, ...] = ()

    @property
    def properties(self) -> Mapping[str, str]:
        """What the segment of the policies is found in."""
        return {SEGMENT: self.proxy_id}


def generate_proxy_key(proxy_id: str, *, region: str) -> str:
    """The text of a new proxy key; shown once."""
    groups = generate_key(region=region).removeprefix(PREFIX)
    if groups.startswith("eu-"):
        return f"{PREFIX}eu-proxy-{groups.removeprefix('eu-')}-{proxy_id}"
    return f"{PREFIX}proxy-{groups}-{proxy_id}"


def limits_of(texts: Iterable[str]) -> tuple[Policy, ...]:
    """Limits as they are written: `100;w=3600` requests, `500;w=86400;u=cents`; one of a kind.
    Raises Refusal 400."""
    found: dict[str, Policy] = {}
    for text in texts:
        try:
            policy = parse_policy(text)
        except PolicyInvalid as error:
            raise Refusal(400, "limit_invalid", f"limit: {error.message}") from None
        if policy.segment:
            raise Refusal(400, "limit_invalid", "limit: a proxy key is its own segment, leave s=.")
        if policy.unit in found:
            raise Refusal(400, "limit_invalid", f"limit: two of them count {policy.unit}.")
        found[policy.unit] = replace(policy, segment=SEGMENT)
    return tuple(found.values())


def check_stand_in(stand_in: StandIn | None, provider_id: str, info: KeyInfo | None) -> StandIn:
    """The stand-in that a request may use. `info` is the Helicone key that came beside it, if any.
    Closed: raises Refusal 401 for one that is not on file, of another organisation than the
    request, or for another provider than the one that is called."""
    if stand_in is None or (info is not None and info.org != stand_in.org):
        raise Refusal(
            401, "stand_in_unknown",
            "This proxy key is not on file here, or was removed. helicone-appliance provider-keys "
            "list shows the keys that one can stand in for.",
            headers=AUTHENTICATE,
        )  # fmt: skip
    if stand_in.provider != provider_id:
        instead = f"not of {provider_id}" if provider_id else "where one provider alone is called"
        raise Refusal(
            401, "stand_in_elsewhere",
            f"This proxy key stands in for a key of {stand_in.provider}, {instead}.",
            headers=AUTHENTICATE,
        )  # fmt: skip
    return stand_in
