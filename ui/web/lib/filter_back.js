// From the API's filter back to what people write: the inverse of `compile` in filter_text.js. Pure.
import { FIELDS, kindOf, write } from "./filter_text.js";

const OPERATORS = { equals: "=", "not-equals": "!=", contains: "~", "not-contains": "!~", gt: ">", gte: ">=", lt: "<", lte: "<=" };
const BY_COLUMN = Object.fromEntries(Object.entries(FIELDS).filter(([, field]) => field.column).map(([name, field]) => [field.column, name]));

/** The text of a filter; null for one that was not written as text. */
export function textOf(filter) {
  if (!filter || filter === "all" || filter.type === "all" || Object.keys(filter).length === 0) return "";
  const tree = back(filter);
  return tree && write(tree);
}

function back(node) {
  if (node === null || typeof node !== "object") return null;
  if ("left" in node) {
    const parts = [back(node.left), back(node.right)];
    if (parts.includes(null) || !["and", "or"].includes(node.operator)) return null;
    return both(parts, node.operator);
  }
  const inner = node.request_response_rmt;
  return inner && Object.keys(node).length === 1 ? condition(inner) : null;
}

/** Two sides as one list; text that is looked for in both bodies as one condition. */
function both([left, right], operator) {
  const isBody = left.field === "request" && right.field === "response" && left.value === right.value
    && left.operator === right.operator && left.operator === (operator === "or" ? "~" : "!~");
  if (isBody) return { ...left, field: "body" };
  return { [operator]: [left, ...(right[operator] ?? [right])] };
}

function condition(inner) {
  const [[column, value] = [], ...more] = Object.entries(inner);
  if (more.length || value === null || typeof value !== "object") return null;
  if (column === "properties" || column === "scores") {
    const [[key, test] = [], ...others] = Object.entries(value);
    if (others.length) return null;
    const isSession = column === "properties" && key === FIELDS.session.key;
    return leaf(isSession ? "session" : `${column === "scores" ? "score" : "property"}.${key}`, test);
  }
  return BY_COLUMN[column] ? leaf(BY_COLUMN[column], value) : null;
}

function leaf(field, test) {
  const [[name, value] = [], ...more] = Object.entries(test ?? {});
  if (more.length || !OPERATORS[name] || !kindOf(field) || value === null || typeof value === "object") return null;
  return { field, operator: OPERATORS[name], value: String(value) };
}
