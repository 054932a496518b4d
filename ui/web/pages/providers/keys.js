// Providers' keys on file: calls without one of their own are made with these. No secret comes back.
import { html, useState } from "../../lib/html.js";
import { patch, remove } from "../../lib/api.js";
import { ago, time, utc } from "../../lib/format.js";
import { forget, useAct } from "../../lib/query.js";
import { may, useSession } from "../../lib/session.js";
import { Confirm, toast } from "../../parts/pop.js";
import { Empty, Shown } from "../../parts/states.js";
import { AddKey, EditKey, RotateKey } from "./key_form.js";

/** `keys` is the query of the list. */
export function ProviderKeys({ keys }) {
  const session = useSession();
  const mayConfigure = may(session, "configure");
  const [open, setOpen] = useState(null);
  const changed = () => { forget("provider-keys"); keys.reload(); };
  const close = () => setOpen(null);
  const add = mayConfigure && html`<button type="button" class="primary" onClick=${() => setOpen({ kind: "add" })}>Store a key</button>`;
  const dialog = { close, changed, row: open?.row };
  return html`
    <div class="row lead"><p class="muted grow">Calls without a provider's key of their own are made with these. They are kept sealed and are never shown again.</p>${keys.data?.length > 0 && add}</div>
    ${!mayConfigure && html`<p class="muted">An owner or an admin of the organisation stores and changes keys.</p>`}
    <${Shown} query=${keys} empty=${html`<${Empty} title="No provider's key is stored">
        <p>Without one, each call brings its own key and it goes to the provider as it came. With one, programs need a Helicone key alone, and the gateway can choose among providers.</p>${add}
        <p class="small">On the machine itself: <code>helicone-appliance provider-keys add openai ${"<"} key.txt</code></p><//>`}>
      ${(rows) => html`<${Table} rows=${rows} mayConfigure=${mayConfigure} setOpen=${setOpen} changed=${changed} />`}<//>
    ${open?.kind === "add" && html`<${AddKey} ...${dialog} />`}
    ${open?.kind === "rotate" && html`<${RotateKey} ...${dialog} />`}
    ${open?.kind === "edit" && html`<${EditKey} ...${dialog} />`}
    ${open?.kind === "remove" && html`<${Remove} ...${dialog} />`}`;
}

function Table({ rows, mayConfigure, setOpen, changed }) {
  return html`<div class="table-box" tabindex="0"><table class="plain">
    <thead><tr><th>Provider</th><th>Name</th><th>State</th><th title="Whether the gateway uses it for calls that name no key of their own (bring your own key)">BYOK</th>
      <th>Goes to</th><th>Settings</th><th title="When its secret was entered last">Entered</th>${mayConfigure && html`<th><span class="visually-hidden">Acts</span></th>`}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id}>
      <td>${row.provider_name}</td>
      <td class="cut" title=${`Id ${row.id}`}>${row.provider_key_name}</td>
      <td>${row.needs_key ? html`<span class="badge warn" title="Its address was changed. It is used again when the secret is entered for the new one">enter it again</span>` : html`<span class="badge good">in use</span>`}</td>
      <td><${Byok} row=${row} mayConfigure=${mayConfigure} changed=${changed} /></td>
      <td class="cut" title=${row.base_url}>${row.base_url || html`<span class="muted">the provider's own address</span>`}</td>
      <td><${Settings} config=${row.config} /></td>
      <td class="nowrap" title=${`${utc(row.entered_at)}; on file since ${utc(row.created_at)}`}>${row.entered_at ? ago(row.entered_at) : time(row.created_at)}</td>
      ${mayConfigure && html`<td class="acts">
        <button type="button" class="plain" aria-label=${`Change ${row.provider_key_name}`} onClick=${() => setOpen({ kind: "edit", row })}>Change</button>
        <button type="button" class="plain" aria-label=${`Rotate ${row.provider_key_name}`} onClick=${() => setOpen({ kind: "rotate", row })}>Rotate</button>
        <button type="button" class="plain danger" aria-label=${`Remove ${row.provider_key_name}`} onClick=${() => setOpen({ kind: "remove", row })}>Remove</button></td>`}
    </tr>`)}</tbody></table></div>`;
}

const Settings = ({ config }) => {
  const entries = Object.entries(config ?? {});
  return entries.length ? html`<span class="chips">${entries.map(([name, value]) => html`<span class="badge" key=${name}>${name} ${value}</span>`)}</span>` : html`<span class="muted">none</span>`;
};

function Byok({ row, mayConfigure, changed }) {
  const [run, act] = useAct(async (on) => {
    try {
      await patch(`/v1/api-keys/provider-key/${row.id}`, { byokEnabled: on });
      changed();
    } catch (error) {
      toast(error.message, "bad");
    }
  });
  return html`<input type="checkbox" aria-label=${`BYOK of ${row.provider_key_name}`} disabled=${!mayConfigure || act.busy} checked=${row.byok_enabled}
    title=${row.byok_enabled ? "The gateway uses it for calls of this organisation" : "The gateway leaves it alone; proxy keys still stand in for it"} onChange=${(event) => run(event.target.checked)} />`;
}

function Remove({ row, close, changed }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/api-keys/provider-key/${row.id}`);
    changed();
    forget("proxy-keys");
    toast(`${row.provider_key_name} is removed`);
    close();
  });
  return html`<${Confirm} title=${`Remove ${row.provider_key_name}?`} verb="Remove it" act=${run} close=${close} busy=${act.busy} error=${act.error}>
    <p>It is taken off file with the proxy keys that stand in for it. Calls that were made with it fail from the next one on, unless they bring a key of their own. With ${row.provider_name} itself the key stays what it is: revoke it there as well if it is no longer needed.</p><//>`;
}
