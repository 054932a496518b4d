import assert from "node:assert/strict";
import test from "node:test";
import { cell, chartOf, columnsOf } from "../../../ui/web/pages/sql/shape.js";
import { completions, tokens } from "../../../ui/web/pages/sql/words.js";

const TABLES = [{ table_name: "request_response_rmt", columns: [{ name: "cost", type: "UBIGINT", comment: "USD times 1,000,000,000" }, { name: "cost_usd", type: "DECIMAL", comment: "USD" }] }];
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
  assert.equal(names("select * from req")[0], "request_response_rmt");
  assert.deepEqual(names("select 'cos"), []);
  assert.deepEqual(names("-- cos"), []);
  assert.deepEqual(names("select "), []);
  assert.ok(names("select ", { asked: true }).length > 3);
  assert.equal(completions("select cos, x", 10, TABLES).from, 7);
});

test("columns have the kind that their values agree on", () => {
  const rows = [{ day: "2026-09-01T00:00:00.000000Z", n: null, p: { a: 1 }, m: 1 }, { day: "2026-09-02T00:00:00.000000Z", n: 2, p: {}, m: "x" }];
  assert.deepEqual(columnsOf(rows).map((one) => one.kind), ["time", "number", "json", "text"]);
  assert.equal(cell(rows[0].day), "2026-09-01 00:00:00");
  assert.equal(cell("2026-09-01T00:00:00.120000Z"), "2026-09-01 00:00:00.120000");
  assert.equal(cell(null), null);
});

test("a time and numbers are lines, in the order of time", () => {
  const rows = [{ day: "2026-09-02", n: 2 }, { day: "2026-09-01", n: 1 }];
  const chart = chartOf(rows, columnsOf(rows));
  assert.equal(chart.kind, "time");
  assert.deepEqual(chart.series[0].values, [1, 2]);
});

test("a time, a name and a number are a line for each name", () => {
  const rows = [{ day: "2026-09-01", model: "a", usd: 1 }, { day: "2026-09-01", model: "b", usd: 5 }, { day: "2026-09-02", model: "a", usd: 2 }];
  const chart = chartOf(rows, columnsOf(rows));
  assert.deepEqual(chart.series.map((one) => [one.name, one.values]), [["b", [5, null]], ["a", [1, 2]]]);
});

test("names and numbers are bars; no number, or nothing to name it by, is no chart", () => {
  const bars = [{ model: "a", n: 1 }];
  assert.equal(chartOf(bars, columnsOf(bars)).kind, "bars");
  for (const rows of [[], [{ n: 1 }], [{ day: "2026-09-01" }], [{ model: "a", other: "b" }], [{ p: {}, n: 1 }]]) {
    assert.equal(chartOf(rows, columnsOf(rows)), null);
  }
});
