// One receiver: a test, its settings, and the log of what was sent to it.
import { html, useState } from "../../lib/html.js";
import { patch, post, remove } from "../../lib/api.js";
import { duration, time, utc } from "../../lib/format.js";
import { useAct } from "../../lib/query.js";
import { go } from "../../lib/route.js";
import { may, useSession } from "../../lib/session.js";
import { Icon } from "../../parts/icon.js";
import { Confirm, Menu, toast } from "../../parts/pop.js";
import { Empty, Loading, Problem } from "../../parts/states.js";
import { Deliveries } from "./deliveries.js";
import { Secret, WebhookForm } from "./form.js";
import { chosen, dataOf } from "./words.js";

export function Webhook({ id, webhooks, changed, params }) {
  const session = useSession();
  const row = webhooks.data?.find((one) => one.id === id);
  const can = may(session, "manage");
  return html`<div class="page">
    <div class="page-head"><h1 class="cut"><a href="/webhooks">Webhooks</a> / <span title=${row?.destination}>${row?.destination ?? "…"}</span></h1>
      ${row && can && html`<${Acts} webhook=${row} changed=${changed} />`}</div>
    <${Problem} error=${webhooks.error} again=${webhooks.reload} />
    ${!webhooks.data ? !webhooks.error && html`<${Loading} />`
      : !row ? html`<${Empty} title="There is no such webhook"><a href="/webhooks">All webhooks</a><//>`
      : html`<${Settings} webhook=${row} />${can && html`<${Test} id=${id} />`}<${Deliveries} webhook=${row} can=${can} params=${params} />`}
  </div>`;
}

const Settings = ({ webhook }) => html`<section class="card"><dl class="facts">
  <dt>State</dt><dd><span class=${`badge ${webhook.is_active ? "good" : ""}`}>${webhook.is_active ? "active" : "paused"}</span></dd>
  <dt>Told of</dt><dd>${chosen(webhook)}</dd>
  <dt>Data</dt><dd>${dataOf(webhook)}</dd>
  <dt>Signing key</dt><dd><code>${webhook.hmac_key_hint}</code></dd>
  <dt>Created</dt><dd title=${utc(webhook.created_at)}>${time(webhook.created_at)}</dd></dl></section>`;

/** Change, pause, another key, delete. */
function Acts({ webhook, changed }) {
  const [open, setOpen] = useState("");
  const [secret, setSecret] = useState("");
  const shut = () => setOpen("");
  const [pause, act] = useAct(async () => {
    try {
      await patch(`/v1/webhooks/${webhook.id}`, { isActive: !webhook.is_active });
      changed();
    } catch (error) { toast(error.message, "bad"); }
  });
  return html`
    <button type="button" disabled=${act.busy} onClick=${() => pause()} title=${webhook.is_active ? "Nothing is sent until it goes on" : "It is told of what is recorded from then on"}><${Icon} name=${webhook.is_active ? "pause" : "play"} /> ${webhook.is_active ? "Pause" : "Go on"}</button>
    <button type="button" onClick=${() => setOpen("change")}><${Icon} name="edit" /> Change</button>
    <${Menu} label="More" icon="more">${(close) => html`
      <button type="button" class="choice" onClick=${() => { close(); setOpen("rotate"); }}><${Icon} name="keys" /> New signing key</button>
      <button type="button" class="choice" onClick=${() => { close(); setOpen("delete"); }}><${Icon} name="trash" /> Delete</button>`}<//>
    ${open === "change" && html`<${WebhookForm} webhook=${webhook} close=${shut} done=${() => { shut(); changed(); toast("Changed"); }} />`}
    ${open === "rotate" && html`<${Rotate} webhook=${webhook} close=${shut} done=${(key) => { shut(); changed(); setSecret(key); }} />`}
    ${open === "delete" && html`<${Drop} webhook=${webhook} close=${shut} done=${() => { changed(); go("/webhooks", { replace: true }); toast("Deleted"); }} />`}
    ${secret && html`<${Secret} secret=${secret} close=${() => setSecret("")} />`}`;
}

function Rotate({ webhook, close, done }) {
  const [run, act] = useAct(async () => {
    const told = await patch(`/v1/webhooks/${webhook.id}`, { rotateHmacKey: true });
    done(told.hmac_key);
  });
  return html`<${Confirm} title="New signing key" verb="Make a new key" close=${close} act=${() => run()} busy=${act.busy} error=${act.error}>
    From the next message on only the new key signs: the receiver has to know it.<//>`;
}

function Drop({ webhook, close, done }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/webhooks/${webhook.id}`);
    done();
  });
  return html`<${Confirm} title="Delete the webhook" close=${close} act=${() => run()} busy=${act.busy} error=${act.error}>
    Its deliveries go with it, and those that wait are not sent: <code>${webhook.destination}</code><//>`;
}

/** A sample, and what the receiver said. */
function Test({ id }) {
  const [told, setTold] = useState(null);
  const [run, act] = useAct(async () => {
    setTold(null);
    setTold(await post(`/v1/webhooks/${id}/test`));
  });
  return html`<section class="card stack"><div class="row"><h2 class="grow">Test</h2>
      <button type="button" disabled=${act.busy} onClick=${() => run()}><${Icon} name="play" /> ${act.busy ? "Waiting for the receiver …" : "Send a sample"}</button></div>
    <div aria-live="polite">${told ? html`<p class=${`notice ${told.success ? "good" : "bad"}`}>${told.success ? "The receiver took it" : told.message}${told.status !== null && ` (${told.status})`}, after ${duration(told.duration_ms)}.</p>`
      : act.error ? html`<p class="notice bad" role="alert">${act.error.message}</p>` : html`<p class="muted small">Signed as any other message; the receiver has 10 s to answer.</p>`}</div></section>`;
}
