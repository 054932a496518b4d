// A new version of a prompt: the body of the last one, changed, with a word about why.
import { html, useEffect, useState } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { useAct, useQuery } from "../../lib/query.js";
import { setParams } from "../../lib/route.js";
import { toast } from "../../parts/pop.js";
import { Loading, Problem } from "../../parts/states.js";
import { bodyOfDraft, draftOf } from "../playground/body.js";
import { BodyEditor } from "../playground/body_editor.js";
import { newVersion } from "../playground/save.js";

export function NewVersion({ from, done }) {
  const whole = useQuery(`prompt:version:${from.id}`, (signal) => post("/v2/prompt-2025/query/version", { promptVersionId: from.id }, { signal }));
  const [draft, setDraft] = useState(null);
  const [message, setMessage] = useState("");
  const [isMajor, setMajor] = useState(false);
  const [environment, setEnvironment] = useState("");
  useEffect(() => { if (whole.data && !draft) setDraft(draftOf(whole.data.prompt_body)); }, [whole.data]);
  const [run, act] = useAct(async () => {
    const made = await newVersion({ promptId: from.prompt_id, versionId: from.id, body: bodyOfDraft(draft), message, isMajor, environment: environment.trim() });
    toast("A new version is there");
    setParams({ edit: undefined, version: made.id });
    done();
  });
  if (whole.error) return html`<${Problem} error=${whole.error} again=${whole.reload} />`;
  if (!draft) return html`<${Loading} />`;
  return html`<form class="stack prompt-edit" onSubmit=${(event) => { event.preventDefault(); run(); }}>
    <p class="muted">A new version after ${from.major_version}.${from.minor_version}, which stays as it is.</p>
    <${BodyEditor} draft=${draft} change=${setDraft} />
    <div class="card stack"><div class="field"><label for="commit-message">Commit message</label><input id="commit-message" maxlength="10000" placeholder="What is different, and why" value=${message} onInput=${(event) => setMessage(event.target.value)} /></div>
      <div class="field"><label for="version-environment">Environment</label><input id="version-environment" pattern="[A-Za-z0-9_\\-]{1,64}" placeholder="none yet" value=${environment} onInput=${(event) => setEnvironment(event.target.value)} />
        <span class="hint">production, staging or any name: its calls get this version at once. It can be set later as well.</span></div>
      <label class="row"><input type="checkbox" checked=${isMajor} onChange=${(event) => setMajor(event.target.checked)} /> The next major version: what callers send has to change</label></div>
    <${Problem} error=${act.error} />
    <div class="row"><button type="submit" class="primary" disabled=${act.busy}>Save the version</button><button type="button" onClick=${() => setParams({ edit: undefined })}>Cancel</button></div></form>`;
}
