// Get started: a key, a snippet to copy, and the first request as it arrives.
import { html, useEffect, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { duration, usd } from "../lib/format.js";
import { useAct, useQuery } from "../lib/query.js";
import { href } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { firstCalls } from "../lib/snippets.js";
import { shown } from "./requests.js";
import { CodeBox } from "../parts/pop.js";
import { StatusBadge } from "../parts/states.js";

const LOOK_MS = 1500;

export default function Start() {
  const session = useSession();
  const [key, setKey] = useState("");
  const [kind, setKind] = useState("openai-python");
  const snippets = firstCalls(location.origin, session.open && !key ? "" : key || "YOUR_HELICONE_KEY");
  const snippet = snippets.find((one) => one.id === kind);
  return html`<div class="page">
    <div class="page-head"><h1>Get started</h1></div>
    ${!session.open && html`<${MakeKey} made=${key} setMade=${setKey} />`}
    <section class="card stack"><h2>${session.open ? "1" : "2"}. Point your client here</h2>
      <p class="muted">Only the address changes: your provider's key goes to the provider as before${session.open ? "" : ", and Helicone-Auth says on whose account it is recorded"}.</p>
      <div class="tabs" role="tablist">${snippets.map((one) => html`<button type="button" role="tab" aria-selected=${one.id === kind} onClick=${() => setKind(one.id)}>${one.name}</button>`)}</div>
      <${CodeBox} text=${snippet.text} /></section>
    <${First} number=${session.open ? 2 : 3} />
  </div>`;
}

function MakeKey({ made, setMade }) {
  const session = useSession();
  const [run, act] = useAct(async () => {
    const key = await post("/v1/api-keys", { api_key_name: "My first key" });
    setMade(key.apiKey);
  });
  return html`<section class="card stack"><h2>1. A key</h2>
    ${made ? html`<p>This is shown once. Keep it somewhere safe.</p><${CodeBox} text=${made} />`
      : may(session, "configure") ? html`<p class="muted">It says on whose account calls are recorded. Keys that exist already work as well.</p>
        <div><button type="button" class="primary" disabled=${act.busy} onClick=${() => run()}>Make a key</button></div>`
      : html`<p class="muted">An owner or an admin of the organisation makes keys.</p>`}
    ${act.error && html`<p class="notice bad" role="alert">${act.error.message}</p>`}</section>`;
}

/** Waits, and turns into the request when it is there. */
function First({ number }) {
  const [since] = useState(() => new Date(Date.now() - 60_000));
  const latest = useQuery("first", (signal) => post("/v1/request/query-clickhouse", { filter: { request_response_rmt: { request_created_at: { gte: since.toISOString() } } }, limit: 1 }, { signal }), { every_ms: LOOK_MS });
  const [row, setRow] = useState(null);
  useEffect(() => { if (latest.data?.[0]) setRow(shown(latest.data[0])); }, [latest.data]);
  return html`<section class="card stack" aria-live="polite"><h2>${number}. Send something</h2>
    ${row ? html`<div class="notice good stack"><div class="row"><b>It is here.</b> <${StatusBadge} status=${row.status} /> <span>${row.model}</span>
        <span class="muted">${duration(row.latency)}</span><span class="muted">${usd(row.cost)}</span></div>
        <div class="cut muted">${row.asked}</div><div class="cut">${row.answered}</div>
        <div class="row"><a class="button primary" href=${href("requests", [], { id: row.id })}>Look at it</a><a class="button" href="/dashboard">Dashboard</a></div></div>`
      : html`<p class="muted"><span class="badge accent">waiting</span> Waiting for your first request. It appears here by itself.</p>`}
  </section>`;
}
