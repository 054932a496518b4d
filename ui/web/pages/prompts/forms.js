// Forms about prompts: a new one, another name, other tags, an environment.
import { html, useState } from "../../lib/html.js";
import { get, patch, post } from "../../lib/api.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { go, href } from "../../lib/route.js";
import { Dialog } from "../../parts/pop.js";
import { Problem } from "../../parts/states.js";
import { bodyOfDraft, draftOf } from "../playground/body.js";
import { MessagesEditor } from "../playground/body_editor.js";
import { tagsIn } from "../playground/save.js";

const FIRST = { model: "gpt-4o-mini", messages: [{ role: "system", content: "You answer {{hc:name:string}} briefly." }, { role: "user", content: "{{hc:question:string}}" }] };

/** A dialog with a form; `act` saves, its refusal is shown in the form. */
function Form({ title, act, close, children, verb = "Save", wide = false }) {
  const [run, state] = useAct(act);
  return html`<${Dialog} title=${title} close=${close} wide=${wide}><form class="form" onSubmit=${(event) => { event.preventDefault(); run(); }}>
    ${children}<${Problem} error=${state.error} />
    <div class="row"><button type="submit" class="primary" disabled=${state.busy}>${verb}</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`;
}

export function NewPrompt({ close }) {
  const [name, setName] = useState("");
  const [tags, setTags] = useState("");
  const [draft, setDraft] = useState(() => draftOf(FIRST));
  const act = async () => {
    const made = await post("/v1/prompt-2025", { name: name.trim(), tags: tagsIn(tags), promptBody: bodyOfDraft(draft) });
    forget("prompt");
    go(href("prompts", [made.id]));
  };
  return html`<${Form} title="New prompt" act=${act} close=${close} verb="Make it" wide>
    <div class="field"><label for="prompt-name">Name</label><input id="prompt-name" required maxlength="255" autofocus value=${name} onInput=${(event) => setName(event.target.value)} /></div>
    <div class="field"><label for="prompt-tags">Tags</label><input id="prompt-tags" placeholder="support, draft" value=${tags} onInput=${(event) => setTags(event.target.value)} /><span class="hint">Apart by commas; may be empty.</span></div>
    <div class="field"><label for="prompt-model">Model</label><input id="prompt-model" class="code" value=${draft.model} onInput=${(event) => setDraft({ ...draft, model: event.target.value })} /><span class="hint">Whoever calls the prompt may name another.</span></div>
    <div class="field"><span class="label">Messages</span><${MessagesEditor} messages=${draft.messages} change=${(messages) => setDraft({ ...draft, messages })} />
      <span class="hint">Its first version is 0.0, and production has it at once.</span></div><//>`;
}

export function Rename({ prompt, close, done }) {
  const [name, setName] = useState(prompt.name);
  return html`<${Form} title="Rename" close=${close} act=${async () => { await post(`/v1/prompt-2025/id/${prompt.id}/rename`, { name: name.trim() }); done(); }}>
    <div class="field"><label for="prompt-name">Name</label><input id="prompt-name" required maxlength="255" autofocus value=${name} onInput=${(event) => setName(event.target.value)} />
      <span class="hint">Programs call it by its id, ${prompt.id}, which stays.</span></div><//>`;
}

export function Tags({ prompt, close, done }) {
  const [tags, setTags] = useState(prompt.tags.join(", "));
  return html`<${Form} title="Tags" close=${close} act=${async () => { await patch(`/v1/prompt-2025/id/${prompt.id}/tags`, { tags: tagsIn(tags) }); done(); }}>
    <div class="field"><label for="prompt-tags">Tags</label><input id="prompt-tags" autofocus value=${tags} onInput=${(event) => setTags(event.target.value)} /><span class="hint">Apart by commas, at most 50.</span></div><//>`;
}

/** Which environment a version is for: one that there is, or a new name. */
export function SetEnvironment({ version, close, done }) {
  const known = useQuery("prompts:environments", (signal) => get("/v1/prompt-2025/environments", { signal }));
  const [name, setName] = useState(version.environments.includes("production") ? "" : "production");
  const names = [...new Set(["production", "staging", "development", ...(known.data ?? [])])];
  const act = async () => {
    await post("/v1/prompt-2025/update/environment", { promptId: version.prompt_id, promptVersionId: version.id, environment: name.trim() });
    done();
  };
  return html`<${Form} title=${`Environment of version ${version.major_version}.${version.minor_version}`} close=${close} act=${act} verb="Set">
    <div class="field"><label for="environment">Environment</label><input id="environment" required list="environments" pattern="[A-Za-z0-9_\\-]{1,64}" autofocus autocomplete="off" value=${name} onInput=${(event) => setName(event.target.value)} />
      <datalist id="environments">${names.map((one) => html`<option value=${one} />`)}</datalist>
      <span class="hint">Letters, digits, - and _. Calls that name this environment get this version from their next request on, in place of the version that has it now. Calls that name none get production.</span></div><//>`;
}
