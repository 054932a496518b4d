// Playground: a conversation is put together, sent to any model, and kept as a prompt when it is good.
import { html, useEffect, useMemo, useState } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { useKey } from "../lib/keys.js";
import { useQuery } from "../lib/query.js";
import { href, setParams } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { bodyOf } from "../lib/stream.js";
import { Icon } from "../parts/icon.js";
import { toast } from "../parts/pop.js";
import { Loading, Problem } from "../parts/states.js";
import { Answer, useChatRuns } from "./playground/answer.js";
import { asChat, bodyOfDraft, draftOf, filled, freshMessage, hasPartials, variablesIn } from "./playground/body.js";
import { BodyEditor } from "./playground/body_editor.js";
import { SavePrompt } from "./playground/save.js";

const BLANK = { model: "gpt-4o-mini", messages: [{ role: "system", content: "" }, { role: "user", content: "" }] };
let kept = null; // what was last edited, while this tab lives

/** What the address names: a request's body, or a prompt's version. */
function useSource(params) {
  const request = useQuery(params.request ? `request:${params.request}` : null, (signal) => get(`/v1/request/${encodeURIComponent(params.request)}?includeBody=true`, { signal }));
  const version = useQuery(params.prompt && !params.request ? `prompt:body:${params.prompt}:${params.version ?? ""}` : null, (signal) => (params.version
    ? post("/v2/prompt-2025/query/version", { promptVersionId: params.version }, { signal })
    : post("/v2/prompt-2025/query/production-version", { promptId: params.prompt }, { signal })));
  const found = useMemo(() => {
    if (request.data) {
      const { body, isConverted } = asChat(bodyOf(request.data.request_body).value);
      return { body: { model: request.data.model, ...body }, isConverted };
    }
    return version.data ? { body: version.data.prompt_body, of: { id: params.prompt, version: version.data.id } } : null;
  }, [request.data, version.data]);
  return { found, error: request.error ?? version.error, waits: Boolean(params.request || params.prompt) && !found };
}

export default function Playground({ params }) {
  const name = JSON.stringify([params.request ?? "", params.prompt ?? "", params.version ?? ""]);
  const isNamed = Boolean(params.request || params.prompt);
  const source = useSource(params);
  const [state, setState] = useState(() => (kept && (kept.name === name || !isNamed) ? kept : null));
  useEffect(() => {
    if (!source.found || state?.name === name) return;
    setState({ name, draft: draftOf(source.found.body), inputs: {}, of: source.found.of, isConverted: source.found.isConverted });
  }, [source.found, name]);
  useEffect(() => { if (state) kept = state; }, [state]);
  const blank = () => setState({ name: "", draft: draftOf(BLANK), inputs: {} });
  useEffect(() => { if (!isNamed && !state) blank(); }, [isNamed]);
  if (source.waits && state?.name !== name) {
    return html`<div class="page"><div class="page-head"><h1>Playground</h1></div>${source.error ? html`<${Problem} error=${source.error} />` : html`<${Loading} />`}</div>`;
  }
  if (!state) return null;
  return html`<${Desk} state=${state} setState=${setState} params=${params} blank=${() => { setParams({ request: undefined, prompt: undefined, version: undefined }); blank(); }} />`;
}

function Desk({ state, setState, params, blank }) {
  const session = useSession();
  const { runs, start, stop, busy } = useChatRuns();
  const [problem, setProblem] = useState("");
  const [saving, setSaving] = useState(null);
  const { draft, inputs } = state;
  const change = (next) => { setProblem(""); setState((now) => ({ ...now, draft: next })); };
  const variables = useMemo(() => Object.entries(variablesIn({ ...draft, messages: draft.messages.map((one) => one.json ?? one.text) })), [draft]);
  const canRun = may(session, "write");
  const withBody = (act) => {
    try { act(bodyOfDraft(draft)); setProblem(""); } catch (error) { setProblem(error.message); }
  };
  const run = () => canRun && withBody((body) => {
    if (!body.model) throw new Error("Model: which model should answer?");
    if (!body.messages.length) throw new Error("Messages: there is none yet.");
    start(filled(body, inputs));
  });
  useKey("Mod+Enter", run, "Run in the playground", { always: true });
  const add = (message) => {
    const [made] = draftOf({ messages: [message.tool_calls ? message : { role: "assistant", content: message.content ?? "" }] }).messages;
    change({ ...draft, messages: [...draft.messages, made, freshMessage("user")] });
    toast("The answer is part of the conversation now");
  };
  return html`<div class="page">
    <div class="page-head"><h1>Playground</h1>
      ${state.of && html`<a class="badge accent" href=${href("prompts", [state.of.id], { version: state.of.version })}>from prompt ${state.of.id}</a>`}
      ${params.request && html`<a class="badge accent" href=${href("requests", [], { id: params.request })}>from a request</a>`}
      <button type="button" onClick=${blank}><${Icon} name="plus" /> Start over</button>
      ${may(session, "manage") && html`<button type="button" onClick=${() => withBody(setSaving)}><${Icon} name="prompts" /> Save as a prompt</button>`}
    </div>
    ${state.isConverted && html`<p class="notice">This request was made in another dialect and is shown as a chat. What a chat has no place for was left out.</p>`}
    <div class="playground">
      <div class="stack"><${BodyEditor} key=${state.name} draft=${draft} change=${change} />
        ${variables.length > 0 && html`<${Inputs} variables=${variables} inputs=${inputs} change=${(next) => setState((now) => ({ ...now, inputs: next }))} />`}
        ${hasPartials(draft) && html`<p class="notice warn">Messages of other prompts, {{hcp:…}}, are put in by the gateway when the prompt is called by its id. Here they are sent as they stand.</p>`}</div>
      <div class="stack answers">
        <div class="row">${busy ? html`<button type="button" onClick=${stop}><${Icon} name="close" /> Stop</button>`
          : html`<button type="button" class="primary" disabled=${!canRun} onClick=${run}><${Icon} name="play" /> Run</button>`}
          <span class="muted small">${canRun ? html`<kbd>Ctrl</kbd> <kbd>Enter</kbd> · on the organisation's account, recorded like any request` : "A viewer may not send requests. Ask an admin for another role."}</span></div>
        ${problem && html`<p class="notice bad" role="alert">${problem}</p>`}
        ${!runs.length && html`<div class="card muted">The answer appears here as it comes. Run it again with another model: the last answers stay beside each other.</div>`}
        ${runs.map((one, at) => html`<${Answer} key=${one.key} run=${one} add=${at === 0 ? add : null} />`)}
      </div></div>
    ${saving && html`<${SavePrompt} body=${saving} of=${state.of} close=${() => setSaving(null)} />`}
  </div>`;
}

function Inputs({ variables, inputs, change }) {
  return html`<section class="card stack"><h2>Inputs</h2>${variables.map(([name, kind]) => html`
    <div class="field" key=${name}><label for=${`input-${name}`}>${name} <span class="badge">${kind}</span></label>
      <textarea id=${`input-${name}`} rows="1" class="input-value" value=${inputs[name] ?? ""} placeholder=${kind === "number" ? "42" : kind === "boolean" ? "true or false" : "Text that is put in its place"} onInput=${(event) => change({ ...inputs, [name]: event.target.value })} /></div>`)}</section>`;
}
