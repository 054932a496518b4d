"""How each route is called with another organisation's ids: one line for each, and a route without
a line fails (`test_isolation.py`). A new route needs its line here, beside the one in `paths.py`.

`{names}` stand for what was planted in the other organisation (`planted` in `isolation_kit.py`);
`status` is all that may come of it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Case(NamedTuple):
    """`body` may name planted ids as well. `answer` is what the data must be where it is 200."""

    path: str = ""  # as it is, where it names no id
    body: Any = None
    status: tuple[int, ...] = (200,)
    answer: Any = ...


ALL: Final = {"filter": "all"}
GONE: Final = (404,)
NO_ADMIN: Final = (401,)
NO_SESSION: Final = (401,)
NO_PERSON: Final = (403,)  # a key says who belongs to an organisation in no case
PUBLIC: Final = Case()

CASES: Final[dict[tuple[str, str], Case]] = {
    ("GET", "/healthcheck"): PUBLIC,
    ("GET", "/readycheck"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/download/swagger.json"): PUBLIC,
    ("GET", "/docs"): Case(status=(200, 503)),
    ("GET", "/docs/{file}"): Case("/docs/{org}", status=GONE),
    **{("GET", path): PUBLIC for path in (
        "/v1/models", "/ai/v1/models", "/ai/models", "/models", "/v1/models/multimodal",
        "/ai/v1/models/multimodal", "/ai/models/multimodal", "/models/multimodal",
    )},
    ("POST", "/v1/request/query-clickhouse"): Case(body=ALL, answer=[]),
    ("POST", "/v1/request/query"): Case(body=ALL, answer=[]),
    ("POST", "/v1/request/count/query"): Case(body=ALL, answer=0),
    ("GET", "/v1/request/{request_id}"): Case("/v1/request/{request_id}", status=GONE),
    # -- the wallet
    ("GET", "/wallet/state"): PUBLIC,
    ("GET", "/wallet/credits/total"): Case("/wallet/credits/total?orgId={org}", status=NO_ADMIN),
    ("GET", "/admin/wallet/{org}/state"): Case("/admin/wallet/{org}/state", status=NO_ADMIN),
    ("GET", "/admin/wallet/{org}/tables/{table}"): Case(
        "/admin/wallet/{org}/tables/escrows", status=NO_ADMIN
    ),
    ("POST", "/admin/wallet/{org}/modify-balance"): Case(
        "/admin/wallet/{org}/modify-balance", {}, NO_ADMIN
    ),
    ("DELETE", "/admin/wallet/{org}/disallow-list"): Case(
        "/admin/wallet/{org}/disallow-list", {}, NO_ADMIN
    ),
    ("POST", "/stripe/webhook"): Case(body={}, status=(400, 401, 403, 500)),
    **{("GET", path): PUBLIC for path in (
        "/v1/credits/balance", "/v1/credits/payments", "/v1/credits/totalSpend",
        "/v1/credits/spend/breakdown", "/v1/credits/invoices", "/v1/credits/discounts",
    )},
    # -- sign-in: what is nobody's, and what asks for a session
    ("GET", "/sign-in"): PUBLIC,
    ("POST", "/sign-in"): Case(body={}, status=(400, 401, 404, 422)),
    ("GET", "/v1/auth/session"): PUBLIC,
    ("POST", "/v1/auth/sign-in"): Case(body={"key": "x"}, status=(401,)),
    ("POST", "/v1/auth/link"): Case(body={"token": "us.x"}, status=GONE),
    ("POST", "/v1/auth/link/check"): Case(body={"token": "us.x"}, status=GONE),
    ("POST", "/v1/auth/sign-out"): Case(body={}, status=NO_SESSION),
    ("POST", "/v1/auth/password"): Case(body={}, status=NO_SESSION),
    ("POST", "/v1/auth/organization"): Case(body={}, status=NO_SESSION),
    ("GET", "/v1/auth/sessions"): Case(status=NO_SESSION),
    ("DELETE", "/v1/auth/sessions/{session_id}"): Case(
        "/v1/auth/sessions/{session_id}", status=NO_SESSION
    ),
    # -- organisations
    ("GET", "/v1/organization"): PUBLIC,
    ("POST", "/v1/organization/create"): Case(body={"name": "x"}, status=NO_PERSON),
    ("GET", "/v1/organization/{org_id}"): Case("/v1/organization/{org}", status=GONE),
    ("PATCH", "/v1/organization/{org_id}"): Case("/v1/organization/{org}", {}, NO_PERSON),
    ("GET", "/v1/organization/{org_id}/members"): Case(
        "/v1/organization/{org}/members", status=GONE
    ),
    ("POST", "/v1/organization/{org_id}/members"): Case(
        "/v1/organization/{org}/members", {}, NO_PERSON
    ),
    ("PATCH", "/v1/organization/{org_id}/members/{user_id}"): Case(
        "/v1/organization/{org}/members/{user_id}", {}, NO_PERSON
    ),
    ("DELETE", "/v1/organization/{org_id}/members/{user_id}"): Case(
        "/v1/organization/{org}/members/{user_id}", status=NO_PERSON
    ),
    ("GET", "/v1/organization/{org_id}/invites"): Case(
        "/v1/organization/{org}/invites", status=NO_PERSON
    ),
    ("DELETE", "/v1/organization/{org_id}/invites/{invite_id}"): Case(
        "/v1/organization/{org}/invites/{invite_id}", status=NO_PERSON
    ),
    # -- keys and settings
    ("GET", "/v1/api-keys"): Case(answer=[]),
    ("POST", "/v1/api-keys"): Case(body={}, status=(422,)),
    ("PATCH", "/v1/api-keys/{key_id}"): Case(
        "/v1/api-keys/{key_id}", {"api_key_name": "mine now"}, GONE
    ),
    ("DELETE", "/v1/api-keys/{key_id}"): Case("/v1/api-keys/{key_id}", status=GONE),
    ("GET", "/v1/api-keys/provider-keys"): PUBLIC,
    ("POST", "/v1/api-keys/provider-key"): Case(body={}, status=(422,)),
    **{(method, "/v1/api-keys/provider-key/{provider_key_id}"): Case(
        "/v1/api-keys/provider-key/{provider_key_id}", body, GONE
    ) for method, body in (
        ("GET", None), ("PATCH", {"base_url": "https://evil.example"}), ("DELETE", None)
    )},
    ("GET", "/v1/api-keys/proxy-keys"): PUBLIC,
    ("POST", "/v1/api-keys/proxy-key"): Case(
        body={"providerKeyId": "{provider_key_id}", "proxyKeyName": "mine now"}, status=GONE
    ),
    ("DELETE", "/v1/api-keys/proxy-key/{proxy_key_id}"): Case(
        "/v1/api-keys/proxy-key/{proxy_key_id}", status=GONE
    ),
    ("POST", "/v1/vault/add"): Case(body={}, status=(422,)),
    ("GET", "/v1/vault/keys"): Case(answer=[]),
    ("GET", "/v1/vault/key/{provider_key_id}"): Case(
        "/v1/vault/key/{provider_key_id}", status=GONE
    ),
    ("PATCH", "/v1/vault/update/{provider_key_id}"): Case(
        "/v1/vault/update/{provider_key_id}", {"name": "mine now"}, GONE
    ),
    ("GET", "/v1/rate-limits"): Case(answer=[]),
    ("POST", "/v1/rate-limits"): Case(body={}, status=(422,)),
    **{(method, "/v1/rate-limits/{rule_id}"): Case("/v1/rate-limits/{rule_id}", body, GONE)
       for method, body in (("GET", None), ("PUT", {"quota": 1}), ("DELETE", None))},
    ("GET", "/v1/filter"): Case(answer=[]),
    ("POST", "/v1/filter"): Case(body={}, status=(422,)),
    **{(method, "/v1/filter/{filter_id}"): Case("/v1/filter/{filter_id}", body, GONE)
       for method, body in (("GET", None), ("PATCH", {"name": "mine now"}), ("DELETE", None))},
    # -- the appliance
    ("GET", "/v1/appliance/status"): PUBLIC,
    ("GET", "/v1/appliance/retention"): PUBLIC,
    ("GET", "/v1/appliance/audit"): PUBLIC,
    ("GET", "/v1/appliance/deletions"): Case(answer=[]),
    ("POST", "/v1/appliance/deletions"): Case(
        body={"kind": "organization", "id": "{org}"}, status=(422,)
    ),
}  # fmt: skip
