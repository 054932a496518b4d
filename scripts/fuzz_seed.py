"""Something of everything in an organisation of a fuzzed server, so that answers have rows and that
ids are not unknown each time; and a configuration of Schemathesis that knows these ids.
"""

import itertools
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.fakes.appliance import CHAT, Appliance

Ids = dict[str, list[str]]

# How often what is planted stands where an id is asked for, and not one that is made up.
PROBABILITY: Final = 0.6
PIXEL: Final = "data:image/png;base64,iVBORw0KGgo="
SQL: Final = (
    "SELECT * FROM request_response_rmt",
    "SELECT model, count(*), avg(latency) FROM request_response_rmt GROUP BY model",
    "SELECT 1 AS one, NULL, 'x', [1, 2], {'a': 1}, now(), 1e308 * 10, 12345678901234567890123",
    "SELECT * FROM read_csv('/etc/passwd')",
)
CHANNELS: Final = {"emails": ["a@b.example"], "slack_channels": []}
# To each field of a body its planted values.
IN_BODIES: Final = {
    "requestIds[*]": "request_id", "promptId": "prompt_id", "promptVersionId": "version_id",
    "datasetIds[*]": "dataset_id", "providerKeyId": "provider_key_id", "sql": "sql",
}  # fmt: skip
IN_QUERIES: Final = ("expires", "signature")

_numbers = itertools.count(1)


class Gardener:
    """Plants as whoever has `key`, who may do everything."""

    def __init__(self, appliance: Appliance, key: str, admin: str) -> None:
        self._appliance = appliance
        self._key = {"Authorization": f"Bearer {key}"}
        self._proxied = {"Helicone-Auth": f"Bearer {key}"}
        self._admin = {"Authorization": f"Bearer {admin}"}
        self._ids: Ids = {}

    def plant(self) -> Ids:
        """Values for each parameter of a path, `sql` and what signs a link. Of those that may take
        several kinds of things, all."""
        self._ids = {"region": ["us"], "key": ["App"], "number": ["1"], "sql": list(SQL)}
        self._ids |= {"metric": ["totalRequests", "requestOverTime"], "provider": ["OPENAI"]}
        self._ids["table"] = ["escrows"]
        self._hooks()
        self._calls()
        self._settings()
        self._work()
        self._people()
        return self._ids

    def _note(self, name: str, value: Any) -> str:  # noqa: ANN401 - what JSON gives
        found = str(value)
        self._ids.setdefault(name, []).append(found)
        return found

    def _ask(self, path: str, body: Any = None, method: str = "POST", **more: str) -> Any:  # noqa: ANN401
        reply = self._appliance.call(path, body, {**self._key, **more}, method=method)
        assert reply.status in (200, 201), (path, reply.status, reply.body)
        found = reply.json
        return found.get("data", found) if isinstance(found, dict) else found

    def _made(self, name: str, path: str, body: Mapping[str, Any], field: str = "id") -> str:
        found = self._ask(path, body)
        found = found[0] if isinstance(found, list) else found
        return self._note(name, found if isinstance(found, str) else found[field])

    def _calls(self) -> None:
        image = {"type": "image_url", "image_url": {"url": PIXEL}}
        for number, model in enumerate(("gpt-4o", "gpt-4o-mini", "unknown")):
            content = [{"type": "text", "text": f"word {number}"}, image]
            body = {"model": model, "messages": [{"role": "user", "content": content}]}
            headers = {
                "Helicone-User-Id": "ada", "Helicone-Property-App": "search",
                "Helicone-Session-Id": "called", "Helicone-Session-Name": "night",
                "Helicone-Session-Path": f"/a/{number}", "Helicone-Cache-Enabled": "true",
            }  # fmt: skip
            for _ in range(2):
                reply = self._appliance.call(CHAT, body, {**headers, **self._proxied})
                self._note("request_id", reply.id)
            self._appliance.row(reply.id)
        for request_id in self._ids["request_id"]:
            path = f"/v1/request/{request_id}"
            self._ask(f"{path}/score", {"scores": {"quality": 7, "right": True}})
            self._ask(f"{path}/feedback", {"rating": True})
        self._note("session_id", "called")
        self._ask("/v1/session/called/tag", {"tag": "kept"})
        shown = self._ask(f"/v1/request/{request_id}?includeBody=true", method="GET")
        self._note("asset_id", shown["asset_ids"][0])
        link = urlsplit(shown["signed_body_url"])
        self._note("exchange_id", link.path.rpartition("/")[2])
        for name in IN_QUERIES:
            self._note(name, parse_qs(link.query)[name][0])

    def _settings(self) -> None:
        self._made("key_id", "/v1/api-keys", {"api_key_name": "planted"})
        name = f"p{next(_numbers)}"
        given = {"providerName": "groq", "providerKeyName": name, "providerKey": "sk-planted"}
        stored = self._made("provider_key_id", "/v1/api-keys/provider-key", given)
        proxy = {"providerKeyId": stored, "proxyKeyName": "x", "limits": ["100;w=3600"]}
        self._made("proxy_key_id", "/v1/api-keys/proxy-key", proxy, "proxyKeyId")
        rule = {"name": "rule", "quota": 500, "window_seconds": 60, "unit": "requests"}
        self._made("rule_id", "/v1/rate-limits", rule)
        self._made("filter_id", "/v1/filter", {"name": "f", "filter": {"a": 1}})
        self._appliance.command("budgets.set", scope="user", period="day", limit="5")

    def _hooks(self) -> None:
        hook = self._made(
            "webhook_id", "/v1/webhooks", {"destination": "https://127.0.0.1:1/", "config": {}}
        )
        alert = {"metric": "count", "threshold": 1, "time_window": "60000", "aggregation": None}
        self._made("alert_id", "/v1/alert/create", {"name": "a", **alert, **CHANNELS})
        self._made("report_id", "/v1/reports", {"name": "r", "frequency": "weekly", **CHANNELS})
        self._ask(f"/v1/webhooks/{hook}/test", {})

    def _work(self) -> None:
        query = {"name": f"query {next(_numbers)}", "sql": "SELECT 1"}
        self._made("query_id", "/v1/helicone-sql/saved-query", query)
        link = self._ask("/v1/helicone-sql/download", {"sql": "SELECT 1", "format": "csv"})
        self._note("export_id", urlsplit(link).path.rpartition("/")[2])
        text = [{"role": "user", "content": "{{hc:name:string}}"}]
        prompt = {"name": "p", "tags": ["t"], "promptBody": {"model": "m", "messages": text}}
        made = self._ask("/v1/prompt-2025", prompt)
        self._note("prompt_id", made["id"])
        self._note("version_id", made["versionId"])
        dataset = {"datasetName": "d", "requestIds": self._ids["request_id"]}
        made = self._made("dataset_id", "/v1/helicone-dataset", dataset, "datasetId")
        for row in self._ask(f"/v1/helicone-dataset/{made}/query", {}):
            self._note("row_id", row["id"])
        hook = self._ids["webhook_id"][0]
        for row in self._ask(f"/v1/webhooks/{hook}/deliveries", method="GET")["deliveries"]:
            self._note("delivery_id", row["id"])

    def _people(self) -> None:
        # Somebody to give another role, or to take out, while those who call stay.
        email = f"guest{next(_numbers)}@example.com"
        guest = self._appliance.command("users.create", email=email, role="viewer")
        self._note("user_id", guest["id"])
        org = self._note("org_id", guest["organization_id"])
        self._note("org", org)
        money = {"amount": 500, "type": "credit", "reason": "planted", "referenceId": email}
        path = f"/admin/wallet/{org}/modify-balance"
        reply = self._appliance.call(path, money, self._admin)
        assert reply.status == 200, reply.body


def configuration(ids: Ids) -> str:
    """TOML for Schemathesis."""
    lines = []
    for name, values in ids.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
    lines.append("[parameters]")
    places = {f"path.{name}": name for name in ids if name not in (*IN_QUERIES, "sql")}
    places |= {f"query.{name}": name for name in IN_QUERIES}
    places |= {f"body.{field}": name for field, name in IN_BODIES.items()}
    for place, name in places.items():
        lines.append(f'"{place}" = {{dictionary = "{name}", probability = {PROBABILITY}}}')
    return "\n".join(lines) + "\n"
