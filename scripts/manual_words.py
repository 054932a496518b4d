"""What the generated pages of the manual say beside what the code says of itself (`manual.py`)."""

from __future__ import annotations

from typing import Final

COMMANDS_INTRO: Final = """# Commands

Everything that can be done on the machine itself. `helicone-appliance --help` and `COMMAND --help` say the same.

A command finds the data directory as the server does: by `--data-dir`, the environment or the file named with `--config`. Where a
server runs on that directory the command asks it over a socket in the directory, and what was changed holds for the next call.
Where none runs the command opens the directory itself. Only `serve` takes the other [options](options.md) as flags.

| option of most commands | meaning |
|---|---|
| `--data-dir PATH` | The data directory. |
| `--config PATH` | TOML file with options. |
| `--region us\\|eu` | Which region's data; `us` where it is not said. |
| `--org ORG` | An organisation's id or name; the default organisation where it is not said. |
| `--json` | Print JSON in place of a table. |
| `--help` | What the command takes. |

Exit codes: 0 done, 1 failed (or `verify` found damage, or `status` is not well), 2 wrong usage or configuration, 130 Ctrl-C.
Results go to standard output, complaints as one line to standard error. Secrets are read from standard input, so that they
are in no list of processes and no history of a shell."""

COMMAND_NOTES: Final = {
    "serve": "It takes every option of the configuration as a flag: they are listed, with defaults, in "
    "[Options](options.md). Once it serves it prints its address, where the data lies and lines to copy. SIGTERM "
    "and Ctrl-C end it: open replies have `grace_s` to finish.",
    "query": "The views are `requests` (a row for each call) and `bodies` (what was said). This is DuckDB's SQL over all "
    "organisations of the region, for whoever owns the directory; [SQL](sql.md) tells the columns, and what users are given instead.",
    "tail": "It needs a running server.",
    "import": "A row that was taken in before is left out, so an import that was interrupted may be made again. See "
    "[Migration](migration.md).",
    "keys create": "The key is stored as a hash and cannot be shown again. See [Keys and wallet](keys-and-wallet.md).",
    "keys import": "The hashes are SHA-256 of `Bearer ` and the key, as Helicone stores them: the keys themselves are not needed.",
    "limits set": "See [Limits and budgets](limits-and-budgets.md) for what a policy says.",
    "budgets set": "See [Limits and budgets](limits-and-budgets.md).",
    "vault rotate": "See [Security](security.md) for what is encrypted with which key.",
    "users create": "Whoever has the link sets a password with it. It works once.",
    "verify": "Without a server it locks the directory meanwhile; a running server does it beside its calls.",
    "rebuild": "Nothing is lost: the database holds only what is derived from the journal and the lake. A running server goes on "
    "recording; queries wait.",
    "status": "It also lists the actors with their restarts, the journal, ingest, disk and memory, and under `hints` what is not configured.",
    "delete": "See [Operations](operations.md) for what is deleted, and when.",
    "provider-keys add": "The secret is sealed before it is stored. With `--base-url` it goes to that place and to no other.",
}

OPTIONS_INTRO: Final = """# Options

Every option can be given in four ways; the first one that is there counts:

1. a flag of `serve`: `--retention-days 30`
2. a variable: `HELICONE_APPLIANCE_RETENTION_DAYS=30`
3. a variable that names a file which holds the value: `HELICONE_APPLIANCE_RETENTION_DAYS_FILE=/run/secrets/days`. Setting both stops the start.
4. the file named with `--config` (or `HELICONE_APPLIANCE_CONFIG`), in TOML: `retention_days = 30`

Nothing has to be configured. An option that does not exist, or a value that is not allowed, stops the start with one line that names it.
The file is read once, at the start.

- Durations are numbers of seconds, or text such as `"90s"`, `"15m"`, `"2h"`, `"7d"`, `"250ms"`.
- Sizes are numbers of bytes, or text such as `"64MiB"`, `"1GiB"` (`KiB` is 1024, `KB` is 1000).
- Lists are `["a", "b"]` in the file, `a,b` in flags and variables.
- In variables two underscores stand for a dot: `HELICONE_APPLIANCE_DEADLINES__CONNECT=5s`.
- Switches are `true` or `false` in the file and in variables, `--name` and `--no-name` as flags."""

OPTION_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Address and files": (
        "host", "port", "public_url", "data_dir", "eu_data_dir", "config", "ready_file",
        "tls_cert", "tls_key", "http2", "worker_type",
    ),
    "Who may call": (
        "access", "bootstrap_key", "admin_key", "allow_targets", "allow_hosts", "allow_origins",
        "trusted_proxies", "metrics_allow", "webhook_allow", "master_key",
    ),
    "Memory and sizes": (
        "memory_bytes_max", "connections_max", "backlog_bytes_max", "body_bytes_max",
        "intake_bytes_max", "message_bytes_max", "record_bytes_max", "cache_disk_bytes_max",
    ),
    "Records": ("durability", "retention_days", "retention_bytes", "drain_s", "grace_s"),
    "Features": ("cache_coalesce", "stream_usage", "guard_fail", "time_zone"),
    "Money": ("budget_mode", "platform_org", "stripe_webhook_secret", "stripe_product_id"),
    "Own log": ("log_level", "log_format", "access_log"),
}  # fmt: skip

OPTION_NOTES: Final = {
    "host": "On loopback (`127.0.0.1`, `::1`, `localhost`) access is open unless `access` says otherwise; on any other address a Helicone "
    "key is asked for.",
    "public_url": "Links to sign in, in alerts and in signed URLs begin with it. Its host is allowed and its origin is the server's own. Set "
    "it behind a [reverse proxy](reverse-proxy.md).",
    "eu_data_dir": "The EU region is kept where this option is given, or where its directory is there already. Its journal, database, keys and "
    "cache lie there and nowhere else. See [Concepts](concepts.md#regions).",
    "http2": "It has no effect without `tls_cert`.",
    "worker_type": "Helicone's hosts are told apart by name (`oai.…`, `ai-gateway.…`). With this option every name is treated as one of that kind.",
    "access": "`open`: programs on this machine need no key, and pages of other sites are refused. `keys`: every call needs a Helicone key, "
    "every visit of the pages a sign-in. See [Security](security.md#access).",
    "bootstrap_key": "For installations that are set up by a machine: the key works from the first start on, without a command.",
    "admin_key": "It opens `/admin/wallet/…` and `/wallet/credits/total`, and nothing else. Ten wrong keys in a minute from one address are answered with 429.",
    "allow_targets": "Hosts that `Helicone-Target-URL`, `Helicone-OpenAI-Api-Base` and `Helicone-Fallbacks` may name beside those of "
    "known providers: `host`, `host:port`, `*.domain`, an address, a network, or `*` for all. Addresses are checked again when they are dialled.",
    "metrics_allow": "Whoever comes from elsewhere needs a key that may read.",
    "master_key": "The same key must be given at each start. It can be changed with [vault rotate](commands.md#vault-rotate). Give it as a file "
    "(`HELICONE_APPLIANCE_MASTER_KEY_FILE`) rather than as a flag, which other users of the machine can see.",
    "memory_bytes_max": "It is shared out between the process, captured bodies, the backlog, the cache, limits, DuckDB, helper processes and "
    "connections. From 90 % on new calls are recorded without bodies.",
    "backlog_bytes_max": "At most a quarter of `memory_bytes_max`.",
    "record_bytes_max": "At most `body_bytes_max`. What is passed on is never cut.",
    "durability": "With `strict` the last byte of a reply leaves once its record is on the disk. With `normal` the record is in the "
    "journal by then, and is synced soon after: a crash of the process loses nothing, a power cut may lose the last moments.",
    "retention_days": "Looked at once an hour. A file of records goes when all of it is old enough; one at the boundary is written anew.",
    "drain_s": "0 closes the connection to the provider at once when the client has gone.",
    "guard_fail": "See [Helicone-LLM-Security-Enabled](headers.md#helicone-llm-security-enabled).",
    "budget_mode": "See [Limits and budgets](limits-and-budgets.md#budgets).",
    "platform_org": "Without it nobody has credits. See [Keys and wallet](keys-and-wallet.md#credits).",
    "stream_usage": "The same as [Helicone-Stream-Usage](headers.md#helicone-stream-usage) with every call.",
    "deadlines": "The first four are also known for one provider alone: `[providers.<name>.deadlines]`.",
    "providers": "The name is a provider's id (see [providers](commands.md#providers)) or a new one, which is then reached as "
    '`/v1/gateway/<name>/…` and `/<name>/…`.\n\n```toml\n[providers.ollama]\nbase_url = "http://localhost:11434/v1"\n```',
    "prices": "A row names `provider` (an id; `*` for all where it is not given), `model` (a name, one with `*` in it, or a regular "
    "expression between slashes) and what it costs in USD per million tokens: `input`, `output`, `cached_input`, `write_5m`, `write_1h`, "
    "`thinking`, the same for `audio_`, `image_`, `video_` and `file_`; or in USD for one thing: `request_each`, `web_search_each`. "
    "`from` and `until` bound it in time, `discount` is a factor, `tiers` is a list of tables with `from_tokens`. The first row that "
    "fits wins. A row without `input` changes only what it names in the price beneath.\n\n"
    '```toml\n[[prices]]\nprovider = "ollama"\nmodel = "llama*"\ninput = 0.10\noutput = 0.20\n```',
    "routers": "See [Gateway](gateway.md#routers).",
    "routers.<name>.targets": "A target has `provider` or `base_url`, and may have `model` (asked for in place of any other), `models` (a table: "
    "it serves these alone, each under the name that it has there), `weight` (1 where it is not given; 0: only where no other is left) and `name`.",
    "guard_model": "See [Helicone-LLM-Security-Advanced](headers.md#helicone-llm-security-advanced). The provider's key is taken from the environment.",
    "smtp": "Without it alerts and reports go to Slack and webhooks alone. See [Webhooks and alerts](webhooks-and-alerts.md).",
    "otlp": "See [Async logging](async-logging.md#traces-out).",
}

REST_INTRO: Final = """# REST

Every endpoint, by what it is about. [/docs](/docs) shows the shapes of bodies and answers and lets one try them;
`/download/swagger.json` is the same for machines. The paths are Helicone's where Helicone has them.

A key is sent as `Authorization: Bearer <key>` (or `Helicone-Auth`, or `x-api-key`). On the pages a session's cookie stands in
for it; changes then need the header `X-CSRF-Token` with the token of `GET /v1/auth/session`. Where access is open, programs on this
machine need neither.

Answers are `{"data": …, "error": null}`; a refusal has its words in `error` and a short word in `code`, and a status of 4xx or 5xx.

The word in parentheses says who may call:

| permission | who |
|---|---|
| public | anybody who reaches the server |
| metrics | this machine, `metrics_allow`, or a key that may read |
| read | a key that may read; every role |
| write | a key that may write; member and above |
| manage | a key that may read and write; member and above |
| configure | a key that may read and write; admin and owner |
| govern | an admin or owner who is signed in; no key |
| session | whoever is signed in |
| admin | `Authorization: Bearer` with `admin_key` |
| signed | a signature in the URL or over the body |"""

REST_GROUPS: Final = (
    ("Health", ("/healthcheck", "/readycheck", "/metrics"), "See [Operations](operations.md#health)."),
    ("Models", ("/v1/models", "/ai/", "/models", "/v1/public/model-registry", "/api/llm-costs"), ""),
    ("Requests", ("/v1/request/", "/v1/feedback", "/v1/export"),
     "`filter` is `\"all\"`, a leaf `{table: {field: {operator: value}}}`, or `{left, operator, right}` with `and` or `or`."),
    ("SQL", ("/v1/helicone-sql/",), "See [SQL](sql.md)."),
    ("Sessions", ("/v1/session/",), ""),
    ("Users", ("/v1/user/",), ""),
    ("Properties", ("/v1/property/",), ""),
    ("Metrics", ("/v1/metrics/", "/v1/providers", "/v1/public/status/"),
     "`metric` is one of the names that `/docs` lists. Errors are calls with a status of 400 to 599."),
    ("Scores", ("/v1/evals/", "/v1/dashboard/"), ""),
    ("Cache", ("/v1/cache/",), ""),
    ("Rate limits and budgets", ("/v1/rate-limits", "/v1/budgets"), ""),
    ("Prompts", ("/v1/prompt-2025", "/v2/prompt-2025"), "See [Prompts](prompts.md)."),
    ("Datasets", ("/v1/helicone-dataset",), "See [Datasets](datasets.md)."),
    ("Webhooks", ("/v1/webhooks",), "See [Webhooks and alerts](webhooks-and-alerts.md)."),
    ("Alerts and reports", ("/v1/alert/", "/v1/reports"), ""),
    ("Keys", ("/v1/api-keys", "/v1/vault"), "See [Keys and wallet](keys-and-wallet.md)."),
    ("Credits", ("/v1/credits/", "/wallet/", "/admin/wallet/", "/stripe/"), ""),
    ("Organisations and people", ("/v1/organization",), ""),
    ("Signing in", ("/v1/auth/", "/sign-in"), ""),
    ("Saved filters", ("/v1/filter",), ""),
    ("Prompt security", ("/v1/public/security",), ""),
    ("The appliance", ("/v1/appliance/",), ""),
    ("Signed links", ("/v1/signed/",), "Nobody writes these by hand: other answers bring them. They need no key."),
    ("Pages and documents", ("/docs", "/download/", "/ui/", "/{path:path}"), ""),
)  # fmt: skip

# Where the endpoint's own words are of its code.
ENDPOINT_WORDS: Final = {
    ("GET", "/docs"): "The REST API, to read and to try.",
    ("GET", "/docs/manual"): "This manual.",
    ("GET", "/docs/{file}"): "What `/docs` loads.",
    ("GET", "/ui/{path:path}"): "What the pages load.",
    ("GET", "/{path:path}"): "The pages, for a browser.",
    ("GET", "/download/swagger.json"): "What the REST API is, as OpenAPI.",
    ("GET", "/metrics"): "Counters and gauges in the text format of Prometheus.",
    ("GET", "/v1/appliance/deletions"): "Deletions that were asked for, the newest first. What was deleted is not told.",
    ("GET", "/v1/api-keys/provider-keys"): "Stored keys of providers, without their secrets.",
    ("GET", "/v1/vault/keys"): "Stored keys of providers; `provider_key` is null.",
    ("GET", "/v1/vault/key/{provider_key_id}"): "One stored key of a provider, without its secret.",
    ("GET", "/v1/rate-limits"): "Stored policies, the oldest first.",
    ("GET", "/v1/rate-limits/{rule_id}"): "One stored policy.",
    ("PUT", "/v1/rate-limits/{rule_id}"): "Change a stored policy: what is given is changed.",
    ("DELETE", "/v1/rate-limits/{rule_id}"): "Remove a stored policy; it is gone from the next request on.",
    ("POST", "/v1/rate-limits"): "Store a policy. 409 where another one counts the same already: they would share a bucket.",
    ("GET", "/v1/filter"): "Saved filters, the newest first.",
    ("GET", "/v1/filter/{filter_id}"): "One saved filter.",
    ("POST", "/v1/filter"): "Save a filter: `name`, and `filter` as any JSON of at most 64 KiB.",
    ("DELETE", "/v1/filter/{filter_id}"): "Remove a saved filter.",
    ("GET", "/v1/helicone-sql/saved-queries"): "Saved queries, the newest change first.",
    ("GET", "/v1/helicone-sql/saved-query/{query_id}"): "One saved query. 404 for an id that is not the organisation's.",
    ("POST", "/v1/helicone-sql/saved-query"): "Save a query; the answer is a list of one. 409 when its name is taken.",
    ("PUT", "/v1/helicone-sql/saved-query/{query_id}"): "Change name and SQL of a saved query. 404, 409.",
    ("DELETE", "/v1/helicone-sql/saved-query/{query_id}"): "Remove a saved query.",
    ("POST", "/v1/helicone-sql/saved-queries/bulk-delete"): "Remove the saved queries of these ids.",
    ("POST", "/v1/feedback"): "Thumbs as Helicone's worker takes them: `helicone-id` and `rating`; answers `{message, helicone_id}` without the envelope.",
    ("DELETE", "/v1/webhooks/{webhook_id}"): "Remove a webhook with its deliveries.",
    ("DELETE", "/v1/alert/{alert_id}"): "Remove an alert with its history.",
    ("DELETE", "/v1/reports/{report_id}"): "Remove a report.",
    ("PATCH", "/v1/organization/{org_id}"): "Give an organisation another name.",
    ("GET", "/v1/organization"): "The organisations that the caller belongs to; of a key, its own.",
    ("DELETE", "/v1/api-keys/provider-key/{provider_key_id}"): "Remove a stored key, with the proxy keys that stand in for it.",
    ("PATCH", "/v1/api-keys/provider-key/{provider_key_id}"): "Change a stored key: what is given is changed. Another base URL takes the stored "
    "secret out of use until it is entered again: it was entered for the old one.",
}  # fmt: skip
