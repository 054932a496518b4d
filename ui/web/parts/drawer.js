// One request beside the list: the conversation, how it came about, and what can be done with it.
import { html, useMemo, useState } from "../lib/html.js";
import { get, post, put } from "../lib/api.js";
import { conversation } from "../lib/chat.js";
import { NONE, bytes, count, duration, time, usd, utc } from "../lib/format.js";
import { useAct, useQuery } from "../lib/query.js";
import { href } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { asCurl, asPython } from "../lib/snippets.js";
import { bodyOf } from "../lib/stream.js";
import { Icon } from "./icon.js";
import { Json, Messages } from "./message.js";
import { Menu, copy, toast } from "./pop.js";
import { Guarded, Loading, Problem, StatusBadge } from "./states.js";
import { Compare } from "./diff.js";

const TABS = [["chat", "Conversation"], ["request", "Request"], ["response", "Response"], ["stream", "Stream"], ["diff", "Compare"], ["details", "Details"]];

export function Drawer({ id, close, next, previous }) {
  const one = useQuery(`request:${id}`, (signal) => get(`/v1/request/${encodeURIComponent(id)}?includeBody=true`, { signal }));
  const [tab, setTab] = useState("chat");
  const row = one.data;
  return html`<aside class="drawer" role="dialog" aria-label="Request">
    <header>
      <button type="button" class="plain icon-only" aria-label="Previous" title="Previous (↑)" disabled=${!previous} onClick=${previous}><${Icon} name="up" /></button>
      <button type="button" class="plain icon-only" aria-label="Next" title="Next (↓)" disabled=${!next} onClick=${next}><${Icon} name="down" /></button>
      <span class="grow cut">${row ? html`<${StatusBadge} status=${row.response_status} /> <b>${row.model}</b> <span class="muted" title=${utc(row.request_created_at)}>${time(row.request_created_at)}</span>` : id}</span>
      ${row && html`<${Actions} row=${row} />`}
      <button type="button" class="plain icon-only" aria-label="Close" title="Close (Esc)" onClick=${close}><${Icon} name="close" /></button>
    </header>
    <div class="body">
      <${Problem} error=${one.error} again=${one.reload} />
      ${!row && !one.error && html`<${Loading} />`}
      ${row && html`<${Guarded} key=${id} what="This view"><${Content} row=${row} tab=${tab} setTab=${setTab} changed=${one.reload} /><//>`}
    </div></aside>`;
}

function Content({ row, tab, setTab, changed }) {
  const request = useMemo(() => bodyOf(row.request_body), [row]);
  const response = useMemo(() => bodyOf(row.response_body), [row]);
  const talk = useMemo(() => conversation(request.value, response.value), [request, response]);
  const tabs = TABS.filter(([id]) => id !== "stream" || response.events);
  const shown = tabs.some(([id]) => id === tab) ? tab : "chat";
  return html`
    <${Timing} row=${row} />
    <div class="tabs" role="tablist">${tabs.map(([id, name]) => html`
      <button type="button" role="tab" aria-selected=${id === shown} onClick=${() => setTab(id)}>${name}</button>`)}</div>
    ${shown === "chat" && html`<${Chat} talk=${talk} request=${request.value} response=${response.value} />`}
    ${shown === "request" && html`<${Raw} value=${request.value} />`}
    ${shown === "response" && html`<${Raw} value=${response.value} />`}
    ${shown === "stream" && html`<${Stream} events=${response.events} />`}
    ${shown === "diff" && html`<${Compare} row=${row} request=${request.value} />`}
    ${shown === "details" && html`<${Details} row=${row} />`}
    <${Notes} row=${row} changed=${changed} />`;
}

function Chat({ talk, request, response }) {
  if (!talk.kind) return html`<h3>Request</h3><${Raw} value=${request} /><h3>Response</h3><${Raw} value=${response} />`;
  return html`<${Messages} messages=${talk.messages} />
    ${talk.tools.length > 0 && html`<details class="card"><summary>${talk.tools.length} ${talk.tools.length === 1 ? "tool" : "tools"} offered</summary>
      ${talk.tools.map((tool) => html`<div class="tool-part"><code>${tool.name}</code> <span class="muted">${tool.tells}</span>${tool.schema && html`<${Json} value=${tool.schema} />`}</div>`)}</details>`}
    <details class="card"><summary>Parameters</summary><${Json} value=${talk.parameters} /></details>`;
}

function Raw({ value }) {
  if (value === null || value === undefined || value === "") return html`<p class="muted">No body is on record.</p>`;
  return html`<div class="row"><button type="button" onClick=${() => copy(typeof value === "string" ? value : JSON.stringify(value, null, 2))}><${Icon} name="copy" /> Copy</button></div><${Json} value=${value} />`;
}

const EVENTS_SHOWN = 500;

function Stream({ events }) {
  const [all, setAll] = useState(false);
  const shown = all ? events : events.slice(0, EVENTS_SHOWN);
  return html`<p class="muted small">${count(events.length)} events, as the provider sent them.</p>
    <pre class="code" tabindex="0">${shown.map((one) => `${one.event ? `event: ${one.event}\n` : ""}data: ${one.data}\n\n`).join("")}</pre>
    ${!all && events.length > EVENTS_SHOWN && html`<button type="button" onClick=${() => setAll(true)}>Show all</button>`}`;
}

/** Where the time went: until the first token, and from there to the end. */
function Timing({ row }) {
  const details = useQuery(`details:${row.request_id}`, (signal) => get(`/v1/request/${row.request_id}/details`, { signal }));
  const first = details.data?.attempts?.at(-1);
  const whole = row.delay_ms ?? 0;
  const before = first?.started_at ? Math.min(whole, Math.max(0, Date.parse(first.started_at) - Date.parse(row.request_created_at))) : 0;
  const toFirst = row.time_to_first_token ? Math.min(row.time_to_first_token, whole) : 0;
  const parts = [
    ["Before the provider was called", before, "chart-5"],
    [toFirst ? "Until the first token" : "Until the end", (toFirst || whole) - before, "chart-1"],
    ["Until the last token", toFirst ? whole - toFirst : 0, "chart-2"],
  ].filter(([, ms]) => ms > 0);
  const set = (node, ms, color) => {
    if (!node) return;
    node.style.flex = String(ms);
    node.style.background = `var(--${color})`;
  };
  return html`<div class="card stack">
    <div class="timing" role="img" aria-label=${`Took ${duration(whole)}`}>${parts.map(([name, ms, color]) => html`<span title=${`${name}: ${duration(ms)}`} ref=${(node) => set(node, ms, color)} />`)}</div>
    <div class="legend">${parts.map(([name, ms, color]) => html`<span><span class="swatch" ref=${(node) => { if (node) node.style.background = `var(--${color})`; }} />${name} ${duration(ms)}</span>`)}</div>
    <div class="legend"><span><b>${duration(whole)}</b> in all</span><span><b>${count(row.total_tokens)}</b> tokens</span><span title=${details.data?.price_source ?? ""}><b>${usd(row.costUSD)}</b></span>
      ${details.data?.not_applied?.map((name) => html`<span class="badge warn" title="Asked for, and not applied to this call">not applied: ${name}</span>`)}</div>
  </div>`;
}

/** To the last digit that is not a nought: 0.000994000000 is 0.000994. */
const exact = (text) => String(text).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

function Details({ row }) {
  const details = useQuery(`details:${row.request_id}`, (signal) => get(`/v1/request/${row.request_id}/details`, { signal }));
  const more = details.data ?? {};
  const facts = [
    ["Request id", html`<code>${row.request_id}</code>`], ["Provider", row.provider], ["Target", row.target_url], ["Path", row.request_path],
    ["Model asked for", row.request_model], ["Model that answered", row.response_model], ["User", row.request_user_id], ["Outcome", more.outcome], ["Error", more.error],
    ["Status of the provider", more.http_status], ["Sizes", `${bytes(more.request_bytes)} asked, ${bytes(more.response_bytes)} answered`],
    ["Prompt", row.prompt_id && html`<a href=${href("prompts", [row.prompt_id])}>${row.prompt_id}</a>`], ["Country", row.country_code], ["Referrer", row.request_referrer],
    ["Session", more.session_id && html`<a href=${href("sessions", [more.session_id])}>${more.session_name || more.session_id}</a> ${more.session_path}`],
    ["Trace", more.trace_id && html`<code>${more.trace_id}</code>`], ["Came by", more.source],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  const tokens = [
    ["Prompt", row.prompt_tokens], ["read from cache", row.prompt_cache_read_tokens], ["written to cache", row.prompt_cache_write_tokens], ["audio asked", row.prompt_audio_tokens],
    ["Completion", row.completion_tokens], ["reasoning", row.reasoning_tokens], ["audio answered", row.completion_audio_tokens],
  ].filter(([, value]) => value);
  return html`
    <div class="card"><h2>Request</h2><dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></div>
    <div class="card"><h2>Tokens and cost</h2><dl class="facts">${tokens.map(([name, value]) => html`<dt>${name}</dt><dd class="mono">${count(value)}</dd>`)}
      <dt>Counted by</dt><dd>${row.usage_source ?? NONE}</dd><dt>Cost</dt><dd>${more.cost_usd ? `$${exact(more.cost_usd)}` : usd(row.costUSD)}</dd>
      <dt>Prices</dt><dd>${more.price_source ? `${more.price_source}, version ${more.price_version}` : "no price is known for this model"}</dd></dl></div>
    ${more.attempts?.length > 0 && html`<div class="card"><h2>Attempts</h2><div class="table-box" tabindex="0"><table class="plain"><thead><tr><th>#</th><th>Target</th><th>Status</th><th class="num">Took</th><th>Why another</th></tr></thead>
      <tbody>${more.attempts.map((one, at) => html`<tr><td>${at + 1}</td><td>${one.target}<div class="muted small">${one.model}</div></td><td><${StatusBadge} status=${one.status} /></td><td class="num">${duration(one.latency_ms)}</td><td>${one.why_next || NONE}</td></tr>`)}</tbody></table></div></div>`}`;
}

/** Properties that people chose, before those of Helicone's own headers. */
const ownFirst = (entries) => [...entries].sort(([a], [b]) => /^helicone-/i.test(a) - /^helicone-/i.test(b));

/** Properties, scores and feedback: what people add to a record. */
function Notes({ row, changed }) {
  const session = useSession();
  const canWrite = may(session, "write");
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [score, setScore] = useState("");
  const [amount, setAmount] = useState("");
  const path = `/v1/request/${row.request_id}`;
  const [setProperty, adding] = useAct(async (key, text) => {
    await put(`${path}/property`, { key, value: text });
    setName("");
    setValue("");
    changed();
  });
  const [setScores, scoring] = useAct(async () => {
    const number = Number(amount);
    if (!score || amount === "" || Number.isNaN(number)) throw new Error("A score has a name and a number.");
    await post(`${path}/score`, { scores: { [score]: number } });
    setScore("");
    setAmount("");
    changed();
  });
  const [rate, rating] = useAct(async (up) => {
    await post(`${path}/feedback`, { rating: up });
    toast("Thank you");
    changed();
  });
  const scores = Object.entries(row.scores ?? {});
  return html`<div class="card stack">
    <div class="row"><h2 class="grow">Properties</h2>
      <button type="button" class="icon-only" aria-label="Good answer" aria-pressed=${row.feedback_rating === true} disabled=${!canWrite || rating.busy} onClick=${() => rate(true)}><${Icon} name="thumb_up" /></button>
      <button type="button" class="icon-only" aria-label="Bad answer" aria-pressed=${row.feedback_rating === false} disabled=${!canWrite || rating.busy} onClick=${() => rate(false)}><${Icon} name="thumb_down" /></button></div>
    <dl class="facts">${ownFirst(Object.entries(row.request_properties ?? {})).map(([key, text]) => html`<dt>${key}</dt><dd class="row tight"><span class="grow">${text}</span>
      ${canWrite && html`<button type="button" class="plain icon-only" aria-label=${`Remove ${key}`} onClick=${() => setProperty(key, null)}><${Icon} name="close" /></button>`}</dd>`)}</dl>
    ${canWrite && html`<form class="row" onSubmit=${(event) => { event.preventDefault(); setProperty(name, value); }}>
      <input aria-label="Name of the property" placeholder="name" required value=${name} onInput=${(event) => setName(event.target.value)} />
      <input aria-label="Value of the property" placeholder="value" value=${value} onInput=${(event) => setValue(event.target.value)} /><button type="submit" disabled=${adding.busy}>Add</button></form>`}
    <h2>Scores</h2>
    <dl class="facts">${scores.map(([key, number]) => html`<dt>${key}</dt><dd class="mono">${String(number?.value ?? number)}</dd>`)}${!scores.length && html`<dd class="muted">None</dd>`}</dl>
    ${canWrite && html`<form class="row" onSubmit=${(event) => { event.preventDefault(); setScores(); }}>
      <input aria-label="Name of the score" placeholder="name" required value=${score} onInput=${(event) => setScore(event.target.value)} />
      <input aria-label="Score" placeholder="0.9" inputmode="decimal" required value=${amount} onInput=${(event) => setAmount(event.target.value)} /><button type="submit" disabled=${scoring.busy}>Add</button></form>`}
    ${[adding, scoring, rating].map((act) => act.error && html`<p class="notice bad" role="alert">${act.error.message}</p>`)}
  </div>`;
}

function Actions({ row }) {
  const request = bodyOf(row.request_body).value;
  const link = `${location.origin}${href("requests", [], { id: row.request_id })}`;
  return html`<${Menu} label="More" icon="more">${(close) => html`
    <button type="button" class="choice" onClick=${() => { copy(asCurl(row, request)); close(); }}><${Icon} name="copy" /> Copy as curl</button>
    <button type="button" class="choice" onClick=${() => { copy(asPython(row, request)); close(); }}><${Icon} name="copy" /> Copy as Python</button>
    <button type="button" class="choice" onClick=${() => { copy(row.request_id); close(); }}><${Icon} name="copy" /> Copy the id</button>
    <button type="button" class="choice" onClick=${() => { copy(link); close(); }}><${Icon} name="link" /> Copy a link to this</button>
    <a class="choice row" href=${href("playground", [], { request: row.request_id })}><${Icon} name="playground" /> Try it in the playground</a>`}<//>`;
}
