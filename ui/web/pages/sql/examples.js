// Queries to begin with.
const LATELY = "where request_created_at > now() - interval 90 day";

export const EXAMPLES = [
  ["Cost by day and model", `select date_trunc('day', request_created_at) as day, model, sum(cost_usd) as cost_usd\nfrom request_response_rmt\n${LATELY}\ngroup by all order by day\nlimit 1000`],
  ["Latency by hour: half and 95 of a hundred", `select date_trunc('hour', request_created_at) as hour,\n  quantile_cont(latency, 0.5) as p50_ms, quantile_cont(latency, 0.95) as p95_ms\nfrom request_response_rmt\n${LATELY}\ngroup by 1 order by 1\nlimit 2000`],
  ["Users by cost", `select user_id, count(*) as requests, sum(cost_usd) as cost_usd\nfrom request_response_rmt\n${LATELY} and user_id <> ''\ngroup by 1 order by cost_usd desc\nlimit 20`],
  ["Errors by model and status", `select model, status, count(*) as requests\nfrom request_response_rmt\n${LATELY} and (status >= 400 or status < 0)\ngroup by all order by requests desc\nlimit 50`],
  ["The slowest requests", `select request_id, request_created_at, model, latency, completion_tokens\nfrom request_response_rmt\n${LATELY}\norder by latency desc nulls last\nlimit 50`],
  ["Cost by a property", `select properties['environment'] as environment, count(*) as requests, sum(cost_usd) as cost_usd\nfrom request_response_rmt\n${LATELY}\ngroup by 1 order by cost_usd desc\nlimit 50`],
];
