"""Where a routed request goes: a provider's base URL, or the one that the client names.

Pure. Who may be reached is decided here by name, and again by address when it is dialled.
"""

import re
from collections.abc import Mapping

from appliance.core import headers as names
from appliance.core.urls import Target, join_base, parse_target
from appliance.door.route_types import Kind, Route, Routing
from appliance.errors import Refusal
from appliance.providers.table import Provider


def to_named_or(
    rule: int,
    provider: Provider,
    path: bytes,
    query: bytes,
    headers: Mapping[bytes, bytes],
    routing: Routing,
    *,
    refused_status: int,
) -> Route:
    """To a provider, or to the base URL that the client names instead (proxy.md 1.3)."""
    if names.OPENAI_API_BASE in headers or names.TARGET_URL in headers:
        target = named_target(headers)
        return to_target(rule, target, path, query, routing, refused_status=refused_status)
    return to_provider(rule, provider, path, query, routing)


def to_provider(
    rule: int, provider: Provider, path: bytes, query: bytes, routing: Routing
) -> Route:
    base_url = provider.base_url
    if provider.region:
        base_url, path = _in_region(provider, path)
    elif not base_url:
        raise Refusal(
            400, "base_url_missing",
            f"Where {provider.id} is reached is not known: name it in Helicone-OpenAI-Api-Base or "
            f"Helicone-Target-URL, or set base_url in [providers.{provider.id}].",
        )  # fmt: skip
    if provider.private and not provider.configured and not routing.policy.private:
        # A row of ours is no leave to reach into the operator's network.
        target = parse_target(base_url)
        if not routing.policy.allows(target):
            raise _target_refused(target, 403)
    return Route(
        Kind.PROXY, rule, "fast", provider, base_url, join_base(provider.base_path, path) + query
    )


def _in_region(provider: Provider, path: bytes) -> tuple[str, bytes]:
    """The base URL of a provider with regional hosts, and the path without what named it."""
    if provider.id == "bedrock":
        match = re.match(rb"/v1/([a-z]{2}(?:-[a-z]+)+-[0-9])(?=/)", path)
        if match:  # proxy.md 1.5
            return provider.in_region(match[1].decode()), path[match.end() :]
    match = re.search(rb"/locations/([a-z]+(?:-[a-z]+[0-9]+)?)(?=/|$)", path)
    if match is None:
        return provider.in_region(""), path
    if match[1] == b"global":
        return provider.base_url.replace("{region}-", ""), path
    return provider.in_region(match[1].decode()), path


def named_target(headers: Mapping[bytes, bytes]) -> Target:
    base = headers.get(names.OPENAI_API_BASE)
    if base is not None:
        return read_target(base, names.OPENAI_API_BASE)
    return read_target(headers[names.TARGET_URL], names.TARGET_URL)


def read_target(value: bytes, name: bytes) -> Target:
    try:
        return parse_target(value.strip().decode("ascii"))
    except ValueError as error:
        why = "is not ASCII" if isinstance(error, UnicodeDecodeError) else str(error)
        raise Refusal(400, "target_invalid", f"{name.decode()} {why}.") from None


def to_target(
    rule: int,
    target: Target,
    path: bytes,
    query: bytes,
    routing: Routing,
    *,
    refused_status: int = 403,
    whole: bool = True,
) -> Route:
    """To a base URL of the client's, if it is a provider's or listed (M1, Outbound)."""
    known = routing.providers.by_host(target.host, target.port)
    # A host of the operator's network is not let in by a row of ours, only by one of theirs.
    let_in = known is not None and (known.configured or not _names_own_network(target, known))
    if not let_in and not routing.policy.allows(target):
        raise _target_refused(target, refused_status)
    provider = known or Provider("custom", target.base_url, record_name=target.origin)
    base_path = target.path.encode("ascii") if whole else b""
    base_url = target.base_url if whole else target.origin
    sent = join_base(base_path, path) + query
    return Route(Kind.PROXY, rule, "fast", provider, base_url, sent, target_from_client=True)


def _names_own_network(target: Target, known: Provider) -> bool:
    return known.private or known.id == "local" or "." not in target.host


def _target_refused(target: Target, status: int) -> Refusal:
    return Refusal(
        status, "target_not_allowed",
        f"{target.netloc} is no known provider's host. List it in allow_targets, or add it as "
        "[providers.<id>] with its base_url.",
    )  # fmt: skip
