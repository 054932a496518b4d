// Dashboard: one range and one filter for everything on it. Drag in a chart to zoom, click a bar to filter.
import { html, useEffect, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { useChartBody } from "../lib/asked.js";
import { count, duration, percent, short, usd } from "../lib/format.js";
import { withCondition } from "../lib/filter_text.js";
import { useQuery } from "../lib/query.js";
import { href, setParams } from "../lib/route.js";
import { Bars } from "../parts/chart.js";
import { FilterBar } from "../parts/filter_bar.js";
import { OUTCOMES, Panel, Series, byOutcome } from "../parts/panel.js";
import { Empty, Figure, Problem } from "../parts/states.js";

const TOP = 10;
const FRESH_MS = 30_000;
const WAITING_MS = 2000; // for the first request of all
const QUANTILES = [["p50", "p50", "chart-2"], ["p95", "p95", "chart-3"], ["p99", "p99", "chart-4"]];

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
    ${isEmpty ? html`<${Empty} title="No requests in this range"><p>Widen the range, or <a href="/start">send the first request</a>.</p><//>`
      : html`<${Figures} told=${summary.data ?? {}} params=${params} />
        <${Charts} named=${named} ask=${ask} refresh=${refresh} />
        <div class="charts">
          <${Tops} named=${named} body=${body} narrow=${narrow} />
          <${Saved} named=${named} body=${body} />
        </div>`}
  </div>`;
}

function Charts({ named, ask, refresh }) {
  const over = (name, more) => useQuery(named(name), ask(name, more), { every_ms: refresh });
  return html`<div class="charts">
    <${Series} title="Requests and errors" tells="By the status of the answer; cut off is one below 0: the client or the provider hung up" query=${over("requestStatusOverTime")} rows=${byOutcome} series=${OUTCOMES} format=${short} bars stacked />
    <${Series} title="Cost" tells="USD in each step of time, by the price list" query=${over("costOverTime")} format=${usd} series=${[["Cost", "cost", "chart-2"]]} bars />
    <${Series} title="Latency" tells="Half, 95 and 99 of a hundred requests were faster" query=${over("quantiles", { metric: "latency" })} series=${QUANTILES} format=${duration} gaps />
    <${Series} title="Time to first token" tells="The mean over streamed answers" query=${over("timeToFirstToken")} format=${duration} series=${[["Mean", "ttft", "chart-6"]]} gaps />
    <${Series} title="Tokens" tells="Prompt tokens without those from the provider's cache; completion tokens" query=${over("tokensOverTime")} format=${short} series=${[["Prompt", "prompt_tokens", "chart-1"], ["Completion", "completion_tokens", "chart-5"]]} bars stacked />
    <${Series} title="Users" tells="Different Helicone-User-Ids in each step of time" query=${over("usersOverTime")} format=${short} series=${[["Users", "count", "chart-3"]]} bars />
  </div>`;
}

function Figures({ told, params }) {
  const errors = href("requests", [], { ...params, q: withCondition(params.q ?? "", "status", "400", ">=") });
  return html`<div class="cards">
    <${Figure} name="Requests" value=${count(told.totalRequests)} title="All requests that ended in this range" />
    <${Figure} name="Cost" value=${usd(told.totalCost)} title="The sum of all costs, in USD" />
    <a href=${errors} class="card figure" title="The share of requests with a status from 400 to 599. Click to see them"><span class="name">Errors</span><span class=${`value ${told.totalErrors ? "bad" : ""}`}>${percent(told.errorRate)}</span></a>
    <${Figure} name="Mean latency" value=${duration(told.averageLatency)} title="From the request's arrival to the end of the answer" />
    <${Figure} name="First token" value=${duration(told.averageTimeToFirstToken)} title="The mean time to the first token, over streamed answers" />
    <${Figure} name="Tokens" value=${short(told.totalTokens)} title=${`${count(told.promptTokens)} prompt, ${count(told.completionTokens)} completion, ${count(told.reasoningTokens)} reasoning`} />
    <${Figure} name="Users" value=${count(told.activeUsers)} title="Different Helicone-User-Ids, without the empty one" />
    <${Figure} name="Saved by cache" value=${usd(told.costSaved)} title=${`${count(told.cacheHits)} answers came from the cache`} />
  </div>`;
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
    <${Series} title="Answered from the cache" tells="Answers that no provider was asked for" query=${cache} format=${short} series=${[["Hits", "count", "chart-6"]]} bars empty="No answer in this range came from the cache." />
    <${Series} title="Rate-limited" tells="Requests that a limit turned away" query=${blocked} rows=${(data) => data.over_time} series=${[["Turned away", "count", "chart-4"]]} format=${short} bars empty="No request in this range was turned away." />`;
}
