"""What `prompts` does to the state of one region. Blocking, no server: see commands_keys.py."""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from appliance.commands_orgs import organization_id
from appliance.errors import Refusal

if TYPE_CHECKING:
    from storage.prompt_tables import Prompt, Version
    from storage.state import State

ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of an environment
TEXT_CHARACTERS_MAX: Final = 255
MESSAGE_CHARACTERS_MAX: Final = 10_000
TAGS_MAX: Final = 50
BODY_BYTES_MAX: Final = 2**20  # the bounds are those of the REST API
Given = Mapping[str, Any]


def list_prompts(state: "State", given: Given) -> list[dict[str, Any]]:
    """Each with the number of its versions and the production one."""
    from storage import prompt_tables as tables

    org = organization_id(state, given.get("org"))

    def work(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        found = []
        for prompt in tables.find_prompts(connection, org):
            versions = tables.find_versions(connection, org, prompt.id)
            live = [one for one in versions if tables.PRODUCTION in one.environments]
            found.append({
                "id": prompt.id, "name": prompt.name, "tags": ", ".join(prompt.tags),
                "versions": len(versions), "production": number_of(live[0]) if live else "",
                "created_at": iso_time(prompt.created_at_us),
            })  # fmt: skip
        return found

    return state.read(work)


def show_prompt(state: "State", given: Given) -> dict[str, Any]:
    """One version with its body; with `whole` the prompt with all of them, the oldest first.
    Raises Refusal 404, 409."""
    from storage import prompt_tables as tables

    org = organization_id(state, given.get("org"))
    wanted, version = str(given.get("prompt") or ""), str(given.get("version") or "")

    def work(connection: sqlite3.Connection) -> dict[str, Any]:
        prompt = the_one("prompt", tables.find_prompts(connection, org), wanted)
        versions = tables.find_versions(connection, org, prompt.id)
        if given.get("whole"):
            return {
                "id": prompt.id, "name": prompt.name, "tags": list(prompt.tags),
                "versions": [_shown(one) for one in reversed(versions)],
            }  # fmt: skip
        name = version or tables.PRODUCTION
        one = next((v for v in versions if name in (number_of(v), v.id, *v.environments)), None)
        if one is None:
            raise Refusal(
                404, "version_unknown",
                f"{prompt.name} has no version or environment {name}: "
                + ", ".join(number_of(v) for v in versions[:20]),
            )  # fmt: skip
        return {"id": prompt.id, "name": prompt.name, **_shown(one)}

    return state.read(work)


def import_version(state: "State", given: Given) -> dict[str, Any]:
    """One version of a prompt, under the ids that it had; what is there already stays. Raises
    Refusal 400, 409."""
    from storage import prompt_tables as tables

    org = organization_id(state, given.get("org"))
    prompt, version = _checked(given.get("prompt"), given.get("version"))

    def work(connection: sqlite3.Connection) -> bool:
        return tables.put_version(connection, org, prompt, version)

    try:
        return {"id": prompt.id, "version": number_of(version), "added": state.write(work)}
    except tables.VersionDiffers:
        raise Refusal(
            409, "version_differs",
            f"{prompt.id} has a version {number_of(version)} that says something else",
        ) from None  # fmt: skip
    except tables.TooManyPrompts as error:
        raise Refusal(409, "prompts_max", f"{error}: delete some") from None


def iso_time(at_us: int) -> str:
    """In UTC, to the second."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def number_of(version: "Version") -> str:
    """As people say it: 1.2."""
    return f"{version.major}.{version.minor}"


class Named(Protocol):
    """What somebody may ask for by its id or by its name."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def the_one(kind: str, things: Sequence[N], wanted: str) -> N:
    """That of this id, else the one of this name. Raises Refusal 404, and 409 where several have
    it. `kind` is what one of them is called."""
    found = [one for one in things if one.id == wanted] or [
        one for one in things if one.name == wanted
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(one.id for one in found[:20])
        raise Refusal(409, f"{kind}_ambiguous", f'several {kind}s are called "{wanted}": {ids}')
    raise Refusal(404, f"{kind}_unknown", f'there is no {kind} "{wanted}": {kind}s list shows them')


def _shown(version: "Version") -> dict[str, Any]:
    return {
        "version": number_of(version),
        "version_id": version.id,
        "environments": list(version.environments),
        "commit_message": version.commit_message,
        "created_at": iso_time(version.created_at_us),
        "body": json.loads(version.body),
    }


def _checked(prompt: object, version: object) -> "tuple[Prompt, Version]":
    """Of a file that anybody may have written. Raises Refusal 400."""
    from storage.prompt_tables import Prompt, Version

    if not isinstance(prompt, dict) or not isinstance(version, dict):
        raise _bad("the file", "expected a prompt with versions")
    number = re.fullmatch(r"([0-9]{1,6})\.([0-9]{1,6})", str(version.get("version", "")))
    body, environments = version.get("body"), version.get("environments", [])
    tags, message = prompt.get("tags", []), version.get("commit_message", "")
    if not ID.fullmatch(str(prompt.get("id", ""))):
        raise _bad("id", "expected 1 to 64 letters, digits, - or _")
    if not _is_text(prompt.get("name"), TEXT_CHARACTERS_MAX):
        raise _bad("name", f"expected a text of 1 to {TEXT_CHARACTERS_MAX} characters")
    if not _are(tags, TAGS_MAX, lambda one: _is_text(one, TEXT_CHARACTERS_MAX)):
        raise _bad("tags", f"expected at most {TAGS_MAX} texts")
    if number is None:
        raise _bad("version", "expected a number such as 1.0")
    if not isinstance(message, str) or len(message) > MESSAGE_CHARACTERS_MAX:
        raise _bad("commit_message", f"expected a text of at most {MESSAGE_CHARACTERS_MAX}")
    if not _are(environments, TAGS_MAX, lambda one: bool(NAME.fullmatch(str(one)))):
        raise _bad("environments", "expected names of 1 to 64 letters, digits, - or _")
    text = json.dumps(body, ensure_ascii=False)
    if not isinstance(body, dict) or not isinstance(body.get("messages", []), list):
        raise _bad("body", "expected an object with a list of messages")
    if len(text.encode("utf-8", "replace")) > BODY_BYTES_MAX:
        raise _bad("body", f"more than {BODY_BYTES_MAX} bytes")
    made = Prompt(prompt["id"], prompt["name"], tuple(dict.fromkeys(tags)), 0)
    major, minor = (int(part) for part in number.groups())
    model = body.get("model")
    return made, Version(
        "", made.id, major, minor, message, model if isinstance(model, str) else "", text,
        tuple(dict.fromkeys(environments)), 0,
    )  # fmt: skip


def _bad(field: str, message: str) -> Refusal:
    return Refusal(400, "bad_prompt", f"{field}: {message}")


def _is_text(value: object, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most


def _are(value: object, most: int, good: Any) -> bool:  # noqa: ANN401 - a check of one
    return isinstance(value, list) and len(value) <= most and all(map(good, value))


PROMPT_COMMANDS = {
    "prompts.list": list_prompts,
    "prompts.show": show_prompt,
    "prompts.import": import_version,
}
