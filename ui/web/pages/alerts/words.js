// What alerts can watch, and one of them in words.
import { counted, usd } from "../../lib/format.js";
import { textOf } from "../../lib/filter_back.js";
import { spanText } from "../../parts/form.js";

/** As the API names them: how people call it, its unit, and whether it is added up, averaged, …. */
export const METRICS = {
  "response.status": { name: "Error rate", unit: "%", tells: "The share of answers with a status from 400 to 599" },
  cost: { name: "Cost", unit: "USD", aggregates: true, tells: "By the price list at the time" },
  latency: { name: "Latency", unit: "ms", aggregates: true, usual: "avg", tells: "From the request's arrival to the end of the answer" },
  count: { name: "Requests", are: true, unit: "requests", tells: "How many there are" },
  total_tokens: { name: "Tokens", are: true, unit: "tokens", aggregates: true, tells: "Prompt and completion tokens, and those of the provider's cache" },
  prompt_tokens: { name: "Prompt tokens", are: true, unit: "tokens", aggregates: true },
  completion_tokens: { name: "Completion tokens", are: true, unit: "tokens", aggregates: true },
  prompt_cache_read_tokens: { name: "Tokens read from the provider's cache", are: true, unit: "tokens", aggregates: true },
  prompt_cache_write_tokens: { name: "Tokens written to the provider's cache", are: true, unit: "tokens", aggregates: true },
};
const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });
export const AGGREGATIONS = { sum: "sum", avg: "mean", min: "least", max: "largest", percentile: "percentile" };

/** A value with the metric's unit. */
export function amount(metric, value) {
  if (metric === "cost") return usd(value);
  const number = Number(value).toLocaleString("en", { maximumFractionDigits: 2 });
  return `${number} ${METRICS[metric]?.unit ?? ""}`.trim();
}

/** 1st, 22nd, 95th */
function ordinal(number) {
  const rules = { one: "st", two: "nd", few: "rd", other: "th" };
  return `${number}${rules[Number.isInteger(Number(number)) ? ORDINALS.select(Number(number)) : "other"]}`;
}

/** "Cost (sum) reaches $5.00 within 1 hour, for any user, from 10 requests" */
export function inWords(alert) {
  const metric = METRICS[alert.metric] ?? { name: alert.metric };
  const how = !metric.aggregates ? "" : alert.aggregation === "percentile" ? ` (${ordinal(alert.percentile)} percentile)` : ` (${AGGREGATIONS[alert.aggregation ?? "sum"]})`;
  const group = alert.grouping ? `, for any ${alert.grouping_is_property ? `value of ${alert.grouping}` : alert.grouping}` : "";
  const least = alert.minimum_request_count ? `, from ${counted(alert.minimum_request_count, "request")}` : "";
  const filter = textOf(alert.filter);
  const only = filter === null ? ", of chosen requests" : filter ? `, where ${filter}` : "";
  return `${metric.name}${how} ${metric.are ? `reach ${Number(alert.threshold).toLocaleString("en")}` : `reaches ${amount(alert.metric, alert.threshold)}`} within ${spanText(Number(alert.time_window) / 1000)}${group}${least}${only}`;
}
