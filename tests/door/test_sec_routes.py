"""What the routing table refuses for everybody's sake: odd methods, keys astray, endless hosts."""

import pytest

from appliance.core.urls import HostList, TargetPolicy
from appliance.door.routes import Kind, Routing
from tests.door.asking import BEARER, KEY, TABLE, go, sent

PATH = "/v1/gateway/oai/v1/chat/completions"


@pytest.mark.parametrize(
    "method",
    ["GET / HTTP/1.1", "GET /v1/other HTTP/1.1\r\nx:", "", " ", "G\tET", "GET:", "(", "A" * 65],
)
def test_a_method_that_is_no_token_goes_nowhere(method: str) -> None:
    """HTTP/2 lets any text through, and it would stand in the request line to the provider."""
    for path in (PATH, "/healthcheck"):
        found = go(path, BEARER, method=method)
        assert found.kind is Kind.REFUSED
        assert found.refusal is not None
        assert (found.refusal.status, found.refusal.code) == (400, "method_invalid")


@pytest.mark.parametrize("method", ["get", "PROPFIND", "M-SEARCH", "x!#$%&'*+.^_`|~0"])
def test_any_token_is_a_method(method: str) -> None:
    assert go(PATH, BEARER, method=method).kind is Kind.PROXY


@pytest.mark.parametrize(
    "target",
    [
        f"{PATH}?key={KEY}",
        f"{PATH}?a=1&x={KEY.replace('-', '%2D')}",
        f"{PATH}?{KEY}",
        f"/v1/gateway/oai/{KEY.replace('sk-', 'sk%2d')}/v1/models",
        f"/{KEY.replace('sk', '%73k')}/v1/gateway/oai/v1/models",
        f"/v1/gateway/oai/x-{KEY}/v1/models",
        f"/{KEY}/v1/gateway/oai/v1/models?key={KEY}",
    ],
)
def test_a_helicone_key_in_the_wrong_place_is_not_forwarded(target: str) -> None:
    found = go(target, BEARER)
    assert found.refusal is not None
    assert (found.refusal.status, found.refusal.code) == (400, "key_misplaced")
    assert KEY not in found.refusal.message


@pytest.mark.parametrize("query", ["?key=AIzaSyA", "?q=what-is-sk-helicone-", "?key=sk-proj-1"])
def test_other_queries_are_the_providers(query: str) -> None:
    assert sent(go(PATH + query)).endswith("/v1/chat/completions" + query)


def test_hosts_are_remembered_by_their_number_and_size() -> None:
    routing = Routing(TABLE, policy=TargetPolicy(HostList()))
    assert go(PATH, host="1" * 60_000, routing=routing).refusal is not None
    assert go(PATH, host="1." * 30_000 + "1", routing=routing).refusal is not None
    assert not routing.hosts
    go(PATH, host="a.example", routing=routing)
    assert list(routing.hosts) == [b"a.example"]
