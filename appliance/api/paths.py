"""Which endpoints there are and who may call them, as plain data: the routing table needs it before
the API itself is loaded.

Permission goes by route and not by verb: every query is a POST, and a key that may read may query
(`backend.md 1.1`). A route that the table does not know is answered to nobody.
"""

from typing import Final, Literal

# `write` adds to records, `manage` changes what the organisation keeps, `configure` its settings
# and keys, or deletes; `govern` says who belongs to it, `session` asks for somebody signed in.
# `admin` asks for admin_key, `signed` for a signature over the body or in the URL, which the
# endpoint checks.
Permission = Literal[
    "public", "metrics", "read", "write", "manage", "configure", "govern", "session", "admin",
    "signed",
]  # fmt: skip

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
    ("GET", "/wallet/state"): "read",
    ("GET", "/wallet/credits/total"): "admin",
    ("GET", "/admin/wallet/{org}/state"): "admin",
    ("GET", "/admin/wallet/{org}/tables/{table}"): "admin",
    ("POST", "/admin/wallet/{org}/modify-balance"): "admin",
    ("DELETE", "/admin/wallet/{org}/disallow-list"): "admin",
    ("POST", "/stripe/webhook"): "signed",
    ("GET", "/docs"): "public",
    ("GET", "/docs/{file}"): "public",
    ("GET", "/sign-in"): "public",
    ("POST", "/sign-in"): "public",
    ("GET", "/v1/auth/session"): "public",
    ("POST", "/v1/auth/sign-in"): "public",
    ("POST", "/v1/auth/link"): "public",
    ("POST", "/v1/auth/link/check"): "public",
    ("POST", "/v1/auth/sign-out"): "session",
    ("POST", "/v1/auth/password"): "session",
    ("POST", "/v1/auth/organization"): "session",
    ("GET", "/v1/auth/sessions"): "session",
    ("DELETE", "/v1/auth/sessions/{session_id}"): "session",
    ("GET", "/v1/organization"): "read",
    ("POST", "/v1/organization/create"): "govern",
    ("GET", "/v1/organization/{org_id}"): "read",
    ("PATCH", "/v1/organization/{org_id}"): "govern",
    ("GET", "/v1/organization/{org_id}/members"): "read",
    ("POST", "/v1/organization/{org_id}/members"): "govern",
    ("PATCH", "/v1/organization/{org_id}/members/{user_id}"): "govern",
    ("DELETE", "/v1/organization/{org_id}/members/{user_id}"): "govern",
    ("GET", "/v1/organization/{org_id}/invites"): "govern",
    ("DELETE", "/v1/organization/{org_id}/invites/{invite_id}"): "govern",
    ("GET", "/v1/api-keys"): "read",
    ("POST", "/v1/api-keys"): "configure",
    ("PATCH", "/v1/api-keys/{key_id}"): "configure",
    ("DELETE", "/v1/api-keys/{key_id}"): "configure",
    ("GET", "/v1/api-keys/provider-keys"): "read",
    ("POST", "/v1/api-keys/provider-key"): "configure",
    ("GET", "/v1/api-keys/provider-key/{provider_key_id}"): "read",
    ("PATCH", "/v1/api-keys/provider-key/{provider_key_id}"): "configure",
    ("DELETE", "/v1/api-keys/provider-key/{provider_key_id}"): "configure",
    ("GET", "/v1/api-keys/proxy-keys"): "read",
    ("POST", "/v1/api-keys/proxy-key"): "configure",
    ("DELETE", "/v1/api-keys/proxy-key/{proxy_key_id}"): "configure",
    ("POST", "/v1/vault/add"): "configure",
    ("GET", "/v1/vault/keys"): "read",
    ("GET", "/v1/vault/key/{provider_key_id}"): "read",
    ("PATCH", "/v1/vault/update/{provider_key_id}"): "configure",
    ("GET", "/v1/rate-limits"): "read",
    ("POST", "/v1/rate-limits"): "configure",
    ("GET", "/v1/rate-limits/{rule_id}"): "read",
    ("PUT", "/v1/rate-limits/{rule_id}"): "configure",
    ("DELETE", "/v1/rate-limits/{rule_id}"): "configure",
    ("GET", "/v1/filter"): "read",
    ("POST", "/v1/filter"): "manage",
    ("GET", "/v1/filter/{filter_id}"): "read",
    ("PATCH", "/v1/filter/{filter_id}"): "manage",
    ("DELETE", "/v1/filter/{filter_id}"): "manage",
    ("GET", "/v1/credits/balance"): "read",
    ("GET", "/v1/credits/payments"): "read",
    ("GET", "/v1/credits/totalSpend"): "read",
    ("GET", "/v1/credits/spend/breakdown"): "read",
    ("GET", "/v1/credits/invoices"): "read",
    ("GET", "/v1/credits/discounts"): "read",
    ("GET", "/v1/appliance/status"): "configure",
    ("GET", "/v1/appliance/retention"): "read",
    ("GET", "/v1/appliance/audit"): "configure",
    ("GET", "/v1/appliance/deletions"): "configure",
    ("POST", "/v1/appliance/deletions"): "configure",
}


def rest_paths() -> tuple[tuple[str, str], ...]:
    """The endpoints under /v1 in the shape of the routing table: `{}` stands for one segment."""
    return tuple(
        (method, "/".join("{}" if part.startswith("{") else part for part in path.split("/")))
        for method, path in PERMISSIONS
        if path.startswith("/v1/")
    )
