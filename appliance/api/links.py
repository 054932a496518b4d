"""Links that a reply carries, and the check of one that comes back.

The path of every signed link begins `/v1/signed/{region}/`: the region says whose key signed it.
"""

from typing import Final

from fastapi import Request

from appliance.api.services import Links, Services
from appliance.core.forwarded import Caller
from appliance.core.signed_url import DAY_S, Pairs

SIGNED: Final = "/v1/signed"


def links_of(request: Request) -> Links:
    """The process's."""
    services: Services = request.app.state.services
    return services.links


def caller_of(request: Request) -> Caller:
    """Address, scheme and host by which the request came, through trusted proxies."""
    peer = request.client.host if request.client else ""
    host = request.headers.get("host", "")
    return links_of(request).caller(peer, request.url.scheme, host, request.headers.raw)


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a trusted proxy before us."""
    return caller_of(request).scheme == "https"


def plain_link(request: Request, path: str) -> str:
    """A URL of ours that asks for a key or a sign-in."""
    return f"{links_of(request).base(caller_of(request))}{path}"


def signed_link(
    request: Request, region: str, path: str, query: Pairs = (), *, lives_s: int = DAY_S
) -> str:
    """`{base}/v1/signed/{region}{path}` with its signature; counts for `lives_s` seconds."""
    links = links_of(request)
    signed = links.signed(region, f"{SIGNED}/{region}{path}", query, lives_s)
    return f"{links.base(caller_of(request))}{signed}"


def check_link(request: Request) -> str:
    """The region of a signed link that came back. Raises Refusal 403, 404, 410."""
    region: str = request.path_params["region"]
    links_of(request).check(region, request.scope["path"], request.query_params.multi_items())
    return region
