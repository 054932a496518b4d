// The log of one receiver: each message, what became of it, and a way to send it again.
import { html } from "../../lib/html.js";
import { get, post } from "../../lib/api.js";
import { NONE, ago, count, duration, line, time, utc } from "../../lib/format.js";
import { useAct, useQuery } from "../../lib/query.js";
import { href, setParams } from "../../lib/route.js";
import { Icon } from "../../parts/icon.js";
import { toast } from "../../parts/pop.js";
import { Loading, Problem, StatusBadge } from "../../parts/states.js";
import { Table, useSteady } from "../../parts/table.js";

const PAGE_ROWS = 50;
const FRESH_MS = 5000;
const STATES = { "": "All", waiting: "Waiting", delivered: "Delivered", failed: "Failed", dropped: "Dropped" };
const TONES = { waiting: "warn", delivered: "good", failed: "bad", dropped: "bad" };
const TELLS = {
  waiting: "It is sent, or sent again, as soon as may be", delivered: "The receiver took it",
  failed: "The receiver did not take it, however often it was tried", dropped: "There were too many to keep",
};

export function Deliveries({ webhook, can, params }) {
  const asked = new URLSearchParams({ limit: PAGE_ROWS, ...(params.state && { state: params.state }), ...(params.cursor && { cursor: params.cursor }) });
  const query = useQuery(`deliveries:${webhook.id}:${asked}`, (signal) => get(`/v1/webhooks/${webhook.id}/deliveries?${asked}`, { signal }), { every_ms: params.cursor ? 0 : FRESH_MS });
  const log = useSteady(query, webhook.id);
  const rows = log.data?.deliveries ?? [];
  return html`<section class="part"><header><h2 title="Of those that have ended the newest 1000 are kept">Deliveries</h2>
      <div class="segmented" role="group" aria-label="State">${Object.entries(STATES).map(([id, name]) => html`
        <button key=${id} type="button" aria-pressed=${(params.state ?? "") === id} onClick=${() => setParams({ state: id || undefined, cursor: undefined })}>${name}</button>`)}</div></header>
    <${Problem} error=${log.error} again=${log.reload} />
    ${!log.data ? !log.error && html`<${Loading} />`
      : !rows.length ? html`<p class="muted">${params.state ? "No delivery is in this state." : "Nothing was sent yet. A delivery appears here by itself with the next request."}</p>`
      : html`<${Table} label="Deliveries" columns=${columnsOf(webhook, can, log.reload)} rows=${rows} keyOf=${(row) => row.id} busy=${log.loading} />`}
    ${(params.cursor || log.data?.next_cursor) && html`<div class="row">
      <button type="button" disabled=${!params.cursor} onClick=${() => setParams({ cursor: undefined })}><${Icon} name="left" /> Newest</button>
      <button type="button" disabled=${!log.data?.next_cursor} onClick=${() => setParams({ cursor: log.data.next_cursor }, { push: true })}>Older <${Icon} name="right" /></button></div>`}
  </section>`;
}

const columnsOf = (webhook, can, reload) => [
  { id: "at", name: "Created", show: (row) => html`<span class="nowrap">${time(row.created_at)}</span>`, title: (row) => `${utc(row.created_at)} · ${ago(row.created_at)}` },
  { id: "state", name: "State", show: (row) => html`<span class=${`badge ${TONES[row.state] ?? ""}`} title=${TELLS[row.state]}>${row.state}</span>` },
  { id: "status", name: "Status", show: (row) => (row.status === null ? NONE : html`<${StatusBadge} status=${row.status} />`), tells: "The receiver's last answer" },
  { id: "attempts", name: "Attempts", num: true, show: (row) => count(row.attempts) },
  { id: "took", name: "Took", num: true, show: (row) => duration(row.duration_ms), tells: "The last attempt" },
  { id: "next", name: "Next attempt", show: (row) => html`<span class="nowrap">${time(row.next_attempt_at)}</span>`, title: (row) => utc(row.next_attempt_at) },
  { id: "request", name: "Request", show: (row) => html`<a href=${href("requests", [], { id: row.request_id })}><code>${row.request_id.slice(0, 8)}…</code></a>`, title: (row) => row.request_id },
  { id: "error", name: "Error", show: (row) => (row.error ? html`<span class="bad">${line(row.error, 80)}</span>` : NONE), title: (row) => row.error ?? "" },
  ...(can ? [{ id: "acts", name: "", tells: "Send it again", show: (row) => html`<div class="acts"><${Replay} webhook=${webhook} row=${row} done=${reload} /></div>` }] : []),
];

function Replay({ webhook, row, done }) {
  const [run, act] = useAct(async () => {
    try {
      await post(`/v1/webhooks/${webhook.id}/deliveries/${row.id}/replay`);
      toast("It is sent again");
    } catch (error) { toast(error.message, "bad"); }
    done();
  });
  return html`<button type="button" disabled=${act.busy || !webhook.is_active} title=${webhook.is_active ? "Send it again, under the same id" : "The webhook is paused"} onClick=${() => run()}><${Icon} name="reload" /> Again</button>`;
}
