// What has become of alerts: when one began, what it saw, when it was over.
import { html } from "../../lib/html.js";
import { NONE, ago, date, duration, time, utc } from "../../lib/format.js";
import { textOf } from "../../lib/filter_back.js";
import { rangeText } from "../../lib/range.js";
import { href, setParams } from "../../lib/route.js";
import { Pager, Table } from "../../parts/table.js";
import { amount } from "./words.js";

const GROUPS_SHOWN = 3;

export function History({ alerts, rows, total, page, size }) {
  const known = new Map(alerts.map((alert) => [alert.id, alert]));
  return html`<section class="part"><header><h2>History</h2></header>
    ${!total ? html`<p class="muted">No alert was triggered so far.</p>`
      : html`<${Table} label="History of alerts" columns=${columnsOf(known)} rows=${rows} keyOf=${(row) => row.id} />
        <${Pager} page=${page} size=${size} total=${total} shown=${rows.length} go=${(next) => setParams({ page: next || undefined }, { push: true })} />`}</section>`;
}

const columnsOf = (known) => [
  { id: "state", name: "State", show: (row) => html`<span class=${`badge ${row.status === "triggered" ? "bad" : ""}`}>${row.status === "triggered" ? "triggered" : "over"}</span>` },
  { id: "alert", name: "Alert", show: (row) => row.alert_name },
  { id: "began", name: "Began", show: (row) => html`<span class="nowrap">${time(row.alert_start_time)}</span>`, title: (row) => `${utc(row.alert_start_time)} · ${ago(row.alert_start_time)}` },
  { id: "lasted", name: "Lasted", num: true, show: (row) => duration((date(row.alert_end_time) ?? new Date()) - date(row.alert_start_time)), title: (row) => (row.alert_end_time ? `Until ${utc(row.alert_end_time)}` : "It goes on") },
  { id: "value", name: "Reached", wide: true, show: (row) => reached(row), title: (row) => row.groups.map((group) => `${group.name}: ${amount(row.alert_metric, group.value)} over ${group.requests} requests`).join("\n"), tells: "What was seen when it began" },
  { id: "requests", name: "Requests", show: (row) => requests(row, known.get(row.alert_id)) },
];

function reached(row) {
  if (row.triggered_value) return amount(row.alert_metric, row.triggered_value);
  const shown = row.groups.slice(0, GROUPS_SHOWN).map((group) => `${group.name}: ${amount(row.alert_metric, group.value)}`).join(", ");
  return shown ? `${shown}${row.groups.length > GROUPS_SHOWN ? ` and ${row.groups.length - GROUPS_SHOWN} more` : ""}` : NONE;
}

/** The requests that were counted when it began. */
function requests(row, alert) {
  const q = alert && textOf(alert.filter);
  if (q === null || q === undefined) return NONE;
  const end = date(row.alert_start_time);
  const range = rangeText(new Date(end.getTime() - Number(alert.time_window)), new Date(end.getTime() + 1000));
  return html`<a href=${href("requests", [], { q, range })}>Look at them</a>`;
}
