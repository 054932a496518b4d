// Whether all is well: the state, every part that works by itself, the disk, and how long records stay.
import { html } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { ago, bytes, count, duration, utc } from "../../lib/format.js";
import { useQuery } from "../../lib/query.js";
import { Section } from "../../parts/settings.js";
import { Figure, Shown } from "../../parts/states.js";
import { readGauges } from "./gauges.js";

const REFRESH_MS = 10_000;
/** What each part is for, by the beginning of its name. */
const PARTS = {
  journal: { tells: "Writes every record to the disk first; the others read it from there", inbox: bytes },
  analytics: { tells: "Puts records into the database that these pages ask", inbox: (waiting) => `${count(waiting)} records` },
  lake: { tells: "Turns older records into Parquet files" },
  keys: { tells: "Helicone keys, in memory as they are on the disk" },
  limits: { tells: "Counts rate limits" },
  cache: { tells: "Answers that are kept" },
  "provider-keys": { tells: "Providers' keys, sealed" },
  wallet: { tells: "Credits, holds and budgets" },
  webhooks: { tells: "Tells other systems about requests" },
  notices: { tells: "Sends alerts and reports" },
  scheduler: { tells: "Looks after alerts and reports in time" },
  deletions: { tells: "Deletes for good what was asked to be deleted" },
  sandbox: { tells: "Runs SQL, apart from all else" },
  posthog: { tells: "Passes events on to PostHog" },
};
const partOf = (name) => PARTS[name] ?? PARTS[name.replace(/-(us|eu)$/, "")] ?? {};

async function plain(path, signal) {
  const reply = await fetch(path, { signal });
  return reply.ok ? reply.text() : "";
}

export function Overview({ mayConfigure }) {
  const health = useQuery("health", (signal) => get("/healthcheck", { signal }), { every_ms: REFRESH_MS });
  const status = useQuery(mayConfigure ? "appliance.status" : null, (signal) => get("/v1/appliance/status", { signal }), { every_ms: REFRESH_MS });
  const gauges = useQuery("gauges", async (signal) => readGauges(await plain("/metrics", signal)), { every_ms: REFRESH_MS });
  return html`<${Shown} query=${health}>${(told) => html`
    <${State} told=${told} status=${status.data} />
    <${Figures} told=${told} status=${status.data} gauges=${gauges.data} />
    <${Actors} rows=${told.actors} />`}<//>
    <${Retention} />
    <${Watch} />`;
}

function State({ told, status }) {
  if (told.status === "healthy") return html`<p class="notice good"><b>All is well.</b> Every part does what it should.${status && !status.ready && " It is not ready yet: it starts, or it is being stopped."}</p>`;
  return html`<div class="notice warn stack" role="status"><div><b>Degraded:</b> calls are still passed on, but a part cannot do all it should.</div>
    <dl class="facts">${told.reasons.map((one) => html`<dt key=${one.part}>${one.part}</dt><dd><span title=${utc(one.since)}>since ${ago(one.since)}</span>${one.detail ? html`: <code>${one.detail}</code>` : html` <span class="muted">Why is told on the machine itself: <code>helicone-appliance status</code></span>`}</dd>`)}</dl></div>`;
}

function Figures({ told, status, gauges }) {
  const known = gauges?.size > 0;
  const restarts = told.actors.reduce((sum, one) => sum + one.restarts, 0);
  const sum = (name) => gauges.get(`helicone_appliance_${name}`);
  return html`<div class="cards">
    <${Figure} name="Version" value=${told.version} title="Of the program that answers" />
    ${status && html`<${Figure} name="Region" value=${status.region} title="Where the records of this organisation are kept" />`}
    <${Figure} name="Restarts" value=${count(restarts)} tone=${restarts ? "warn" : ""} title="How often a part failed and was started again, since the start" />
    ${known && html`
      <${Figure} name="Disk free" value=${bytes(sum("disk_free_bytes"))} title="On the disk with the data directory" />
      <${Figure} name="Not yet shown" value=${count(sum("ingest_lag_frames"))} title="Records that are on the disk and not yet in the database that these pages ask" />
      <${Figure} name="Journal" value=${bytes(sum("journal_backlog_bytes"))} title="Records that are on the disk as they came, and wait to be put into the database" />
      <${Figure} name="Connections" value=${count(sum("connections"))} title="Clients that are connected now" />
      <${Figure} name="Loop lag" value=${duration(1000 * sum("loop_lag_seconds"))} title="How long what is due has to wait: well below 50 ms is fine" />`}
  </div>`;
}

function Actors({ rows }) {
  return html`<${Section} title="Parts" tells="Each works by itself. One that fails is started again, and the others go on meanwhile.">
    <div class="table-box" tabindex="0"><table class="plain">
      <thead><tr><th>Part</th><th>State</th><th class="num" title="How often it failed and was started again">Restarts</th><th class="num" title="What waits to be done by it">Waiting</th><th>What it does</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.name}><td class="nowrap">${row.name}</td>
        <td><span class=${`badge ${row.trouble ? "warn" : row.state === "running" ? "good" : "bad"}`}>${row.trouble ? "in trouble" : row.state}</span></td>
        <td class=${`num ${row.restarts ? "warn" : ""}`}>${count(row.restarts)}</td>
        <td class="num">${(partOf(row.name).inbox ?? count)(row.inbox)}</td>
        <td>${partOf(row.name).tells ?? ""}${(row.trouble || row.last_error) && html`<div class="bad small">${row.trouble || `Failed last with: ${row.last_error}`}</div>`}</td></tr>`)}</tbody></table></div><//>`;
}

function Retention() {
  const kept = useQuery("retention", (signal) => get("/v1/appliance/retention", { signal }));
  return html`<${Section} title="How long records stay"><${Shown} query=${kept}>${(told) => html`
    <dl class="facts"><dt>Time</dt><dd>${told.retention_days ? html`<b>${count(told.retention_days)} days</b>, then they are deleted with their bodies` : "without end"}</dd>
      <dt>Room</dt><dd>${told.retention_bytes ? html`at most <b>${bytes(told.retention_bytes)}</b>, then the oldest go` : "as much as the disk has"}</dd></dl>
    <p class="muted small">Set it with <code>--retention-days 30</code> or <code>--retention-bytes</code> when the appliance starts; it holds for everybody on it. What was created in a span of time is deleted by hand under <a href="/health/deletions">Deletions</a>.</p>`}<//><//>`;
}

const Watch = () => html`<${Section} title="Watching it from outside">
  <dl class="facts"><dt><code>GET /healthcheck</code></dt><dd>200 while calls are passed on; <code>status</code> says whether all is well</dd>
    <dt><code>GET /readycheck</code></dt><dd>503 until it has started, and while it is being stopped</dd>
    <dt><code>GET /metrics</code></dt><dd>counters and gauges for Prometheus, asked from the machine itself or with a key</dd>
    <dt><code>helicone-appliance status</code></dt><dd>paths, sizes and errors, for whoever owns the machine</dd></dl><//>`;
