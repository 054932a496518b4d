import assert from "node:assert/strict";
import test from "node:test";
import { cell, chartOf, columnsOf } from "../../../ui/web/pages/sql/shape.js";
import { completions, tokens } from "../../../ui/web/pages/sql/words.js";

const TABLES = [
  { table_name: "request_response_rmt", description: "Helicone's table", columns: [{ name: "cost", type: "UBIGINT", comment: "USD times 1,000,000,000" }, { name: "cost_usd", type: "DECIMAL", comment: "USD" }] },
  { table_name: "requests", columns: [{ name: "cost_usd", type: "DECIMAL", comment: "USD" }, { name: "latency_ms", type: "DOUBLE" }, { name: "exchange_id", type: "UUID" }] },
  { table_name: "bodies", columns: [{ name: "exchange_id", type: "UUID" }, { name: "response", type: "VARCHAR" }] },
];
/** An answer of rows, with types as the server would tell them. */
const answer = (rows, ...types) => ({ rows, columns: Object.keys(rows[0] ?? {}).map((name, at) => ({ name, type: types[at] })) });
const drawn = (rows, ...types) => chartOf(rows, columnsOf(answer(rows, ...types)));
const names = (text, options) => completions(text, text.length, TABLES, options)?.found.map((one) => one.name) ?? [];

test("tokens are the text, whatever it is", () => {
  for (const text of ["", "select 'it''s' -- why\nfrom \"a b\" /* open", "'never closed", "sum(x) + 1.5e3", "—✓\n\n"]) {
    assert.equal(tokens(text).map(([, part]) => part).join(""), text);
  }
  const kinds = Object.fromEntries(tokens("select sum(x), 'from', 12 -- sum(").map(([kind, part]) => [part.trim(), kind]));
  assert.equal(kinds.select, "keyword");
  assert.equal(kinds.sum, "function");
  assert.equal(kinds["'from'"], "string");
  assert.equal(kinds["-- sum("], "comment");
});

test("words are offered by their beginning, and nowhere in texts and comments", () => {
  assert.deepEqual(names("select cost"), ["cost", "cost_usd"]);
  assert.equal(names("select cou")[0], "count");
  assert.deepEqual(names("select * from req").slice(0, 2), ["requests", "request_response_rmt"]);
  assert.deepEqual(names("select 'cos"), []);
  assert.deepEqual(names("-- cos"), []);
  assert.deepEqual(names("select "), []);
  assert.ok(names("select ", { asked: true }).length > 3);
  assert.equal(completions("select cos, x", 10, TABLES).from, 7);
});

test("columns are those of the tables that the query names, by their short names too", () => {
  const at = (text) => completions(text.replace("^", ""), text.indexOf("^"), TABLES, { asked: true })?.found.filter((one) => one.kind === 0).map((one) => one.name) ?? [];
  assert.deepEqual(at("select lat^ from requests"), ["latency_ms"]);
  assert.deepEqual(at("select lat^ from bodies"), []);
  assert.deepEqual(at("select exchange^ from requests r join bodies as b using (exchange_id)"), ["exchange_id"]);
  assert.deepEqual(at("select b.^ from requests r join bodies as b using (exchange_id)"), ["exchange_id", "response"]);
  assert.deepEqual(at("select R.cost^ from requests r where 1 = 1"), ["cost_usd"]);
  assert.deepEqual(at("select x.^ from requests r"), []);
  assert.deepEqual(at("select count(*) as requests, cost^"), ["cost", "cost_usd"]);
});

test("columns have the kind of their types, and texts that are all times are times", () => {
  const rows = [
    { day: "2026-09-01T00:00:00.000000Z", n: null, p: { a: 1 }, m: "1", at: "2026-09-01", l: [1] },
    { day: "2026-09-02T00:00:00.000000Z", n: 2, p: {}, m: "x", at: null, l: null },
  ];
  const types = ["TIMESTAMP WITH TIME ZONE", "DECIMAL(38,12)", "MAP(VARCHAR, VARCHAR)", "VARCHAR", "VARCHAR", "BIGINT[]"];
  assert.deepEqual(columnsOf(answer(rows, ...types)).map((one) => one.kind), ["time", "number", "json", "text", "time", "json"]);
  const none = { rows: [], columns: ["HUGEINT", "UTINYINT", "INTERVAL", "VARCHAR", "UUID", "DATE", "BOOLEAN", "DOUBLE"].map((type) => ({ name: type, type })) };
  assert.deepEqual(columnsOf(none).map((one) => one.kind), ["number", "number", "text", "text", "text", "time", "text", "number"]);
  assert.equal(cell(rows[0].day), "2026-09-01 00:00:00");
  assert.equal(cell("2026-09-01T00:00:00.120000Z"), "2026-09-01 00:00:00.120000");
  assert.equal(cell(null), null);
});

test("a time and numbers are lines, in the order of time", () => {
  const chart = drawn([{ day: "2026-09-02", n: 2 }, { day: "2026-09-01", n: 1 }], "DATE", "BIGINT");
  assert.equal(chart.kind, "time");
  assert.deepEqual(chart.series[0].values, [1, 2]);
});

test("a time, a name and a number are a line for each name", () => {
  const rows = [{ day: "2026-09-01", model: "a", usd: 1 }, { day: "2026-09-01", model: "b", usd: 5 }, { day: "2026-09-02", model: "a", usd: 2 }];
  const chart = drawn(rows, "DATE", "VARCHAR", "DECIMAL(38,12)");
  assert.deepEqual(chart.series.map((one) => [one.name, one.values]), [["b", [5, null]], ["a", [1, 2]]]);
});

test("names and numbers are bars; no number, or nothing to name it by, is no chart", () => {
  assert.equal(drawn([{ model: "a", n: 1 }], "VARCHAR", "BIGINT").kind, "bars");
  assert.equal(drawn([{ model: "a", n: null }], "VARCHAR", "BIGINT").kind, "bars");
  for (const [rows, ...types] of [[[]], [[{ n: 1 }], "BIGINT"], [[{ day: "2026-09-01" }], "DATE"], [[{ model: "a", other: "1" }], "VARCHAR", "VARCHAR"], [[{ p: {}, n: 1 }], "MAP(VARCHAR, VARCHAR)", "BIGINT"]]) {
    assert.equal(drawn(rows, ...types), null);
  }
});
