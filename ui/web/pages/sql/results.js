// What a query gave: a table, or a chart where it makes one; how long it took, and files of it.
import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { download, post } from "../../lib/api.js";
import { bytes, count, duration, short } from "../../lib/format.js";
import { href, setParams } from "../../lib/route.js";
import { useAct } from "../../lib/query.js";
import { Bars, Chart } from "../../parts/chart.js";
import { Icon } from "../../parts/icon.js";
import { List } from "../../parts/list.js";
import { Json } from "../../parts/message.js";
import { Dialog, Menu, copy } from "../../parts/pop.js";
import { cell, chartOf, columnsOf, formatOf } from "./shape.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const WIDTH_MIN = 70;
const WIDTH_MAX = 360;

/** What to do about an error, by the code in its text. */
const ADVICE = {
  INVALID_STATEMENT: "Write one SELECT, or one WITH … SELECT, without a second statement behind it.",
  INVALID_TABLE: "The tables that can be asked are in the list at the side.",
  UNKNOWN_COLUMN: "The columns are in the list at the side; click one to put it into the query.",
  SYNTAX_ERROR: "Look just before the place that is named. The dialect is DuckDB's.",
  QUERY_TIMEOUT: "Narrow it by time, for example: where request_created_at > now() - interval 7 day.",
  MEMORY_LIMIT_EXCEEDED: "Select fewer columns (bodies are large), or narrow it by time.",
  ROW_LIMIT_EXCEEDED: "Narrow it by time, or add conditions.",
  RESULT_LIMIT_EXCEEDED: "Add a LIMIT, or leave out request_body and response_body.",
  RATE_LIMITED: "100 queries a minute may run, and 10 downloads. Wait a little.",
  BUSY: "Others are asking too. Run it again in a moment.",
  UNAVAILABLE: "Run it again in a moment.",
  NO_DATA_RETURNED: "A file needs at least one row: widen the conditions.",
};

export function Failed({ error }) {
  const [, code = "", text = error.message] = /^\[HQL_([A-Z_]+)\] ([\s\S]*)$/.exec(error.message) ?? [];
  const [head, ...more] = text.split(": ");
  const details = more.join(": ");
  return html`<div class="notice bad stack" role="alert"><b>${head}</b>
    ${details && html`<pre>${details}</pre>`}
    ${ADVICE[code] && html`<p class="muted">${ADVICE[code]}</p>`}</div>`;
}

/** Running, and for how long. */
export function Running({ since, cancel }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 200);
    return () => clearInterval(timer);
  }, []);
  return html`<p class="loading row" role="status"><span class="grow">Running for ${((now - since) / 1000).toFixed(1)} s …</span>
    <button type="button" onClick=${cancel}><${Icon} name="close" /> Cancel</button></p>`;
}

/** `result` is the API's answer, `sql` what was asked, `comments` what the schema says of columns. */
export function Results({ result, sql, view, comments }) {
  const columns = useMemo(() => columnsOf(result), [result]);
  const chart = useMemo(() => chartOf(result.rows, columns), [result, columns]);
  const shown = view === "chart" && chart ? "chart" : "table";
  return html`<div class="row small"><div class="segmented">
      <button type="button" aria-pressed=${shown === "table"} onClick=${() => setParams({ view: undefined })}>Table</button>
      <button type="button" aria-pressed=${shown === "chart"} disabled=${!chart} title=${chart ? "" : "A chart needs a time or a name in the first column, and a number in another"} onClick=${() => setParams({ view: "chart" })}>Chart</button></div>
      <span class="grow muted"><span title="Rows of this answer">${count(result.rowCount)} ${result.rowCount === 1 ? "row" : "rows"}</span> · <span title="Time the query took on the server">${duration(result.elapsedMilliseconds)}</span> · <span title="Size of the rows as JSON">${bytes(result.size)}</span></span>
      ${result.rowCount > 0 && html`<${Files} sql=${sql} rows=${result.rows} />`}</div>
    ${result.truncated && html`<p class="notice warn">There are more rows than these. Without a LIMIT of its own a query shows its first 100; with one up to 10,000. A download has up to 300,000.</p>`}
    ${shown === "chart" ? html`<${Drawn} chart=${chart} />` : html`<${Table} rows=${result.rows} columns=${columns} comments=${comments} />`}`;
}

function Table({ rows, columns, comments }) {
  const [open, setOpen] = useState(null);
  const numbered = useMemo(() => rows.map((row, at) => ({ id: at, row })), [rows]);
  const shown = useMemo(() => columns.map((column) => ({
    id: column.name, name: column.name, num: column.kind === "number", width: widthOf(rows, column), tells: comments[column.name] ?? column.name,
    show: ({ row }) => shownCell(row[column.name], column), title: ({ row }) => cell(row[column.name])?.slice(0, 2000) ?? "NULL",
  })), [rows, columns]);
  return html`<${List} label="Rows" columns=${shown} rows=${numbered} hasMore=${false} more=${() => {}} selected=${open} pick=${({ id }) => setOpen(id)}
      foot=${html`<span class="muted">${rows.length ? "Click a row to see it whole." : "The query ran, and found no rows."}${columns.some((column) => column.name === "cost") ? " cost is in 1/1,000,000,000 USD; cost_usd is in USD." : ""}</span>`} />
    ${open !== null && html`<${Whole} row=${rows[open]} close=${() => setOpen(null)} />`}`;
}

function shownCell(value, column) {
  const text = cell(value);
  if (text === null) return html`<span class="muted">NULL</span>`;
  if (column.kind === "number" && typeof value === "number") return Math.abs(value) < 1e15 ? value.toLocaleString("en", { maximumFractionDigits: 9 }) : text;
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

function widthOf(rows, column) {
  const longest = Math.max(column.name.length + 1, ...rows.slice(0, 50).map((row) => (cell(row[column.name]) ?? "NULL").length));
  const wide = Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, Math.round(longest * 7.6) + 8));
  return `minmax(${wide}px, ${column.kind === "number" ? `${wide + 60}px` : "1fr"})`;
}

/** One row with everything in it. */
function Whole({ row, close }) {
  const request = UUID.test(row.request_id ?? "") ? row.request_id : null;
  return html`<${Dialog} title="Row" close=${close} wide>
    <div class="stack"><dl class="facts">${Object.entries(row).map(([name, value]) => html`<dt>${name}</dt>
      <dd>${value !== null && (typeof value === "object" || String(value).length > 200) ? html`<${Json} value=${value} />` : cell(value) ?? html`<span class="muted">NULL</span>`}</dd>`)}</dl>
      <div class="row">${request && html`<a class="button" href=${href("requests", [], { id: request })}><${Icon} name="requests" /> Open the request</a>`}
        <button type="button" onClick=${() => copy(JSON.stringify(row, null, 2))}><${Icon} name="copy" /> Copy as JSON</button></div></div><//>`;
}

function Drawn({ chart }) {
  const [amount, setAmount] = useState("");
  if (chart.kind === "time") {
    return html`<section class="card"><div class="legend">${chart.series.map((one) => html`<span><span class="swatch" ref=${(node) => { if (node) node.style.background = `var(--${one.color})`; }} />${one.name}</span>`)}</div>
      <${Chart} label="Result" times=${chart.times} series=${chart.series} format=${chart.format} />
      ${chart.left > 0 && html`<p class="muted small">${chart.left} more are not drawn.</p>`}</section>`;
  }
  const column = chart.amounts.includes(amount) ? amount : chart.amounts[0];
  return html`<section class="card stack">
    ${chart.amounts.length > 1 && html`<div class="row"><label class="muted small" for="chart-amount">Bars show</label><select id="chart-amount" value=${column} onChange=${(event) => setAmount(event.target.value)}>
      ${chart.amounts.map((name) => html`<option value=${name}>${name}</option>`)}</select></div>`}
    <${Bars} rows=${chart.rows.map((row) => ({ name: chart.nameOf(row), value: row[column] ?? 0 }))} format=${formatOf(column)} />
    ${chart.cut && html`<p class="muted small">The first ${short(chart.rows.length)} rows are drawn.</p>`}</section>`;
}

function Files({ sql, rows }) {
  const [failed, setFailed] = useState(null);
  const [run, act] = useAct(async (format) => {
    try {
      const link = new URL(await post("/v1/helicone-sql/download", { sql, format }), location.origin);
      download(link.pathname + link.search); // the server may know itself by another name
    } catch (error) { setFailed(error); }
  });
  return html`<${Menu} label="Download" icon="export" text=${act.busy ? "Preparing …" : "Download"}>${(close) => html`
    <p class="muted small">The query runs again, for at most 300,000 rows.</p>
    ${[["csv", "CSV"], ["json", "JSON"], ["parquet", "Parquet"]].map(([format, name]) => html`
      <button type="button" class="choice" disabled=${act.busy} onClick=${() => { run(format); close(); }}>${name}</button>`)}
    <button type="button" class="choice" onClick=${() => { copy(asTabs(rows), "Rows copied"); close(); }}><${Icon} name="copy" /> Copy these rows</button>`}<//>
    ${failed && html`<${Dialog} title="No file was made" close=${() => setFailed(null)}><${Failed} error=${failed} /><//>`}`;
}

/** For spreadsheets: names first, cells apart by tabs. */
function asTabs(rows) {
  const names = Object.keys(rows[0] ?? {});
  const clean = (value) => (cell(value) ?? "").replace(/[\t\r\n]+/g, " ");
  return [names.join("\t"), ...rows.map((row) => names.map((name) => clean(row[name])).join("\t"))].join("\n");
}
