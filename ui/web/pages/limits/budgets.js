// Budgets: what keys, users and properties may spend in a day, a week or a month, and have spent.
import { html } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { percent, usd } from "../../lib/format.js";
import { useQuery } from "../../lib/query.js";
import { href } from "../../lib/route.js";
import { CodeBox } from "../../parts/pop.js";
import { Empty, Shown } from "../../parts/states.js";
import { Table } from "../../parts/table.js";

const FRESH_MS = 10_000;
const MADE = "helicone-appliance budgets set user 25 --per month";
const NEAR = 0.8;

export function Budgets() {
  const budgets = useQuery("budgets", (signal) => get("/v1/budgets", { signal }), { every_ms: FRESH_MS });
  return html`<section class="part"><header><h2 title="In the period that runs, in UTC">Budgets</h2></header>
    <${Shown} query=${budgets} empty=${html`<${Empty} title="No budgets yet"><div class="stack">
        <p>A budget is what a key, a user or a value of a property may spend in a day, a week or a month. Whoever has spent it is refused until the next one begins. Who runs this server sets one so:</p>
        <${CodeBox} text=${MADE} /></div><//>`}>
      ${(rows) => html`<${Table} label="Budgets" columns=${COLUMNS} rows=${rows} keyOf=${(row) => `${row.id} ${row.value}`} />
        <p class="muted small">Who runs this server changes them: <code>helicone-appliance budgets --help</code></p>`}<//></section>`;
}

const EACH = "*";
const SCOPES = { key: "key", user: "user" };
const shareOf = (row) => (Number(row.limit_usd) ? (Number(row.spent_usd) + Number(row.held_usd)) / Number(row.limit_usd) : 1);

const COLUMNS = [
  { id: "scope", name: "Of", show: (row) => SCOPES[row.scope] ?? row.scope.replace("property:", "property ") },
  { id: "value", name: "Value", show: valueOf, title: (row) => row.value },
  { id: "period", name: "Per", show: (row) => row.period },
  { id: "limit", name: "Budget", num: true, show: (row) => usd(row.limit_usd) },
  { id: "spent", name: "Spent", num: true, show: (row) => usd(row.spent_usd), tells: "By requests that have ended" },
  { id: "held", name: "Held", num: true, show: (row) => usd(row.held_usd), tells: "For requests that are under way: the most they may cost" },
  { id: "left", name: "Left", num: true, show: (row) => usd(Math.max(0, Number(row.limit_usd) - Number(row.spent_usd) - Number(row.held_usd))) },
  { id: "share", name: "How far", show: meter, tells: "Spent and held of the budget" },
];

function valueOf(row) {
  if (!row.value || row.value === EACH) return html`<span class="muted">each for itself</span>`;
  return row.scope === "user" ? html`<a class="cut" href=${href("users", [row.value])}>${row.value}</a>` : html`<span class="cut">${row.value}</span>`;
}

function meter(row) {
  const share = shareOf(row);
  const draw = (node) => { if (node) node.style.width = `${Math.min(100, share * 100)}%`; };
  return html`<div class="row tight"><div class="meter grow" role="img" aria-label=${`${percent(share)} of the budget`}><span ref=${draw} class=${share >= 1 ? "over" : share >= NEAR ? "near" : ""} /></div><span class="num small share">${percent(share)}</span></div>`;
}
