// One session: its paths as a tree, and beside each when it ran. Only rows that are seen are drawn.
import { cls, html, useMemo, useRef, useState } from "../lib/html.js";
import { get, post, saveText } from "../lib/api.js";
import { count, date, duration, time, usd, utc } from "../lib/format.js";
import { useKey } from "../lib/keys.js";
import { useAct, useQuery } from "../lib/query.js";
import { href, setParams } from "../lib/route.js";
import { useRows } from "../lib/rows.js";
import { may, useSession } from "../lib/session.js";
import { Drawer } from "./drawer.js";
import { Icon } from "./icon.js";
import { Figure, Loading, Problem, StatusBadge } from "./states.js";
import { flatten, spanOf } from "../lib/tree.js";

const ROW = 28;
const TICKS = 5;

export function Session({ id, params }) {
  const found = useQuery(`session:${id}`, (signal) => get(`/v1/session/${encodeURIComponent(id)}/tree`, { signal }));
  if (found.error && !found.data) return html`<div class="page"><${Problem} error=${found.error} again=${found.reload} /></div>`;
  if (!found.data) return html`<${Loading} />`;
  const told = found.data;
  return html`<div class="page full">
    <div class="page-head"><a href="/sessions" class="button icon-only plain" aria-label="All sessions"><${Icon} name="left" /></a>
      <h1 class="cut">${told.session_name || told.session_id}</h1><${Tag} id=${id} />
      <button type="button" onClick=${() => saveText(`session-${id}.json`, JSON.stringify(told, null, 2), "application/json")}><${Icon} name="export" /> JSON</button>
      <a class="button" href=${href("requests", [], { q: `session = "${id.replace(/[\\"]/g, "\\$&")}"`, range: wide(told) })}>Requests</a></div>
    <div class="cards">
      <${Figure} name="Began" value=${time(told.created_at)} title=${utc(told.created_at)} />
      <${Figure} name="Lasted" value=${duration(told.duration_ms)} title="From the first request to the end of the last answer" />
      <${Figure} name="Requests" value=${count(told.total_requests)} title="Steps that are no requests do not count" />
      <${Figure} name="Errors" value=${count(told.errors)} tone=${told.errors ? "bad" : ""} title="Requests and steps that failed" />
      <${Figure} name="Cost" value=${usd(told.total_cost)} />
    </div>
    ${told.truncated && html`<p class="notice warn">This session is longer than what is shown: its first 25,000 requests are here.</p>`}
    <${Timeline} told=${told} params=${params} />
    ${params.id && html`<${Drawer} id=${params.id} close=${() => setParams({ id: undefined })} />`}
  </div>`;
}

/** A range of the requests page around the session. */
function wide(told) {
  const from = new Date(date(told.created_at).getTime() - 60_000);
  const to = new Date((date(told.ended_at) ?? date(told.created_at)).getTime() + 60_000);
  return `${from.toISOString()}~${to.toISOString()}`;
}

function Tag({ id }) {
  const session = useSession();
  const path = `/v1/session/${encodeURIComponent(id)}/tag`;
  const tag = useQuery(`tag:${id}`, (signal) => get(path, { signal }));
  const [open, setOpen] = useState(false);
  const [run, act] = useAct(async (text) => {
    await post(path, { tag: text });
    setOpen(false);
    tag.reload();
  });
  if (open) {
    return html`<form class="row tight" onSubmit=${(event) => { event.preventDefault(); run(new FormData(event.target).get("tag")); }}>
      <input name="tag" aria-label="Tag" autofocus maxlength="200" defaultValue=${tag.data ?? ""} /><button type="submit" disabled=${act.busy}>Save</button>
      ${act.error && html`<span class="bad">${act.error.message}</span>`}</form>`;
  }
  const name = tag.data || "Add a tag";
  return may(session, "write") ? html`<button type="button" class="plain" onClick=${() => setOpen(true)}><span class=${tag.data ? "badge accent" : "muted small"}>${name}</span></button>`
    : tag.data ? html`<span class="badge accent">${name}</span>` : null;
}

function Timeline({ told, params }) {
  const whole = useMemo(() => spanOf(told), [told]);
  const [closed, setClosed] = useState(new Set());
  const [zoom, setZoom] = useState(null);
  const rows = useMemo(() => flatten(told.tree, closed), [told, closed]);
  const span = zoom ?? whole;
  const picks = useMemo(() => rows.filter((row) => row.request), [rows]);
  const step = (by) => {
    if (!params.id) return false;
    const next = picks[picks.findIndex((row) => row.request.request_id === params.id) + by];
    if (next) setParams({ id: next.request.request_id });
    return true;
  };
  useKey("ArrowDown", () => step(1));
  useKey("ArrowUp", () => step(-1));
  useKey("Escape", () => (params.id ? (setParams({ id: undefined }), true) : zoom ? (setZoom(null), true) : false));
  const flip = (path) => {
    const next = new Set(closed);
    if (!next.delete(path)) next.add(path);
    setClosed(next);
  };
  const { box, cursor, key, first, last } = useRows({
    count: rows.length, height: ROW,
    act: (name, at) => {
      const row = rows[at];
      if (name === "Enter" && row.request) setParams({ id: row.request.request_id });
      else if (!row.request && (name === "Enter" || name === " " || name === (closed.has(row.path) ? "ArrowRight" : "ArrowLeft"))) flip(row.path);
      else return false;
      return true;
    },
  });
  return html`<div class="list gantt">
    <div class="list-scroll" ref=${box} role="treegrid" aria-label="Session" tabindex="0" onKeyDown=${(event) => { if (!params.id) key(event); }}>
      <${Axis} span=${span} whole=${whole} setZoom=${setZoom} isZoomed=${zoom !== null} />
      <div class="list-body" role="rowgroup" ref=${(node) => { if (node) node.style.height = `${rows.length * ROW}px`; }}>
        ${rows.slice(first, last).map((row, number) => html`<${Row} key=${row.key} row=${row} at=${first + number} span=${span} flip=${flip} isClosed=${closed.has(row.path)}
          isAt=${first + number === cursor} selected=${row.request && row.request.request_id === params.id} />`)}</div></div>
    <div class="list-foot"><span>${count(rows.length)} rows</span><span class="muted">↑ ↓ to move, Enter opens · drag over the time to zoom, Esc shows all</span></div></div>`;
}

/** The times above the bars; what is dragged here becomes the span that is shown. */
function Axis({ span, whole, setZoom, isZoomed }) {
  const drag = useRef(null);
  const [mark, setMark] = useState(null);
  const share = (event) => {
    const bounds = event.currentTarget.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - bounds.left) / bounds.width));
  };
  const down = (event) => {
    drag.current = share(event);
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const move = (event) => { if (drag.current !== null) setMark([drag.current, share(event)].sort((a, b) => a - b)); };
  const up = (event) => {
    const [from, to] = [drag.current, share(event)].sort((a, b) => a - b);
    drag.current = null;
    setMark(null);
    if (to - from > 0.005) setZoom({ start: span.start + from * span.ms, ms: (to - from) * span.ms });
  };
  const ticks = Array.from({ length: TICKS }, (_, at) => at / TICKS);
  return html`<div class="gantt-row list-head"><span class="gantt-name">Path${isZoomed && html` <button type="button" class="link" onClick=${() => setZoom(null)}>show all</button>`}</span>
    <span class="gantt-time" onPointerDown=${down} onPointerMove=${move} onPointerUp=${up}>${ticks.map((at) => html`
      <span class="tick" key=${at} ref=${(node) => { if (node) node.style.left = `${100 * at}%`; }}>${duration(span.start - whole.start + at * span.ms)}</span>`)}
      ${mark && html`<span class="brush" ref=${(node) => { if (node) { node.style.left = `${100 * mark[0]}%`; node.style.width = `${100 * (mark[1] - mark[0])}%`; } }} />`}</span>
    <span class="num">Cost</span><span class="num">Took</span></div>`;
}

function Row({ row, at, span, flip, isClosed, isAt, selected }) {
  const from = (row.start - span.start) / span.ms;
  const width = row.ms / span.ms;
  const place = (node) => {
    if (!node) return;
    node.style.left = `${Math.max(0, Math.min(1, from)) * 100}%`;
    node.style.width = `max(3px, ${Math.max(0, Math.min(1, from + width) - Math.max(0, from)) * 100}%)`;
    node.hidden = from > 1 || from + width < 0;
  };
  const indent = (node) => { if (node) node.style.paddingLeft = `${Math.min(row.depth, 12) * 16}px`; };
  const open = () => { if (row.request) setParams({ id: row.request.request_id }); else flip(row.path); };
  return html`<div class=${cls("gantt-row list-row", isAt && "at")} role="row" aria-level=${row.depth + 1} aria-expanded=${row.request ? undefined : !isClosed} aria-selected=${selected}
      ref=${(node) => { if (node) node.style.transform = `translateY(${at * ROW}px)`; }} onClick=${open}>
    <span class="gantt-name" role="gridcell" ref=${indent} title=${row.path}>
      ${row.request ? html`<${StatusBadge} status=${row.request.status} /> ${row.request.step ? html`<span class="badge">${row.request.step}</span>` : ""} ${row.request.model || row.name}`
        : html`<button type="button" class="plain icon-only tiny" aria-label=${isClosed ? "Open" : "Close"} onClick=${(event) => { event.stopPropagation(); flip(row.path); }}><${Icon} name=${isClosed ? "right" : "down"} /></button><b>${row.name || "/"}</b>
          ${row.errors > 0 && html`<span class="badge bad" title="Errors at it and below">${row.errors}</span>`}`}</span>
    <span class="gantt-time" role="gridcell"><span class=${cls("span", row.request ? (row.request.error ? "failed" : row.request.step ? "step" : "call") : "group")} ref=${place} title=${`${row.name}: ${duration(row.ms)}`} /></span>
    <span class="num" role="gridcell">${usd(row.cost)}</span><span class="num" role="gridcell">${duration(row.ms)}</span></div>`;
}
