import assert from "node:assert/strict";
import test from "node:test";
import { textOf } from "../../../ui/web/lib/filter_back.js";
import { FIELDS, OPERATORS, parse } from "../../../ui/web/lib/filter_text.js";

const VALUES = { number: "5", time: "2026-11-22T00:00:00.000Z", flag: "true" };
const rmt = (column, test) => ({ request_response_rmt: { [column]: test } });

test("nothing is no text", () => {
  for (const filter of [null, undefined, "", "all", {}, { type: "all" }]) assert.equal(textOf(filter), "");
});

test("every field with every operator comes back as it was written", () => {
  const fields = { ...FIELDS, "property.tenant": { kind: "property" }, "score.quality": { kind: "score" } };
  let tried = 0;
  for (const [field, { kind }] of Object.entries(fields)) {
    for (const operator of OPERATORS[kind]) {
      const value = VALUES[kind] ?? (kind === "score" ? "0.5" : "a b");
      const { filter, error } = parse(`${field} ${operator} "${value}"`);
      assert.equal(error, "", field);
      const again = textOf(filter);
      assert.ok(again.startsWith(`${field} ${operator} `), `${field} ${operator}: ${again}`);
      assert.deepEqual(parse(again).filter, filter, again);
      tried += 1;
    }
  }
  assert.ok(tried > 70, `${tried}`);
});

test("what is put together comes back and means the same", () => {
  for (const text of [
    "model = a and status >= 500 and cost < 0.5",
    "model = a or model = b or model = c",
    "model = a and (status >= 500 or user = \"x y\")",
    "(model = a or model = b) and (user = c or user = d)",
    "refund and body !~ order",
    "property.tenant = \"acme inc\" and score.quality > 0.5 and session = s",
    'user = "say \\"hi\\" \\\\ there"',
    "request ~ refund or response ~ refund and model = a",
    "cached = true and feedback = false and threat = true",
  ]) {
    const { filter, error } = parse(text);
    assert.equal(error, "", text);
    const again = textOf(filter);
    assert.deepEqual(parse(again).filter, filter, `${text} → ${again}`);
    assert.equal(textOf(parse(again).filter), again, "and is steady");
  }
});

test("a word in both bodies is one condition, two different ones stay two", () => {
  assert.equal(textOf(parse("refund").filter), "body ~ refund");
  assert.equal(textOf(parse("body !~ refund").filter), "body !~ refund");
  assert.equal(textOf(parse("request ~ a or response ~ b").filter), "request ~ a or response ~ b");
  assert.equal(textOf(parse("request ~ a and response ~ a").filter), "request ~ a and response ~ a");
});

test("what was not written as text has none", () => {
  for (const filter of [
    "model", { request_response_rmt: {} }, rmt("no_such_column", { equals: "a" }), rmt("model", { like: "a" }),
    rmt("model", { equals: "a", contains: "b" }), rmt("model", { equals: null }), rmt("model", { equals: { deep: 1 } }), rmt("model", null), rmt("model", "a"),
    { request_response_rmt: { model: { equals: "a" }, status: { gte: 1 } } }, { user_metrics: { cost: { gt: 1 } } },
    rmt("properties", { a: { equals: "1" }, b: { equals: "2" } }), rmt("properties", {}), rmt("scores", { quality: null }),
    { left: rmt("model", { equals: "a" }), operator: "xor", right: rmt("model", { equals: "b" }) },
    { left: rmt("model", { equals: "a" }), operator: "and", right: { user_metrics: {} } },
    { left: rmt("model", { equals: "a" }), operator: "and", right: null }, { left: "all", operator: "and", right: rmt("model", { equals: "a" }) },
  ]) assert.equal(textOf(filter), null, JSON.stringify(filter));
});
