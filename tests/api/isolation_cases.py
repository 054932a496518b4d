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
UNSIGNED: Final = (403,)
TIME: Final = {"timeFilter": {"start": "2000-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}}
TIME_MS: Final = {
    "timeFilter": {"startTimeUnixMs": 0, "endTimeUnixMs": 4_000_000_000_000},
    "search": "",
    "timezoneDifference": 0,
}
SERIES: Final = {**ALL, **TIME, "dbIncrement": "year", "timeZoneDifference": 0}
PROMPT: Final = {"promptId": "{prompt_id}", "promptVersionId": "{version_id}"}
STREAM: Final = Case("/v1/request/live")  # until the client goes: asked for elsewhere

CASES: Final[dict[tuple[str, str], Case]] = {
    ("GET", "/healthcheck"): PUBLIC,
    ("GET", "/readycheck"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/download/swagger.json"): PUBLIC,
    ("GET", "/docs"): Case(status=(200, 503)),
    ("GET", "/ui/{path:path}"): Case("/ui/{org}", status=GONE),
    ("GET", "/{path:page}"): Case("/dashboard/{org}", status=(200, 503)),
    ("GET", "/docs/{file}"): Case("/docs/{org}", status=GONE),
    **{("GET", path): PUBLIC for path in (
        "/v1/models", "/ai/v1/models", "/ai/models", "/models", "/v1/models/multimodal",
        "/ai/v1/models/multimodal", "/ai/models/multimodal", "/models/multimodal",
    )},
    ("POST", "/v1/request/query-clickhouse"): Case(body=ALL, answer=[]),
    ("POST", "/v1/request/query"): Case(body=ALL, answer=[]),
    ("POST", "/v1/request/count/query"): Case(body=ALL, answer=0),
    ("GET", "/v1/request/{request_id}"): Case("/v1/request/{request_id}", status=GONE),
    # -- requests
    ("POST", "/v1/request/query-ids"): Case(body={"requestIds": ["{request_id}"]}, answer=[]),
    ("GET", "/v1/request/{request_id}/details"): Case(
        "/v1/request/{request_id}/details", status=GONE
    ),
    ("GET", "/v1/request/{request_id}/inputs"): Case(
        "/v1/request/{request_id}/inputs", status=GONE
    ),
    ("POST", "/v1/request/{request_id}/feedback"): Case(
        "/v1/request/{request_id}/feedback", {"rating": True}, GONE
    ),
    ("PUT", "/v1/request/{request_id}/property"): Case(
        "/v1/request/{request_id}/property", {"key": "k", "value": "v"}, GONE
    ),
    ("POST", "/v1/request/{request_id}/score"): Case(
        "/v1/request/{request_id}/score", {"scores": {"s": 1}}, GONE
    ),
    ("POST", "/v1/request/{request_id}/assets/{asset_id}"): Case(
        "/v1/request/{request_id}/assets/{org}", status=GONE
    ),
    ("POST", "/v1/feedback"): Case(
        body={"helicone-id": "{request_id}", "rating": True}, status=GONE
    ),
    ("GET", "/v1/request/live"): STREAM,
    ("GET", "/v1/export"): Case("/v1/export?bodies=true"),
    ("GET", "/v1/signed/{region}/bodies/{exchange_id}"): Case(
        "/v1/signed/us/bodies/{request_id}", status=UNSIGNED
    ),
    ("GET", "/v1/signed/{region}/assets/{exchange_id}/{number}"): Case(
        "/v1/signed/us/assets/{request_id}/1", status=UNSIGNED
    ),
    # -- sessions, users, properties, scores
    ("POST", "/v1/session/query"): Case(body={**TIME_MS, **ALL}, answer=[]),
    ("POST", "/v1/session/count"): Case(body={**TIME_MS, **ALL}),
    ("POST", "/v1/session/name/query"): Case(body={"nameContains": "", **TIME_MS}, answer=[]),
    ("POST", "/v1/session/metrics/query"): Case(body={"nameContains": "", **TIME_MS}),
    ("GET", "/v1/session/{session_id}/tree"): Case(
        "/v1/session/{called_session}/tree", status=GONE
    ),
    ("POST", "/v1/session/{session_id}/feedback"): Case(
        "/v1/session/{called_session}/feedback", {"rating": True}, GONE
    ),
    ("GET", "/v1/session/{session_id}/tag"): Case(
        "/v1/session/{called_session}/tag", answer=None
    ),
    ("POST", "/v1/session/{session_id}/tag"): Case(
        "/v1/session/{called_session}/tag", {"tag": "mine now"}, GONE
    ),
    ("POST", "/v1/user/metrics/query"): Case(body={**ALL, "offset": 0, "limit": 10}),
    ("POST", "/v1/user/metrics-overview/query"): Case(body={**ALL, "pSize": "p50"}),
    ("POST", "/v1/user/query"): Case(body={"userIds": ["{called_user}"]}, answer=[]),
    ("POST", "/v1/property/query"): Case(body={}, answer=[]),
    ("POST", "/v1/property/hidden/query"): Case(body={}, answer=[]),
    ("POST", "/v1/property/hide"): Case(body={}, status=(422,)),
    ("POST", "/v1/property/restore"): Case(body={}, status=(422,)),
    ("POST", "/v1/property/properties/over-time"): Case(body={**SERIES, "propertyKey": "p"}),
    ("POST", "/v1/property/{key}/search"): Case(
        "/v1/property/p/search?org={org}", {"searchTerm": ""}, answer=[]
    ),
    ("POST", "/v1/property/{key}/top-costs/query"): Case(
        "/v1/property/p/top-costs/query?org={org}", TIME, answer=[]
    ),
    ("POST", "/v1/property/{key}/top-requests/query"): Case(
        "/v1/property/p/top-requests/query?org={org}", TIME, answer=[]
    ),
    ("POST", "/v1/evals/query"): Case(body={**ALL, **TIME}, answer=[]),
    ("POST", "/v1/evals/score-distributions/query"): Case(body={**ALL, **TIME}, answer=[]),
    ("GET", "/v1/evals/scores"): Case(answer=[]),
    ("POST", "/v1/evals/{request_id}"): Case(
        "/v1/evals/{request_id}", {"name": "s", "score": 1}, GONE
    ),
    ("POST", "/v1/dashboard/scores/query"): Case(body=SERIES, answer=[]),
    # -- figures
    ("POST", "/v1/metrics/{metric}"): Case("/v1/metrics/totalRequests?org={org}", {**ALL, **TIME}),
    **{("POST", f"/v1/metrics/{name}"): Case(body={**SERIES, "metric": "latency"}) for name in (
        "averageTokensPerRequest", "summary", "requestStatusOverTime", "quantiles", "models",
        "country",
    )},
    ("POST", "/v1/providers"): Case(body={**ALL, **TIME}, answer=[]),
    ("POST", "/v1/cache/metrics"): Case(body={**ALL, **TIME}),
    ("POST", "/v1/cache/over-time"): Case(body=SERIES),
    ("POST", "/v1/cache/top-requests"): Case(body={**ALL, **TIME}, answer=[]),
    ("POST", "/v1/rate-limits/blocked"): Case(body=SERIES),
    ("GET", "/v1/budgets"): Case(answer=[]),
    ("POST", "/v1/budgets"): Case(body={}, status=(422,)),
    ("DELETE", "/v1/budgets/{budget_id}"): Case("/v1/budgets/{budget_id}", status=GONE),
    ("GET", "/api/llm-costs"): PUBLIC,
    ("POST", "/v1/public/security"): Case(body={"text": "hello"}),
    ("GET", "/v1/public/model-registry/models"): PUBLIC,
    ("GET", "/v1/public/status/provider"): PUBLIC,
    ("GET", "/v1/public/status/provider/{provider}"): Case(
        "/v1/public/status/provider/openai?org={org}", status=(200, 404)
    ),
    # -- SQL
    ("GET", "/v1/helicone-sql/schema"): PUBLIC,
    ("POST", "/v1/helicone-sql/execute"): Case(body={"sql": "SELECT 1"}),
    ("POST", "/v1/helicone-sql/download"): Case(body={"sql": "SELECT 1"}),
    ("GET", "/v1/helicone-sql/saved-queries"): Case(answer=[]),
    ("POST", "/v1/helicone-sql/saved-query"): Case(body={}, status=(400,)),
    **{(method, "/v1/helicone-sql/saved-query/{query_id}"): Case(
        "/v1/helicone-sql/saved-query/{query_id}", body, GONE
    ) for method, body in (
        ("GET", None), ("PUT", {"name": "mine now", "sql": "SELECT 1"}), ("DELETE", None)
    )},
    ("POST", "/v1/helicone-sql/saved-queries/bulk-delete"): Case(
        body={"ids": ["{query_id}"]}, status=(200, 404)
    ),
    ("GET", "/v1/signed/{region}/hql/{export_id}"): Case(
        "/v1/signed/us/hql/{request_id}", status=UNSIGNED
    ),
    # -- prompts
    ("POST", "/v1/prompt-2025"): Case(body={}, status=(422,)),
    ("POST", "/v1/prompt-2025/update"): Case(
        body={**PROMPT, "newMajorVersion": False, "commitMessage": "mine", "promptBody": {}},
        status=GONE,
    ),
    **{("POST", f"/v1/prompt-2025/{verb}/environment"): Case(
        body={**PROMPT, "environment": "production"}, status=GONE
    ) for verb in ("update", "remove")},
    ("GET", "/v1/prompt-2025/id/{prompt_id}"): Case("/v1/prompt-2025/id/{prompt_id}", status=GONE),
    ("POST", "/v1/prompt-2025/id/{prompt_id}/rename"): Case(
        "/v1/prompt-2025/id/{prompt_id}/rename", {"name": "mine now"}, GONE
    ),
    ("PATCH", "/v1/prompt-2025/id/{prompt_id}/tags"): Case(
        "/v1/prompt-2025/id/{prompt_id}/tags", {"tags": []}, GONE
    ),
    ("GET", "/v1/prompt-2025/id/{prompt_id}/{version_id}/inputs"): Case(
        "/v1/prompt-2025/id/{prompt_id}/{version_id}/inputs?requestId={request_id}", answer=None
    ),
    ("POST", "/v1/prompt-2025/query"): Case(
        body={"search": "", "tagsFilter": [], "page": 0, "pageSize": 10}, answer=[]
    ),
    **{("POST", f"/v1/prompt-2025/query/{name}"): Case(body=PROMPT, status=GONE) for name in (
        "versions", "total-versions", "version", "production-version",
    )},
    **{("POST", f"/v2/prompt-2025/query/{name}"): Case(body=PROMPT, status=GONE) for name in (
        "version", "production-version",
    )},
    **{("POST", f"/{api}/prompt-2025/query/environment-version"): Case(
        body={**PROMPT, "environment": "production"}, status=GONE
    ) for api in ("v1", "v2")},
    ("POST", "/v1/prompt-2025/diff"): Case(
        body={"fromVersionId": "{version_id}", "toVersionId": "{version_id}"}, status=GONE
    ),
    ("GET", "/v1/prompt-2025/{version_id}/prompt-body"): Case(
        "/v1/prompt-2025/{version_id}/prompt-body", status=GONE
    ),
    ("GET", "/v1/prompt-2025/tags"): Case(answer=[]),
    ("GET", "/v1/prompt-2025/environments"): PUBLIC,
    ("GET", "/v1/prompt-2025/count"): Case(answer=0),
    ("DELETE", "/v1/prompt-2025/{prompt_id}"): Case("/v1/prompt-2025/{prompt_id}", status=GONE),
    ("DELETE", "/v1/prompt-2025/{prompt_id}/{version_id}"): Case(
        "/v1/prompt-2025/{prompt_id}/{version_id}", status=GONE
    ),
    ("GET", "/v1/signed/{region}/prompt/{version_id}"): Case(
        "/v1/signed/us/prompt/{version_id}", status=UNSIGNED
    ),
    # -- the playground: on the caller's own account, whatever is asked
    ("POST", "/v1/playground/generate"): Case(body={"prompt_id": "{prompt_id}"}),
    ("GET", "/v1/playground/requests-through-helicone"): Case(answer=True),
    ("POST", "/v1/playground/requests-through-helicone"): Case(body={}, status=(422,)),
    ("POST", "/v1/customer/query"): Case(body={}, status=(501,)),
    ("POST", "/v1/customer/{customer_id}/usage/query"): Case(
        "/v1/customer/{org}/usage/query", {}, (501,)
    ),
    # -- datasets
    ("POST", "/v1/helicone-dataset"): Case(
        body={"datasetName": "mine", "requestIds": ["{request_id}"]}, status=GONE
    ),
    ("POST", "/v1/helicone-dataset/query"): Case(
        body={"datasetIds": ["{dataset_id}"]}, answer=[]
    ),
    **{("POST", f"/v1/helicone-dataset/{{dataset_id}}/{verb}"): Case(
        f"/v1/helicone-dataset/{{dataset_id}}/{verb}", body, GONE
    ) for verb, body in (
        ("query", {"offset": 0, "limit": 10}), ("count", None), ("delete", None),
        ("mutate", {"addRequests": [], "removeRequests": ["{row_id}"]}),
    )},
    ("PATCH", "/v1/helicone-dataset/{dataset_id}"): Case(
        "/v1/helicone-dataset/{dataset_id}", {"datasetName": "mine now"}, GONE
    ),
    ("POST", "/v1/helicone-dataset/{dataset_id}/request/{row_id}"): Case(
        "/v1/helicone-dataset/{dataset_id}/request/{row_id}", {"requestBody": "mine now"}, GONE
    ),
    ("GET", "/v1/helicone-dataset/{dataset_id}/export"): Case(
        "/v1/helicone-dataset/{dataset_id}/export", status=GONE
    ),
    ("GET", "/v1/signed/{region}/dataset-rows/{row_id}"): Case(
        "/v1/signed/us/dataset-rows/{row_id}", status=UNSIGNED
    ),
    # -- webhooks, alerts, reports
    ("GET", "/v1/webhooks"): Case(answer=[]),
    ("POST", "/v1/webhooks"): Case(body={}, status=(422,)),
    **{(method, f"/v1/webhooks/{{webhook_id}}{tail}"): Case(
        f"/v1/webhooks/{{webhook_id}}{tail}", body, GONE
    ) for method, tail, body in (
        ("PATCH", "", {"isActive": False}), ("DELETE", "", None), ("POST", "/test", {}),
        ("GET", "/deliveries", None),
    )},
    ("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay"): Case(
        "/v1/webhooks/{webhook_id}/deliveries/{request_id}/replay", {}, GONE
    ),
    ("GET", "/v1/alert/query"): PUBLIC,
    ("POST", "/v1/alert/create"): Case(body={}, status=(422,)),
    **{(method, "/v1/alert/{alert_id}"): Case("/v1/alert/{alert_id}", body, GONE)
       for method, body in (("PATCH", {"name": "mine now"}), ("DELETE", None))},
    ("GET", "/v1/reports"): PUBLIC,
    ("POST", "/v1/reports"): Case(body={}, status=(422,)),
    **{(method, f"/v1/reports/{{report_id}}{tail}"): Case(
        f"/v1/reports/{{report_id}}{tail}", body, GONE
    ) for method, tail, body in (
        ("PATCH", "", {"name": "mine now"}), ("DELETE", "", None), ("POST", "/test", {}),
    )},
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
    ("GET", "/v1/api-keys/usage"): Case(answer=[]),
    ("POST", "/v1/api-keys"): Case(body={}, status=(422,)),
    ("PATCH", "/v1/api-keys/{key_id}"): Case(
        "/v1/api-keys/{key_id}", {"api_key_name": "mine now"}, GONE
    ),
    ("DELETE", "/v1/api-keys/{key_id}"): Case("/v1/api-keys/{key_id}", status=GONE),
    ("GET", "/v1/api-keys/providers"): PUBLIC,
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
