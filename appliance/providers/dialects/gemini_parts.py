"""Parts of chat messages as Gemini's parts: text, images, sound, files, inline or by address.

What has no part is refused by its place in the body (`proxy.md 11.3`).
"""

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

SERVICE = "Gemini"
PDF = "application/pdf"
# The first bytes of a PDF file, %PDF-, in base64.
PDF_BASE64_START = "JVBERi0"
FILES = "https://generativelanguage.googleapis.com/v1beta/"
# What the end of an address says of what is there.
MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp",
    "heic": "image/heic", "heif": "image/heif", "gif": "image/gif", "bmp": "image/bmp",
    "pdf": PDF, "txt": "text/plain", "md": "text/markdown", "html": "text/html",
    "htm": "text/html", "css": "text/css", "csv": "text/csv", "xml": "text/xml",
    "json": "application/json", "wav": "audio/wav", "mp3": "audio/mp3", "aiff": "audio/aiff",
    "aac": "audio/aac", "ogg": "audio/ogg", "flac": "audio/flac", "m4a": "audio/m4a",
    "mp4": "video/mp4", "mpeg": "video/mpeg", "mpg": "video/mpg", "mov": "video/quicktime",
    "avi": "video/avi", "flv": "video/x-flv", "webm": "video/webm", "wmv": "video/wmv",
    "3gp": "video/3gpp",
}  # fmt: skip
SOUNDS = {
    "wav": "audio/wav", "mp3": "audio/mp3", "aac": "audio/aac", "flac": "audio/flac",
    "ogg": "audio/ogg", "aiff": "audio/aiff", "m4a": "audio/m4a", "pcm16": "audio/pcm",
}  # fmt: skip
SAME_TYPES = {"image/jpg": "image/jpeg", "audio/mpeg": "audio/mp3", "audio/x-wav": "audio/wav"}

# Gemini caches by itself: where a breakpoint would lie need not be told.
MARKS = {"type", "cache_control", "prompt_cache_breakpoint"}
TEXT_FIELDS = frozenset({"text", "annotations", "logprobs", *MARKS})
IMAGE_FIELDS = frozenset({"image_url", "extra_content", *MARKS})
AUDIO_FIELDS = frozenset({"input_audio", *MARKS})
FILE_FIELDS = frozenset({"file", *MARKS})
DOCUMENT_FIELDS = frozenset({"source", "title", *MARKS})
REFUSAL_FIELDS = frozenset({"refusal", *MARKS})


def parts_from_content(content: object, where: str, *, vertex: bool) -> list[Json]:
    """The parts of a message's content; texts without a character say nothing and are left out."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"text": content}] if content else []
    parts = []
    for number, part in enumerate(list_at(content, where)):
        place = f"{where}[{number}]"
        kind = object_at(part, place).get("type")
        translate = PARTS.get(string(kind))
        if translate is None:
            raise refused(
                f"{place}.type", f"{SERVICE} takes text, images, audio and files, not {kind}"
            )
        found = translate(part, place, vertex)
        if found.get("text") != "":
            parts.append(found)
    return parts


def image_part(part: Json, where: str, vertex: bool) -> Json:
    check_part(part, IMAGE_FIELDS, where, SERVICE)
    image = part.get("image_url")
    place = f"{where}.image_url"
    url = image if type(image) is str else text_at(object_at(image, place), "url", place)
    return media_part(url, f"{place}.url", vertex=vertex)


def media_part(url: str, where: str, *, vertex: bool) -> Json:
    """What lies at an address or in a data URI. Gemini fetches addresses itself."""
    inline = data_uri(url, where)
    if inline is not None:
        return _inline(*inline, where)
    if "://" not in url:
        raise refused(where, "an address or a data URI is needed here")
    source: Json = {"fileUri": url}
    name = url.partition("#")[0].partition("?")[0].rpartition("/")[2]
    kind = MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "")
    if kind:
        source["mimeType"] = kind
    elif vertex:
        raise refused(
            where,
            "Vertex must be told the type, and the address does not end in one: "
            "send the content as a data URI",
        )
    return {"fileData": source}


def _inline(kind: str, data: str, where: str) -> Json:
    if not kind:
        raise refused(where, "the data URI names no type: data:image/png;base64,...")
    return {"inlineData": {"mimeType": SAME_TYPES.get(kind, kind), "data": data}}


def _text(part: Json, where: str, vertex: bool) -> Json:
    check_part(part, TEXT_FIELDS, where, SERVICE)
    return {"text": text_at(part, "text", where)}


def _refusal(part: Json, where: str, vertex: bool) -> Json:
    check_part(part, REFUSAL_FIELDS, where, SERVICE)
    return {"text": text_at(part, "refusal", where)}


def _audio(part: Json, where: str, vertex: bool) -> Json:
    check_part(part, AUDIO_FIELDS, where, SERVICE)
    place = f"{where}.input_audio"
    audio = object_at(part.get("input_audio"), place)
    kind = SOUNDS.get(text_at(audio, "format", place))
    if kind is None:
        raise refused(f"{place}.format", f"one of {', '.join(SOUNDS)}")
    return {"inlineData": {"mimeType": kind, "data": text_at(audio, "data", place)}}


def _file(part: Json, where: str, vertex: bool) -> Json:
    check_part(part, FILE_FIELDS, where, SERVICE)
    place = f"{where}.file"
    file = object_at(part.get("file"), place)
    if file.get("file_data") is not None:
        text = text_at(file, "file_data", place)
        if text.startswith(PDF_BASE64_START):
            return _inline(PDF, text, place)
        if text[:5].lower() != "data:":
            raise refused(
                f"{place}.file_data", "a data URI is needed: data:application/pdf;base64,..."
            )
        return media_part(text, f"{place}.file_data", vertex=vertex)
    if file.get("file_url") is not None:
        return media_part(text_at(file, "file_url", place), f"{place}.file_url", vertex=vertex)
    if file.get("file_id") is not None:
        return _held_file(text_at(file, "file_id", place), f"{place}.file_id", vertex)
    raise refused(place, "give file_data, or the file_id of a file that Google holds")


def _held_file(name: str, where: str, vertex: bool) -> Json:
    """A file uploaded before: its address, or on AI Studio its name."""
    if name.startswith("files/") and not vertex:
        return {"fileData": {"fileUri": FILES + name}}
    if "://" not in name:
        raise refused(where, f"{SERVICE} names files by their address, not by such an id")
    return media_part(name, where, vertex=vertex)


def _document(part: Json, where: str, vertex: bool) -> Json:
    """A block in Anthropic's form."""
    check_part(part, DOCUMENT_FIELDS, where, SERVICE)
    place = f"{where}.source"
    source = object_at(part.get("source"), place)
    kind = source.get("type")
    if kind == "base64":
        media_type = text_at(source, "media_type", place)
        return _inline(media_type, text_at(source, "data", place), place)
    if kind == "text":
        return {"text": text_at(source, "data", place)}
    if kind == "url":
        return media_part(text_at(source, "url", place), f"{place}.url", vertex=vertex)
    raise refused(f"{place}.type", f"{SERVICE} takes base64, text and url, not {kind}")


PARTS: dict[str, Callable[[Json, str, bool], Json]] = {
    "text": _text,
    "image_url": image_part,
    "input_audio": _audio,
    "file": _file,
    "document": _document,
    "refusal": _refusal,
}
