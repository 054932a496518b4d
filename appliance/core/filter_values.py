"""What a leaf of a filter may hold: texts and numbers, checked; and the Refusal that names it.

Pure.
"""

from decimal import Decimal
from typing import Any, Final, NoReturn

from appliance.errors import Refusal

TEXT_CHARACTERS_MAX: Final = 10_000
PATH_CHARACTERS_MAX: Final = 200
NUMBER_CHARACTERS_MAX: Final = 60
EXPONENT_MAX: Final = 300

Json = str | int | float | Decimal | list[Any] | dict[str, Any] | None


def refuse(path: str, why: str) -> NoReturn:
    """422: the field and what is wrong with it."""
    if len(path) > PATH_CHARACTERS_MAX:
        path = "…" + path[-PATH_CHARACTERS_MAX:]
    raise Refusal(422, "filter_invalid", f"{path}: {why}")


def check_text(value: Json, path: str) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int | Decimal):
        value = str(value)
    if not isinstance(value, str):
        refuse(path, "expected a text")
    if len(value) > TEXT_CHARACTERS_MAX:
        refuse(path, f"longer than {TEXT_CHARACTERS_MAX} characters")
    return value


def check_number(value: Json, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        refuse(path, "expected a number")
    text = str(value)
    if len(text) > NUMBER_CHARACTERS_MAX:
        refuse(path, f"a number of more than {NUMBER_CHARACTERS_MAX} characters")
    try:
        number = Decimal(text)
    except ArithmeticError:
        refuse(path, "expected a number")
    if not number.is_finite() or abs(number.adjusted()) > EXPONENT_MAX:
        refuse(path, "expected a number within reason")
    return number
