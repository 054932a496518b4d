// A chat body in a form: model, messages, parameters, tools. For the playground and for versions of prompts.
import { html, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { useQuery } from "../../lib/query.js";
import { Icon } from "../../parts/icon.js";
import { toast } from "../../parts/pop.js";
import { flipped, freshMessage, parameter, withParameter } from "./body.js";

const ROLES = ["system", "user", "assistant", "developer", "tool"];

/** `draft` of draftOf(); `change(draft)`. */
export function BodyEditor({ draft, change }) {
  const models = useQuery("models", (signal) => get("/v1/models", { signal, whole: true }));
  const set = (patch) => change({ ...draft, ...patch });
  return html`<div class="stack">
    <div class="body-top">
      <div class="field grow"><label for="body-model">Model</label>
        <input id="body-model" class="code" list="body-models" autocomplete="off" placeholder="gpt-4o-mini" value=${draft.model} onInput=${(event) => set({ model: event.target.value })} />
        <datalist id="body-models">${(models.data?.data ?? []).map((one) => html`<option value=${one.id} />`)}</datalist></div>
      <${NumberField} draft=${draft} change=${change} name="temperature" label="Temperature" placeholder="1" />
      <${NumberField} draft=${draft} change=${change} name="max_tokens" label="Max tokens" placeholder="no limit" />
    </div>
    <${MessagesEditor} messages=${draft.messages} change=${(messages) => set({ messages })} />
    <${JsonField} id="body-parameters" label="Parameters" text=${draft.parameters} change=${(parameters) => set({ parameters })}
      hint="JSON, as the body of a chat completion has them: top_p, seed, response_format, reasoning_effort …" placeholder='{"top_p": 0.9}' />
    <${JsonField} id="body-tools" label="Tools" text=${draft.tools} change=${(tools) => set({ tools })}
      hint="A JSON list of tools that the model may call. Nothing is run: the answer shows the calls." placeholder='[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]' />
  </div>`;
}

function NumberField({ draft, change, name, label, placeholder }) {
  const put = (event) => {
    try { change(withParameter(draft, name, event.target.value)); } catch { toast("The parameters are no JSON: mend them first", "bad"); }
  };
  return html`<div class="field narrow"><label for=${`body-${name}`}>${label}</label>
    <input id=${`body-${name}`} inputmode="decimal" placeholder=${placeholder} value=${parameter(draft, name)} onChange=${put} /></div>`;
}

/** JSON that is shown when there is some, or when somebody asks for it. */
function JsonField({ id, label, text, change, hint, placeholder }) {
  const [open, setOpen] = useState(false);
  let wrong = "";
  if (text.trim()) { try { JSON.parse(text); } catch (error) { wrong = error.message; } }
  return html`<details class="card json-field" open=${open || Boolean(wrong)} onToggle=${(event) => setOpen(event.target.open)}>
    <summary><label for=${id}>${label}</label>${text.trim() && !open ? html` <span class="badge">set</span>` : ""}</summary>
    <div class="field"><textarea id=${id} class="code" rows=${Math.min(16, Math.max(4, text.split("\n").length))} spellcheck=${false} placeholder=${placeholder} aria-invalid=${Boolean(wrong)} value=${text} onInput=${(event) => change(event.target.value)} />
      <span class=${wrong ? "hint bad" : "hint"}>${wrong ? `This is no JSON: ${wrong}` : hint}</span></div></details>`;
}

export function MessagesEditor({ messages, change }) {
  const put = (at, patch) => change(messages.map((one, number) => (number === at ? { ...one, ...patch } : one)));
  const move = (at, by) => {
    const next = [...messages];
    [next[at], next[at + by]] = [next[at + by], next[at]];
    change(next);
  };
  const nextRole = messages.at(-1)?.role === "user" ? "assistant" : "user";
  return html`<div class="stack messages-editor">
    ${messages.map((one, at) => html`<${OneMessage} key=${one.key} one=${one} at=${at} isLast=${at === messages.length - 1}
      put=${(patch) => put(at, patch)} move=${(by) => move(at, by)} drop=${() => change(messages.filter((other) => other !== one))} />`)}
    <div class="row"><button type="button" onClick=${() => change([...messages, freshMessage(nextRole)])}><${Icon} name="plus" /> Add a message</button>
      ${!messages.some((one) => one.role === "system") && html`<button type="button" onClick=${() => change([freshMessage("system"), ...messages])}><${Icon} name="plus" /> System message</button>`}</div></div>`;
}

const ROWS_MAX = 24;
const rowsOf = (text) => Math.min(ROWS_MAX, Math.max(2, text.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / 90), 0)));

function OneMessage({ one, at, isLast, put, move, drop }) {
  const isJson = one.json !== null;
  const flip = () => {
    try { put(flipped(one)); } catch (error) { toast(error.message, "bad"); }
  };
  const name = `message ${at + 1}`;
  return html`<div class=${`message ${one.role}`}><header>
      ${isJson ? html`<span class="grow">${one.role} · as JSON</span>`
        : html`<select aria-label=${`Role of ${name}`} value=${one.role} onChange=${(event) => put({ role: event.target.value })}>${[...new Set([...ROLES, one.role])].map((role) => html`<option value=${role}>${role}</option>`)}</select><span class="grow" />`}
      <button type="button" class="plain icon-only" aria-pressed=${isJson} aria-label=${`Show ${name} as JSON`} title="As JSON: images, tool calls, names" onClick=${flip}><code>{}</code></button>
      <button type="button" class="plain icon-only" aria-label=${`Move ${name} up`} disabled=${at === 0} onClick=${() => move(-1)}><${Icon} name="up" /></button>
      <button type="button" class="plain icon-only" aria-label=${`Move ${name} down`} disabled=${isLast} onClick=${() => move(1)}><${Icon} name="down" /></button>
      <button type="button" class="plain icon-only" aria-label=${`Remove ${name}`} onClick=${drop}><${Icon} name="trash" /></button></header>
    <textarea aria-label=${`Text of ${name}`} class=${isJson ? "code" : ""} rows=${rowsOf(isJson ? one.json : one.text)} value=${isJson ? one.json : one.text}
      placeholder=${one.role === "system" ? "How it should behave. {{hc:name:string}} makes a variable." : "What is said. {{hc:name:string}} makes a variable."}
      onInput=${(event) => put(isJson ? { json: event.target.value } : { text: event.target.value })} /></div>`;
}
