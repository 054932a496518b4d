"""The replies of an OTLP receiver, in the encoding of the request: ExportTraceServiceResponse, and
google.rpc.Status where it was refused (OTLP 1.x, OTLP/HTTP Response)."""

from typing import Final

from appliance.core.json_reader import write_json

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
# google.rpc.Code of an HTTP status.
CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 415: 3, 429: 8, 503: 14}
INTERNAL: Final = 13


def is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() in (b"application/json", b"text/json")


def is_protobuf(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() in (
        b"application/x-protobuf",
        b"application/protobuf",
        b"application/vnd.google.protobuf",
    )


def accepted(content_type: bytes) -> tuple[bytes, str]:
    """Everything was taken: the empty message."""
    return (b"{}", JSON) if is_json(content_type) else (b"", PROTOBUF)


def refused(content_type: bytes, status: int, message: str) -> tuple[bytes, str]:
    """Why nothing was."""
    code = CODES.get(status, INTERNAL)
    if not is_protobuf(content_type):
        return write_json({"code": code, "message": message, "error": message}), JSON
    text = message.encode("utf-8", "replace")
    return b"\x08%c\x12%b%b" % (code, _length(len(text)), text), PROTOBUF


def _length(size: int) -> bytes:
    found = bytearray()
    while size >= 0x80:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found)
