"""One region's stored prompts as the gateway needs them: kept in memory, forgotten by the change
that makes them old.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from appliance.actors.tables import Tables
from appliance.core.prompts import (
    FIELDS,
    PARTIALS_MAX,
    PRODUCTION,
    Json,
    Partial,
    PromptInvalid,
    filled,
    merged,
    message_text,
    partials_in,
    with_partials,
)
from appliance.errors import Refusal
from appliance.exchange import Exchange
from storage import prompt_tables
from storage.prompt_tables import Version

KEPT_BYTES_MAX: Final = 32 * 2**20
KEPT_MAX: Final = 2_000
NAME_CHARACTERS_MAX: Final = 100

T = TypeVar("T")
Key = tuple[bytes, str, str, str]  # organisation, prompt, version, environment

_encode = msgspec.json.Encoder(decimal_format="number").encode


class PromptBook:
    """Reads through `find`; all changes go through `write`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._kept: OrderedDict[Key, Version | None] = OrderedDict()
        self._bytes = 0
        self._changes = 0

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A change of prompts; no later call sees what was before. Raises what `Tables.write`
        does."""
        try:
            return await self._tables.write(work)
        finally:
            self.forget()

    def forget(self) -> None:
        """Prompts were changed: what is kept may be old."""
        self._changes += 1
        self._kept.clear()
        self._bytes = 0

    async def find(
        self, org: bytes, prompt_id: str, version_id: str = "", environment: str = ""
    ) -> Version | None:
        """The version that an environment has, else the one that is named, else the production
        one. Raises Refusal 503."""
        key = org, prompt_id, version_id, environment
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        before = self._changes
        name = str(uuid.UUID(bytes=org))

        def read(connection: sqlite3.Connection) -> Version | None:
            if environment or not version_id:
                wanted = environment or PRODUCTION
                return prompt_tables.in_environment(connection, name, prompt_id, wanted)
            found = prompt_tables.find_version(connection, name, version_id)
            return found if found is not None and found.prompt_id == prompt_id else None

        found = await self._tables.read(read)
        if before == self._changes:
            self._keep(key, found)
        return found

    async def expand(self, x: Exchange, document: Json) -> Json:
        """The body of a request with its stored prompt in it (proxy.md 6.7). Raises Refusal."""
        prompt_id, version_id, environment, inputs = _asked(document)
        version = await self.find(x.org, prompt_id, version_id, environment)
        if version is None:
            which = environment or version_id or PRODUCTION
            raise Refusal(
                400, "prompt_unknown",
                f"prompt_id: there is no prompt {prompt_id} with a version {which}.",
            )  # fmt: skip
        body: Json = msgspec.json.decode(version.body)
        try:
            whole = merged(body, document)
            found = filled(with_partials(whole, await self._partials(x.org, whole)), inputs)
        except PromptInvalid as error:
            raise Refusal(400, "prompt_invalid", f"prompt_id {prompt_id}: {error}.") from None
        except RecursionError:
            raise Refusal(400, "prompt_invalid", "The body is nested too deeply.") from None
        x.expanded = found, inputs
        kept = {"template": body, "inputs": inputs, "autoInputs": [], "environment": environment}
        x.prompt = {
            "prompt_id": prompt_id,
            "prompt_version": version.id,
            "prompt_template": _encode(kept).decode(),
        }
        return found

    async def _partials(self, org: bytes, document: Json) -> Mapping[Partial, str]:
        """Raises PromptInvalid for one that is not there."""
        wanted = list(dict.fromkeys(partials_in(document)))
        if len(wanted) > PARTIALS_MAX:
            raise PromptInvalid(f"it names over {PARTIALS_MAX} parts of other prompts")
        texts = {}
        for partial in wanted:
            prompt_id, index, environment = partial
            version = await self.find(org, prompt_id, "", environment)
            text = message_text(msgspec.json.decode(version.body), index) if version else None
            if text is None:
                raise PromptInvalid(f"hcp:{prompt_id}:{index}:{environment} is not there")
            texts[partial] = text
        return texts

    def _keep(self, key: Key, version: Version | None) -> None:
        self._kept[key] = version
        self._bytes += len(version.body) if version else 0
        while len(self._kept) > KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            _, old = self._kept.popitem(last=False)
            self._bytes -= len(old.body) if old else 0


def _asked(document: Json) -> tuple[str, str, str, dict[str, Any]]:
    """The four fields. Raises Refusal 400 that names the one that is wrong."""
    texts = []
    for name in FIELDS[:3]:
        value = document.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > NAME_CHARACTERS_MAX):
            raise Refusal(400, "prompt_invalid", f"{name}: expected a text.")
        texts.append(value or "")
    inputs = document.get("inputs")
    if inputs is not None and not isinstance(inputs, dict):
        raise Refusal(400, "prompt_invalid", "inputs: expected an object.")
    if not texts[0]:
        raise Refusal(400, "prompt_id_missing", "prompt_id: expected the id of a prompt.")
    return texts[0], texts[1], texts[2], inputs or {}
