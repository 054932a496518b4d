// What was tried out is kept: as a new prompt, or as a new version of one.
import { html, useState } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { go, href } from "../../lib/route.js";
import { Dialog, toast } from "../../parts/pop.js";
import { Problem } from "../../parts/states.js";

export const tagsIn = (text) => [...new Set(text.split(",").map((one) => one.trim()).filter(Boolean))];

/** `of` {id, version}: the prompt that this came from, if it did. */
export function SavePrompt({ body, of, close }) {
  const prompts = useQuery("prompts:all", (signal) => post("/v1/prompt-2025/query", { search: "", pageSize: 1000, page: 0 }, { signal }));
  const [into, setInto] = useState(of?.id ?? "");
  const [name, setName] = useState("");
  const [tags, setTags] = useState("");
  const [message, setMessage] = useState("");
  const [isMajor, setMajor] = useState(false);
  const [run, act] = useAct(async () => {
    const made = into ? await newVersion({ promptId: into, versionId: into === of?.id ? of.version : null, body, message, isMajor })
      : await post("/v1/prompt-2025", { name: name.trim(), tags: tagsIn(tags), promptBody: body });
    forget("prompt");
    toast("Saved");
    go(href("prompts", [into || made.id], { version: into ? made.id : undefined }));
  });
  return html`<${Dialog} title="Save as a prompt" close=${close}><form class="form" onSubmit=${(event) => { event.preventDefault(); run(); }}>
    <div class="field"><label for="save-into">Prompt</label><select id="save-into" value=${into} onChange=${(event) => setInto(event.target.value)}>
      <option value="">A new one</option>${(prompts.data ?? []).map((one) => html`<option value=${one.id}>${one.name} (${one.id})</option>`)}</select></div>
    ${into ? html`<div class="field"><label for="save-message">Commit message</label><input id="save-message" maxlength="10000" placeholder="What is different, and why" value=${message} onInput=${(event) => setMessage(event.target.value)} /></div>
        <label class="row"><input type="checkbox" checked=${isMajor} onChange=${(event) => setMajor(event.target.checked)} /> The next major version</label>
        <p class="muted small">Nobody gets it yet: give it an environment on the prompt's page when it is good.</p>`
      : html`<div class="field"><label for="save-name">Name</label><input id="save-name" required maxlength="255" autofocus value=${name} onInput=${(event) => setName(event.target.value)} /></div>
        <div class="field"><label for="save-tags">Tags</label><input id="save-tags" placeholder="support, draft" value=${tags} onInput=${(event) => setTags(event.target.value)} /><span class="hint">Apart by commas; may be empty.</span></div>`}
    <${Problem} error=${act.error} />
    <div class="row"><button type="submit" class="primary" disabled=${act.busy}>Save</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`;
}

/** After the version that is named, else after the newest. */
export async function newVersion({ promptId, versionId, body, message, isMajor, environment }) {
  const after = versionId ?? (await post("/v1/prompt-2025/query/versions", { promptId }))[0].id;
  const wanted = { promptId, promptVersionId: after, newMajorVersion: isMajor, promptBody: body, commitMessage: message };
  return post("/v1/prompt-2025/update", environment ? { ...wanted, environment } : wanted);
}
