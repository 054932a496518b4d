"""Requests that ask for a WebSocket: whether they may, and where that is (proxy.md 1.6).

Pure. A socket goes where a request of the same path goes, but for OpenAI's Realtime, which has more
than one door, and Azure's.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from appliance.core import headers as names
from appliance.core.websocket import KEY, VERSION
from appliance.door.destinations import to_provider
from appliance.door.route_types import Kind, Route, Routing
from appliance.errors import Refusal

WEBSOCKET: Final = b"websocket"
SOCKET_KEY: Final = b"sec-websocket-key"
SOCKET_VERSION: Final = b"sec-websocket-version"
REALTIME: Final = b"/v1/realtime"
AZURE_PATH: Final = b"/openai/realtime"
AZURE_VERSION: Final = b"api-version=2024-10-01-preview"
# The first label of a host of Azure's: nothing in it may lead elsewhere.
RESOURCE: Final = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
Fields = Mapping[bytes, bytes]


def asks_for_socket(headers: Fields) -> bool:
    """Whether a WebSocket is asked for, rightly or not."""
    return headers.get(names.UPGRADE, b"").strip().lower() == WEBSOCKET


def open_socket(
    found: Route, method: bytes, query: bytes, headers: Fields, routing: Routing
) -> Route:
    """The route of a WebSocket, from that of a request with the same path. Never raises: see
    `Route.refusal`."""
    socket = found
    if found.refusal is None:
        try:
            _check_opening(method, headers)
            socket = _destination(found, query, headers, routing)
        except Refusal as refusal:
            found.refusal = refusal
    socket.kind, socket.region = Kind.REALTIME, found.region
    return socket


def _check_opening(method: bytes, headers: Fields) -> None:
    """The client's half of the handshake (RFC 6455, 4.2.1)."""
    tokens = headers.get(names.CONNECTION, b"").lower().split(b",")
    if b"upgrade" not in [token.strip() for token in tokens]:
        raise _malformed(
            "A WebSocket is opened with Connection: Upgrade, over HTTP/1.1 and on a connection "
            "that has carried no other kind of request"
        )
    if headers.get(SOCKET_VERSION, b"").strip() != VERSION:
        raise Refusal(
            426, "websocket_version", "Sec-WebSocket-Version: 13 is the one that is spoken here.",
            headers={"Sec-WebSocket-Version": VERSION.decode()},
        )  # fmt: skip
    if method != b"GET":
        raise _malformed("A WebSocket is opened with GET")
    if KEY.fullmatch(headers.get(SOCKET_KEY, b"").strip()) is None:
        raise _malformed("Sec-WebSocket-Key must be 16 bytes in base64")
    if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
        raise _malformed("A request that opens a WebSocket has no body")


def _malformed(text: str) -> Refusal:
    return Refusal(400, "websocket_malformed", f"{text}.")


def _destination(found: Route, query: bytes, headers: Fields, routing: Routing) -> Route:
    if found.falls_back:
        raise _not_with("Helicone-Fallbacks", "Name one target in Helicone-Target-URL.")
    if names.MOCK_RESPONSE in headers:
        raise _not_with("__helicone-mock-response", "Leave it out.")
    path = found.path.partition(b"?")[0]
    if found.is_gateway:
        if path != REALTIME or found.router_name:
            raise Refusal(
                400, "websocket_no_provider",
                "The gateway answers no WebSocket at this path. Name the provider, as in "
                "/v1/gateway/{provider}/…, or call /v1/realtime.",
            )  # fmt: skip
        found = to_provider(found.rule, routing.providers.rows["openai"], path, query, routing)
    provider = found.provider
    if provider is None or provider.id != "openai" or not path.endswith(b"/realtime"):
        return found
    if not found.target_from_client and (b"resource=" in query or b"deployment=" in query):
        return _at_azure(found.rule, query, routing)
    if path == b"/realtime":  # SDKs that were given a base URL without /v1
        found.path = REALTIME + query
    return found


def _not_with(header: str, instead: str) -> Refusal:
    return Refusal(400, "websocket_only", f"{header} does nothing for a WebSocket. {instead}")


def _at_azure(rule: int, query: bytes, routing: Routing) -> Route:
    """Azure's Realtime, by resource and deployment; what else was asked stays in the query."""
    parts = [part for part in query[1:].split(b"&") if part]
    asked = dict(parse_qsl(query[1:].decode("latin-1")))
    for name in ("resource", "deployment"):
        if not asked.get(name):
            raise Refusal(
                400, "azure_incomplete",
                f"Azure's Realtime is named by ?resource=…&deployment=…: {name} is missing.",
            )  # fmt: skip
    resource = asked["resource"].encode()
    if RESOURCE.fullmatch(resource) is None:
        raise Refusal(400, "azure_resource_invalid", "resource is the first label of a host name.")
    if "api-version" not in asked:
        parts.insert(0, AZURE_VERSION)
    kept = b"?" + b"&".join(part for part in parts if not part.startswith(b"resource="))
    azure = routing.providers.rows["azure"]
    if azure.configured and azure.base_url:
        return to_provider(rule, azure, AZURE_PATH, kept, routing)
    base_url = f"https://{resource.decode().lower()}.openai.azure.com"
    return Route(Kind.PROXY, rule, "fast", azure, base_url, AZURE_PATH + kept)
