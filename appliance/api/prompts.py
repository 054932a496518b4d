"""Stored prompts: names, tags, versions and environments (backend.md 1.5). A change holds for the
gateway's next call. Another organisation's prompts are not there: 404.
"""

import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_prompts as openapi
from appliance.api.incoming import flag, integer, invalid, read_object
from appliance.api.links import check_link
from appliance.api.permissions import identity_of
from appliance.api.prompt_fields import (
    MESSAGE_CHARACTERS_MAX,
    difference,
    environment_of,
    prompt_body_of,
    shown_prompt,
    shown_version,
    tags_of,
    text_of,
)
from appliance.api.reply import JSON, NO_STORE, reply, reply_rows
from appliance.api.services import Services
from appliance.errors import Refusal
from storage import prompt_tables as tables_of
from storage.prompt_tables import PRODUCTION, TooManyPrompts, Version

T = TypeVar("T")
V1: Final = "/v1/prompt-2025"
V2: Final = "/v2/prompt-2025"
PAGE_MAX: Final = 1_000_000
PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1_000

router = APIRouter(tags=["prompts"], default_response_class=Response)


async def _read(request: Request, work: Callable[[sqlite3.Connection, str], T]) -> T:
    identity = identity_of(request)
    services: Services = request.app.state.services
    org = str(UUID(bytes=identity.org))
    return await services.tables[identity.region].read(lambda connection: work(connection, org))


async def _write(request: Request, work: Callable[[sqlite3.Connection, str], T]) -> T:
    identity = identity_of(request)
    services: Services = request.app.state.services
    org = str(UUID(bytes=identity.org))
    try:
        return await services.prompts[identity.region].write(
            lambda connection: work(connection, org)
        )
    except TooManyPrompts as error:
        raise Refusal(409, "prompts_max", f"{error}: delete some") from None


def _no_prompt(prompt_id: str) -> Refusal:
    return Refusal(404, "prompt_unknown", f"promptId: there is no prompt {prompt_id[:64]!r}")


def _no_version(version_id: str) -> Refusal:
    return Refusal(
        404, "version_unknown", f"promptVersionId: there is no version {version_id[:64]!r}"
    )  # fmt: skip


@router.post(V1, **openapi.CREATE)
async def create(request: Request) -> Response:
    """A new prompt; its version 0.0 is the production one."""
    body = await read_object(request)
    name, tags, prompt = text_of(body, "name"), tags_of(body, "tags"), prompt_body_of(body)
    found = await _write(
        request, lambda connection, org: tables_of.add_prompt(connection, org, name, tags, prompt)
    )
    return reply({"id": found[0], "versionId": found[1]})


@router.post(f"{V1}/update", **openapi.UPDATE)
async def update(request: Request) -> Response:
    """A new version after the one that is named: the next major one, or the next minor one."""
    body = await read_object(request)
    prompt_id, version_id = text_of(body, "promptId"), text_of(body, "promptVersionId")
    is_major = body.get("newMajorVersion", False)
    if not isinstance(is_major, bool):
        invalid("newMajorVersion", "expected true or false")
    message = text_of(body, "commitMessage", most=MESSAGE_CHARACTERS_MAX, empty=True)
    prompt, environment = prompt_body_of(body), environment_of(body, required=False)

    def work(connection: sqlite3.Connection, org: str) -> str:
        of = tables_of.find_version(connection, org, version_id)
        if of is None or of.prompt_id != prompt_id:
            raise _no_version(version_id)
        return tables_of.add_version(
            connection, org, of, prompt, message, is_major=is_major, environment=environment
        )

    return reply({"id": await _write(request, work)})


@router.post(f"{V1}/update/environment", **openapi.ENVIRONMENT)
async def put_environment(request: Request) -> Response:
    """This version is the one that the environment has from now on."""
    body = await read_object(request)
    prompt_id, version_id = text_of(body, "promptId"), text_of(body, "promptVersionId")
    name = environment_of(body) or ""
    if not await _write(
        request,
        lambda c, org: tables_of.set_environment(c, org, prompt_id, version_id, name),
    ):
        raise _no_version(version_id)
    return reply(None)


@router.post(f"{V1}/remove/environment", **openapi.ENVIRONMENT)
async def remove_environment(request: Request) -> Response:
    """The environment has no version any more. 404 where this one is not its."""
    body = await read_object(request)
    text_of(body, "promptId")
    version_id, name = text_of(body, "promptVersionId"), environment_of(body) or ""
    if not await _write(
        request, lambda c, org: tables_of.drop_environment(c, org, version_id, name)
    ):
        raise _no_version(version_id)
    return reply(None)


@router.get(f"{V1}/id/{{prompt_id}}", **openapi.PROMPT)
async def read_prompt(request: Request) -> Response:
    """Name and tags of a prompt."""
    prompt_id = request.path_params["prompt_id"]
    found = await _read(request, lambda c, org: tables_of.find_prompt(c, org, prompt_id))
    if found is None:
        raise _no_prompt(prompt_id)
    return reply(shown_prompt(found))


@router.post(f"{V1}/id/{{prompt_id}}/rename", **openapi.RENAME)
async def rename(request: Request) -> Response:
    """Another name."""
    prompt_id = request.path_params["prompt_id"]
    name = text_of(await read_object(request), "name")
    if not await _write(
        request, lambda c, org: tables_of.change_prompt(c, org, prompt_id, name=name)
    ):
        raise _no_prompt(prompt_id)
    return reply(None)


@router.patch(f"{V1}/id/{{prompt_id}}/tags", **openapi.TAGS)
async def change_tags(request: Request) -> Response:
    """Other tags in place of those it had; gives them."""
    prompt_id = request.path_params["prompt_id"]
    tags = tags_of(await read_object(request), "tags")
    if not await _write(
        request, lambda c, org: tables_of.change_prompt(c, org, prompt_id, tags=tags)
    ):
        raise _no_prompt(prompt_id)
    return reply(tags)


@router.post(f"{V1}/query", **openapi.QUERY)
async def query(request: Request) -> Response:
    """Prompts whose name has `search` in it and that have one of the tags; pages begin at 0.
    `total: true` counts all that fit."""
    body = await read_object(request)
    search, tags = text_of(body, "search", empty=True).lower(), set(tags_of(body, "tagsFilter"))
    page = integer(body, "page", 0, PAGE_MAX)
    size = integer(body, "pageSize", PAGE_SIZE, PAGE_SIZE_MAX)
    counts = flag(body, "total")
    every = await _read(request, tables_of.find_prompts)
    found = [
        prompt
        for prompt in every
        if search in prompt.name.lower() and (not tags or tags.intersection(prompt.tags))
    ]
    shown = map(shown_prompt, found[page * size : (page + 1) * size])
    return await reply_rows(shown, stale_by_ms=None, **({"total": len(found)} if counts else {}))


@router.post(f"{V1}/query/versions", **openapi.VERSIONS)
async def query_versions(request: Request) -> Response:
    """The versions of a prompt, or of one major number, the newest first. 404 where there is no
    such prompt."""
    identity, body = identity_of(request), await read_object(request)
    prompt_id = text_of(body, "promptId")
    wanted = integer(body, "majorVersion", 0, PAGE_MAX) if "majorVersion" in body else None
    if body.get("majorVersion") is None:
        wanted = None
    found = await _read(request, lambda c, org: tables_of.find_versions(c, org, prompt_id, wanted))
    if not found and wanted is None:
        raise _no_prompt(prompt_id)
    return reply([shown_version(request, identity, version) for version in found])


@router.post(f"{V1}/query/total-versions", **openapi.TOTAL)
async def total_versions(request: Request) -> Response:
    """How many versions a prompt has, and how many major ones. 404 where there is no such
    prompt."""
    prompt_id = text_of(await read_object(request), "promptId")
    found = await _read(request, lambda c, org: tables_of.find_versions(c, org, prompt_id))
    if not found:
        raise _no_prompt(prompt_id)
    majors = {version.major for version in found}
    return reply({"totalVersions": len(found), "majorVersions": len(majors)})


async def _answer(request: Request, version: Version | None, wanted: str) -> Response:
    if version is None:
        raise _no_version(wanted)
    is_second = request.url.path.startswith(V2)
    return reply(shown_version(request, identity_of(request), version, body=is_second))


@router.post(f"{V1}/query/version", **openapi.VERSION_BY_ID)
@router.post(f"{V2}/query/version", **openapi.VERSION_BY_ID)
async def query_version(request: Request) -> Response:
    """One version. Version 2 of this endpoint has the body in it as well."""
    version_id = text_of(await read_object(request), "promptVersionId")
    found = await _read(request, lambda c, org: tables_of.find_version(c, org, version_id))
    return await _answer(request, found, version_id)


@router.post(f"{V1}/query/production-version", **openapi.VERSION_OF)
@router.post(f"{V2}/query/production-version", **openapi.VERSION_OF)
async def query_production(request: Request) -> Response:
    """The version that production has."""
    prompt_id = text_of(await read_object(request), "promptId")
    found = await _read(
        request, lambda c, org: tables_of.in_environment(c, org, prompt_id, PRODUCTION)
    )
    return await _answer(request, found, f"{prompt_id} {PRODUCTION}")


@router.post(f"{V1}/query/environment-version", **openapi.VERSION_IN)
@router.post(f"{V2}/query/environment-version", **openapi.VERSION_IN)
async def query_environment(request: Request) -> Response:
    """The version that an environment has."""
    body = await read_object(request)
    prompt_id, name = text_of(body, "promptId"), environment_of(body) or ""
    found = await _read(request, lambda c, org: tables_of.in_environment(c, org, prompt_id, name))
    return await _answer(request, found, f"{prompt_id} {name}")


@router.post(f"{V1}/diff", **openapi.DIFF)
async def diff(request: Request) -> Response:
    """What differs between two versions: a unified diff of their bodies as indented JSON."""
    body = await read_object(request)
    old_id, new_id = text_of(body, "fromVersionId"), text_of(body, "toVersionId")

    def work(connection: sqlite3.Connection, org: str) -> str:
        versions = []
        for version_id in (old_id, new_id):
            version = tables_of.find_version(connection, org, version_id)
            if version is None:
                raise _no_version(version_id)
            versions.append(version)
        return difference(versions[0], versions[1])

    return reply(await _read(request, work))


@router.get(f"{V1}/{{version_id}}/prompt-body", **openapi.BODY)
async def read_body(request: Request) -> Response:
    """The body of a version."""
    version_id = request.path_params["version_id"]
    found = await _read(request, lambda c, org: tables_of.find_version(c, org, version_id))
    if found is None:
        raise _no_version(version_id)
    return reply(msgspec.Raw(found.body.encode()))


@router.get("/v1/signed/{region}/prompt/{version_id}", **openapi.SIGNED)
async def read_signed(request: Request) -> Response:
    """The bare body, for SDKs: whoever has the URL may read it, for a day."""
    services: Services = request.app.state.services
    region = check_link(request)
    version_id = request.path_params["version_id"]
    found = await services.tables[region].read(lambda c: tables_of.version_body(c, version_id))
    if found is None:
        raise _no_version(version_id)
    return Response(found.encode(), 200, NO_STORE, JSON)


@router.get(f"{V1}/id/{{prompt_id}}/{{version_id}}/inputs", **openapi.INPUTS)
async def read_inputs(request: Request) -> Response:
    """The inputs that a request gave for this version; null where it gave none."""
    request_id = request.query_params.get("requestId", "")
    try:
        wanted = str(UUID(request_id))
    except ValueError:
        invalid("requestId", "expected the UUID of a request in the query")
    identity = identity_of(request)
    services: Services = request.app.state.services
    await services.records.caught_up(identity.region)
    found = await services.records.query(
        identity.region,
        "SELECT b.prompt_template FROM requests AS r JOIN bodies AS b USING (exchange_id)"
        " WHERE r.organization_id = CAST($1 AS UUID) AND r.request_id = CAST($2 AS UUID)"
        " AND r.prompt_version = $3 AND r.prompt_id = $4 LIMIT 1",
        [identity.org.hex(), wanted, request.path_params["version_id"],
         request.path_params["prompt_id"]],
    )  # fmt: skip
    text = found.rows[0][0] if found.rows else None
    if text is None:
        return reply(None)
    inputs = msgspec.json.decode(text).get("inputs") or {}
    version_id = request.path_params["version_id"]
    return reply({"request_id": wanted, "version_id": version_id, "inputs": inputs})


@router.get(f"{V1}/tags", **openapi.NAMES)
async def all_tags(request: Request) -> Response:
    """Every tag that a prompt has, each once."""
    found = await _read(request, tables_of.find_prompts)
    return reply(sorted({tag for prompt in found for tag in prompt.tags}))


@router.get(f"{V1}/environments", **openapi.NAMES)
async def all_environments(request: Request) -> Response:
    """Every environment that has a version, each once."""
    return reply(await _read(request, tables_of.environments))


@router.get(f"{V1}/count", **openapi.COUNT)
async def count(request: Request) -> Response:
    """How many prompts there are."""
    return reply(len(await _read(request, tables_of.find_prompts)))


@router.delete(f"{V1}/{{prompt_id}}", **openapi.DELETE_PROMPT)
async def drop_prompt(request: Request) -> Response:
    """It is not found any more, nor are its versions; records keep its id."""
    prompt_id = request.path_params["prompt_id"]
    if not await _write(request, lambda c, org: tables_of.drop_prompt(c, org, prompt_id)):
        raise _no_prompt(prompt_id)
    return reply(None)


@router.delete(f"{V1}/{{prompt_id}}/{{version_id}}", **openapi.DELETE_VERSION)
async def drop_version(request: Request) -> Response:
    """This version is not found any more. 409 for the one that production has."""
    prompt_id = request.path_params["prompt_id"]
    version_id = request.path_params["version_id"]

    def work(connection: sqlite3.Connection, org: str) -> None:
        version = tables_of.find_version(connection, org, version_id)
        if version is None or version.prompt_id != prompt_id:
            raise _no_version(version_id)
        if PRODUCTION in version.environments:
            raise Refusal(
                409, "version_in_production",
                "This is the production version: give production another one first.",
            )  # fmt: skip
        tables_of.drop_version(connection, org, version_id)

    await _write(request, work)
    return reply(None)
