"""What the schema says of reports."""

from typing import Final

from appliance.api.openapi_alerts import CHANNELS
from appliance.api.openapi_hooks import (
    FLAG,
    NOTHING,
    TEXT,
    TIME,
    UUID,
    Schema,
    in_path,
    json_body,
    route,
    rows,
    thing,
    words,
)

_FIELDS: Final[Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "frequency": words("daily", "weekly", "monthly"),
    "is_active": FLAG,
    **CHANNELS,
}
_REPORT: Final = thing(
    "Report",
    {"id": UUID, "created_at": TIME, "updated_at": TIME, **_FIELDS, "warnings": rows(TEXT)},
)
_ID: Final = in_path("report_id")

LIST: Final = route(rows(_REPORT))
CREATE: Final = route(_REPORT, 409, requestBody=json_body(_FIELDS))
CHANGE: Final = route(_REPORT, 404, 409, parameters=[_ID], requestBody=json_body(_FIELDS))
REMOVE: Final = route(NOTHING, 404, parameters=[_ID])
TEST: Final = route(
    thing("ReportTest", {"messages": {"type": "integer"}, "warnings": rows(TEXT)}),
    404,
    parameters=[_ID],
)
