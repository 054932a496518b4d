// Budgets: what keys, users and properties may spend in a day, a week or a month, and have spent.
import { html, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { percent, usd } from "../../lib/format.js";
import { forget, useQuery } from "../../lib/query.js";
import { href } from "../../lib/route.js";
import { may, useSession } from "../../lib/session.js";
import { Icon } from "../../parts/icon.js";
import { toast } from "../../parts/pop.js";
import { Empty, Shown } from "../../parts/states.js";
import { Table } from "../../parts/table.js";
import { BudgetForm, DropBudget, scopeText } from "./budget_form.js";

const FRESH_MS = 10_000;
const NEAR = 0.8;

export function Budgets() {
  const session = useSession();
  const budgets = useQuery("budgets", (signal) => get("/v1/budgets", { signal }), { every_ms: FRESH_MS });
  const keys = useQuery(budgets.data?.some((row) => row.scope === "key") ? "keys" : null, (signal) => get("/v1/api-keys", { signal }));
  const [edited, setEdited] = useState(null);
  const [dropped, setDropped] = useState(null);
  const can = may(session, "configure");
  const done = (words) => { forget("budgets"); budgets.reload(); setEdited(null); setDropped(null); toast(words); };
  const add = can && html`<button type="button" class="primary" onClick=${() => setEdited({})}><${Icon} name="plus" /> New budget</button>`;
  const nameOf = (row) => (row.scope === "key" && keys.data?.find((one) => one.id === row.value)?.api_key_name) || row.value;
  return html`<section class="part"><header><h2 title="In the period that runs, in UTC">Budgets</h2>${budgets.data?.length > 0 && add}</header>
    <${Shown} query=${budgets} empty=${html`<${Empty} title="No budgets yet"><div class="stack">
        <p>A budget is what a key, a user or a value of a property may spend in a day, a week or a month. Whoever has spent it is refused until the next one begins.</p>
        <p>${add || "An owner or an admin of the organisation sets budgets."}</p></div><//>`}>
      ${(rows) => html`<${Table} label="Budgets" columns=${columnsOf(nameOf, can && { edit: setEdited, drop: setDropped, first: firstOf(rows) })} rows=${rows} keyOf=${(row) => `${row.id} ${row.value}`} />
        <p class="muted small">Periods are in UTC, weeks begin on Monday.</p>`}<//>
    ${edited && html`<${BudgetForm} budget=${edited} name=${nameOf(edited)} close=${() => setEdited(null)} done=${done} />`}
    ${dropped && html`<${DropBudget} budget=${dropped} name=${nameOf(dropped)} close=${() => setDropped(null)} done=${done} />`}</section>`;
}

/** A budget of each for itself has a line for each who spent; what can be done with it is on the first. */
const firstOf = (rows) => new Set(rows.filter((row, at) => rows[at - 1]?.id !== row.id));
const shareOf = (row) => (Number(row.limit_usd) ? (Number(row.spent_usd) + Number(row.held_usd)) / Number(row.limit_usd) : 1);

const columnsOf = (nameOf, acts) => [
  { id: "scope", name: "Of", show: scopeText },
  { id: "value", name: "Value", show: (row) => valueOf(row, nameOf), title: (row) => row.value },
  { id: "period", name: "Per", show: (row) => row.period },
  { id: "limit", name: "Budget", num: true, show: (row) => usd(row.limit_usd) },
  { id: "spent", name: "Spent", num: true, show: (row) => usd(row.spent_usd), tells: "By requests that have ended" },
  { id: "held", name: "Held", num: true, show: (row) => usd(row.held_usd), tells: "For requests that are under way: the most they may cost" },
  { id: "left", name: "Left", num: true, show: (row) => usd(Math.max(0, Number(row.limit_usd) - Number(row.spent_usd) - Number(row.held_usd))) },
  { id: "share", name: "How far", show: meter, tells: "Spent and held of the budget" },
  ...(acts ? [{ id: "acts", name: "", tells: "Change or delete", show: (row) => acts.first.has(row) && html`<div class="acts">
    <button type="button" class="plain icon-only" aria-label=${`Change the budget of ${scopeText(row)} per ${row.period}`} title="Change" onClick=${() => acts.edit(row)}><${Icon} name="edit" /></button>
    <button type="button" class="plain icon-only" aria-label=${`Delete the budget of ${scopeText(row)} per ${row.period}`} title="Delete" onClick=${() => acts.drop(row)}><${Icon} name="trash" /></button></div>` }] : []),
];

function valueOf(row, nameOf) {
  const shown = row.scope === "user" ? html`<a href=${href("users", [row.value])}>${row.value}</a>` : nameOf(row);
  if (row.value === "*" || !row.value) return html`<span class="muted">each for itself</span>`;
  return html`<span class="cut">${shown}${row.each && html` <span class="muted small">each for itself</span>`}</span>`;
}

function meter(row) {
  const share = shareOf(row);
  const draw = (node) => { if (node) node.style.width = `${Math.min(100, share * 100)}%`; };
  return html`<div class="row tight"><div class="meter grow" role="img" aria-label=${`${percent(share)} of the budget`}><span ref=${draw} class=${share >= 1 ? "over" : share >= NEAR ? "near" : ""} /></div><span class="num small share">${percent(share)}</span></div>`;
}
