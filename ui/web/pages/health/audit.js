// The log of administrative acts: who did what to what, when and from where.
import { html, useEffect, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { time, utc } from "../../lib/format.js";
import { useQuery } from "../../lib/query.js";
import { setParams } from "../../lib/route.js";
import { useSession } from "../../lib/session.js";
import { Empty, Loading, Problem } from "../../parts/states.js";

const PAGE_ROWS = 50;
/** How actions begin: those over REST as "key.create", those of the command line as "keys.create". */
const KINDS = [
  ["", "Everything"], ["key", "Helicone keys"], ["provider-key", "Providers' keys"], ["proxy-key", "Proxy keys"], ["rate-limit", "Rate limits"],
  ["member", "Members"], ["users", "Users, by command"], ["organization", "Organisations"], ["sign-", "Sign-ins and -outs"], ["session", "Sessions"], ["password", "Passwords"],
  ["wallet", "Wallet"], ["budgets", "Budgets"], ["deletion", "Deletions"], ["dataset", "Datasets"], ["filter", "Saved filters"],
  ["POST ", "Other things, made"], ["DELETE ", "Other things, removed"],
];

export function Audit({ params }) {
  const action = params.action ?? "";
  const session = useSession();
  const [cursors, setCursors] = useState([""]);
  useEffect(() => setCursors([""]), [action]);
  const before = cursors.at(-1);
  const asked = new URLSearchParams({ limit: PAGE_ROWS, ...(before && { before }), ...(action && { action }) });
  const acts = useQuery(`audit:${asked}`, (signal) => get(`/v1/appliance/audit?${asked}`, { signal }));
  const people = useQuery(session.user ? "members" : null, (signal) => get(`/v1/organization/${session.organization.id}/members`, { signal }));
  const keys = useQuery("keys", (signal) => get("/v1/api-keys", { signal }));
  const rows = acts.data;
  return html`
    <div class="bar"><label class="row tight"><span class="muted small">Show</span> <select value=${action} onChange=${(event) => setParams({ action: event.target.value })}>${KINDS.map(([id, name]) => html`<option value=${id}>${name}</option>`)}
      ${!KINDS.some(([id]) => id === action) && html`<option value=${action}>${action}</option>`}</select></label></div>
    <${Problem} error=${acts.error} again=${acts.reload} />
    ${!rows && !acts.error && html`<${Loading} />`}
    ${rows?.length === 0 && html`<${Empty} title=${cursors.length > 1 || action ? "Nothing here" : "Nothing was changed yet"}>Sign-ins and changes to keys, settings, members and records are written down here: who, what, when and from where. Secrets never are.<//>`}
    ${rows?.length > 0 && html`<div class="table-box" tabindex="0"><table class="plain">
      <thead><tr><th>When</th><th>Who</th><th>What</th><th>To what</th><th>Details</th><th>From</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.id}>
        <td class="nowrap" title=${utc(row.at)}>${time(row.at)}</td>
        <td class="cut" title=${row.actor}><${Actor} actor=${row.actor} people=${people.data} keys=${keys.data} /></td>
        <td class="nowrap"><button type="button" class="link" title="Show only these" onClick=${() => setParams({ action: row.action })}>${row.action}</button></td>
        <td class="cut">${row.target ? html`<code title=${row.target}>${short(row.target)}</code>` : html`<span class="muted">–</span>`}</td>
        <td><${Detail} detail=${row.detail} /></td>
        <td class="nowrap">${row.address || html`<span class="muted">–</span>`}</td></tr>`)}</tbody></table></div>`}
    ${rows && (cursors.length > 1 || rows.length === PAGE_ROWS) && html`<div class="row">
      <button type="button" disabled=${cursors.length === 1} onClick=${() => setCursors(cursors.slice(0, -1))}>Newer</button>
      <button type="button" disabled=${rows.length < PAGE_ROWS} onClick=${() => setCursors([...cursors, String(rows.at(-1).id)])}>Older</button>
      <span class="muted small">Page ${cursors.length}</span></div>`}`;
}

/** A person by the address, a key by its name, others in a word. */
function Actor({ actor, people, keys }) {
  const [kind, id = ""] = actor.split(/:(.*)/s);
  if (kind === "user") return html`${people?.find((one) => one.id === id)?.email ?? `a user, ${id.slice(0, 8)}`}`;
  if (kind === "key") return html`<span class="badge">key</span> ${keys?.find((one) => one.id === id)?.api_key_name ?? id.slice(0, 8)}`;
  const words = { open: "somebody without a key", command: "the command line", nobody: "nobody", admin_key: "the admin key" };
  return html`<span class="muted">${words[kind] ?? actor}</span>`;
}

const Detail = ({ detail }) => {
  const entries = Object.entries(detail ?? {});
  return entries.length ? html`<span class="chips">${entries.map(([name, value]) => html`<span class="badge" key=${name} title=${`${name}: ${text(value)}`}><span class="cut">${name} ${short(text(value))}</span></span>`)}</span>` : html`<span class="muted">–</span>`;
};

const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const short = (value) => value.replace(UUID, (id) => `${id.slice(0, 8)}…`);
const text = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));
