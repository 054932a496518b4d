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
    ("POST", "/v1/prompt-2025"): "manage",
    ("POST", "/v1/prompt-2025/update"): "manage",
    ("POST", "/v1/prompt-2025/update/environment"): "manage",
    ("POST", "/v1/prompt-2025/remove/environment"): "manage",
    ("GET", "/v1/prompt-2025/id/{prompt_id}"): "read",
    ("POST", "/v1/prompt-2025/id/{prompt_id}/rename"): "manage",
    ("PATCH", "/v1/prompt-2025/id/{prompt_id}/tags"): "manage",
    ("GET", "/v1/prompt-2025/id/{prompt_id}/{version_id}/inputs"): "read",
    ("POST", "/v1/prompt-2025/query"): "read",
    ("POST", "/v1/prompt-2025/query/versions"): "read",
    ("POST", "/v1/prompt-2025/query/total-versions"): "read",
    ("POST", "/v1/prompt-2025/query/version"): "read",
    ("POST", "/v1/prompt-2025/query/production-version"): "read",
    ("POST", "/v1/prompt-2025/query/environment-version"): "read",
    ("POST", "/v2/prompt-2025/query/version"): "read",
    ("POST", "/v2/prompt-2025/query/production-version"): "read",
    ("POST", "/v2/prompt-2025/query/environment-version"): "read",
    ("POST", "/v1/prompt-2025/diff"): "read",
    ("GET", "/v1/prompt-2025/{version_id}/prompt-body"): "read",
    ("GET", "/v1/prompt-2025/tags"): "read",
    ("GET", "/v1/prompt-2025/environments"): "read",
    ("GET", "/v1/prompt-2025/count"): "read",
    ("DELETE", "/v1/prompt-2025/{prompt_id}"): "manage",
    ("DELETE", "/v1/prompt-2025/{prompt_id}/{version_id}"): "manage",
    ("GET", "/v1/signed/{region}/prompt/{version_id}"): "signed",
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
