"""What the schema says of reports."""

from typing import Final

from appliance.api.openapi_alerts import CHANNELS
from appliance.api.openapi_parts import (
    FLAG,
    NOTHING,
    TEXT,
    TIME,
    UUID,
    Schema,
    listed,
    obj,
    one_of,
    titled,
    usual,
)

_FIELDS: Final[Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "frequency": one_of("daily", "weekly", "monthly"),
    "is_active": FLAG,
    **CHANNELS,
}
_REPORT: Final = titled(
    "Report",
    {"id": UUID, "created_at": TIME, "updated_at": TIME, **_FIELDS, "warnings": listed(TEXT)},
)
_ID: Final = {"report_id": UUID}

LIST: Final = usual(listed(_REPORT))
CREATE: Final = usual(_REPORT, 409, body=obj(_FIELDS))
CHANGE: Final = usual(_REPORT, 404, 409, path=_ID, body=obj(_FIELDS))
REMOVE: Final = usual(NOTHING, 404, path=_ID)
TEST: Final = usual(
    titled("ReportTest", {"messages": {"type": "integer"}, "warnings": listed(TEXT)}),
    404,
    path=_ID,
)
