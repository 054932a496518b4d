// Proxy keys: handed out in the place of a provider's key, each with limits of its own.
import { html, useState } from "../../lib/html.js";
import { get, post, remove } from "../../lib/api.js";
import { ago, count, counted, time, usd, utc } from "../../lib/format.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { may, useSession } from "../../lib/session.js";
import { Confirm, Dialog, toast } from "../../parts/pop.js";
import { Field, Form, Once, Text } from "../../parts/settings.js";
import { Empty, Shown } from "../../parts/states.js";

const WINDOWS = [[60, "minute"], [3600, "hour"], [86_400, "day"], [604_800, "week"], [2_592_000, "30 days"]];

/** `keys` is the query of the stored keys that they stand in for. */
export function ProxyKeys({ keys }) {
  const session = useSession();
  const mayConfigure = may(session, "configure");
  const proxies = useQuery("proxy-keys", (signal) => get("/v1/api-keys/proxy-keys", { signal }));
  const [open, setOpen] = useState(null);
  const stored = keys.data ?? [];
  const changed = () => { forget("proxy-keys"); proxies.reload(); };
  const close = () => setOpen(null);
  const add = mayConfigure && stored.length > 0 && html`<button type="button" class="primary" onClick=${() => setOpen({ kind: "make" })}>New proxy key</button>`;
  return html`
    <div class="row lead"><p class="muted grow">A proxy key is sent where the provider's key would be. The stored key takes its place here, under the limits of the proxy key.</p>${proxies.data?.length > 0 && add}</div>
    ${!mayConfigure && html`<p class="muted">An owner or an admin of the organisation makes and removes proxy keys.</p>`}
    <${Shown} query=${proxies} empty=${html`<${Empty} title="No proxy keys yet">
        <p>Give one to a person or a program that should reach a provider through you: the provider's key stays here, and you say how much they may use.</p>
        ${add || (mayConfigure && html`<p><a href="/providers/keys">Store a provider's key</a> first.</p>`)}<//>`}>
      ${(rows) => html`<${Table} rows=${rows} stored=${stored} mayConfigure=${mayConfigure} setOpen=${setOpen} />`}<//>
    ${open?.kind === "make" && html`<${Make} stored=${stored} close=${close} made=${(text) => { changed(); setOpen({ kind: "made", text }); }} />`}
    ${open?.kind === "made" && html`<${Once} title="The new proxy key" secret=${open.text} close=${close} what="proxy key">
      <p class="muted">It is sent where the provider's key would be, as <code>Authorization: Bearer …</code></p><//>`}
    ${open?.kind === "remove" && html`<${Remove} row=${open.row} close=${close} changed=${changed} />`}`;
}

function Table({ rows, stored, mayConfigure, setOpen }) {
  return html`<div class="table-box" tabindex="0"><table class="plain">
    <thead><tr><th>Name</th><th>Stands in for</th><th>Limits</th><th>Created</th>${mayConfigure && html`<th><span class="visually-hidden">Acts</span></th>`}</tr></thead>
    <tbody>${rows.map((row) => {
      const key = stored.find((one) => one.id === row.provider_key_id);
      return html`<tr key=${row.id}>
        <td class="cut" title=${`Id ${row.id}`}>${row.name}</td>
        <td class="cut">${key ? html`${key.provider_name} <span class="muted">${key.provider_key_name}</span>` : html`<code>${row.provider_key_id}</code>`}</td>
        <td>${row.limits.length ? html`<span class="chips">${row.limits.map((limit) => html`<span class="badge" key=${limit} title=${limit}>${inWords(limit)}</span>`)}</span>` : html`<span class="muted">none</span>`}</td>
        <td class="nowrap" title=${`${utc(row.created_at)}, ${ago(row.created_at)}`}>${time(row.created_at)}</td>
        ${mayConfigure && html`<td class="acts"><button type="button" class="plain danger" aria-label=${`Remove ${row.name}`} onClick=${() => setOpen({ kind: "remove", row })}>Remove</button></td>`}
      </tr>`;
    })}</tbody></table></div>`;
}

/** 100;w=3600 → 100 requests an hour. */
function inWords(limit) {
  const [quota, ...rest] = limit.split(";");
  const parts = Object.fromEntries(rest.map((part) => part.split("=")));
  const seconds = Number(parts.w);
  const window = WINDOWS.find(([s]) => s === seconds)?.[1] ?? `${count(seconds)} s`;
  return `${parts.u === "cents" ? usd(Number(quota) / 100) : counted(quota, "request")} per ${window}`;
}

function Make({ stored, close, made }) {
  const [name, setName] = useState("");
  const [id, setId] = useState(stored[0]?.id ?? "");
  const [calls, setCalls] = useState({ quota: "", window: 3600 });
  const [money, setMoney] = useState({ quota: "", window: 86_400 });
  const [run, act] = useAct(async () => {
    const limits = [
      calls.quota && `${calls.quota};w=${calls.window}`,
      money.quota && `${Number((Number(money.quota) * 100).toFixed(6))};w=${money.window};u=cents`,
    ].filter(Boolean);
    const key = await post("/v1/api-keys/proxy-key", { providerKeyId: id, proxyKeyName: name.trim(), limits });
    made(key.proxyKey);
  });
  return html`<${Dialog} title="New proxy key" close=${close}>
    <${Form} act=${act} submit=${run} verb="Make the proxy key" close=${close} isReady=${Boolean(name.trim() && id)}>
      <${Text} id="px-name" label="Name" hint="Who or what it is for." value=${name} set=${setName} required maxlength="200" autocomplete="off" autofocus />
      <${Field} id="px-key" label="Stands in for"><select id="px-key" value=${id} onChange=${(event) => setId(event.target.value)}>
        ${stored.map((one) => html`<option value=${one.id}>${one.provider_name}: ${one.provider_key_name}</option>`)}</select><//>
      <${Limit} id="px-calls" label="At most so many requests" hint="Empty: no limit." value=${calls} set=${setCalls} step="1" min="1" />
      <${Limit} id="px-money" label="At most so many USD" hint="By the price list, when a call has ended." value=${money} set=${setMoney} step="0.01" min="0.01" />
    <//><//>`;
}

const Limit = ({ id, label, hint, value, set, ...more }) => html`<${Field} id=${id} label=${label} hint=${hint}><div class="row">
  <input id=${id} type="number" class="grow" value=${value.quota} onInput=${(event) => set({ ...value, quota: event.target.value })} aria-describedby=${`${id}-hint`} ...${more} />
  <select aria-label=${`${label}: in which time`} value=${value.window} onChange=${(event) => set({ ...value, window: Number(event.target.value) })}>
    ${WINDOWS.map(([s, called]) => html`<option value=${s}>per ${called}</option>`)}</select></div><//>`;

function Remove({ row, close, changed }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/api-keys/proxy-key/${row.id}`);
    changed();
    toast(`${row.name} is removed`);
    close();
  });
  return html`<${Confirm} title=${`Remove ${row.name}?`} verb="Remove it" act=${run} close=${close} busy=${act.busy} error=${act.error}>
    <p>The next call with it is refused. The stored key that it stands in for stays.</p><//>`;
}
