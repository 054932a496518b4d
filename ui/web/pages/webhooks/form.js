// A receiver as a form, and its signing key, which is shown once.
import { html, useState } from "../../lib/html.js";
import { patch, post } from "../../lib/api.js";
import { useAct } from "../../lib/query.js";
import { Field, FormDialog } from "../../parts/form.js";
import { Icon } from "../../parts/icon.js";
import { CodeBox, Dialog } from "../../parts/pop.js";

/** `done` gets what the server answered: of a new one with its key. */
export function WebhookForm({ webhook, close, done }) {
  const [destination, setDestination] = useState(webhook.destination ?? "");
  const [rate, setRate] = useState(webhook.config?.sampleRate ?? 100);
  const [filters, setFilters] = useState(webhook.config?.propertyFilters ?? []);
  const [includeData, setIncludeData] = useState(webhook.config?.includeData ?? true);
  const [run, act] = useAct(async () => {
    const body = { destination: destination.trim(), includeData, config: { sampleRate: Number(rate), propertyFilters: filters } };
    done(webhook.id ? await patch(`/v1/webhooks/${webhook.id}`, body) : await post("/v1/webhooks", body));
  });
  return html`<${FormDialog} title=${webhook.id ? "Change the webhook" : "New webhook"} verb=${webhook.id ? "Change" : "Make the webhook"} close=${close} submit=${run} act=${act}>
    <${Field} id="hook-to" label="Receiver" hint="An https URL. Private hosts have to be allowed in the server's configuration (webhook_allow).">
      <input id="hook-to" class="code" type="url" required maxlength="2000" placeholder="https://example.com/hook" value=${destination} onInput=${(event) => setDestination(event.target.value)} /><//>
    <${Field} id="hook-rate" label="Share of requests (%)" hint="Chosen by chance: 10 is every tenth."><input id="hook-rate" type="number" min="0" max="100" step="any" required value=${rate} onInput=${(event) => setRate(event.target.value)} /><//>
    <${Filters} filters=${filters} change=${setFilters} />
    <label class="tick"><input type="checkbox" checked=${includeData} onChange=${(event) => setIncludeData(event.target.checked)} /> Say model, cost, tokens and latency, and where long bodies can be fetched</label><//>`;
}

/** Only requests with these properties. */
function Filters({ filters, change }) {
  const set = (at, name, value) => change(filters.map((one, number) => (number === at ? { ...one, [name]: value } : one)));
  return html`<fieldset class="stack"><legend>Only with these properties</legend>
    ${filters.map((one, at) => html`<div class="pair" key=${at}>
      <input required aria-label=${`Property ${at + 1}`} placeholder="Property" value=${one.key} onInput=${(event) => set(at, "key", event.target.value)} />
      <input aria-label=${`Value ${at + 1}`} placeholder="Value" value=${one.value} onInput=${(event) => set(at, "value", event.target.value)} />
      <button type="button" class="plain icon-only" aria-label=${`Remove property ${at + 1}`} onClick=${() => change(filters.filter((_, number) => number !== at))}><${Icon} name="close" /></button></div>`)}
    <div><button type="button" onClick=${() => change([...filters, { key: "", value: "" }])}><${Icon} name="plus" /> Add a property</button></div></fieldset>`;
}

export const Secret = ({ secret, close }) => html`<${Dialog} title="The signing key" close=${close}><div class="stack">
  <p>This is shown once. The receiver needs it to see that a message comes from here: the header Helicone-Signature is the HMAC-SHA256 of the body under this key, in hex.</p>
  <${CodeBox} text=${secret} />
  <div><button type="button" class="primary" onClick=${close}>I have kept it</button></div></div><//>`;
