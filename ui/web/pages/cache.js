// Cache: how many answers needed no provider, what that saved, and which were given most often.
import { html } from "../lib/html.js";
import { post } from "../lib/api.js";
import { useChartBody } from "../lib/asked.js";
import { NONE, ago, count, duration, percent, short, time, usd, utc } from "../lib/format.js";
import { useQuery } from "../lib/query.js";
import { href, setParams } from "../lib/route.js";
import { FilterBar } from "../parts/filter_bar.js";
import { Panel, Series } from "../parts/panel.js";
import { CodeBox } from "../parts/pop.js";
import { Empty, Figure, Loading, Problem } from "../parts/states.js";
import { Pager, Table, useSteady } from "../parts/table.js";

const PAGE_ROWS = 20;
const SENT = "Helicone-Cache-Enabled: true\nCache-Control: max-age=3600";

export default function Cache({ params }) {
  const { body, key } = useChartBody(params);
  const page = Math.max(0, Number.parseInt(params.page, 10) || 0);
  const named = (name) => key && `cache:${name}:${key}`;
  const told = useQuery(named("metrics"), (signal) => post("/v1/cache/metrics", body, { signal }));
  const figures = told.data;
  return html`<div class="page">
    <div class="page-head"><h1>Cache</h1></div>
    <${FilterBar} params=${params} />
    <${Problem} error=${told.error} again=${told.reload} />
    ${!figures ? !told.error && key && html`<${Loading} />`
      : html`<${Figures} told=${figures} />${figures.total_hits ? html`<${Hits} body=${body} named=${named} page=${page} params=${params} />` : html`<${None} isFiltered=${Boolean(params.q)} />`}`}
  </div>`;
}

const Figures = ({ told }) => html`<div class="cards">
  <${Figure} name="Hits" value=${count(told.total_hits)} title="Answers that came from the cache" />
  <${Figure} name="Hit rate" value=${percent(told.hit_rate)} title="Hits divided by all requests of the range, those without a cache among them" />
  <${Figure} name="Money saved" value=${usd(told.cost_saved)} title="USD that the saved calls would have cost, by the price list at the time" />
  <${Figure} name="Time saved" value=${duration(told.time_saved_ms)} title="What the first answers took longer than those from the cache" />
  <${Figure} name="Requests" value=${count(told.total_requests)} title="All requests that ended in this range" />
</div>`;

const None = ({ isFiltered }) => html`<${Empty} title="Nothing came from the cache here"><div class="stack">
  <p>${isFiltered ? "No hit fits the filter, or" : "Where the same request comes twice, the second answer can be given at once, for nothing."} ${isFiltered ? "the range is too short." : "One header turns it on, another says for how many seconds:"}</p>
  ${!isFiltered && html`<${CodeBox} text=${SENT} />`}</div><//>`;

function Hits({ body, named, page, params }) {
  const overTime = useQuery(named("over-time"), (signal) => post("/v1/cache/over-time", body, { signal }));
  const top = useSteady(useQuery(named(`top:${page}`), (signal) => post("/v1/cache/top-requests", { ...body, limit: PAGE_ROWS, offset: page * PAGE_ROWS }, { signal })), named("top"));
  return html`<div class="charts three">
      <${Series} title="Hits" tells="Answers from the cache in each step of time" query=${overTime} series=${[["Hits", "count", "chart-6"]]} format=${short} bars />
      <${Series} title="Money saved" tells="USD in each step of time" query=${overTime} series=${[["Saved", "cost_saved", "chart-2"]]} format=${usd} bars />
      <${Series} title="Time saved" tells="In each step of time" query=${overTime} series=${[["Saved", "time_saved_ms", "chart-5"]]} format=${duration} bars />
    </div>
    <${Panel} title="Given most often" tells="By the request whose answer was kept" query=${top}>${(rows) => html`<div class="stack">
      <${Table} label="Top cached requests" columns=${columnsOf(params)} rows=${rows} keyOf=${(row) => row.request_id} busy=${top.loading} />
      <${Pager} page=${page} size=${PAGE_ROWS} shown=${rows.length} go=${(next) => setParams({ page: next || undefined }, { push: true })} /></div>`}<//>`;
}

const columnsOf = (params) => [
  { id: "request", name: "First request", show: (row) => html`<a href=${href("requests", [], { id: row.request_id, range: params.range })}><code>${row.request_id.slice(0, 8)}…</code></a>`, title: (row) => row.request_id },
  { id: "model", name: "Model", show: (row) => row.model ?? NONE },
  { id: "provider", name: "Provider", show: (row) => row.provider ?? NONE },
  { id: "hits", name: "Hits", num: true, show: (row) => count(row.hits), tells: "How often its answer was given again" },
  { id: "money", name: "Money saved", num: true, show: (row) => usd(row.cost_saved) },
  { id: "time", name: "Time saved", num: true, show: (row) => duration(row.time_saved_ms) },
  { id: "first", name: "First used", show: (row) => html`<span class="nowrap">${time(row.first_used)}</span>`, title: (row) => utc(row.first_used) },
  { id: "last", name: "Last used", show: (row) => html`<span class="nowrap">${time(row.last_used)}</span>`, title: (row) => `${utc(row.last_used)} · ${ago(row.last_used)}` },
];
