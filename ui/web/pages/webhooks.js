// Webhooks: who is told of each request; /webhooks/ID is one of them with what was sent to it.
import { html, useState } from "../lib/html.js";
import { get } from "../lib/api.js";
import { time, utc } from "../lib/format.js";
import { forget, useQuery } from "../lib/query.js";
import { go, href } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { Icon } from "../parts/icon.js";
import { Empty, Shown } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { Secret, WebhookForm } from "./webhooks/form.js";
import { Webhook } from "./webhooks/one.js";
import { chosen, dataOf } from "./webhooks/words.js";

export default function Webhooks({ rest, params }) {
  const webhooks = useQuery("webhooks", (signal) => get("/v1/webhooks", { signal }));
  const changed = () => { forget("webhooks"); webhooks.reload(); };
  if (rest[0]) return html`<${Webhook} key=${rest[0]} id=${rest[0]} webhooks=${webhooks} changed=${changed} params=${params} />`;
  return html`<${All} webhooks=${webhooks} changed=${changed} />`;
}

function All({ webhooks, changed }) {
  const session = useSession();
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState(null);
  const add = may(session, "manage") && html`<button type="button" class="primary" onClick=${() => setMaking(true)}><${Icon} name="plus" /> New webhook</button>`;
  return html`<div class="page">
    <div class="page-head"><h1>Webhooks</h1>${webhooks.data?.length > 0 && add}</div>
    <${Shown} query=${webhooks} empty=${html`<${Empty} title="No webhooks yet"><div class="stack">
        <p>A webhook is told of each request as soon as its answer is on record: to score it, to keep a copy, to act on it. Each message is signed, and sent again until it is taken.</p>
        <p>${add || "Members of the organisation make webhooks."}</p></div><//>`}>
      ${(rows) => html`<${Table} label="Webhooks" columns=${COLUMNS} rows=${rows} keyOf=${(row) => row.id} />`}<//>
    ${making && html`<${WebhookForm} webhook=${{}} close=${() => setMaking(false)} done=${(webhook) => { setMaking(false); setMade(webhook); changed(); }} />`}
    ${made && html`<${Secret} secret=${made.hmac_key} close=${() => { const { id } = made; setMade(null); go(href("webhooks", [id])); }} />`}
  </div>`;
}

const COLUMNS = [
  { id: "state", name: "State", show: (row) => html`<span class=${`badge ${row.is_active ? "good" : ""}`}>${row.is_active ? "active" : "paused"}</span>` },
  { id: "to", name: "Receiver", show: (row) => html`<a class="cut" href=${href("webhooks", [row.id])}>${row.destination}</a>`, title: (row) => row.destination },
  { id: "share", name: "Requests", show: chosen, tells: "Which requests it is told of" },
  { id: "data", name: "Data", show: dataOf, tells: "What a message has beside the id, the user and the bodies" },
  { id: "key", name: "Signing key", show: (row) => html`<code>${row.hmac_key_hint}</code>`, tells: "The last characters of the key that signs messages" },
  { id: "made", name: "Created", show: (row) => html`<span class="nowrap">${time(row.created_at)}</span>`, title: (row) => utc(row.created_at) },
];
