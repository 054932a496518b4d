"""The app as a whole: permissions, envelope, errors, the schema."""

import ast
import gzip
import inspect
import pathlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.routing import APIRoute

import appliance.api
from appliance.api.app import create_app
from appliance.api.paths import PERMISSIONS, rest_paths
from tests.api.kit import House, request_id, request_row

QUERY = "/v1/request/query-clickhouse"


def routes_of(router: Any) -> Iterator[APIRoute]:
    """All routes, those of included routers too."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_of(inner)
        else:
            assert isinstance(route, APIRoute), f"{route} does not pass the guard"
            yield route


def test_every_route_declares_its_permission(house: House) -> None:
    found = [(verb, route.path) for route in routes_of(house.app) for verb in route.methods or ()]
    assert sorted(found) == sorted(PERMISSIONS)


async def test_a_route_without_permission_answers_nobody() -> None:
    house = House()

    @house.app.get("/v1/undeclared")
    async def undeclared() -> str:
        return "secret"

    with pytest.raises(KeyError):
        await house.get("/v1/undeclared")
    house.close()


def test_rest_paths_are_in_the_shape_of_the_routing_table() -> None:
    assert ("GET", "/v1/request/{}") in rest_paths()
    assert all(path.startswith("/v1/") for _, path in rest_paths())


def test_every_endpoint_is_async(house: House) -> None:
    for route in routes_of(house.app):
        assert inspect.iscoroutinefunction(route.endpoint), route.path


def test_nothing_heavy_is_imported() -> None:
    """The import of the app costs start-up time."""
    heavy = {"duckdb", "pyarrow", "hypercorn", "httptools", "httpx2", "genai_prices"}
    for path in pathlib.Path(appliance.api.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not heavy & {name.partition(".")[0] for name in names}, path


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        (b"", 401, "no such key"),
        (b"Bearer writer", 403, "may only write"),
        (b"Bearer reader", 200, None),
        (b"Bearer both", 200, None),
    ],
)
async def test_reading_needs_a_key_that_may_read(
    house: House, key: bytes, status: int, words: str | None
) -> None:
    house.access.open = False
    headers = ((b"authorization", key),) if key else ()
    for path in (QUERY, "/v1/request/query", "/v1/request/count/query"):
        reply = await house.post(path, {"filter": "all"}, headers=headers)
        assert reply.status == status
        assert words is None or (reply.json["data"] is None and words in reply.json["error"])


async def test_a_refusal_carries_its_headers(house: House) -> None:
    house.access.open = False
    reply = await house.post(QUERY, {"filter": "all"})
    assert reply.headers[b"www-authenticate"] == b"Bearer"


async def test_the_body_is_not_read_before_access(house: House) -> None:
    house.access.open = False
    assert (await house.post(QUERY, b"{")).status == 401


async def test_not_found_lists_the_doors(house: House) -> None:
    reply = await house.get("/v1/nowhere")
    assert reply.status == 404
    assert reply.json["data"] is None
    for door in ("/v1/gateway/{provider}/", "Helicone-Target-URL", "/v1/request/query-clickhouse"):
        assert door in reply.json["error"]


@pytest.mark.parametrize("path", ["/redoc", "/openapi.json", "/healthcheck/"])
async def test_paths_that_are_off(house: House, path: str) -> None:
    assert (await house.get(path)).status == 404


async def test_wrong_method_names_the_right_one(house: House) -> None:
    reply = await house.get("/v1/request/count/query")
    assert reply.status == 405
    assert reply.headers[b"allow"] == b"POST"
    assert reply.json == {"data": None, "error": "This path takes POST."}


async def test_a_bug_is_500_in_the_envelope_and_raised_for_the_log(house: House) -> None:
    async def broken(region: str) -> float | None:
        raise ZeroDivisionError("secret detail")

    house.records.caught_up = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await house.post(QUERY, {"filter": "all"})
    assert house.last.status == 500
    assert house.last.json["data"] is None
    assert b"secret" not in house.last.body


@pytest.mark.parametrize(
    ("origin", "status", "shared"),
    [
        (b"https://friend.example", 200, b"https://friend.example"),
        (b"http://127.0.0.1:8585", 200, b"http://127.0.0.1:8585"),
        (b"https://stranger.example", 403, None),
        (None, 200, None),
    ],
)
async def test_only_pages_of_allowed_origins_may_call_and_read(
    house: House, origin: bytes | None, status: int, shared: bytes | None
) -> None:
    headers = ((b"origin", origin),) if origin else ()
    for path, body in ((QUERY, {"filter": "all"}), ("/v1/request/count/query", {"filter": {}})):
        reply = await house.post(path, body, headers=headers)
        assert reply.status == status
        assert reply.headers.get(b"access-control-allow-origin") == shared
    refused = await house.post(QUERY, {}, headers=headers)
    assert refused.headers.get(b"access-control-allow-origin") == shared


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "body: not JSON"),
        (b"{", 400, "body: not JSON"),
        (b'{"filter": NaN}', 400, "body: not JSON"),
        (b"[" * 5000 + b"]" * 5000, 400, "body: nested too deeply"),
        (b"[]", 422, "body: expected a JSON object"),
        (b'{"filter": "\xff"}', 400, "body: not JSON"),
        (b" " * (10 * 1024 * 1024 + 1), 413, "body: larger than"),
        ({}, 422, "filter: is required"),
        ({"filter": None}, 422, "filter: expected an object"),
        ({"filter": "all", "limit": 1001}, 422, "limit: expected a whole number from 0 to 1000"),
        ({"filter": "all", "limit": -1}, 422, "limit:"),
        ({"filter": "all", "limit": "10"}, 422, "limit:"),
        ({"filter": "all", "limit": True}, 422, "limit:"),
        ({"filter": "all", "limit": 1.5}, 422, "limit:"),
        ({"filter": "all", "offset": -1}, 422, "offset:"),
        # As a whole number this would be a gigabyte, and the end of everybody's service.
        (b'{"filter": "all", "limit": 1e999999999}', 422, "limit:"),
        (b'{"filter": "all", "offset": 1e-999999999}', 422, "offset:"),
        ({"filter": "all", "sort": "cost"}, 422, "sort: expected an object"),
        ({"filter": "all", "sort": {"cost": "up"}}, 422, 'sort.cost: expected "asc" or "desc"'),
        ({"filter": "all", "sort": {"properties": {}}}, 422, "sort.properties:"),
        ({"filter": "all", "sort": {"properties": {"a": 1}}}, 422, "sort.properties:"),
        ({"filter": "all", "isScored": "yes"}, 422, "isScored: expected true or false"),
        (
            {"filter": {"request_response_rmt": {"latency": {"gte": "slow"}}}},
            422,
            "filter.request_response_rmt.latency.gte: expected a number",
        ),
    ],
)
async def test_bad_input_names_the_field(
    house: House, body: object, status: int, words: str
) -> None:
    reply = await house.post(QUERY, body)
    assert reply.status == status
    assert reply.json["data"] is None
    assert reply.json["error"].startswith(words)


async def test_a_compressed_body_is_read(house: House) -> None:
    house.add(request_row(1))
    data = gzip.compress(b'{"filter":"all"}')
    for coding, status in ((b"gzip", 200), (b"br", 415), (b"lzma", 415)):
        reply = await house.post(QUERY, data, headers=((b"content-encoding", coding),))
        assert reply.status == status
    bomb = gzip.compress(bytes(30 * 1024 * 1024))
    reply = await house.post(QUERY, bomb, headers=((b"content-encoding", b"gzip"),))
    assert reply.status == 413


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/v1/request/no-uuid", "request_id"),
        (f"/v1/request/{request_id(1)}?includeBody=perhaps", "includeBody"),
    ],
)
async def test_bad_parameters_name_the_field(house: House, target: str, field: str) -> None:
    reply = await house.get(target)
    assert reply.status == 422
    assert reply.json["error"].startswith(f"{field}: ")


async def test_the_schema_describes_every_route(house: House) -> None:
    reply = await house.get("/download/swagger.json")
    assert reply.status == 200
    paths = reply.json["paths"]
    declared = {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}
    pages = {
        ("GET", "/sign-in"), ("POST", "/sign-in"), ("GET", "/download/swagger.json"),
        ("GET", "/docs"), ("GET", "/docs/{file}"), ("GET", "/ui/{path:path}"),
        ("GET", "/{path:page}"),
    }  # fmt: skip
    assert declared == set(PERMISSIONS) - pages
    assert paths[QUERY]["post"]["requestBody"]["required"]
    names = [p["name"] for p in paths["/v1/request/{request_id}"]["get"]["parameters"]]
    assert names == ["request_id", "includeBody"]


@pytest.mark.parametrize(
    ("path", "form"),
    [("/v1/export", form) for form in ("ndjson", "csv", "parquet")]
    + [("/api/llm-costs", form) for form in ("json", "csv")],
)
async def test_the_schema_names_what_a_format_makes(house: House, path: str, form: str) -> None:
    schema = (await house.get("/download/swagger.json")).json
    reply = await house.get(f"{path}?format={form}")
    named = schema["paths"][path]["get"]["responses"]["200"]["content"]
    assert reply.headers[b"content-type"].decode().partition(";")[0] in named


def test_apps_do_not_share_state(house: House) -> None:
    services = replace(house.app.state.services, version="2")
    assert create_app(services).state.services is services
    assert house.app.state.services.version == "1.2.3"
