"""The fields that a filter of the request endpoints may name, and what they are in our views.

Both dialects: Helicone's wide table (`backend.md 2.2`) and the older ones (`2.5`). Names that the
original allows but has no column for (`node_id`, `job_id`) are not here: they are refused.
"""

from typing import Final

from appliance.core.filters import DEFAULT_TABLE, Field, Tables

# Shown in whole milliseconds, so compared in them.
LATENCY: Final = "CAST(round(r.latency_ms) AS BIGINT)"
FIRST_TOKEN: Final = "CAST(round(r.time_to_first_token_ms) AS BIGINT)"  # noqa: S105
CACHED: Final = "r.outcome = 'cache_hit'"
# What the guard has said; NULL where it was not asked. Rows from before the column have the status
# of a threat alone.
THREAT: Final = "coalesce(r.threat, nullif(r.status = -4, FALSE))"
NOT_CACHED_ID: Final = "00000000-0000-0000-0000-000000000000"
REFERENCE: Final = f"coalesce(r.cache_reference_id, CAST('{NOT_CACHED_ID}' AS UUID))"
REQUEST_MODEL: Final = "coalesce(r.request_model, r.model)"
# By our name, and by Helicone's for what was given as true or false, feedback among it.
SCORE: Final = (
    "coalesce(map_extract_value(r.scores, regexp_replace({key}, '-hcone-bool$', '')),"
    " CASE WHEN {key} = 'helicone-score-feedback' THEN CAST(r.feedback AS DOUBLE) END)"
)

WIDE: Final[dict[str, Field]] = {
    "request_id": Field("uuid", "r.request_id"),
    "organization_id": Field("uuid", "r.organization_id"),
    "cache_reference_id": Field("uuid", REFERENCE),
    "model": Field("text", "r.model"),
    "provider": Field("text", "r.provider"),
    "user_id": Field("text", "r.user_id"),
    "country_code": Field("text", "r.country_code"),
    "target_url": Field("text", "r.target_url"),
    "prompt_id": Field("text", "r.prompt_id"),
    "prompt_version": Field("text", "r.prompt_version"),
    "request_referrer": Field("text", "r.request_referrer"),
    "request_body": Field("body", "b.request"),
    "response_body": Field("body", "b.response"),
    "scores_column": Field("text", "CAST(r.scores AS VARCHAR)", empty="cardinality(r.scores) = 0"),
    "assets": Field("text", "'[]'", empty="TRUE"),
    "latency": Field("number", LATENCY),
    "time_to_first_token": Field("number", FIRST_TOKEN),
    "status": Field("number", "r.status"),
    "cost": Field("usd", "r.cost_usd"),
    "prompt_tokens": Field("number", "r.prompt_tokens"),
    "completion_tokens": Field("number", "r.completion_tokens"),
    "prompt_cache_read_tokens": Field("number", "r.prompt_cache_read_tokens"),
    "prompt_cache_write_tokens": Field("number", "r.prompt_cache_write_tokens"),
    "total_tokens": Field("number", "r.total_tokens"),
    "request_created_at": Field("time", "r.request_created_at"),
    "response_created_at": Field("time", "r.response_created_at"),
    "threat": Field("flag", THREAT),
    "cached": Field("flag", CACHED),
    "cache_enabled": Field("flag", "coalesce(r.cache_enabled, FALSE)"),
    "is_passthrough_billing": Field("flag", "FALSE"),
    "helicone-score-feedback": Field("flag", "r.feedback"),
    "properties": Field("text", "map_extract_value(r.properties, {key})", nested=True),
    "search_properties": Field("key", "r.properties", nested=True),
    "property_key": Field("key", "r.properties"),
    "scores": Field("score", SCORE, nested=True),
    "search_scores": Field("key", "r.scores", nested=True),
}

REQUEST_TABLES: Final[Tables] = {
    DEFAULT_TABLE: WIDE,
    "request": {
        "id": WIDE["request_id"],
        "org_id": WIDE["organization_id"],
        "created_at": WIDE["request_created_at"],
        "user_id": WIDE["user_id"],
        "model": Field("text", REQUEST_MODEL),
        "modelOverride": Field("text", "r.model_override"),
        "path": Field("text", "r.request_path"),
        "prompt": WIDE["request_body"],
        "prompt_id": WIDE["prompt_id"],
        "country_code": WIDE["country_code"],
    },
    "response": {
        "status": WIDE["status"],
        "created_at": WIDE["response_created_at"],
        "model": Field("text", "r.response_model"),
        "body_model": WIDE["model"],
        "body_tokens": Field("number", "r.prompt_tokens + r.completion_tokens"),
        "body_completion": WIDE["response_body"],
    },
    "properties": {},
    "feedback": {"rating": WIDE["helicone-score-feedback"]},
}
