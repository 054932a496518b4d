// One version of a prompt: as messages, as JSON, against another version, and how to call it.
import { html, useMemo, useState } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { conversation } from "../../lib/chat.js";
import { time, utc } from "../../lib/format.js";
import { useAct, useQuery } from "../../lib/query.js";
import { setParams } from "../../lib/route.js";
import { Diff } from "../../parts/diff.js";
import { Icon } from "../../parts/icon.js";
import { Json, Messages } from "../../parts/message.js";
import { CodeBox, Confirm } from "../../parts/pop.js";
import { Loading, Problem } from "../../parts/states.js";
import { hasPartials, variablesIn } from "../playground/body.js";
import { callsOf, numberOf } from "./calls.js";

const VIEWS = [["messages", "Messages"], ["raw", "JSON"], ["compare", "Compare"], ["call", "How to call it"]];

const useBody = (id) => useQuery(id && `prompt:version:${id}`, (signal) => post("/v2/prompt-2025/query/version", { promptVersionId: id }, { signal }));

/** `ask` opens a dialog of the page by its name. */
export function Version({ version, list, params, canManage, ask, changed }) {
  const whole = useBody(version.id);
  const body = whole.data?.prompt_body;
  const views = VIEWS.filter(([id]) => id !== "compare" || list.length > 1);
  const shown = views.some(([id]) => id === params.view) ? params.view : "messages";
  return html`<section class="stack">
    <div class="card stack">
      <div class="row"><h2>Version ${numberOf(version)}</h2><span class="muted small" title=${utc(version.created_at)}>${time(version.created_at)}</span>
        ${version.environments.map((name) => html`<${Environment} key=${name} name=${name} version=${version} canManage=${canManage} changed=${changed} />`)}<span class="grow" />
        ${canManage && html`<button type="button" onClick=${() => ask("environment")}><${Icon} name="plus" /> Environment</button>
          <button type="button" class="icon-only" aria-label="Delete this version" disabled=${version.environments.includes("production")}
            title=${version.environments.includes("production") ? "Production has it: give production another one first" : "Delete this version"} onClick=${() => ask("drop-version")}><${Icon} name="trash" /></button>`}</div>
      <p class=${version.commit_message ? "" : "muted"}>${version.commit_message || "No commit message."}</p></div>
    <div class="tabs" role="tablist">${views.map(([id, name]) => html`<button type="button" role="tab" aria-selected=${id === shown} onClick=${() => setParams({ view: id === "messages" ? undefined : id })}>${name}</button>`)}</div>
    <${Problem} error=${whole.error} again=${whole.reload} />
    ${!body ? !whole.error && html`<${Loading} />` : shown === "raw" ? html`<${Json} value=${body} />`
      : shown === "compare" ? html`<${Compare} body=${body} version=${version} list=${list} params=${params} />`
      : shown === "call" ? html`<${Call} body=${body} version=${version} />` : html`<${Shown} body=${body} />`}</section>`;
}

/** A badge that can be taken off; for production it is asked first. */
function Environment({ name, version, canManage, changed }) {
  const [asking, setAsking] = useState(false);
  const [run, act] = useAct(async () => {
    await post("/v1/prompt-2025/remove/environment", { promptId: version.prompt_id, promptVersionId: version.id, environment: name });
    changed();
  });
  return html`<span class=${`badge ${name === "production" ? "good" : "accent"}`}>${name}
    ${canManage && html`<button type="button" class="link" aria-label=${`Take ${name} away`} title="Take it away" onClick=${() => setAsking(true)}><${Icon} name="close" /></button>`}</span>
    ${asking && html`<${Confirm} title=${`Take ${name} away?`} verb="Take it away" act=${() => run()} close=${() => setAsking(false)} busy=${act.busy} error=${act.error}>
      ${name === "production" ? "Calls that name no environment are refused until production has a version again." : `Calls that name ${name} are refused until it has a version again.`} To put another version in its place, set the environment there instead.<//>`}`;
}

function Shown({ body }) {
  const talk = useMemo(() => conversation(body, null), [body]);
  const variables = Object.entries(variablesIn(body));
  return html`<${Messages} messages=${talk.messages} />
    ${!talk.messages.length && html`<p class="muted">This version has no messages of its own: those of the call are used.</p>`}
    ${talk.tools.length > 0 && html`<details class="card"><summary>${talk.tools.length} ${talk.tools.length === 1 ? "tool" : "tools"} offered</summary>
      ${talk.tools.map((tool) => html`<div class="tool"><code>${tool.name}</code> <span class="muted">${tool.tells}</span>${tool.schema && html`<${Json} value=${tool.schema} />`}</div>`)}</details>`}
    <div class="card"><h2>Inputs</h2>${variables.length ? html`<dl class="facts">${variables.map(([name, kind]) => html`<dt><code>${name}</code></dt><dd>${kind}</dd>`)}</dl>`
      : html`<p class="muted">None. Write ${"{{hc:name:string}}"} into a message to make one; string, number, boolean and any are its types.</p>`}
      ${hasPartials(body) && html`<p class="muted small">Messages of other prompts are put in where ${"{{hcp:…}}"} stands.</p>`}</div>
    <details class="card"><summary>Parameters</summary><${Json} value=${talk.parameters} /></details>`;
}

function Compare({ body, version, list, params }) {
  const others = list.filter((one) => one.id !== version.id);
  const before = others.find((one) => list.indexOf(one) > list.indexOf(version)) ?? others[0];
  const other = others.find((one) => one.id === params.with) ?? before;
  const whole = useBody(other.id);
  return html`<div class="row"><label for="compare-with">What changed since</label><select id="compare-with" value=${other.id} onChange=${(event) => setParams({ with: event.target.value })}>
      ${others.map((one) => html`<option value=${one.id}>${numberOf(one)}${one.commit_message && ` · ${one.commit_message.slice(0, 60)}`}</option>`)}</select></div>
    <${Problem} error=${whole.error} again=${whole.reload} />
    ${whole.data ? html`<${Diff} before=${JSON.stringify(whole.data.prompt_body, null, 2)} after=${JSON.stringify(body, null, 2)} />` : !whole.error && html`<${Loading} />`}`;
}

function Call({ body, version }) {
  const calls = callsOf({ body, version });
  const [kind, setKind] = useState(calls[0].id);
  return html`<p class="muted">Its id and inputs are all that a program sends. Fields of the call go before those of the version; messages of the call come behind its own.</p>
    <div class="tabs" role="tablist">${calls.map((one) => html`<button type="button" role="tab" aria-selected=${one.id === kind} onClick=${() => setKind(one.id)}>${one.name}</button>`)}</div>
    <${CodeBox} text=${calls.find((one) => one.id === kind).text} />`;
}
