"""Ways to ask the routing table, for its tests."""

from appliance.core.urls import HostList, TargetPolicy
from appliance.door.routes import Kind, RequestHead, Route, Routing, route
from appliance.providers.table import ProviderTable

G = "abcdefg-1234567-hijklmn-7654321"
KEY = f"sk-helicone-{G}"
BEARER = {"authorization": "Bearer sk-proj-x"}
HELICONE = {"authorization": f"Bearer {KEY}"}
TABLE = ProviderTable.built_in()
OPEN = Routing(TABLE, policy=TargetPolicy(HostList(), private=True))
LOCAL = "127.0.0.1:8585"


def go(
    target: str,
    headers: dict[str, str] | None = None,
    *,
    method: str = "POST",
    host: str = LOCAL,
    routing: Routing = OPEN,
) -> Route:
    raw = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    head = RequestHead(method.encode(), target.encode("latin-1"), host.encode(), raw)
    return route(head, routing)


def sent(found: Route) -> str:
    """Origin and path as the provider sees them."""
    assert found.kind is Kind.PROXY, found
    scheme, _, rest = found.base_url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}{found.path.decode('latin-1')}"
