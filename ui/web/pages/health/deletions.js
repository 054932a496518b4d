// Deletion for good: a user of one's application, a session, a request, a span of time, or the
// whole organisation.
import { html, useState } from "../../lib/html.js";
import { get, post } from "../../lib/api.js";
import { count, time, utc } from "../../lib/format.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { Confirm, toast } from "../../parts/pop.js";
import { Field, Form, Section, Text } from "../../parts/settings.js";
import { Shown } from "../../parts/states.js";

const REFRESH_MS = 5000;
const KINDS = {
  user: { name: "A user", label: "Helicone-User-Id", hint: "As your application sends it, to the letter.", what: (id) => `all records of the user ${id}`, filter: (id) => ({ request_response_rmt: { user_id: { equals: id } } }) },
  session: { name: "A session", label: "Helicone-Session-Id", hint: "As your application sends it, to the letter.", what: (id) => `all records of the session ${id}`, filter: (id) => ({ request_response_rmt: { properties: { "Helicone-Session-Id": { equals: id } } } }) },
  request: { name: "A request", label: "Id of the request", hint: "A UUID, as the request's drawer shows it.", what: (id) => `the record of the request ${id}`, filter: null },
  span: { name: "A span of time", what: (id) => html`all records that were created ${spanWords(id)}`, filter: (id) => ({ request_response_rmt: { request_created_at: bounds(id) } }) },
  organization: { name: "The organisation", label: "", hint: "", what: (id, session) => `everything of the organisation ${session.organization.name}`, filter: null },
};

/** "since/until" in ISO 8601, as the API takes it; there may be no begin. */
const bounds = (id) => {
  const [gte, lt] = id.split("/");
  return { ...(gte && { gte }), lt };
};
const spanWords = (id) => {
  const { gte, lt } = bounds(id);
  const shown = (at) => html`<span title=${utc(at)}>${time(at)}</span>`;
  return gte ? html`from ${shown(gte)} until ${shown(lt)}` : html`before ${shown(lt)}`;
};

export function Deletions({ session }) {
  const all = useQuery("deletions", (signal) => get("/v1/appliance/deletions", { signal }), { every_ms: REFRESH_MS });
  const [asked, setAsked] = useState(null);
  return html`
    <${Section} title="Delete for good" tells="It reaches every place where records are: journal, database, Parquet files, caches, datasets and kept bodies. It is written down at once, and carried out behind it, also after a restart.">
      <${Ask} session=${session} ask=${setAsked} />
    <//>
    <${Section} title="Asked for so far" tells="What was deleted is not told: only that it was, and how much.">
      <${Shown} query=${all} empty=${html`<p class="muted">Nothing was deleted yet. Records also go by themselves, if a retention time is set.</p>`}>${(rows) => html`<div class="table-box" tabindex="0"><table class="plain">
        <thead><tr><th>Asked for</th><th>What</th><th>State</th><th class="num" title="That were found and deleted">Records</th><th>Done</th><th>Id</th></tr></thead>
        <tbody>${rows.map((row) => html`<tr key=${row.id}><td class="nowrap" title=${utc(row.created_at)}>${time(row.created_at)}</td><td>${KINDS[row.kind]?.name ?? row.kind}</td>
          <td><span class=${`badge ${row.state === "done" ? "good" : "accent"}`}>${row.state}</span></td>
          <td class="num">${row.state === "done" ? count(row.exchanges) : "–"}</td>
          <td class="nowrap" title=${utc(row.done_at)}>${row.done_at ? time(row.done_at) : "–"}</td><td><code title=${row.id}>${row.id.slice(0, 8)}</code></td></tr>`)}</tbody></table></div>`}<//><//>
    ${asked && html`<${Really} asked=${asked} session=${session} close=${() => setAsked(null)} done=${() => { setAsked(null); forget("deletions"); all.reload(); }} />`}`;
}

function Ask({ session, ask }) {
  const [kind, setKind] = useState("user");
  const [id, setId] = useState("");
  const [span, setSpan] = useState({ since: "", until: "" });
  const kinds = Object.keys(KINDS).filter((one) => one !== "organization" || session.role === "owner" && session.user);
  const isAll = kind === "organization";
  const subject = isAll ? session.organization.id : kind === "span" ? spanOf(span) : id;
  return html`<${Form} act=${{ busy: false, error: null }} verb="Delete …" isReady=${subject.trim() !== ""} submit=${() => ask({ kind, id: kind === "request" ? subject.trim() : subject })}>
    <${Field} id="del-kind" label="What"><select id="del-kind" value=${kind} onChange=${(event) => setKind(event.target.value)}>${kinds.map((one) => html`<option value=${one}>${KINDS[one].name}</option>`)}</select><//>
    ${kind === "span" && html`
      <${Text} id="del-since" type="datetime-local" label="Created from" hint="In your time zone. Left empty: all before the end." value=${span.since} set=${(since) => setSpan({ ...span, since })} />
      <${Text} id="del-until" type="datetime-local" label="until" hint="This moment is not included. Records that come later are not deleted." value=${span.until} set=${(until) => setSpan({ ...span, until })} required />`}
    ${!isAll && kind !== "span" && html`<${Text} id="del-id" label=${KINDS[kind].label} hint=${KINDS[kind].hint} value=${id} set=${setId} autocomplete="off" spellcheck=${false} required />`}<//>`;
}

/** What the API takes; empty while there is no end. */
function spanOf({ since, until }) {
  const utcOf = (text) => (text ? new Date(text).toISOString() : "");
  return until ? `${utcOf(since)}/${utcOf(until)}` : "";
}

/** Says what it does and to how much; the whole organisation asks for its name. */
function Really({ asked, session, close, done }) {
  const { what, filter } = KINDS[asked.kind];
  const [typed, setTyped] = useState("");
  const found = useQuery(filter ? `deletions.count:${asked.kind}:${asked.id}` : null, (signal) => post("/v1/request/count/query", { filter: filter(asked.id) }, { signal }));
  const [run, act] = useAct(async () => {
    await post("/v1/appliance/deletions", asked);
    toast("It is being deleted");
    done();
  });
  const isAll = asked.kind === "organization";
  return html`<${Confirm} title="Delete for good?" verb="Delete for good" act=${run} close=${close} busy=${act.busy || (isAll && typed !== session.organization.name)} error=${act.error}>
    <div class="stack"><p>This deletes <b>${what(asked.id, session)}</b>${isAll ? ": its records, keys, settings, prompts and datasets" : ", with bodies, properties, scores and copies in datasets"}. Nobody can take that back.</p>
      ${filter && html`<p class=${found.data === 0 ? "notice warn" : "muted"}>${found.data === undefined ? (found.error ? "How many there are cannot be told now." : "Counting …") : found.data === 0 ? "No record of it is found now. Records that come later are not deleted." : html`<b>${count(found.data)}</b> ${found.data === 1 ? "record is" : "records are"} found now. What comes later is not deleted.`}</p>`}
      ${isAll && html`<${Text} id="del-name" label=${`To go on, write its name: ${session.organization.name}`} value=${typed} set=${setTyped} autocomplete="off" />`}</div><//>`;
}
