"""What a request brings: its JSON body under a cap, its parameters; a bad one is named in a 422.

By hand and not by FastAPI's types: those load a second pydantic (15 ms at start), and messages stay
in one form.
"""

from contextlib import aclosing
from decimal import Decimal
from typing import Any, Final, NoReturn
from uuid import UUID

import msgspec
from fastapi import Request

from appliance.core.decoding import decode_body
from appliance.errors import Refusal

BODY_BYTES_MAX: Final = 10 * 1024 * 1024

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; numbers with a fraction are Decimal. Raises Refusal 400, 413,
    415, 422."""
    data = await read_raw(request, BODY_BYTES_MAX)
    decoded = decode_body(
        data, request.headers.get("content-encoding"), bytes_max=BODY_BYTES_MAX
    )  # fmt: skip
    if decoded.problem == "bomb":
        _too_large()
    if decoded.problem:
        raise Refusal(415, "coding_invalid", "body: its Content-Encoding cannot be taken off")
    value = decoded_json(decoded.data)
    if not isinstance(value, dict):
        invalid("body", "expected a JSON object")
    return value


def decoded_json(data: bytes, field: str = "body") -> object:
    """JSON; numbers with a fraction are Decimal. Raises Refusal 400 that names the field."""
    try:
        return _decode(data)
    except RecursionError:
        raise Refusal(400, f"{field}_invalid", f"{field}: nested too deeply") from None
    except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
        raise Refusal(400, f"{field}_invalid", f"{field}: not JSON: {error}") from None


async def read_raw(request: Request, bytes_max: int) -> bytes:
    """The body as it came. Raises Refusal 413."""
    data = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            data += chunk
            if len(data) > bytes_max:
                _too_large(bytes_max)
    return bytes(data)


def _too_large(bytes_max: int = BODY_BYTES_MAX) -> NoReturn:
    raise Refusal(413, "body_too_large", f"body: larger than {bytes_max} bytes")


def invalid(field: str, why: str) -> NoReturn:
    """422: the field and what is wrong with it."""
    raise Refusal(422, "field_invalid", f"{field}: {why}")


def integer(body: dict[str, Any], field: str, default: int, maximum: int) -> int:
    """A whole number from 0 to `maximum`."""
    value = body.get(field)
    if value is None:
        return default
    # Compared before it is converted: as an int, 1e999999999 is a gigabyte and takes for ever.
    if isinstance(value, Decimal) and 0 <= value <= maximum and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        invalid(field, f"expected a whole number from 0 to {maximum}")
    return value


def query_integer(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        invalid(name, f"expected a whole number from {least} to {most}")
    return int(text)


def path_uuid(request: Request, name: str) -> str:
    """A UUID from the path, in its usual form."""
    try:
        return str(UUID(request.path_params[name]))
    except ValueError:
        invalid(name, "expected a UUID")


def query_flag(request: Request, name: str) -> bool:
    """`true` or `false` from the query; false when it is not there."""
    value = request.query_params.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        invalid(name, "expected true or false")
    return value in ("true", "1")


def flag(body: dict[str, Any], field: str) -> bool | None:
    """True, false, or None when it is not said."""
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        invalid(field, "expected true or false")
    return value
