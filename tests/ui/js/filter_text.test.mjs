import assert from "node:assert/strict";
import test from "node:test";
import { parse, quoted, withCondition, within, write } from "../../../ui/web/lib/filter_text.js";

const wide = (filter) => filter.request_response_rmt;

test("nothing is everything", () => {
  for (const text of ["", "   ", undefined]) assert.equal(parse(text).filter, "all");
});

test("one condition of each kind", () => {
  const cases = {
    "model = gpt-4o": { model: { equals: "gpt-4o" } },
    "status>=500": { status: { gte: 500 } },
    "cost < 0.001": { cost: { lt: 0.001 } },
    "cached = true": { cached: { equals: true } },
    'property.tenant != "acme inc"': { properties: { tenant: { "not-equals": "acme inc" } } },
    "score.accuracy > 0.5": { scores: { accuracy: { gt: 0.5 } } },
    "session = abc": { properties: { "Helicone-Session-Id": { equals: "abc" } } },
    "time >= 2026-11-22": { request_created_at: { gte: "2026-11-22T00:00:00.000Z" } },
    "feedback = false": { "helicone-score-feedback": { equals: false } },
  };
  for (const [text, expected] of Object.entries(cases)) assert.deepEqual(wide(parse(text).filter), expected, text);
});

test("and binds closer than or, and may be left out", () => {
  const { filter } = parse("model = a status = 200 or model = b");
  assert.equal(filter.operator, "or");
  assert.equal(filter.left.operator, "and");
  assert.deepEqual(wide(filter.right), { model: { equals: "b" } });
});

test("a word is looked for in both bodies", () => {
  const { filter } = parse("refund");
  assert.equal(filter.operator, "or");
  assert.deepEqual(wide(filter.left), { request_body: { contains: "refund" } });
  assert.equal(parse("body !~ refund").filter.operator, "and");
});

test("what is written again means the same", () => {
  for (const text of ["model = a and (status = 200 or user = \"x y\")", "a or b and c", 'user = "a\\"b\\\\"', "property.x = and"]) {
    const { tree, filter, error } = parse(text);
    assert.equal(error, "", text);
    assert.deepEqual(parse(write(tree)).filter, filter, text);
  }
});

test("what cannot be read says why", () => {
  const cases = {
    "model =": "no value", "= x": "needs a field", "foo = 1": "no field", "status = x": "wants a number", "status ~ 2": "cannot be asked",
    "(a": "closing parenthesis is missing", "a)": "too many", and: "nothing before", "a or": "condition is missing", 'model = "x': "quotation mark",
    "time > soon": "no time", "cached = maybe": "true or false", "constructor = 1": "no field", "__proto__ = 1": "no field",
  };
  for (const [text, part] of Object.entries(cases)) {
    const { filter, error } = parse(text);
    assert.equal(filter, null, text);
    assert.ok(error.includes(part), `${text}: ${error}`);
  }
});

test("too much is refused and not tried", () => {
  assert.ok(parse("(".repeat(1000)).error);
  assert.ok(parse("a ".repeat(1000)).error.includes("more than 50"));
});

test("a condition is added once", () => {
  const once = withCondition("model = a", "user", "x y");
  assert.equal(once, 'model = a and user = "x y"');
  assert.equal(withCondition(once, "user", "x y"), once);
  assert.equal(withCondition("a or b", "user", "c"), "(body ~ a or body ~ b) and user = c");
});

test("values are quoted where they must be", () => {
  assert.equal(quoted("gpt-4o"), "gpt-4o");
  assert.equal(quoted("and"), '"and"');
  assert.equal(quoted(""), '""');
});

test("a range goes around a filter", () => {
  const range = { start: new Date(0), end: new Date(1000) };
  const both = within(parse("model = a").filter, range);
  assert.deepEqual(wide(both.left.left), { request_created_at: { gte: "1970-01-01T00:00:00.000Z" } });
  assert.deepEqual(wide(both.right), { model: { equals: "a" } });
  assert.equal(within("all", range).operator, "and");
});
