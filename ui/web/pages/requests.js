// Requests: what was called, newest first, as far back as one scrolls; the drawer has one of them.
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { download, post } from "../lib/api.js";
import { preview } from "../lib/chat.js";
import { NONE, ago, count, duration, line, short, time, usd, utc } from "../lib/format.js";
import { parse, within } from "../lib/filter_text.js";
import { useKey } from "../lib/keys.js";
import { rangeOf } from "../lib/range.js";
import { setParams } from "../lib/route.js";
import { bodyOf } from "../lib/stream.js";
import { FilterBar } from "../parts/filter_bar.js";
import { Icon } from "../parts/icon.js";
import { List } from "../parts/list.js";
import { Menu, toast } from "../parts/pop.js";
import { Empty, Loading, Problem, StatusBadge } from "../parts/states.js";
import { store, stored } from "../parts/theme.js";
import { Drawer } from "../parts/drawer.js";
import { ToDataset } from "../parts/to_dataset.js";

const PAGE_ROWS = 50;
const LIVE_ROWS_MAX = 1000;
const LIVE_AT_ONCE = 100;
const LIVE_MS = 500;
const WAITING_MS = 2000; // for the first request of all
const ROWS_MAX = 20_000;
const EXPORT_FILTER_BYTES_MAX = 16 * 1024; // of the server's

/** What a row of the list keeps: previews instead of bodies. */
export function shown(row) {
  return {
    id: row.request_id, at: row.request_created_at, status: row.response_status, provider: row.provider, model: row.model,
    asked: line(preview(bodyOf(row.request_body).value, false)), answered: line(preview(bodyOf(row.response_body).value, true)),
    tokens: row.total_tokens, prompt_tokens: row.prompt_tokens, completion_tokens: row.completion_tokens,
    latency: row.delay_ms, ttft: row.time_to_first_token, cost: row.costUSD ?? row.cost, user: row.request_user_id,
    properties: row.request_properties ?? {}, feedback: row.feedback_rating, cached: row.cache_reference_id && !/^0{8}-/.test(row.cache_reference_id),
    path: row.request_path, prompt: row.prompt_id, country: row.country_code, scores: row.scores ?? {},
  };
}

const COLUMNS = [
  { id: "at", name: "Created", width: "150px", sort: "created_at", show: (row) => time(row.at), title: (row) => `${utc(row.at)} · ${ago(row.at)}` },
  { id: "status", name: "Status", width: "84px", show: (row) => html`<${StatusBadge} status=${row.status} />${row.cached && html` <span class="badge accent" title="From the cache">cache</span>`}` },
  { id: "model", name: "Model", width: "minmax(120px, 180px)", sort: "body_model", show: (row) => row.model, title: (row) => row.model },
  { id: "asked", name: "Request", width: "minmax(160px, 1.2fr)", show: (row) => row.asked || NONE, title: (row) => row.asked },
  { id: "answered", name: "Response", width: "minmax(160px, 1.2fr)", show: (row) => row.answered || NONE, title: (row) => row.answered },
  { id: "tokens", name: "Tokens", width: "76px", num: true, sort: "total_tokens", show: (row) => short(row.tokens), title: (row) => `${count(row.prompt_tokens)} prompt, ${count(row.completion_tokens)} completion`, tells: "Prompt, completion and reasoning tokens" },
  { id: "latency", name: "Latency", width: "84px", num: true, sort: "latency", show: (row) => duration(row.latency), tells: "From the request's arrival to the end of the answer" },
  { id: "cost", name: "Cost", width: "96px", num: true, sort: "cost", show: (row) => usd(row.cost), tells: "USD, by the price list at the time" },
  { id: "user", name: "User", width: "minmax(80px, 130px)", sort: "user_id", show: (row) => row.user || NONE },
  { id: "ttft", name: "First token", width: "92px", num: true, sort: "time_to_first_token", show: (row) => duration(row.ttft), isExtra: true },
  { id: "provider", name: "Provider", width: "110px", show: (row) => row.provider ?? NONE, isExtra: true },
  { id: "feedback", name: "Feedback", width: "76px", show: (row) => (row.feedback === null || row.feedback === undefined ? NONE : html`<span class=${row.feedback ? "good" : "bad"}><${Icon} name=${row.feedback ? "thumb_up" : "thumb_down"} /></span>`), isExtra: true },
  { id: "path", name: "Path", width: "minmax(120px, 220px)", show: (row) => row.path ?? NONE, isExtra: true },
  { id: "prompt", name: "Prompt", width: "90px", show: (row) => row.prompt ?? NONE, isExtra: true },
  { id: "id", name: "Id", width: "290px", show: (row) => html`<code>${row.id}</code>`, isExtra: true },
];
const KEEP_COLUMNS = "requests.columns";

const propertyColumn = (name) => ({
  id: `property.${name}`, name, width: "minmax(80px, 150px)", show: (row) => row.properties[name] ?? NONE, title: (row) => row.properties[name],
});

/** The columns that are chosen: kept in this browser, or as they come. */
function useColumns() {
  const usual = COLUMNS.filter((column) => !column.isExtra).map((column) => column.id);
  const [chosen, setChosen] = useState(() => {
    const kept = stored(KEEP_COLUMNS).split("\n").filter(Boolean);
    return kept.length ? kept : usual;
  });
  const choose = (next) => {
    store(KEEP_COLUMNS, next.join("\n"));
    setChosen(next);
  };
  const columns = useMemo(() => [
    ...COLUMNS.filter((column) => chosen.includes(column.id)),
    ...chosen.filter((id) => id.startsWith("property.")).map((id) => propertyColumn(id.slice(9))),
  ], [chosen]);
  return { columns, chosen, choose };
}

/** Rows of a filter, page by page: by cursor in the order of time, by offset in any other. */
function useRows({ q, range, sort }) {
  const [state, setState] = useState({ rows: [], cursor: null, done: false, loading: true, error: null, total: null });
  const control = useRef(null);
  const turn = useRef(0);
  const asked = JSON.stringify([q, range, sort]);
  const load = useCallback(async (before, quietly = false) => {
    control.current?.abort();
    const mine = new AbortController();
    control.current = mine;
    const { filter } = parse(q);
    if (filter === null) return;
    const isByTime = sort.id === "created_at";
    const body = { filter: within(filter, rangeOf(range)), limit: PAGE_ROWS, sort: { [sort.id]: sort.down ? "desc" : "asc" } };
    if (before?.rows.length) Object.assign(body, isByTime ? { cursor: before.cursor } : { offset: before.rows.length });
    if (!quietly) setState((now) => ({ ...now, loading: true, error: null }));
    try {
      const reply = await post("/v1/request/query-clickhouse", body, { signal: mine.signal, whole: true });
      const rows = [...(before?.rows ?? []), ...reply.data.map(shown)];
      const done = reply.data.length < PAGE_ROWS || (isByTime && !reply.next_cursor) || rows.length >= ROWS_MAX;
      setState((now) => ({ ...now, rows, cursor: reply.next_cursor ?? null, done, loading: false, error: null }));
    } catch (error) {
      if (error.name !== "AbortError") setState((now) => ({ ...now, loading: false, error, done: true }));
    }
  }, [asked]);
  useEffect(() => {
    turn.current += 1;
    setState({ rows: [], cursor: null, done: false, loading: true, error: null, total: null });
    load(null);
    return () => control.current?.abort();
  }, [asked]);
  const isEmpty = state.rows.length === 0;
  useEffect(() => {
    const { filter } = parse(q);
    if (filter === null) return undefined;
    const mine = new AbortController();
    post("/v1/request/count/query", { filter: within(filter, rangeOf(range)) }, { signal: mine.signal })
      .then((total) => setState((now) => ({ ...now, total })), () => {});
    return () => mine.abort();
  }, [q, range, isEmpty]);
  const isWaiting = isEmpty && !state.loading && !state.error && !q;
  useEffect(() => {
    if (!isWaiting) return undefined;
    const timer = setInterval(() => { if (!document.hidden) load(null, true); }, WAITING_MS);
    return () => clearInterval(timer);
  }, [isWaiting, load]);
  return { ...state, more: () => { if (!state.loading && !state.done) load(state); }, reload: () => load(null), setState };
}

/** Requests as they end, put before the others while this is on. */
function useLive(on, rows, q) {
  const [fresh, setFresh] = useState(new Set());
  useEffect(() => {
    if (!on) return undefined;
    const source = new EventSource("/v1/request/live");
    let waiting = []; // ids, the latest of them: a tab behind others is asked seldom
    let came = 0;
    source.addEventListener("request", (event) => {
      came += 1;
      waiting.push(JSON.parse(event.data).request_id);
      if (waiting.length > LIVE_AT_ONCE) waiting.shift();
    });
    source.addEventListener("skipped", () => toast("Many requests: some are not shown live"));
    let busy = false;
    const timer = setInterval(async () => {
      if (!waiting.length || busy) return;
      const [ids, more] = [waiting, came];
      waiting = [];
      came = 0;
      if (parse(q).tree) { rows.reload(); return; } // the filter is the server's business
      busy = true; // events come without bodies
      const found = await post("/v1/request/query-ids", { requestIds: ids }).catch(() => []);
      busy = false;
      const added = found.map(shown);
      setFresh(new Set(added.map((row) => row.id)));
      rows.setState((now) => {
        const known = new Set(added.map((row) => row.id));
        return { ...now, rows: [...added, ...now.rows.filter((row) => !known.has(row.id))].slice(0, LIVE_ROWS_MAX), total: now.total === null ? null : now.total + more, done: now.done || now.rows.length > LIVE_ROWS_MAX };
      });
    }, LIVE_MS);
    return () => { source.close(); clearInterval(timer); };
  }, [on, q]);
  return fresh;
}

export default function Requests({ params }) {
  const q = params.q ?? "";
  const { error: unread } = useMemo(() => parse(q), [q]);
  const sort = useMemo(() => {
    const [id = "created_at", way = "desc"] = (params.sort ?? "").split(".").filter(Boolean);
    return { id, down: way !== "asc" };
  }, [params.sort]);
  const live = params.live === "1";
  const rows = useRows({ q, range: params.range, sort });
  const fresh = useLive(live && sort.id === "created_at", rows, q);
  const { columns, chosen, choose } = useColumns();
  const [marked, setMarked] = useState(new Set());
  const [toDataset, setToDataset] = useState(false);
  useEffect(() => setMarked(new Set()), [q, params.range]);
  const at = rows.rows.findIndex((row) => row.id === params.id);
  const open = (id) => setParams({ id: id ?? undefined });
  const step = (by) => {
    if (!params.id) return false;
    const next = rows.rows[at + by];
    if (next) open(next.id);
    return true;
  };
  useKey("ArrowDown", () => (params.id ? step(1) : false), "Next request");
  useKey("ArrowUp", () => (params.id ? step(-1) : false), "Previous request");
  useKey("Escape", () => (params.id ? (open(null), true) : false), "Close the drawer");
  useKey("l", () => setParams({ live: live ? undefined : "1" }), "Live mode");
  const setSort = (id) => {
    const column = COLUMNS.find((one) => one.id === id);
    const down = sort.id === column.sort ? !sort.down : true;
    setParams({ sort: column.sort === "created_at" && down ? undefined : `${column.sort}.${down ? "desc" : "asc"}` });
  };
  const mark = (row) => {
    const next = new Set(marked);
    if (!next.delete(row.id)) next.add(row.id);
    setMarked(next);
  };
  const sorted = COLUMNS.find((column) => column.sort === sort.id);
  return html`<div class="page full">
    <div class="page-head"><h1>Requests</h1>
      <button type="button" aria-pressed=${live} onClick=${() => setParams({ live: live ? undefined : "1" })} title="Show requests as they end (l)"><${Icon} name="live" /> Live</button>
      <${ColumnChooser} chosen=${chosen} choose=${choose} rows=${rows.rows} />
      <${Export} q=${q} range=${params.range} />
      ${marked.size > 0 && html`<button type="button" class="primary" onClick=${() => setToDataset(true)}><${Icon} name="datasets" /> ${marked.size} to a dataset</button>`}
    </div>
    <${FilterBar} params=${params} />
    <${Problem} error=${rows.error} again=${rows.reload} />
    ${unread ? null : !rows.rows.length && rows.loading ? html`<${Loading} />`
      : !rows.rows.length && !rows.error ? html`<${Nothing} isFiltered=${Boolean(q)} />`
      : !rows.rows.length ? null
      : html`<${List} label="Requests" columns=${columns} rows=${rows.rows} more=${rows.more} hasMore=${!rows.done} fresh=${fresh}
          sort=${sorted && { id: sorted.id, down: sort.down }} setSort=${setSort} selected=${params.id} pick=${(row) => open(row.id)}
          marked=${marked} mark=${mark} markAll=${() => setMarked(marked.size >= rows.rows.length ? new Set() : new Set(rows.rows.map((row) => row.id)))}
          foot=${html`<span>${count(rows.rows.length)} shown${rows.total !== null && ` of ${count(rows.total)}`}</span>${rows.loading && html`<span>Loading …</span>`}<span class="muted">↑ ↓ to move, Esc closes</span>`} />`}
    ${params.id && html`<${Drawer} id=${params.id} close=${() => open(null)} next=${rows.rows[at + 1] && (() => step(1))} previous=${at > 0 && (() => step(-1))} />`}
    ${toDataset && html`<${ToDataset} ids=${[...marked]} close=${() => setToDataset(false)} done=${() => { setToDataset(false); setMarked(new Set()); }} />`}
  </div>`;
}

const Nothing = ({ isFiltered }) => isFiltered
  ? html`<${Empty} title="Nothing matches"><p>No request in this range fits the filter. Take a condition away, or widen the range.</p><//>`
  : html`<${Empty} title="No requests in this range"><p>They appear here as soon as their answer has ended. <a href="/start">How to send the first one</a></p><//>`;

function ColumnChooser({ chosen, choose, rows }) {
  const names = [...new Set(rows.slice(0, 500).flatMap((row) => Object.keys(row.properties)))].sort();
  const all = [...COLUMNS.map(({ id, name }) => ({ id, name })), ...names.map((name) => ({ id: `property.${name}`, name: `property ${name}` }))];
  const flip = (id) => choose(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return html`<${Menu} label="Columns" icon="columns" text="Columns">${all.map((one) => html`
    <label class="choice" key=${one.id}><input type="checkbox" checked=${chosen.includes(one.id)} onChange=${() => flip(one.id)} /> ${one.name}</label>`)}<//>`;
}

/** What the range holds and the filter finds, in one file; the browser saves it as it comes. */
function Export({ q, range }) {
  const { start, end } = rangeOf(range);
  const { filter } = parse(q);
  const given = filter && filter !== "all" ? JSON.stringify(filter) : "";
  if (filter === null || new Blob([given]).size > EXPORT_FILTER_BYTES_MAX) return html`<button type="button" disabled title=${filter === null ? "The filter cannot be read" : "The filter is too long for an export: SQL can export what it finds"}><${Icon} name="export" /> Export</button>`;
  const address = (format, bodies) => `/v1/export?${new URLSearchParams({ since: start.toISOString(), until: end.toISOString(), format, bodies, ...(given && { filter: given }) })}`;
  return html`<${Menu} label="Export" icon="export" text="Export">${(close) => html`
    ${[["ndjson", "true", "JSON lines, with bodies"], ["ndjson", "false", "JSON lines"], ["csv", "false", "CSV"], ["parquet", "false", "Parquet"]].map(([format, bodies, name]) => html`
      <button type="button" class="choice" onClick=${() => { download(address(format, bodies)); close(); }}>${name}</button>`)}`}<//>`;
}
