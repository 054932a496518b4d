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
    ("GET", "/v1/request/{request_id}"): "read",
    ("GET", "/v1/helicone-sql/schema"): "read",
    ("POST", "/v1/helicone-sql/execute"): "read",
    ("POST", "/v1/helicone-sql/download"): "read",
    ("GET", "/v1/helicone-sql/saved-queries"): "read",
    ("POST", "/v1/helicone-sql/saved-queries/bulk-delete"): "manage",
    ("POST", "/v1/helicone-sql/saved-query"): "manage",
    ("GET", "/v1/helicone-sql/saved-query/{query_id}"): "read",
    ("PUT", "/v1/helicone-sql/saved-query/{query_id}"): "manage",
    ("DELETE", "/v1/helicone-sql/saved-query/{query_id}"): "manage",
    ("GET", "/v1/signed/{region}/hql/{export_id}"): "signed",
    ("GET", "/v1/webhooks"): "read",
    ("POST", "/v1/webhooks"): "manage",
    ("PATCH", "/v1/webhooks/{webhook_id}"): "manage",
    ("DELETE", "/v1/webhooks/{webhook_id}"): "manage",
    ("POST", "/v1/webhooks/{webhook_id}/test"): "manage",
    ("GET", "/v1/webhooks/{webhook_id}/deliveries"): "read",
    ("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay"): "manage",
    ("GET", "/v1/alert/query"): "read",
    ("POST", "/v1/alert/create"): "manage",
    ("PATCH", "/v1/alert/{alert_id}"): "manage",
    ("DELETE", "/v1/alert/{alert_id}"): "manage",
    ("GET", "/v1/reports"): "read",
    ("POST", "/v1/reports"): "manage",
    ("PATCH", "/v1/reports/{report_id}"): "manage",
    ("DELETE", "/v1/reports/{report_id}"): "manage",
    ("POST", "/v1/reports/{report_id}/test"): "manage",
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
