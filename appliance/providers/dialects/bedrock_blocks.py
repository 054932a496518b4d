"""Parts of chat messages as Converse's content blocks: text, images, sound, documents, inline.

Converse fetches nothing but what lies in S3; any other address is refused by its place in the
body.
"""

import base64
import re
from collections.abc import Callable
from typing import Final

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

SERVICE: Final = "Bedrock's Converse API"
IMAGES: Final = {
    "image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif",
    "image/webp": "webp",
}  # fmt: skip
DOCUMENTS: Final = {
    "application/pdf": "pdf", "text/csv": "csv", "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html", "text/plain": "txt", "text/markdown": "md", "application/json": "txt",
}  # fmt: skip
IMAGE_ENDINGS: Final = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "gif": "gif", "webp": "webp"}
DOCUMENT_ENDINGS: Final = frozenset(DOCUMENTS.values())
SOUNDS: Final = frozenset({"mp3", "wav", "aac", "flac", "ogg", "opus", "m4a", "webm"})
PDF_BASE64_START: Final = "JVBERi0"
S3: Final = "s3://"
# Names of documents: what else they hold becomes a dash.
UNNAMEABLE: Final = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
NAME_CHARACTERS_MAX: Final = 180

# Breakpoints of a cache are not told here (`proxy.md 11.1`).
MARKS = {"type", "cache_control", "prompt_cache_breakpoint"}
TEXT_FIELDS = frozenset({"text", "annotations", "logprobs", *MARKS})
IMAGE_FIELDS = frozenset({"image_url", *MARKS})
AUDIO_FIELDS = frozenset({"input_audio", *MARKS})
FILE_FIELDS = frozenset({"file", *MARKS})
DOCUMENT_FIELDS = frozenset({"source", "title", "context", *MARKS})
REFUSAL_FIELDS = frozenset({"refusal", *MARKS})


class Blocks:
    """Makes the blocks of one request: no two documents of it may have one name."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: set[str] = set()

    def of(self, content: object, where: str) -> list[Json]:
        """The blocks of a message's content; texts of blanks alone are none, as Converse takes
        no such."""
        if content is None:
            return []
        if isinstance(content, str):
            return [{"text": content}] if content and not content.isspace() else []
        blocks = []
        for number, part in enumerate(list_at(content, where)):
            place = f"{where}[{number}]"
            kind = object_at(part, place).get("type")
            translate = BLOCKS.get(string(kind))
            if translate is None:
                raise refused(
                    f"{place}.type", f"{SERVICE} takes text, images, audio and files, not {kind}"
                )
            block = translate(self, part, place)
            if "text" not in block or block["text"].strip():
                blocks.append(block)
        return blocks

    def _text(self, part: Json, where: str) -> Json:
        check_part(part, TEXT_FIELDS, where, SERVICE)
        return {"text": text_at(part, "text", where)}

    def _refusal(self, part: Json, where: str) -> Json:
        check_part(part, REFUSAL_FIELDS, where, SERVICE)
        return {"text": text_at(part, "refusal", where)}

    def _image(self, part: Json, where: str) -> Json:
        check_part(part, IMAGE_FIELDS, where, SERVICE)
        image = part.get("image_url")
        place = f"{where}.image_url"
        url = image if type(image) is str else text_at(object_at(image, place), "url", place)
        inline = data_uri(url, f"{place}.url")
        if inline is None:
            source = _stored(url, f"{place}.url")
            return _image_block(IMAGE_ENDINGS.get(_ending(url)), source, f"{place}.url")
        return _image_block(IMAGES.get(inline[0]), {"bytes": inline[1]}, f"{place}.url")

    def _audio(self, part: Json, where: str) -> Json:
        check_part(part, AUDIO_FIELDS, where, SERVICE)
        place = f"{where}.input_audio"
        audio = object_at(part.get("input_audio"), place)
        kind = text_at(audio, "format", place)
        if kind not in SOUNDS:
            raise refused(f"{place}.format", f"one of {', '.join(sorted(SOUNDS))}")
        return {"audio": {"format": kind, "source": {"bytes": text_at(audio, "data", place)}}}

    def _file(self, part: Json, where: str) -> Json:
        check_part(part, FILE_FIELDS, where, SERVICE)
        place = f"{where}.file"
        file = object_at(part.get("file"), place)
        name = string(file.get("filename"))
        if file.get("file_url") is not None:
            url = text_at(file, "file_url", place)
            return self._document_block(
                _ending(url), _stored(url, f"{place}.file_url"), name, f"{place}.file_url"
            )
        if file.get("file_data") is None:
            raise refused(place, f"{SERVICE} holds no files: give file_data")
        text = text_at(file, "file_data", place)
        place = f"{place}.file_data"
        inline = ("application/pdf", text) if text.startswith(PDF_BASE64_START) else None
        inline = inline or data_uri(text, place)
        if inline is None:
            raise refused(place, "a data URI is needed: data:application/pdf;base64,...")
        kind, data = inline
        if kind in IMAGES:
            return _image_block(IMAGES[kind], {"bytes": data}, place)
        return self._document_block(DOCUMENTS.get(kind, kind), {"bytes": data}, name, place)

    def _document(self, part: Json, where: str) -> Json:
        """A block in Anthropic's form."""
        check_part(part, DOCUMENT_FIELDS, where, SERVICE)
        place = f"{where}.source"
        source = object_at(part.get("source"), place)
        name, kind = string(part.get("title")), source.get("type")
        if kind == "base64":
            media_type = text_at(source, "media_type", place)
            data = {"bytes": text_at(source, "data", place)}
            block = self._document_block(
                DOCUMENTS.get(media_type, media_type), data, name, f"{place}.media_type"
            )
        elif kind == "text":
            text = text_at(source, "data", place).encode("utf-8", "replace")
            data = {"bytes": base64.b64encode(text).decode("ascii")}
            block = self._document_block("txt", data, name, place)
        elif kind == "url":
            url = text_at(source, "url", place)
            block = self._document_block(
                _ending(url), _stored(url, f"{place}.url"), name, f"{place}.url"
            )
        else:
            raise refused(f"{place}.type", f"{SERVICE} takes base64, text and url, not {kind}")
        if part.get("context"):
            block["document"]["context"] = text_at(part, "context", where)
        return block

    def _document_block(self, kind: str, source: Json, name: str, where: str) -> Json:
        if kind not in DOCUMENT_ENDINGS:
            raise refused(where, f"documents are {', '.join(sorted(DOCUMENT_ENDINGS))}")
        return {"document": {"format": kind, "name": self._named(name), "source": source}}

    def _named(self, name: str) -> str:
        """The name without its ending, in the letters that Converse takes, a second one of the
        same with a number."""
        stem = name.rpartition(".")[0] or name
        plain = " ".join(UNNAMEABLE.sub("-", stem).split())[:NAME_CHARACTERS_MAX].strip("- ")
        plain = plain or "document"
        found, number = plain, 2
        while found in self._names:
            found = f"{plain} {number}"
            number += 1
        self._names.add(found)
        return found


def _image_block(kind: str | None, source: Json, where: str) -> Json:
    if kind is None:
        raise refused(where, f"images are {', '.join(sorted(set(IMAGES.values())))}")
    return {"image": {"format": kind, "source": source}}


def _stored(url: str, where: str) -> Json:
    if not url.startswith(S3):
        raise refused(where, f"{SERVICE} fetches nothing: send the content as a data URI")
    return {"s3Location": {"uri": url}}


def _ending(url: str) -> str:
    return url.rpartition("/")[2].rpartition(".")[2].lower()


BLOCKS: dict[str, Callable[[Blocks, Json, str], Json]] = {
    "text": Blocks._text,
    "image_url": Blocks._image,
    "input_audio": Blocks._audio,
    "file": Blocks._file,
    "document": Blocks._document,
    "refusal": Blocks._refusal,
}
