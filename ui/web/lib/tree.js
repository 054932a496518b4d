// A session's tree as rows from top to bottom. Pure; see tests/ui.
import { date } from "./format.js";

const at = (value) => date(value)?.getTime() ?? 0;

/** {start, ms} of the whole session; never nothing, so that it can be divided by. */
export function spanOf(told) {
  const start = at(told.created_at);
  return { start, ms: Math.max(1, (at(told.ended_at) || start) - start) };
}

/** Rows in the order of time within each path: a path, its requests, then what lies below.
 *  Paths in `closed` show nothing below. Without recursion: a tree may be as deep as it likes. */
export function flatten(tree, closed = new Set()) {
  const rows = [];
  const waiting = [[tree, 0]];
  while (waiting.length) {
    const [node, depth] = waiting.pop();
    if (node.request_id) {
      rows.push(requestRow(node, depth));
      continue;
    }
    const isRoot = node.path === "/";
    const below = isRoot ? depth : depth + 1;
    if (!isRoot) rows.push(pathRow(node, depth));
    if (closed.has(node.path)) continue;
    const inside = [...node.requests, ...node.children].map((one) => [one, below]);
    inside.sort(([a], [b]) => at(b.created_at) - at(a.created_at));
    waiting.push(...inside);
  }
  return rows;
}

function pathRow(node, depth) {
  const start = at(node.created_at);
  return {
    key: node.path, path: node.path, name: node.name, depth, start, ms: Math.max(0, (at(node.ended_at) || start) - start),
    cost: node.cost, errors: node.errors, request: null,
  };
}

function requestRow(one, depth) {
  const start = at(one.created_at);
  return {
    key: one.request_id + one.created_at, path: one.path, name: one.model || one.step || one.path, depth, start,
    ms: one.latency_ms ?? Math.max(0, (at(one.ended_at) || start) - start), cost: one.cost, errors: one.error ? 1 : 0, request: one,
  };
}
