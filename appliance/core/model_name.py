"""Which model answered: names from bodies, paths and the special kinds of logged calls.

Order for the `model` column: override, reply, request, path (`backend.md 3.4`, `proxy.md 9.3`).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

NAME_CHARACTERS_MAX = 256
STREAM_EVENTS_LOOKED_AT = 16
PATH_CHARACTERS_LOOKED_AT = 2048
MULTIPART_BYTES_LOOKED_AT = 1024 * 1024

# `/engines/x`, `models/x` (a method may follow a colon), Bedrock's `/model/x`, Azure's deployments,
# and the query of realtime and some logs.
_PATH = re.compile(r"/(?:engines|models|model|deployments)/([^/?#]+)")
_QUERY = re.compile(r"[?&]model=([^&#]+)")
_METHOD = re.compile(r":[a-zA-Z]+$")
# Bounded in each part: without, a body of `name=model` lines takes its length squared (a quarter of
# an hour for 1 MiB, and again after each start).
_MULTIPART = re.compile(
    rb'name="?model"?[^\r\n]{0,64}\r?\n(?:[^\r\n]{1,256}\r?\n){0,8}\r?\n([^\r\n]{1,256})\r?\n'
)
_ASSISTANTS = re.compile(r"/(?:threads|assistants)(?:[/?]|$)")


def clean_name(value: object) -> str | None:
    """A name fit to be stored: bounded, without lone surrogates; None for anything else."""
    if type(value) is not str or not value:
        return None
    name = value[:NAME_CHARACTERS_MAX]
    if not name.isascii():
        name = name.encode("utf-8", "replace").decode("utf-8")
    return name.removeprefix("models/").strip() or None


def request_name(document: object, body: bytes, content_type: str | None) -> str | None:
    """The model that the request asks for."""
    if type(document) is dict:
        return special_name(document) or clean_name(document.get("model"))
    if content_type and content_type.startswith("multipart/"):
        found = _MULTIPART.search(body[:MULTIPART_BYTES_LOOKED_AT])
        return clean_name(found[1].decode("utf-8", "replace")) if found else None
    return None


def special_name(document: dict[str, object]) -> str | None:
    """Logged calls that are no model's: tools, vector stores, data."""
    kind = document.get("_type")
    if kind == "tool":
        return clean_name(f"tool:{document.get('toolName') or 'unknown'}")
    if kind == "vector_db":
        return "vector_db"
    if kind == "data":
        return clean_name(f"data:{document.get('name') or 'unknown'}")
    return None


def step_name(document: object) -> str | None:
    """What a logged call was, if no model's."""
    kind = document.get("_type") if type(document) is dict else None
    return kind if kind in ("tool", "vector_db", "data") else None


def reply_name(documents: Sequence[object]) -> str | None:
    """The model that says it answered, in a body or in the first events of a stream."""
    for index in range(min(len(documents), STREAM_EVENTS_LOOKED_AT)):
        document = documents[index]
        if type(document) is not dict:
            continue
        value = document.get("model") or document.get("modelVersion")
        if not value:
            # Responses events and Anthropic's message_start wrap the object that has the name.
            inner = document.get("response") or document.get("message")
            value = inner.get("model") if type(inner) is dict else None
        name = clean_name(value)
        if name:
            return name
    return None


def path_name(path: str) -> str | None:
    return _path_name(path[:PATH_CHARACTERS_LOOKED_AT])


@lru_cache(maxsize=1024)
def _path_name(path: str) -> str | None:
    found = _PATH.search(path) or _QUERY.search(path)
    if found is None:
        return None
    name = unquote(found[1])
    if "models/" in found[0] and "/model/" not in found[0]:
        name = _METHOD.sub("", name)
    return clean_name(name)


def assistant_name(path: str, method: str) -> str | None:
    """Assistants name no model in most calls: those with a body work, those without ask again."""
    if not _ASSISTANTS.search(path):
        return None
    return "assistant-call" if method == "POST" else "assistant-polling"


def resolve(
    override: str | None, reply: str | None, request: str | None, path: str, method: str
) -> str | None:
    """The `model` column."""
    return (
        override or reply or request or (path_name(path) if path else None)
        or assistant_name(path, method)
    )  # fmt: skip
