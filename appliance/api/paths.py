"""Which endpoints there are and who may call them, as plain data: the routing table needs it before
the API itself is loaded.

Permission goes by route and not by verb: every query is a POST, and a key that may read may query
(`backend.md 1.1`). A route that the table does not know is answered to nobody.
"""

from typing import Final, Literal

# `write` adds to records, `manage` changes what the organisation keeps; `admin` asks for admin_key,
# `signed` for a signature over the body or in the URL, which the endpoint checks.
Permission = Literal["public", "metrics", "read", "write", "manage", "admin", "signed"]

SCHEMA_PATH: Final = "/download/swagger.json"
PERMISSIONS: Final[dict[tuple[str, str], Permission]] = {
    ("GET", "/healthcheck"): "public",
    ("GET", "/readycheck"): "public",
    ("GET", "/metrics"): "metrics",
    ("GET", SCHEMA_PATH): "public",
    ("GET", "/v1/models"): "public",
    ("GET", "/ai/v1/models"): "public",
    ("GET", "/ai/models"): "public",
    ("GET", "/models"): "public",
    ("GET", "/v1/models/multimodal"): "public",
    ("GET", "/ai/v1/models/multimodal"): "public",
    ("GET", "/ai/models/multimodal"): "public",
    ("GET", "/models/multimodal"): "public",
    ("POST", "/v1/request/query-clickhouse"): "read",
    ("POST", "/v1/request/query"): "read",
    ("POST", "/v1/request/count/query"): "read",
    ("POST", "/v1/request/query-ids"): "read",
    ("GET", "/v1/request/live"): "read",
    ("GET", "/v1/request/{request_id}"): "read",
    ("GET", "/v1/request/{request_id}/inputs"): "read",
    ("POST", "/v1/request/{request_id}/feedback"): "write",
    ("PUT", "/v1/request/{request_id}/property"): "write",
    ("POST", "/v1/request/{request_id}/score"): "write",
    ("POST", "/v1/request/{request_id}/assets/{asset_id}"): "read",
    ("POST", "/v1/feedback"): "write",
    ("POST", "/v1/session/query"): "read",
    ("POST", "/v1/session/count"): "read",
    ("POST", "/v1/session/name/query"): "read",
    ("POST", "/v1/session/metrics/query"): "read",
    ("GET", "/v1/session/{session_id}/tree"): "read",
    ("POST", "/v1/session/{session_id}/feedback"): "write",
    ("GET", "/v1/session/{session_id}/tag"): "read",
    ("POST", "/v1/session/{session_id}/tag"): "write",
    ("POST", "/v1/user/metrics/query"): "read",
    ("POST", "/v1/user/metrics-overview/query"): "read",
    ("POST", "/v1/user/query"): "read",
    ("POST", "/v1/property/query"): "read",
    ("POST", "/v1/property/hidden/query"): "read",
    ("POST", "/v1/property/hide"): "manage",
    ("POST", "/v1/property/restore"): "manage",
    ("POST", "/v1/property/properties/over-time"): "read",
    ("POST", "/v1/property/{key}/search"): "read",
    ("POST", "/v1/property/{key}/top-costs/query"): "read",
    ("POST", "/v1/property/{key}/top-requests/query"): "read",
    ("POST", "/v1/metrics/averageTokensPerRequest"): "read",
    ("POST", "/v1/metrics/summary"): "read",
    ("POST", "/v1/metrics/requestStatusOverTime"): "read",
    ("POST", "/v1/metrics/quantiles"): "read",
    ("POST", "/v1/metrics/models"): "read",
    ("POST", "/v1/metrics/country"): "read",
    ("POST", "/v1/metrics/{metric}"): "read",
    ("POST", "/v1/providers"): "read",
    ("POST", "/v1/evals/query"): "read",
    ("POST", "/v1/evals/score-distributions/query"): "read",
    ("GET", "/v1/evals/scores"): "read",
    ("POST", "/v1/evals/{request_id}"): "write",
    ("POST", "/v1/dashboard/scores/query"): "read",
    ("POST", "/v1/cache/metrics"): "read",
    ("POST", "/v1/cache/over-time"): "read",
    ("POST", "/v1/cache/top-requests"): "read",
    ("POST", "/v1/rate-limits/blocked"): "read",
    ("GET", "/v1/budgets"): "read",
    ("GET", "/api/llm-costs"): "public",
    ("GET", "/v1/public/model-registry/models"): "public",
    ("GET", "/v1/public/status/provider"): "read",
    ("GET", "/v1/public/status/provider/{provider}"): "read",
    ("GET", "/v1/export"): "read",
    ("GET", "/v1/signed/{region}/bodies/{exchange_id}"): "signed",
    ("GET", "/v1/signed/{region}/assets/{exchange_id}/{number}"): "signed",
    ("GET", "/wallet/state"): "read",
    ("GET", "/wallet/credits/total"): "admin",
    ("GET", "/admin/wallet/{org}/state"): "admin",
    ("GET", "/admin/wallet/{org}/tables/{table}"): "admin",
    ("POST", "/admin/wallet/{org}/modify-balance"): "admin",
    ("DELETE", "/admin/wallet/{org}/disallow-list"): "admin",
    ("POST", "/stripe/webhook"): "signed",
}


def rest_paths() -> tuple[tuple[str, str], ...]:
    """The endpoints under /v1 in the shape of the routing table: `{}` stands for one segment."""
    return tuple(
        (method, "/".join("{}" if part.startswith("{") else part for part in path.split("/")))
        for method, path in PERMISSIONS
        if path.startswith("/v1/")
    )
