// What a webhook is told, in words.
import { percent } from "../../lib/format.js";

export const dataOf = (row) => (row.config.includeData ? "model, cost, tokens, latency" : "bodies alone");

/** "10 %, environment = production" */
export function chosen(row) {
  const rate = Number(row.config.sampleRate);
  const filters = row.config.propertyFilters.map((filter) => `${filter.key} = ${filter.value}`);
  return [rate === 100 ? "all" : percent(rate / 100), ...filters].join(", ");
}
