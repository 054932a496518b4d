"""Parts of chat messages as Anthropic's content blocks: text, images, files, documents.

What has no block is refused by its place in the body (`proxy.md 11.1`).
"""

import base64
import binascii
from collections.abc import Callable

from appliance.providers.dialects.common import (
    Json,
    check_part,
    data_uri,
    list_at,
    object_at,
    refused,
    string,
    text_at,
)

SERVICE = "Anthropic's Messages API"
PDF = "application/pdf"
# The first bytes of a PDF file, %PDF-, in base64.
PDF_BASE64_START = "JVBERi0"

MARKS = {"type", "cache_control", "prompt_cache_breakpoint"}
TEXT_FIELDS = frozenset({"text", "annotations", "logprobs", *MARKS})
IMAGE_FIELDS = frozenset({"image_url", *MARKS})
FILE_FIELDS = frozenset({"file", *MARKS})
DOCUMENT_FIELDS = frozenset({"source", "title", "context", "citations", *MARKS})
REFUSAL_FIELDS = frozenset({"refusal", *MARKS})
# Anthropic keeps a prefix 5 minutes or an hour; asked for longer, nothing fits.
BREAKPOINT_TTL = {"30m": "1h"}


def blocks_from_parts(parts: object, where: str) -> list[Json]:
    """The blocks of a message's content; texts without a character say nothing and are left out."""
    blocks = []
    for number, part in enumerate(list_at(parts, where)):
        place = f"{where}[{number}]"
        kind = object_at(part, place).get("type")
        translate = BLOCKS.get(string(kind))
        if translate is None:
            raise refused(f"{place}.type", f"{SERVICE} takes text, images and files, not {kind}")
        block = translate(part, place)
        mark = cache_mark(part, place)
        if mark is not None:
            block["cache_control"] = mark
        if block.get("text") != "":
            blocks.append(block)
    return blocks


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def cache_mark(raw: Json, where: str) -> Json | None:
    """The cache breakpoint of a message, a part or a tool, in either of its two spellings."""
    mark = raw.get("cache_control")
    if mark is not None:
        if type(mark) is not dict or mark.get("type") != "ephemeral":
            raise refused(f"{where}.cache_control", 'this is {"type": "ephemeral"}, with a ttl')
        return mark
    point = raw.get("prompt_cache_breakpoint")
    if point is None:
        return None
    ttl = object_at(point, f"{where}.prompt_cache_breakpoint").get("ttl")
    if ttl is not None and string(ttl) not in BREAKPOINT_TTL:
        raise refused(f"{where}.prompt_cache_breakpoint.ttl", f"{SERVICE} keeps at most an hour")
    return {"type": "ephemeral", **({"ttl": BREAKPOINT_TTL[ttl]} if ttl else {})}


def _text(part: Json, where: str) -> Json:
    check_part(part, TEXT_FIELDS, where, SERVICE)
    return text_block(text_at(part, "text", where))


def _refusal(part: Json, where: str) -> Json:
    check_part(part, REFUSAL_FIELDS, where, SERVICE)
    return text_block(text_at(part, "refusal", where))


def _image(part: Json, where: str) -> Json:
    check_part(part, IMAGE_FIELDS, where, SERVICE)
    image = part.get("image_url")
    if type(image) is str:
        url = image
    else:
        place = f"{where}.image_url"
        image = object_at(image, place)
        url = text_at(image, "url", place)
        # Anthropic reads images at their own size, which is what the other words ask for.
        if image.get("detail") == "low":
            raise refused(f"{place}.detail", f"{SERVICE} has no low detail; send a smaller image")
    inline = data_uri(url, f"{where}.image_url.url")
    return _image_block(url, inline)


def _image_block(url: str, inline: tuple[str, str] | None) -> Json:
    if inline is None:
        return {"type": "image", "source": {"type": "url", "url": url}}
    kind, data = inline
    media_type = "image/jpeg" if kind == "image/jpg" else kind
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": media_type, "data": data},
    }


def _file(part: Json, where: str) -> Json:
    check_part(part, FILE_FIELDS, where, SERVICE)
    place = f"{where}.file"
    file = object_at(part.get("file"), place)
    name = file.get("filename")
    if file.get("file_data") is not None:
        return _file_data(text_at(file, "file_data", place), name, f"{place}.file_data")
    if file.get("file_url") is not None:
        return _document({"type": "url", "url": text_at(file, "file_url", place)}, name)
    if file.get("file_id") is not None:
        return _document({"type": "file", "file_id": text_at(file, "file_id", place)}, name)
    raise refused(place, "give file_data, or the file_id of a file that Anthropic holds")


def _file_data(text: str, name: object, where: str) -> Json:
    if text.startswith(PDF_BASE64_START):
        kind, data = PDF, text
    else:
        inline = data_uri(text, where)
        if inline is None:
            raise refused(where, "a data URI is needed: data:application/pdf;base64,...")
        kind, data = inline
    if kind == PDF:
        return _document({"type": "base64", "media_type": PDF, "data": data}, name)
    if kind.startswith("image/"):
        return _image_block("", (kind, data))
    if kind.startswith("text/") or kind == "application/json":
        plain = _decoded(data, where)
        return _document({"type": "text", "media_type": "text/plain", "data": plain}, name)
    raise refused(where, f"{SERVICE} takes PDF, text and images, not {kind}")


def _decoded(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise refused(where, "text files are base64 of UTF-8") from None


def _document(source: Json, name: object) -> Json:
    block: Json = {"type": "document", "source": source}
    if type(name) is str and name:
        block["title"] = name
    return block


def _native_document(part: Json, where: str) -> Json:
    """A block in Anthropic's own form passes as it is (`proxy.md 11.1`)."""
    check_part(part, DOCUMENT_FIELDS, where, SERVICE)
    object_at(part.get("source"), f"{where}.source")
    return {name: value for name, value in part.items() if name not in MARKS or name == "type"}


BLOCKS: dict[str, Callable[[Json, str], Json]] = {
    "text": _text,
    "image_url": _image,
    "file": _file,
    "document": _native_document,
    "refusal": _refusal,
}
