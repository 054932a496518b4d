// Sessions: what belongs together, as a list, and one of them as a tree beside its timeline.
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { NONE, ago, count, duration, short, time, usd, utc } from "../lib/format.js";
import { useQuery } from "../lib/query.js";
import { rangeOf, zoneMinutes } from "../lib/range.js";
import { go, href, setParams } from "../lib/route.js";
import { RangePicker } from "../parts/filter_bar.js";
import { Icon } from "../parts/icon.js";
import { List } from "../parts/list.js";
import { Bars } from "../parts/chart.js";
import { Empty, Figure, Loading, Problem } from "../parts/states.js";
import { Session } from "../parts/session.js";

const PAGE_ROWS = 50;
const TYPING_MS = 250;

const COLUMNS = [
  { id: "name", name: "Session", width: "minmax(180px, 1.4fr)", show: (row) => html`<b>${row.session_name || row.session_id}</b> <span class="muted small">${row.session_name ? row.session_id : ""}</span>`, title: (row) => row.session_id },
  { id: "created", name: "Began", width: "160px", show: (row) => time(row.created_at), title: (row) => `${utc(row.created_at)} · ${ago(row.created_at)}` },
  { id: "duration", name: "Lasted", width: "90px", num: true, show: (row) => duration(row.duration_ms), tells: "From its first request to the end of its last answer" },
  { id: "requests", name: "Requests", width: "80px", num: true, show: (row) => count(row.total_requests) },
  { id: "errors", name: "Errors", width: "64px", num: true, show: (row) => (row.errors ? html`<span class="bad">${count(row.errors)}</span>` : "0") },
  { id: "tokens", name: "Tokens", width: "80px", num: true, show: (row) => short(row.total_tokens) },
  { id: "latency", name: "Mean latency", width: "100px", num: true, show: (row) => duration(row.avg_latency) },
  { id: "cost", name: "Cost", width: "92px", num: true, show: (row) => usd(row.total_cost) },
  { id: "users", name: "Users", width: "minmax(80px, 0.6fr)", show: (row) => row.user_ids?.join(", ") || NONE },
];

export default function Sessions({ rest, params }) {
  return rest.length ? html`<${Session} key=${rest[0]} id=${rest[0]} params=${params} />` : html`<${All} params=${params} />`;
}

/** What every question about sessions is asked with. */
function bodyOf(params) {
  const range = rangeOf(params.range);
  return {
    search: params.q ?? "", filter: "all", timezoneDifference: zoneMinutes(), ...(params.name ? { nameEquals: params.name } : {}),
    timeFilter: { startTimeUnixMs: range.start.getTime(), endTimeUnixMs: range.end.getTime() },
  };
}

function All({ params }) {
  const key = JSON.stringify([params.q ?? "", params.range ?? "", params.name ?? ""]);
  const body = useMemo(() => bodyOf(params), [key]);
  const rows = useSessions(key, body);
  const sums = useQuery(`sessions.count:${key}`, (signal) => post("/v1/session/count", body, { signal }));
  const tab = params.tab === "names" ? "names" : params.tab === "spread" ? "spread" : "list";
  return html`<div class="page full">
    <div class="page-head"><h1>Sessions</h1></div>
    <div class="bar"><${Search} text=${params.q ?? ""} />
      ${params.name && html`<span class="chip">${params.name}<button type="button" aria-label="All names" onClick=${() => setParams({ name: undefined })}><${Icon} name="close" /></button></span>`}
      <${RangePicker} value=${params.range} /></div>
    <div class="cards">
      <${Figure} name="Sessions" value=${count(sums.data?.count)} title="Sessions that began in this range" />
      <${Figure} name="Cost" value=${usd(sums.data?.total_cost)} title="Of all their requests" />
      <${Figure} name="Mean cost" value=${usd(sums.data?.avg_cost)} title="Of a session" />
      <${Figure} name="Mean requests" value=${sums.data ? Number(sums.data.avg_requests).toFixed(1) : NONE} title="Of a session; steps that are no requests do not count" />
      <${Figure} name="Mean latency" value=${duration(sums.data?.avg_latency)} title="Of a request" />
    </div>
    <div class="tabs" role="tablist">${[["list", "All"], ["names", "By name"], ["spread", "Distribution"]].map(([id, name]) => html`
      <button type="button" role="tab" aria-selected=${tab === id} onClick=${() => setParams({ tab: id === "list" ? undefined : id })}>${name}</button>`)}</div>
    ${tab === "names" ? html`<${Names} body=${body} of=${key} />` : tab === "spread" ? html`<${Spread} body=${body} of=${key} />` : html`
      <${Problem} error=${rows.error} again=${rows.reload} />
      ${!rows.rows.length ? rows.loading ? html`<${Loading} />` : !rows.error && html`<${None} isFiltered=${Boolean(params.q || params.name)} />` : html`
      <${List} label="Sessions" columns=${COLUMNS} rows=${rows.rows} more=${rows.more} hasMore=${!rows.done} pick=${(row) => go(href("sessions", [row.session_id]))}
        foot=${html`<span>${count(rows.rows.length)} shown${sums.data ? ` of ${count(sums.data.count)}` : ""}</span>`} />`}`}
  </div>`;
}

const None = ({ isFiltered }) => isFiltered
  ? html`<${Empty} title="Nothing matches"><p>No session in this range fits. Search looks at ids and names.</p><//>`
  : html`<${Empty} title="No sessions in this range"><p>Requests with the header <code>Helicone-Session-Id</code> are shown together here, with <code>Helicone-Session-Path</code> as a tree.
      <a href="/docs/manual/sessions-properties-users">How to send them</a></p><//>`;

function useSessions(key, body) {
  const [state, setState] = useState({ rows: [], done: false, loading: true, error: null });
  const control = useRef(null);
  const load = async (before) => {
    control.current?.abort();
    const mine = new AbortController();
    control.current = mine;
    setState((now) => ({ ...now, loading: true, error: null }));
    try {
      const found = await post("/v1/session/query", { ...body, limit: PAGE_ROWS, offset: before.length }, { signal: mine.signal });
      const known = new Set(before.map((row) => row.id));
      const added = found.map((row) => ({ ...row, id: `${row.session_id} ${row.session_name}` })).filter((row) => !known.has(row.id));
      setState({ rows: [...before, ...added], done: found.length < PAGE_ROWS, loading: false, error: null });
    } catch (error) {
      if (error.name !== "AbortError") setState((now) => ({ ...now, loading: false, done: true, error }));
    }
  };
  useEffect(() => {
    setState({ rows: [], done: false, loading: true, error: null });
    load([]);
    return () => control.current?.abort();
  }, [key]);
  return { ...state, more: () => { if (!state.loading && !state.done) load(state.rows); }, reload: () => load([]) };
}

function Search({ text }) {
  const [draft, setDraft] = useState(text);
  const timer = useRef(0);
  useEffect(() => setDraft(text), [text]);
  const typed = (event) => {
    const { value } = event.target;
    setDraft(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setParams({ q: value || undefined }), TYPING_MS);
  };
  return html`<div class="search"><${Icon} name="search" /><input data-search aria-label="Search sessions" placeholder="Id or name of a session" value=${draft} onInput=${typed} /></div>`;
}

function Names({ body, of }) {
  const names = useQuery(`sessions.names:${of}`, (signal) => post("/v1/session/name/query", { ...body, nameContains: "" }, { signal }));
  if (names.error) return html`<${Problem} error=${names.error} again=${names.reload} />`;
  if (!names.data) return html`<${Loading} />`;
  if (!names.data.length) return html`<${None} />`;
  return html`<div class="table-box" tabindex="0"><table class="plain"><thead><tr><th>Name</th><th class="num">Sessions</th><th class="num">Mean latency</th><th>First used</th><th>Last used</th></tr></thead>
    <tbody>${names.data.map((row) => html`<tr key=${row.name}><td><button type="button" class="link" onClick=${() => setParams({ name: row.name, tab: undefined })}>${row.name || "(no name)"}</button></td>
      <td class="num">${count(row.session_count)}</td><td class="num">${duration(row.avg_latency)}</td><td title=${utc(row.first_used)}>${time(row.first_used)}</td><td title=${utc(row.last_used)}>${time(row.last_used)}</td></tr>`)}</tbody></table></div>`;
}

function Spread({ body, of }) {
  const found = useQuery(`sessions.spread:${of}`, (signal) => post("/v1/session/metrics/query", { ...body, pSize: "p95" }, { signal }));
  if (found.error) return html`<${Problem} error=${found.error} again=${found.reload} />`;
  if (!found.data) return html`<${Loading} />`;
  const rows = (list, format) => list.map((one) => ({ name: format(one.range_start) === format(one.range_end) ? format(one.range_start) : `${format(one.range_start)} – ${format(one.range_end)}`, value: one.value }));
  return html`<div class="charts">
    ${[["Requests in a session", "session_count", (n) => count(Math.round(n))], ["Duration", "session_duration", duration], ["Cost", "session_cost", usd]].map(([title, field, format]) => html`
      <section class="card"><h2>${title}</h2><${Bars} rows=${rows(found.data[field] ?? [], format)} format=${count} /></section>`)}</div>
    <p class="muted small">The 5 % of sessions with the largest values are left out.</p>`;
}
