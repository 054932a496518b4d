// Keys of the organisation: made here, shown once, renamed, and taken out of use.
import { html, useState } from "../lib/html.js";
import { get, patch, post, remove } from "../lib/api.js";
import { NONE, ago, count, time, utc } from "../lib/format.js";
import { forget, useAct, useQuery } from "../lib/query.js";
import { setParams } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { firstCalls } from "../lib/snippets.js";
import { Icon } from "../parts/icon.js";
import { CodeBox, Confirm, Dialog, toast } from "../parts/pop.js";
import { Form, Once, Section, Tabs, Text } from "../parts/settings.js";
import { Empty, Shown } from "../parts/states.js";

const PERMISSIONS = {
  rw: { name: "read and write", tells: "Makes calls and reads the records: for servers and tools of your own." },
  w: { name: "write only", tells: "Makes calls and reads nothing: for programs that you hand out." },
  r: { name: "read only", tells: "Reads the records and makes no calls: for dashboards and exports." },
};

export default function Keys({ params }) {
  const session = useSession();
  const keys = useQuery("keys", (signal) => get("/v1/api-keys", { signal }));
  const [open, setOpen] = useState(null); // {kind: "make" | "rename" | "revoke" | "made", …}
  const mayConfigure = may(session, "configure");
  const changed = () => { forget("keys"); keys.reload(); };
  const close = () => setOpen(null);
  const make = mayConfigure && html`<button type="button" class="primary" onClick=${() => setOpen({ kind: "make" })}>New key</button>`;
  return html`<div class="page">
    <div class="page-head"><h1>Keys</h1>${keys.data?.length > 0 && make}</div>
    ${session.open && html`<p class="notice">Calls without a key are answered here, and are recorded for this organisation. To ask for a key, start the appliance with <code>--access keys</code>.</p>`}
    ${!mayConfigure && html`<p class="muted">An owner or an admin of the organisation makes and revokes keys.</p>`}
    <${Shown} query=${keys} empty=${html`<${Empty} title="No keys yet">
        <p>A Helicone key says on whose account a call is recorded, and opens the REST API to programs. It goes into the header <code>Helicone-Auth</code>, beside your provider's own key.</p>${make}<//>`}>
      ${(rows) => html`<${Table} rows=${rows} session=${session} mayConfigure=${mayConfigure} setOpen=${setOpen} />`}<//>
    <${Usage} kind=${params.use} isOpen=${session.open} />
    ${open?.kind === "make" && html`<${Make} close=${close} made=${(text, permission) => { changed(); setOpen({ kind: "made", text, permission }); }} />`}
    ${open?.kind === "made" && html`<${Once} title="Your new key" secret=${open.text} close=${close}><${Hint} permission=${open.permission} /><//>`}
    ${open?.kind === "rename" && html`<${Rename} row=${open.row} close=${close} changed=${changed} />`}
    ${open?.kind === "revoke" && html`<${Revoke} row=${open.row} close=${close} changed=${changed} />`}
  </div>`;
}

const Hint = ({ permission }) => permission === "r"
  ? html`<p class="muted">Send it to the REST API as <code>Authorization: Bearer …</code></p>`
  : html`<p class="muted">Send it with every call as <code>Helicone-Auth: Bearer …</code>, beside the provider's key.</p>`;

function Table({ rows, session, mayConfigure, setOpen }) {
  const usage = useQuery(`keys.usage:${rows.length}`, (signal) => get("/v1/api-keys/usage", { signal }));
  const usedOf = (row) => usage.data?.find((one) => one.id === row.id);
  return html`<div class="table-box" tabindex="0"><table class="plain">
    <thead><tr><th>Name</th><th>May</th><th title="Whether the rate limits that are stored for the organisation hold for calls with it">Rate limits</th><th>Region</th><th>Created</th><th title="Its last call on record. What it reads over REST is not on record">Last used</th><th class="num" title="Calls on record of the last 30 days">Calls, 30 days</th>${mayConfigure && html`<th><span class="visually-hidden">Acts</span></th>`}</tr></thead>
    <tbody>${[...rows].reverse().map((row) => html`<tr key=${row.id}>
      <td class="cut" title=${`Id ${row.id}`}>${row.api_key_name}</td>
      <td><span class="badge" title=${PERMISSIONS[row.key_permissions]?.tells}>${PERMISSIONS[row.key_permissions]?.name ?? row.key_permissions}</span></td>
      <td>${row.rate_limited ? html`<a href="/limits">hold</a>` : html`<span class="muted">do not hold</span>`}</td>
      <td>${session.organization?.region}</td>
      <td class="nowrap" title=${`${utc(row.created_at)}, ${ago(row.created_at)}`}>${time(row.created_at)}</td>
      <td class="nowrap" aria-label=${`Last use of ${row.api_key_name}`} title=${utc(usedOf(row)?.last_used_at)}>${lastUse(usedOf(row), usage.error)}</td>
      <td class="num">${usedOf(row) ? count(usedOf(row).calls_30d) : NONE}</td>
      ${mayConfigure && html`<td class="acts">
        <button type="button" class="plain" aria-label=${`Rename ${row.api_key_name}`} onClick=${() => setOpen({ kind: "rename", row })}>Rename</button>
        <button type="button" class="plain danger" aria-label=${`Revoke ${row.api_key_name}`} onClick=${() => setOpen({ kind: "revoke", row })}>Revoke</button></td>`}
    </tr>`)}</tbody></table></div>`;
}

/** It comes behind the list: it is asked of the records. */
function lastUse(used, error) {
  if (used?.last_used_at) return ago(used.last_used_at);
  return html`<span class="muted">${used ? "never" : error ? "not known now" : "…"}</span>`;
}

function Make({ close, made }) {
  const [name, setName] = useState("");
  const [permission, setPermission] = useState("rw");
  const [limited, setLimited] = useState(false);
  const [run, act] = useAct(async () => {
    const key = await post("/v1/api-keys", { api_key_name: name.trim(), key_permissions: permission, rate_limited: limited });
    made(key.apiKey, permission);
  });
  return html`<${Dialog} title="New key" close=${close}>
    <${Form} act=${act} submit=${run} verb="Make the key" close=${close} isReady=${name.trim() !== ""}>
      <${Text} id="key-name" label="Name" hint="What it is for: an application, a place, a person." value=${name} set=${setName} required maxlength="200" autocomplete="off" autofocus />
      <div class="field" role="radiogroup" aria-label="What it may"><span class="label">What it may</span>
        ${Object.entries(PERMISSIONS).map(([id, one]) => html`<label class="option" key=${id}>
          <input type="radio" name="permission" checked=${permission === id} onChange=${() => setPermission(id)} />
          <span class="grow"><b>${one.name}</b> <span class="muted small">${one.tells}</span></span></label>`)}</div>
      <label class="option"><input type="checkbox" checked=${limited} onChange=${(event) => setLimited(event.target.checked)} />
        <span class="grow">The organisation's <a href="/limits">rate limits</a> hold for it</span></label>
    <//><//>`;
}

function Rename({ row, close, changed }) {
  const [name, setName] = useState(row.api_key_name);
  const [run, act] = useAct(async () => {
    await patch(`/v1/api-keys/${row.id}`, { api_key_name: name.trim() });
    changed();
    close();
  });
  return html`<${Dialog} title="Rename the key" close=${close}>
    <${Form} act=${act} submit=${run} verb="Rename" close=${close} isReady=${name.trim() !== "" && name.trim() !== row.api_key_name}>
      <${Text} id="key-rename" label="Name" value=${name} set=${setName} required maxlength="200" autocomplete="off" /><//><//>`;
}

function Revoke({ row, close, changed }) {
  const session = useSession();
  const [run, act] = useAct(async () => {
    await remove(`/v1/api-keys/${row.id}`);
    changed();
    toast(`${row.api_key_name} is revoked`);
    close();
  });
  return html`<${Confirm} title=${`Revoke ${row.api_key_name}?`} verb="Revoke it" act=${run} close=${close} busy=${act.busy} error=${act.error}>
    <p>The next call with it is ${session.open ? "taken for one without a key" : "refused"}, and sessions that were opened with it end. What it has recorded stays. It cannot be put back: make a new key instead.</p><//>`;
}

/** How a client sends a key; the text has a place for it. */
function Usage({ kind, isOpen }) {
  const calls = firstCalls(location.origin, "YOUR_HELICONE_KEY");
  const call = calls.find((one) => one.id === kind) ?? calls[0];
  return html`<${Section} title="How to use a key" tells=${isOpen ? "With a key or without, only the address changes: your provider's key goes to the provider as before." : "The address changes, and Helicone-Auth is added: your provider's key goes to the provider as before."}>
    <${Tabs} label="Client" tabs=${calls.map((one) => [one.id, one.name])} value=${call.id} set=${(id) => setParams({ use: id })} />
    <${CodeBox} text=${call.text} />
    <p class="muted small"><${Icon} name="manual" /> Records over REST: <code>curl ${location.origin}/v1/budgets -H "Authorization: Bearer YOUR_HELICONE_KEY"</code></p><//>`;
}
