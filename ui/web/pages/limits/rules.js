// The rules: how many requests or cents, in how long, counted for whom.
import { html, useState } from "../../lib/html.js";
import { get, post, put, remove } from "../../lib/api.js";
import { counted, time, utc } from "../../lib/format.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { may, useSession } from "../../lib/session.js";
import { Field, FormDialog, Span, secondsOf, spanOf, spanText } from "../../parts/form.js";
import { Icon } from "../../parts/icon.js";
import { Confirm, toast } from "../../parts/pop.js";
import { Empty, Shown } from "../../parts/states.js";
import { Table } from "../../parts/table.js";

const EVERYBODY = "global";
const USER = "user";
const whom = (segment) => (segment === EVERYBODY ? "everybody together" : segment === USER ? "each user" : `each value of ${segment}`);

export function Rules() {
  const session = useSession();
  const rules = useQuery("limits", (signal) => get("/v1/rate-limits", { signal }));
  const [edited, setEdited] = useState(null);
  const [dropped, setDropped] = useState(null);
  const can = may(session, "configure");
  const done = (words) => { forget("limits"); rules.reload(); setEdited(null); setDropped(null); toast(words); };
  const add = can && html`<button type="button" class="primary" onClick=${() => setEdited({})}><${Icon} name="plus" /> New rule</button>`;
  return html`<section class="part"><header><h2>Rules</h2>${rules.data?.length > 0 && add}</header>
    <${Shown} query=${rules} empty=${html`<${Empty} title="No rules yet"><div class="stack"><p>A rule turns requests away beyond a number of them, or beyond a cost, before any provider is called.
        It counts for keys that were made rate-limited; any request may bring a limit of its own in the header Helicone-RateLimit-Policy.</p>
        <p>${add || "An owner or an admin of the organisation makes rules."}</p></div><//>`}>
      ${(rows) => html`<${Table} label="Rate limits" columns=${columnsOf(can, setEdited, setDropped)} rows=${rows} keyOf=${(row) => row.id} />
        <p class="muted small">They count for keys that were made rate-limited, from the next request on. <a href="/keys">Keys</a></p>`}<//>
    ${edited && html`<${RuleForm} rule=${edited} close=${() => setEdited(null)} done=${done} />`}
    ${dropped && html`<${Drop} rule=${dropped} close=${() => setDropped(null)} done=${done} />`}
  </section>`;
}

const columnsOf = (can, edit, drop) => [
  { id: "name", name: "Name", show: (row) => row.name, title: (row) => row.policy },
  { id: "quota", name: "Quota", num: true, show: (row) => `${Number(row.quota).toLocaleString("en")} ${row.unit}`, tells: "What may pass in each window" },
  { id: "window", name: "Window", show: (row) => spanText(row.window_seconds), tells: "How long it takes for an empty quota to fill up again" },
  { id: "segment", name: "For", show: (row) => whom(row.segment) },
  { id: "policy", name: "Policy", show: (row) => html`<code>${row.policy}</code>`, tells: "The same as a header or the command writes it" },
  { id: "changed", name: "Changed", show: (row) => html`<span class="nowrap">${time(row.updated_at)}</span>`, title: (row) => utc(row.updated_at) },
  ...(can ? [{ id: "acts", name: "", tells: "Change or delete", show: (row) => html`<div class="acts">
    <button type="button" class="plain icon-only" aria-label=${`Change ${row.name}`} title="Change" onClick=${() => edit(row)}><${Icon} name="edit" /></button>
    <button type="button" class="plain icon-only" aria-label=${`Delete ${row.name}`} title="Delete" onClick=${() => drop(row)}><${Icon} name="trash" /></button></div>` }] : []),
];

function RuleForm({ rule, close, done }) {
  const [name, setName] = useState(rule.name ?? "");
  const [quota, setQuota] = useState(rule.quota ?? 1000);
  const [unit, setUnit] = useState(rule.unit ?? "requests");
  const [span, setSpan] = useState(spanOf(rule.window_seconds ?? 3600));
  const given = rule.segment ?? EVERYBODY;
  const [kind, setKind] = useState(given === EVERYBODY || given === USER ? given : "property");
  const [property, setProperty] = useState(kind === "property" ? given : "");
  const [run, act] = useAct(async () => {
    const body = { name, quota: Number(quota), unit, window_seconds: secondsOf(span), segment: kind === "property" ? property.trim() : kind };
    if (rule.id) await put(`/v1/rate-limits/${rule.id}`, body);
    else await post("/v1/rate-limits", body);
    done(rule.id ? "Changed" : "The rule counts from the next request on");
  });
  return html`<${FormDialog} title=${rule.id ? "Change the rule" : "New rule"} verb=${rule.id ? "Change" : "Make the rule"} close=${close} submit=${run} act=${act}>
    <${Field} id="rule-name" label="Name"><input id="rule-name" required maxlength="200" value=${name} onInput=${(event) => setName(event.target.value)} /><//>
    <div class="field"><label for="rule-quota">Quota</label><div class="pair even">
      <input id="rule-quota" type="number" min="0" step="any" required value=${quota} onInput=${(event) => setQuota(event.target.value)} />
      <select aria-label="Unit of the quota" value=${unit} onChange=${(event) => setUnit(event.target.value)}><option value="requests">requests</option><option value="cents">cents</option></select></div>
      <span class="hint">Cents are of USD, by what each request has cost.</span></div>
    <${Span} id="rule-window" label="Window" hint="From a minute to 365 days." span=${span} setSpan=${setSpan} units=${[1, 60, 3600, 86400]} />
    <${Field} id="rule-segment" label="Counted for"><select id="rule-segment" value=${kind} onChange=${(event) => setKind(event.target.value)}>
      <option value=${EVERYBODY}>everybody together</option><option value=${USER}>each user (Helicone-User-Id)</option><option value="property">each value of a property</option></select><//>
    ${kind === "property" && html`<${Field} id="rule-property" label="Property" hint="The part of its header behind Helicone-Property-."><input id="rule-property" required value=${property} onInput=${(event) => setProperty(event.target.value)} /><//>`}
    <p class="muted small" aria-live="polite">${counted(quota, unit.slice(0, -1))} in ${Number(span.value) > 0 ? spanText(secondsOf(span)) : "–"}, for ${whom(kind === "property" ? property || "…" : kind)}.</p><//>`;
}

function Drop({ rule, close, done }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/rate-limits/${rule.id}`);
    done("Deleted");
  });
  return html`<${Confirm} title=${`Delete “${rule.name}”`} close=${close} act=${() => run()} busy=${act.busy} error=${act.error}>
    From the next request on nothing is turned away by it.<//>`;
}
