// A row of a dataset beside the list: read as a conversation, changed as JSON.
import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { conversation } from "../../lib/chat.js";
import { utc } from "../../lib/format.js";
import { useAct, useQuery } from "../../lib/query.js";
import { href } from "../../lib/route.js";
import { bodyOf } from "../../lib/stream.js";
import { Icon } from "../../parts/icon.js";
import { Json, Messages } from "../../parts/message.js";
import { toast } from "../../parts/pop.js";
import { Loading, Problem } from "../../parts/states.js";
import { bodyOfRow } from "./bodies.js";

const TABS = [["chat", "Conversation"], ["request", "Request"], ["response", "Response"]];

export function RowDrawer({ dataset, row, close, next, previous, canManage, changed, drop }) {
  const body = useQuery(`dataset:row:${row.id}:${row.edited_at ?? ""}`, (signal) => bodyOfRow(row, signal));
  const [tab, setTab] = useState("chat");
  return html`<aside class="drawer" role="dialog" aria-label="Row">
    <header>
      <button type="button" class="plain icon-only" aria-label="Previous" disabled=${!previous} onClick=${previous}><${Icon} name="up" /></button>
      <button type="button" class="plain icon-only" aria-label="Next" disabled=${!next} onClick=${next}><${Icon} name="down" /></button>
      <span class="grow cut"><b>Row</b> ${row.edited_at && html`<span class="badge accent" title=${utc(row.edited_at)}>edited</span>`}</span>
      <a class="button" href=${href("requests", [], { id: row.origin_request_id })}><${Icon} name="requests" /> Its request</a>
      ${canManage && html`<button type="button" class="icon-only danger" aria-label="Remove this row" title="Remove this row" onClick=${drop}><${Icon} name="trash" /></button>`}
      <button type="button" class="plain icon-only" aria-label="Close" title="Close (Esc)" onClick=${close}><${Icon} name="close" /></button>
    </header>
    <div class="body"><${Problem} error=${body.error} again=${body.reload} />
      <div class="tabs" role="tablist">${TABS.map(([id, name]) => html`<button type="button" role="tab" aria-selected=${id === tab} onClick=${() => setTab(id)}>${name}</button>`)}</div>
      ${!body.data ? !body.error && html`<${Loading} />` : tab === "chat" ? html`<${Chat} body=${body.data} />`
        : html`<${Half} key=${tab} part=${tab} value=${body.data[tab]} dataset=${dataset} row=${row} canManage=${canManage} changed=${changed} />`}
    </div></aside>`;
}

function Chat({ body }) {
  const [request, response] = useMemo(() => [bodyOf(body.request).value, bodyOf(body.response).value], [body]);
  const talk = useMemo(() => conversation(request, response), [request, response]);
  if (!talk.kind) return html`<h3>Request</h3><${Json} value=${request} /><h3>Response</h3><${Json} value=${response} />`;
  return html`<${Messages} messages=${talk.messages} /><details class="card"><summary>Parameters</summary><${Json} value=${talk.parameters} /></details>`;
}

const written = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "");

/** The request or the response as text. What is no JSON stays a text: a stream as it came, say. */
function Half({ part, value, dataset, row, canManage, changed }) {
  const [text, setText] = useState(() => written(value));
  useEffect(() => setText(written(value)), [value]);
  const [run, act] = useAct(async () => {
    let made = text;
    try { made = JSON.parse(text); } catch (error) {
      if (typeof value !== "string") throw new Error(`This is no JSON. ${error.message}`);
    }
    await post(`/v1/helicone-dataset/${dataset}/request/${row.id}`, { [part === "request" ? "requestBody" : "responseBody"]: made });
    toast("Saved");
    changed();
  });
  const stream = typeof value === "string" ? bodyOf(value) : null;
  const isSame = text === written(value);
  if (!canManage) return html`<${Json} value=${value} />`;
  return html`<form class="stack" onSubmit=${(event) => { event.preventDefault(); run(); }}>
    <textarea class="code row-text" aria-label=${part === "request" ? "Request" : "Response"} spellcheck=${false} value=${text} onInput=${(event) => setText(event.target.value)} />
    <p class="muted small">This copy is changed, not what was recorded.</p>
    <${Problem} error=${act.error} />
    <div class="row"><button type="submit" class="primary" disabled=${act.busy || isSame}>Save</button>
      <button type="button" disabled=${isSame} onClick=${() => setText(written(value))}>Undo</button>
      ${stream?.events && html`<button type="button" title="The stream's events become the answer that they add up to" onClick=${() => setText(written(stream.value))}>Make it one answer</button>`}</div></form>`;
}
