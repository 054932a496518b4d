"""What each figure means, once, for every page, endpoint, alert and report (`backend.md 8`).

Pure text of SQL over rows of the view `requests` under the name `r`. A definition is used as it
stands; nobody writes a second one beside it.

- A call is a request to a model. Steps of an agent that call none (`tool`, `vector_db`, `data`) are
  rows as well: they belong to their session, to its tree and its duration, and count in no figure.
- An error is a call whose status is from 400 to 599. Calls that the client left (-3) or that a
  guard stopped (-4) are no errors: they have figures of their own.
- Latency is of all calls whose duration is known, those answered from the cache too. Time to first
  token is of streams alone: 0 is none, not quick.
- A user is a user id that is not empty.
- Tokens in all are prompt, completion and reasoning; what a cache read or wrote is not among them.
- Cost is what was priced. A call without a known price adds nothing, and `UNPRICED` counts it.
"""

from typing import Final

IS_STEP: Final = "(r.step IS NOT NULL)"
IS_CALL: Final = "(r.step IS NULL)"
IS_ERROR: Final = "(r.status BETWEEN 400 AND 599)"
IS_CACHED: Final = "(r.outcome = 'cache_hit')"
# What the guard has said; NULL where it was not asked. Rows from before the column have the status
# of a threat alone.
IS_THREAT: Final = "coalesce(r.threat, nullif(r.status = -4, FALSE))"
IS_RATE_LIMITED: Final = (
    "(map_extract_value(r.properties, 'Helicone-Rate-Limit-Status') IN"
    " ('bucket_rate_limited', 'rate_limited'))"
)
HAS_USER: Final = "(r.user_id <> '')"

REQUESTS: Final = "count(*)"
ERRORS: Final = f"count(*) FILTER ({IS_ERROR})"
ERROR_RATE: Final = f"{ERRORS} * 1.0 / nullif(count(*), 0)"
CANCELLED: Final = "count(*) FILTER (r.status = -3)"
THREATS: Final = f"count(*) FILTER ({IS_THREAT})"
USERS: Final = f"count(DISTINCT r.user_id) FILTER ({HAS_USER})"
CACHE_HITS: Final = f"count(*) FILTER ({IS_CACHED})"
COST: Final = "coalesce(sum(r.cost_usd), 0)"
UNPRICED: Final = "count(*) FILTER (r.cost_usd IS NULL)"
COST_SAVED: Final = "coalesce(sum(r.saved_cost_usd), 0)"
TIME_SAVED_MS: Final = f"coalesce(sum(r.saved_latency_ms) FILTER ({IS_CACHED}), 0)"
PROMPT_TOKENS: Final = "CAST(coalesce(sum(r.prompt_tokens), 0) AS BIGINT)"
COMPLETION_TOKENS: Final = "CAST(coalesce(sum(r.completion_tokens), 0) AS BIGINT)"
REASONING_TOKENS: Final = "CAST(coalesce(sum(r.reasoning_tokens), 0) AS BIGINT)"
CACHE_READ_TOKENS: Final = "CAST(coalesce(sum(r.prompt_cache_read_tokens), 0) AS BIGINT)"
CACHE_WRITE_TOKENS: Final = "CAST(coalesce(sum(r.prompt_cache_write_tokens), 0) AS BIGINT)"
TOTAL_TOKENS: Final = "CAST(coalesce(sum(r.total_tokens), 0) AS BIGINT)"
LATENCY_MS: Final = "coalesce(avg(r.latency_ms), 0)"
TTFT_MS: Final = "coalesce(avg(r.time_to_first_token_ms) FILTER (r.time_to_first_token_ms > 0), 0)"
AVERAGE_PROMPT_TOKENS: Final = "coalesce(avg(r.prompt_tokens), 0)"
AVERAGE_COMPLETION_TOKENS: Final = "coalesce(avg(r.completion_tokens), 0)"
# Of calls whose tokens are known: a call that failed before it used any makes none cheaper.
AVERAGE_TOTAL_TOKENS: Final = (
    "coalesce(avg(r.total_tokens) FILTER (r.prompt_tokens IS NOT NULL), 0)"
)
ACTIVE_DAYS: Final = "count(DISTINCT CAST(r.request_created_at AS DATE))"

# What quantiles may be asked of.
QUANTILE_OF: Final = {
    "latency": "r.latency_ms",
    "time_to_first_token": "nullif(r.time_to_first_token_ms, 0)",
    "total_tokens": "r.total_tokens",
    "prompt_tokens": "r.prompt_tokens",
    "completion_tokens": "r.completion_tokens",
    "cost": "CAST(r.cost_usd AS DOUBLE)",
}
QUANTILES: Final = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}
# From the first request's begin to the last one's end, of everything in a session.
SESSION_DURATION_MS: Final = (
    "epoch_ms(max(coalesce(r.response_created_at, r.request_created_at)))"
    " - epoch_ms(min(r.request_created_at))"
)
