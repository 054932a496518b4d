"""HQL's errors by Helicone's codes (backend.md 6): status, words, and the text that clients parse:
`[HQL_CODE] message: details`. Pure.
"""

from typing import Final

from appliance.errors import Refusal

# What a query does wrong is the asker's fault, also when it fails while it runs.
ERRORS: Final[dict[str, tuple[int, str]]] = {
    "INVALID_STATEMENT": (400, "Only one SELECT or WITH statement is allowed"),
    "INVALID_TABLE": (400, "This table cannot be queried"),
    "SYNTAX_ERROR": (400, "The SQL could not be understood"),
    "UNKNOWN_COLUMN": (400, "There is no such column; GET /v1/helicone-sql/schema lists them"),
    "EXECUTION_FAILED": (400, "The query failed while it ran"),
    "QUERY_TIMEOUT": (503, "The query took longer than it may: narrow it, by time for example"),
    "MEMORY_LIMIT_EXCEEDED": (503, "The query needed more memory than it may: narrow it"),
    "ROW_LIMIT_EXCEEDED": (503, "The query read more rows than it may: narrow it"),
    "RESULT_LIMIT_EXCEEDED": (503, "The result is larger than it may be: add a LIMIT"),
    "NO_DATA_RETURNED": (404, "The query found no rows, so there is nothing to download"),
    "QUERY_NOT_FOUND": (404, "There is no saved query with this id"),
    "QUERY_NAME_EXISTS": (409, "A saved query has this name already"),
    "MISSING_QUERY_NAME": (400, "name: is required"),
    "MISSING_QUERY_SQL": (400, "sql: is required"),
    "QUERY_NAME_TOO_LONG": (400, "name: at most 255 characters"),
    "CSV_EXPIRED": (404, "This download is not kept any more: ask for it again"),
    "RATE_LIMITED": (429, "Too many queries in a minute"),
    "BUSY": (503, "Too many queries wait already: try again in a moment"),
    "UNAVAILABLE": (503, "Queries cannot be run just now: try again in a moment"),
}


def hql_error(code: str, details: str = "", *, retry_after_s: int = 0) -> Refusal:
    """The refusal for one of the codes above."""
    status, message = ERRORS.get(code, (400, "The query failed"))
    text = f"[HQL_{code}] {message}" + (f": {details}" if details else "")
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else None
    return Refusal(status, f"hql_{code.lower()}", text, headers=headers)
