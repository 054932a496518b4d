// A card with a chart or a list in it, or why there is none; and the usual chart over time.
import { html } from "../lib/html.js";
import { zoomTo } from "../lib/asked.js";
import { date } from "../lib/format.js";
import { Chart, Legend } from "./chart.js";
import { Problem } from "./states.js";

/** `children` is called with the query's data; `tells` says how the figure is defined; `series`
 *  [{name, color}] are named beside the title where they are several. */
export function Panel({ title, tells, query, side, series = [], children }) {
  return html`<section class="card"><header><h2 title=${tells}>${title}</h2>${series.length > 1 && html`<${Legend} series=${series} />`}${side}</header>
    ${query.error && query.data === undefined ? html`<${Problem} error=${query.error} again=${query.reload} />`
      : query.data === undefined ? html`<div class="chart skeleton" role="status" aria-label="Loading" />` : children(query.data)}</section>`;
}

/** One chart of rows that have a time. `series` [[name, field, color]]; `rows` picks them out of
 *  the answer; `empty` stands where a chart would have nothing but zeros. */
export function Series({ title, tells, query, series, format, rows = (data) => data, bars = false, stacked = false, gaps = false, empty = "" }) {
  const value = (row, field) => (row[field] === null || row[field] === undefined ? null : Number(row[field]));
  const legend = series.map(([name, , color]) => ({ name, color }));
  return html`<${Panel} title=${title} tells=${tells} query=${query} series=${legend}>${(data) => {
    const found = rows(data);
    if (empty && !found.some((row) => series.some(([, field]) => value(row, field)))) return html`<p class="muted small">${empty}</p>`;
    const drawn = series.map(([name, field, color]) => ({ name, color, bars, fill: !bars && series.length === 1, values: found.map((row) => (gaps ? value(row, field) || null : value(row, field))) }));
    return html`<${Chart} label=${title} times=${found.map((row) => date(row.time))} series=${drawn} format=${format} zoom=${zoomTo} stacked=${stacked} />`;
  }}<//>`;
}

/** Rows of (time, status, count) as one row a time: answered, 4xx, 5xx and cut off. */
export function byOutcome(rows) {
  const found = new Map();
  for (const { time, status, count } of rows) {
    const at = found.get(time) ?? { time, good: 0, client: 0, server: 0 };
    if (status !== null) at[status >= 500 || status < 0 ? "server" : status >= 400 ? "client" : "good"] += count;
    found.set(time, at);
  }
  return [...found.values()].sort((a, b) => (a.time < b.time ? -1 : 1));
}

export const OUTCOMES = [["Answered", "good", "chart-1"], ["4xx", "client", "chart-3"], ["5xx and cut off", "server", "chart-4"]];
