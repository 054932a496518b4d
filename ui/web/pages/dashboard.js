// Dashboard: one range and one filter for everything on it. Drag in a chart to zoom, click a bar to filter.
import { html, useEffect, useMemo, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { count, date, duration, percent, short, usd } from "../lib/format.js";
import { parse, withCondition } from "../lib/filter_text.js";
import { useQuery } from "../lib/query.js";
import { rangeOf, rangeText, timeFilter, zoneMinutes } from "../lib/range.js";
import { href, setParams } from "../lib/route.js";
import { Bars, Chart } from "../parts/chart.js";
import { FilterBar } from "../parts/filter_bar.js";
import { Empty, Figure, Loading, Problem } from "../parts/states.js";

const TOP = 10;
const FRESH_MS = 30_000;
const MINUTE_MS = 60_000;
const WAITING_MS = 2000; // for the first request of all

/** What every chart asks with. */
export function useChartBody(params) {
  const q = params.q ?? "";
  const [minute, setMinute] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setMinute((now) => now + 1), MINUTE_MS);
    return () => clearInterval(timer);
  }, []);
  return useMemo(() => {
    const range = rangeOf(params.range); // which goes on with the clock
    const { filter, error } = parse(q);
    const body = { filter: filter ?? "all", timeFilter: timeFilter(range), dbIncrement: range.step, timeZoneDifference: zoneMinutes() };
    return { range, body, error, key: error ? null : JSON.stringify([q, params.range ?? ""]) };
  }, [q, params.range, minute]);
}

export const zoomTo = (start, end) => setParams({ range: rangeText(start, end) }, { push: true });

export default function Dashboard({ params }) {
  const { range, body, key } = useChartBody(params);
  const refresh = range.preset === "1h" || range.preset === "24h" ? FRESH_MS : 0;
  const ask = (name, more) => (signal) => post(`/v1/metrics/${name}`, { ...body, ...more }, { signal });
  const named = (name) => key && `metric:${name}:${key}`;
  const [waits, setWaits] = useState(false);
  const summary = useQuery(named("summary"), ask("summary"), { every_ms: waits ? WAITING_MS : refresh });
  const narrow = (field, value) => setParams({ q: withCondition(params.q ?? "", field, value) }, { push: true });
  const isEmpty = summary.data && !summary.data.totalRequests && !params.q;
  useEffect(() => setWaits(Boolean(isEmpty)), [isEmpty]);
  return html`<div class="page">
    <div class="page-head"><h1>Dashboard</h1></div>
    <${FilterBar} params=${params} />
    <${Problem} error=${summary.error} again=${summary.reload} />
    ${!summary.data && !summary.error ? html`<${Loading} />` : isEmpty
      ? html`<${Empty} title="No requests in this range"><p>Widen the range, or <a href="/start">send the first request</a>.</p><//>`
      : html`<${Figures} told=${summary.data ?? {}} params=${params} />
        <div class="charts">
          <${Statuses} query=${useSeries(named, ask, "requestStatusOverTime", refresh)} range=${range} />
          <${Lines} title="Cost" tells="USD in each step of time, by the price list" query=${useSeries(named, ask, "costOverTime", refresh)} range=${range} format=${usd} series=${[["Cost", "cost", "chart-2"]]} bars />
          <${Latency} named=${named} ask=${ask} refresh=${refresh} range=${range} />
          <${Lines} title="Time to first token" tells="The mean over streamed answers" query=${useSeries(named, ask, "timeToFirstToken", refresh)} range=${range} format=${duration} series=${[["Mean", "ttft", "chart-6"]]} gaps />
          <${Lines} title="Tokens" tells="Prompt tokens without those from the provider's cache; completion tokens" query=${useSeries(named, ask, "tokensOverTime", refresh)} range=${range} format=${short} series=${[["Prompt", "prompt_tokens", "chart-1"], ["Completion", "completion_tokens", "chart-5"]]} bars stacked />
          <${Lines} title="Users" tells="Different Helicone-User-Ids in each step of time" query=${useSeries(named, ask, "usersOverTime", refresh)} range=${range} format=${short} series=${[["Users", "count", "chart-3"]]} bars />
        </div>
        <div class="charts">
          <${Tops} named=${named} body=${body} narrow=${narrow} />
          <${Saved} named=${named} body=${body} range=${range} />
        </div>`}
  </div>`;
}

function useSeries(named, ask, name, every_ms) {
  return useQuery(named(name), ask(name), { every_ms });
}

function Figures({ told, params }) {
  const errors = href("requests", [], { ...params, q: withCondition(params.q ?? "", "status", "400", ">=") });
  return html`<div class="cards">
    <${Figure} name="Requests" value=${count(told.totalRequests)} title="All requests that ended in this range" />
    <${Figure} name="Cost" value=${usd(told.totalCost)} title="The sum of all costs, in USD" />
    <a href=${errors} class="card figure" title="Answers with a status from 400, or none at all. Click to see them"><span class="name">Errors</span><span class=${`value ${told.totalErrors ? "bad" : ""}`}>${percent(told.errorRate)}</span></a>
    <${Figure} name="Mean latency" value=${duration(told.averageLatency)} title="From the request's arrival to the end of the answer" />
    <${Figure} name="First token" value=${duration(told.averageTimeToFirstToken)} title="The mean time to the first token, over streamed answers" />
    <${Figure} name="Tokens" value=${short(told.totalTokens)} title=${`${count(told.promptTokens)} prompt, ${count(told.completionTokens)} completion, ${count(told.reasoningTokens)} reasoning`} />
    <${Figure} name="Users" value=${count(told.activeUsers)} title="Different Helicone-User-Ids, without the empty one" />
    <${Figure} name="Saved by cache" value=${usd(told.costSaved)} title=${`${count(told.cacheHits)} answers came from the cache`} />
  </div>`;
}

/** A card with a chart, or why there is none. */
function Panel({ title, tells, query, children }) {
  return html`<section class="card"><header><h2 title=${tells}>${title}</h2></header>
    ${query.error ? html`<${Problem} error=${query.error} again=${query.reload} />` : !query.data ? html`<div class="chart skeleton" role="status" aria-label="Loading" />` : children(query.data)}</section>`;
}

function Lines({ title, tells, query, series, format, bars = false, stacked = false, gaps = false }) {
  return html`<${Panel} title=${title} tells=${tells} query=${query}>${(rows) => {
    const times = rows.map((row) => date(row.time));
    const drawn = series.map(([name, field, color]) => ({ name, color, bars, fill: !bars, values: rows.map((row) => (gaps ? number(row[field]) || null : number(row[field]))) }));
    return html`<${Chart} label=${title} times=${times} series=${drawn} format=${format} zoom=${zoomTo} stacked=${stacked} />`;
  }}<//>`;
}

const number = (value) => (value === null || value === undefined ? null : Number(value));

/** Requests by how they ended: one bar in three colours. */
function Statuses({ query }) {
  return html`<${Panel} title="Requests and errors" tells="By the status of the answer; below 0 and from 400 is an error" query=${query}>${(rows) => {
    const byTime = new Map();
    for (const row of rows) {
      const at = byTime.get(row.time) ?? { good: 0, client: 0, server: 0 };
      const { status } = row;
      if (status !== null) at[status >= 500 || status < 0 ? "server" : status >= 400 ? "client" : "good"] += row.count;
      byTime.set(row.time, at);
    }
    const at = [...byTime.keys()].sort();
    const series = [["Answered", "good", "chart-1"], ["4xx", "client", "chart-3"], ["5xx and cut off", "server", "chart-4"]]
      .map(([name, field, color]) => ({ name, color, bars: true, values: at.map((time) => byTime.get(time)[field]) }));
    return html`<${Chart} label="Requests and errors" times=${at.map(date)} series=${series} format=${short} zoom=${zoomTo} stacked />`;
  }}<//>`;
}

function Latency({ named, ask, refresh }) {
  const query = useQuery(named("quantiles"), ask("quantiles", { metric: "latency" }), { every_ms: refresh });
  return html`<${Panel} title="Latency" tells="Half, 95 and 99 of a hundred requests were faster" query=${query}>${(rows) => {
    const series = [["p50", "p50", "chart-2"], ["p95", "p95", "chart-3"], ["p99", "p99", "chart-4"]]
      .filter(([, field]) => rows.some((row) => row[field] !== undefined))
      .map(([name, field, color]) => ({ name, color, values: rows.map((row) => number(row[field]) || null) }));
    return html`<${Chart} label="Latency" times=${rows.map((row) => date(row.time))} series=${series} format=${duration} zoom=${zoomTo} />`;
  }}<//>`;
}

function Tops({ named, body, narrow }) {
  const models = useQuery(named("models"), (signal) => post("/v1/metrics/models", { ...body, limit: TOP, offset: 0 }, { signal }));
  const providers = useQuery(named("providers"), (signal) => post("/v1/providers", { ...body, limit: TOP, offset: 0 }, { signal }));
  const users = useQuery(named("users"), (signal) => post("/v1/user/metrics/query", {
    filter: body.filter === "all" ? {} : body.filter, offset: 0, limit: TOP, sort: { cost: "desc" },
    timeFilter: { startTimeUnixSeconds: Math.floor(Date.parse(body.timeFilter.start) / 1000), endTimeUnixSeconds: Math.floor(Date.parse(body.timeFilter.end) / 1000) },
  }, { signal }));
  return html`
    <${Panel} title="Models by requests" query=${models}>${(rows) => html`<${Bars} rows=${rows.map((row) => ({ name: row.model, value: row.total_requests }))} format=${short} pick=${(row) => narrow("model", row.name)} />`}<//>
    <${Panel} title="Models by cost" query=${models}>${(rows) => html`<${Bars} rows=${[...rows].sort((a, b) => b.cost - a.cost).map((row) => ({ name: row.model, value: Number(row.cost) }))} format=${usd} pick=${(row) => narrow("model", row.name)} />`}<//>
    <${Panel} title="Providers" query=${providers}>${(rows) => html`<${Bars} rows=${rows.map((row) => ({ name: row.provider, value: row.total_requests }))} format=${short} pick=${(row) => narrow("provider", row.name)} />`}<//>
    <${Panel} title="Users by cost" query=${users}>${(data) => html`<${Bars} rows=${(data.users ?? data).filter((row) => row.user_id).map((row) => ({ name: row.user_id, value: Number(row.cost) }))} format=${usd} pick=${(row) => narrow("user", row.name)} />`}<//>`;
}

function Saved({ named, body }) {
  const cache = useQuery(named("cache"), (signal) => post("/v1/cache/over-time", body, { signal }));
  const blocked = useQuery(named("blocked"), (signal) => post("/v1/rate-limits/blocked", body, { signal }));
  return html`
    <${Lines} title="Answered from the cache" tells="Answers that no provider was asked for" query=${cache} format=${short} series=${[["Hits", "count", "chart-6"]]} bars />
    <${Panel} title="Rate-limited" tells="Requests that a limit turned away" query=${blocked}>${(data) => html`
      <${Chart} label="Rate-limited" times=${data.over_time.map((row) => date(row.time))} series=${[{ name: "Turned away", color: "chart-4", bars: true, values: data.over_time.map((row) => row.count) }]} format=${short} zoom=${zoomTo} />`}<//>`;
}
