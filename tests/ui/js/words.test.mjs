import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "../../../ui/web/lib/filter_text.js";
import { readGauges } from "../../../ui/web/pages/health/gauges.js";
import "./without_views.mjs";

const { METRICS, amount, inWords } = await import("../../../ui/web/pages/alerts/words.js");
const { may } = await import("../../../ui/web/lib/session.js");
const { counted } = await import("../../../ui/web/lib/format.js");
const ALERT = { metric: "cost", threshold: 5, time_window: "3600000", aggregation: "sum", percentile: null, grouping: null, grouping_is_property: false, minimum_request_count: 0, filter: {} };

test("an alert is a sentence", () => {
  const cases = [
    [{}, "Cost (sum) reaches $5.00 within 1 hour"],
    [{ grouping: "user", minimum_request_count: 10 }, "Cost (sum) reaches $5.00 within 1 hour, for any user, from 10 requests"],
    [{ grouping: "tenant", grouping_is_property: true }, "Cost (sum) reaches $5.00 within 1 hour, for any value of tenant"],
    [{ minimum_request_count: 1 }, "Cost (sum) reaches $5.00 within 1 hour, from 1 request"],
    [{ metric: "latency", aggregation: "percentile", percentile: 95, threshold: 1500, time_window: 600_000 }, "Latency (95th percentile) reaches 1,500 ms within 10 minutes"],
    [{ metric: "latency", aggregation: "avg", threshold: 0.25, time_window: 90_000 }, "Latency (mean) reaches 0.25 ms within 90 seconds"],
    [{ metric: "response.status", aggregation: null, threshold: 2.5, time_window: "86400000" }, "Error rate reaches 2.5 % within 1 day"],
    [{ metric: "count", aggregation: null, threshold: 12_000, time_window: "172800000" }, "Requests reach 12,000 within 2 days"],
    [{ filter: parse("model = gpt-4o").filter }, "Cost (sum) reaches $5.00 within 1 hour, where model = gpt-4o"],
    [{ filter: "all" }, "Cost (sum) reaches $5.00 within 1 hour"],
    [{ filter: { user_metrics: {} } }, "Cost (sum) reaches $5.00 within 1 hour, of chosen requests"],
    [{ metric: "made_later", aggregation: null, threshold: 3 }, "made_later reaches 3 within 1 hour"],
  ];
  for (const [changed, expected] of cases) assert.equal(inWords({ ...ALERT, ...changed }), expected);
});

test("percentiles are counted as people count", () => {
  for (const [percentile, expected] of [[50, "50th"], [91, "91st"], [92, "92nd"], [93, "93rd"], [11, "11th"], [12, "12th"], [13, "13th"], [99.9, "99.9th"]]) {
    assert.match(inWords({ ...ALERT, aggregation: "percentile", percentile }), new RegExp(`\\(${expected} percentile\\)`));
  }
});

test("every metric has a name, and an amount with its unit", () => {
  for (const [id, metric] of Object.entries(METRICS)) {
    assert.ok(metric.name, id);
    assert.ok(amount(id, 1.5).includes(id === "cost" ? "$" : metric.unit), id);
    assert.doesNotMatch(inWords({ ...ALERT, metric: id }), /undefined|NaN/);
  }
});

test("gauges are added up over their labels, free room is the least of all", () => {
  const found = readGauges([
    "# HELP requests_total Requests", "# TYPE requests_total counter",
    'requests_total{status="200"} 3', 'requests_total{status="500"} 4', "up 1", "small 1.5e-3", "never +Inf",
    'disk_free_bytes{root="us"} 900', 'disk_free_bytes{root="eu"} 200', "disk_free_bytes 500", "strange NaN", "odd line", 'empty{a="}"} 1', "",
  ].join("\n"));
  assert.deepEqual(Object.fromEntries([...found].filter(([name]) => name !== "empty")), { requests_total: 7, up: 1, small: 0.0015, disk_free_bytes: 200 });
  assert.equal(readGauges("").size, 0);
  assert.equal(readGauges('said{why="a } in a label"} 2').get("said"), 2);
});

test("who may what", () => {
  const ALL = ["write", "manage", "configure", "govern"];
  const person = (role) => ({ user: { id: "u" }, role, organization: { role } });
  const cases = [
    [person("owner"), ALL], [person("admin"), ALL], [person("member"), ["write", "manage"]], [person("viewer"), []],
    [{ user: { id: "u" }, role: "" }, ["write", "manage"]],
    [{ open: true, role: "" }, ["write", "manage", "configure"]],
    [{ permission: "rw" }, ["write", "manage", "configure"]], [{ permission: "r" }, []], [{ permission: "w" }, []],
    [{}, []], [null, []], [undefined, []],
  ];
  for (const [session, allowed] of cases) assert.deepEqual(ALL.filter((what) => may(session, what)), allowed, JSON.stringify(session));
  assert.equal(may(person("member"), "something new"), false);
});

test("one is one, all others are many", () => {
  assert.deepEqual([0, 1, "1", 2, 12_345].map((n) => counted(n, "request")), ["0 requests", "1 request", "1 request", "2 requests", "12,345 requests"]);
  assert.equal(counted(2, "query", "queries"), "2 queries");
});
