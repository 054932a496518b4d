"""Made-up traffic that looks like somebody's: conversations, sessions, users, errors, over the last
days up to now. For screenshots and for looking at the pages; logged through POST /custom/v1/log.

    python scripts/demo.py http://127.0.0.1:8585 [--calls 600] [--key sk-helicone-…]
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import time
from typing import Any
from urllib.parse import urlsplit

TALKS = (
    (
        "Summarise this ticket in two sentences: the customer was charged twice for order 4711 and asks for a refund.",
        "The customer was charged twice for order **4711**. They ask for a refund of the second charge.",
    ),
    (
        "Write a SQL query that lists the ten customers with the highest revenue this year.",
        "```sql\nSELECT customer_id, sum(amount) AS revenue\nFROM orders\nWHERE ordered_at >= date_trunc('year', now())\nGROUP BY 1\nORDER BY revenue DESC\nLIMIT 10;\n```\nAdd an index on `(ordered_at, customer_id)` if this is slow.",
    ),
    (
        "Translate to German: Your parcel arrives tomorrow between nine and eleven.",
        "Ihr Paket kommt morgen zwischen neun und elf Uhr an.",
    ),
    (
        "Which of these reviews are negative?\n1. Works fine.\n2. Broke after a day.\n3. Arrived late, but support was kind.",
        "| # | Verdict | Why |\n|---|---|---|\n| 1 | positive | works |\n| 2 | **negative** | broke after a day |\n| 3 | mixed | late, kind support |",
    ),
    (
        "Explain what a token bucket is, in one paragraph.",
        "A token bucket holds up to a fixed number of tokens and gains them at a steady rate. Each request takes one; when none is left, the request waits or is refused. Short bursts pass, and the mean rate stays bounded.",
    ),
)
# name, whose log endpoint, of a hundred calls
MODELS = (
    ("gpt-4o-mini", "oai", 34), ("gpt-4o", "oai", 22), ("claude-sonnet-4-5", "anthropic", 24),
    ("claude-haiku-4-5", "anthropic", 14), ("our-own-model", "custom", 6),
)  # fmt: skip
USERS = (
    "ada@example.com",
    "grace@example.com",
    "alan@example.com",
    "edsger@example.com",
    "barbara@example.com",
    "donald@example.com",
)
FEATURES, TENANTS = ("summary", "search", "translate", "triage"), ("acme", "globex", "initech")
STEPS = ("/plan", "/plan/search", "/plan/search/rank", "/write", "/write/draft", "/review")
TOOL = {
    "type": "function",
    "function": {
        "name": "find_orders", "description": "Orders of a customer",
        "parameters": {"type": "object", "properties": {"customer": {"type": "string"}}},
    },
}  # fmt: skip
DAY_S = 86_400
HOOK = "https://hooks.example.com/llm"
RULES = (
    {
        "name": "Each user",
        "quota": 1000,
        "unit": "requests",
        "window_seconds": 3600,
        "segment": "user",
    },
    {
        "name": "All of us",
        "quota": 2500,
        "unit": "cents",
        "window_seconds": DAY_S,
        "segment": "global",
    },
)
ALERTS = (
    {"name": "Errors", "metric": "response.status", "threshold": 5, "time_window": "3600000"},
    {"name": "Cost of a day", "metric": "cost", "threshold": 50, "time_window": "86400000"},
)


class Door:
    """One connection, on which calls are logged."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._key = key

    def log(self, whose: str, call: dict[str, Any], headers: dict[str, str]) -> None:
        sent = {"Content-Type": "application/json"}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        call["providerRequest"]["meta"] = headers
        self._connection.request("POST", f"/{whose}/v1/log", json.dumps(call), sent)
        reply = self._connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            raise SystemExit(f"a log was refused with {reply.status}: {text[:300]!r}")

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401
        """What the REST API answers, out of its envelope."""
        sent = {"Content-Type": "application/json"}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        self._connection.request("POST", path, json.dumps(body), sent)
        reply = self._connection.getresponse()
        text = reply.read()
        if reply.status not in (200, 201):
            raise SystemExit(f"{path} was refused with {reply.status}: {text[:300]!r}")
        told = json.loads(text)
        return told.get("data", told) if isinstance(told, dict) else told

    def close(self) -> None:
        self._connection.close()


def call_of(rng: random.Random, began_s: float, took_s: float) -> tuple[str, dict[str, Any]]:
    """Whose log endpoint, and one call as it takes it."""
    model, whose, _ = rng.choices(MODELS, weights=[one[2] for one in MODELS])[0]
    asked, answered = rng.choice(TALKS)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are a careful assistant of a shop."},
        {"role": "user", "content": asked},
    ]
    body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0.2}
    if rng.random() < 0.15:
        body["tools"] = [TOOL]
        given = {"customer": rng.choice(USERS)}
        made = {
            "id": "call_1",
            "type": "function",
            "function": {"name": "find_orders", "arguments": json.dumps(given)},
        }
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [made]},
            {"role": "tool", "tool_call_id": "call_1", "content": '{"orders": [4711, 4712]}'},
        ]
    prompt, completion = rng.randint(40, 900), max(5, len(answered) // 4 + rng.randint(-5, 40))
    answer: dict[str, Any] = {
        "id": "chatcmpl-demo", "object": "chat.completion", "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answered}}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }  # fmt: skip
    if whose == "anthropic":
        body = {
            "model": model,
            "max_tokens": 1024,
            "system": messages[0]["content"],
            "messages": [messages[1]],
        }
        answer = {
            "id": "msg_demo", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
            "content": [{"type": "text", "text": answered}], "usage": {"input_tokens": prompt, "output_tokens": completion},
        }  # fmt: skip
    status = rng.choices((200, 429, 500, 400), weights=(95, 2, 2, 1))[0]
    if status != 200:
        answer = {
            "error": {"message": "The provider refused this call.", "type": "demo", "code": status}
        }
    url = "https://models.example.com/v1/chat" if whose == "custom" else ""
    return whose, {
        "providerRequest": {"url": url or "demo", "json": body, "meta": {}},
        "providerResponse": {"status": status, "headers": {}, "json": answer},
        "timing": {"startTime": moment(began_s), "endTime": moment(began_s + took_s), "timeToFirstToken": int(took_s * 300)},
    }  # fmt: skip


def moment(at_s: float) -> dict[str, int]:
    """As the log endpoint wants it."""
    return {"seconds": int(at_s), "milliseconds": int(at_s * 1000) % 1000}


def fill(url: str, *, key: str = "", calls: int = 600, seed: int = 7) -> int:
    """Single calls of the last seven days, and sessions of several; how many calls these are."""
    rng, door, now_s = random.Random(seed), Door(url, key), time.time()
    for number in range(calls):
        # more by day than by night, and none that would not have ended
        age_s = 7 * DAY_S * (number / calls) ** 1.3 + rng.random() * 600 + 30
        headers = {
            "Helicone-User-Id": rng.choice(USERS),
            "Helicone-Property-Feature": rng.choice(FEATURES),
            "Helicone-Property-Tenant": rng.choice(TENANTS),
        }
        door.log(*call_of(rng, now_s - age_s, rng.lognormvariate(0.2, 0.6)), headers)
    sessions = max(1, calls // 40)
    for number in range(sessions):
        began_s = now_s - rng.random() * 5 * DAY_S - 300
        user, name = rng.choice(USERS), rng.choice(("Support triage", "Weekly report"))
        for step in STEPS:
            took_s = rng.lognormvariate(0.3, 0.5)
            headers = {
                "Helicone-User-Id": user,
                "Helicone-Session-Id": f"session-{seed}-{number}",
                "Helicone-Session-Name": name,
                "Helicone-Session-Path": step,
            }
            door.log(*call_of(rng, began_s, took_s), headers)
            began_s += took_s * rng.uniform(0.4, 1.1)
    door.close()
    return calls + sessions * len(STEPS)


def furnish(url: str, *, key: str = "") -> None:
    """What people set up: a prompt of two versions, rules, alerts, a webhook, a report, a dataset."""
    door = Door(url, key)
    body = prompt_body("Answer in two sentences, in a friendly tone.", 0.2)
    made = door.post(
        "/v1/prompt-2025", {"name": "support-answer", "tags": ["support"], "promptBody": body}
    )
    better = prompt_body("Answer in at most two sentences. Say so when you do not know.", 0.0)
    ids = {"promptId": made["id"], "promptVersionId": made["versionId"]}
    what = {"commitMessage": "Shorter, and honest about gaps", "promptBody": better}
    more = {"newMajorVersion": False, "environment": "production"}
    door.post("/v1/prompt-2025/update", {**ids, **what, **more})
    for rule in RULES:
        door.post("/v1/rate-limits", rule)
    for alert in ALERTS:
        door.post(
            "/v1/alert/create", {"webhooks": [HOOK], "emails": [], "slack_channels": [], **alert}
        )
    door.post("/v1/webhooks", {"destination": HOOK})
    door.post("/v1/reports", {"name": "Weekly report", "emails": [], "webhooks": [HOOK]})
    found = door.post("/v1/request/query-clickhouse", {"filter": "all", "limit": 25})
    chosen = [row["request_id"] for row in found]
    door.post("/v1/helicone-dataset", {"datasetName": "good answers", "requestIds": chosen})
    query = (
        "select model, count(*) as requests from request_response_rmt group by 1 order by 2 desc"
    )
    door.post("/v1/helicone-sql/saved-query", {"name": "Requests by model", "sql": query})
    door.close()


def prompt_body(manner: str, temperature: float) -> dict[str, Any]:
    """A version of the prompt."""
    system = f"You are the support of {{{{hc:shop:string}}}}. {manner}"
    said = [
        {"role": "system", "content": system},
        {"role": "user", "content": "{{hc:question:string}}"},
    ]
    return {"model": "gpt-4o-mini", "temperature": temperature, "messages": said}


def main() -> int:
    """Fill the server that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--key", default="")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--furnish", action="store_true", help="prompts, rules, alerts as well")
    given = parser.parse_args()
    fill(given.url, key=given.key, calls=given.calls, seed=given.seed)
    if given.furnish:
        furnish(given.url, key=given.key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
