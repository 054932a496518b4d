// One prompt: its versions at the side, one of them in full, and what can be done with it.
import { html, useState } from "../../lib/html.js";
import { get, post, remove } from "../../lib/api.js";
import { ago, utc } from "../../lib/format.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { go, href, setParams } from "../../lib/route.js";
import { may, useSession } from "../../lib/session.js";
import { Icon } from "../../parts/icon.js";
import { Confirm, Menu, copy, toast } from "../../parts/pop.js";
import { Loading, Problem, Shown } from "../../parts/states.js";
import { numberOf } from "./calls.js";
import { Rename, SetEnvironment, Tags } from "./forms.js";
import { NewVersion } from "./new_version.js";
import { Version } from "./version.js";

const PRODUCTION = "production";

/** What is done in a dialog, one at a time: "rename", "tags", "drop", "drop-version", "environment". */
export function Prompt({ id, params }) {
  const prompt = useQuery(`prompt:${id}`, (signal) => get(`/v1/prompt-2025/id/${encodeURIComponent(id)}`, { signal }));
  const versions = useQuery(`prompt:versions:${id}`, (signal) => post("/v1/prompt-2025/query/versions", { promptId: id }, { signal }));
  const canManage = may(useSession(), "manage");
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const changed = () => {
    close();
    forget("prompt");
    prompt.reload();
    versions.reload();
  };
  const version = versions.data?.find((one) => one.id === params.version) ?? versions.data?.find((one) => one.environments.includes(PRODUCTION)) ?? versions.data?.[0];
  if (prompt.error) return html`<div class="page"><div class="page-head"><h1>Prompt</h1></div><${Problem} error=${prompt.error} again=${prompt.reload} /><a href="/prompts">All prompts</a></div>`;
  if (!prompt.data) return html`<div class="page"><${Loading} /></div>`;
  const { name, tags } = prompt.data;
  return html`<div class="page">
    <div class="page-head"><h1><a href="/prompts" class="muted">Prompts</a> <span class="muted">/</span> ${name}</h1>
      ${version && html`<a class="button" href=${href("playground", [], { prompt: id, version: version.id })}><${Icon} name="playground" /> Try it</a>`}
      ${canManage && version && html`<button type="button" class="primary" disabled=${params.edit === "1"} onClick=${() => setParams({ edit: "1" }, { push: true })}><${Icon} name="plus" /> New version</button>`}
      <${Menu} label="More" icon="more">${(shut) => html`
        <button type="button" class="choice" onClick=${() => { copy(id); shut(); }}><${Icon} name="copy" /> Copy the id</button>
        <a class="choice row" href=${href("requests", [], { q: `prompt = ${JSON.stringify(id)}` })}><${Icon} name="requests" /> Its requests</a>
        ${canManage && html`<button type="button" class="choice" onClick=${() => { setDialog("rename"); shut(); }}><${Icon} name="edit" /> Rename</button>
          <button type="button" class="choice" onClick=${() => { setDialog("tags"); shut(); }}><${Icon} name="properties" /> Tags</button>
          <button type="button" class="choice bad" onClick=${() => { setDialog("drop"); shut(); }}><${Icon} name="trash" /> Delete the prompt</button>`}`}<//></div>
    <div class="row"><code title="Programs call it by this id">${id}</code>${tags.map((tag) => html`<a class="badge" href=${href("prompts", [], { tag })}>${tag}</a>`)}
      <span class="muted small" title=${utc(prompt.data.created_at)}>created ${ago(prompt.data.created_at)}</span></div>
    <${Shown} query=${versions}>${(list) => (params.edit === "1" && canManage ? html`<${NewVersion} from=${version} done=${changed} />`
      : html`<div class="prompt-layout"><${Versions} list=${list} at=${version} />
        <${Version} key=${version.id} version=${version} list=${list} params=${params} canManage=${canManage} ask=${setDialog} changed=${changed} /></div>`)}<//>
    ${dialog === "rename" && html`<${Rename} prompt=${prompt.data} close=${close} done=${changed} />`}
    ${dialog === "tags" && html`<${Tags} prompt=${prompt.data} close=${close} done=${changed} />`}
    ${dialog === "environment" && html`<${SetEnvironment} version=${version} close=${close} done=${changed} />`}
    ${dialog === "drop" && html`<${DropPrompt} prompt=${prompt.data} close=${close} />`}
    ${dialog === "drop-version" && html`<${DropVersion} version=${version} close=${close} done=${() => { setParams({ version: undefined }); changed(); }} />`}
  </div>`;
}

function Versions({ list, at }) {
  return html`<nav class="card prompt-versions" aria-label="Versions"><h2>Versions</h2><ul>${list.map((one) => html`
    <li key=${one.id}><button type="button" class="plain" aria-current=${one.id === at.id} onClick=${() => setParams({ version: one.id })}>
      <span class="row tight"><b>${numberOf(one)}</b>${one.environments.map((name) => html`<span class=${`badge ${name === PRODUCTION ? "good" : "accent"}`}>${name}</span>`)}</span>
      ${one.commit_message && html`<span class="cut" title=${one.commit_message}>${one.commit_message}</span>`}
      <span class="muted small cut" title=${utc(one.created_at)}>${ago(one.created_at)}${one.model && ` · ${one.model}`}</span></button></li>`)}</ul></nav>`;
}

function DropPrompt({ prompt, close }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/prompt-2025/${prompt.id}`);
    forget("prompt");
    toast("Deleted");
    go("/prompts", { replace: true });
  });
  return html`<${Confirm} title="Delete this prompt?" act=${() => run()} close=${close} busy=${act.busy} error=${act.error}>
    <b>${prompt.name}</b> and all its versions go. Calls that name its id are refused from the next one on. Requests that were recorded stay.<//>`;
}

function DropVersion({ version, close, done }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/prompt-2025/${version.prompt_id}/${version.id}`);
    done();
  });
  return html`<${Confirm} title=${`Delete version ${numberOf(version)}?`} act=${() => run()} close=${close} busy=${act.busy} error=${act.error}>
    ${version.environments.length ? html`It is the one of <b>${version.environments.join(", ")}</b>, which has none afterwards.` : "No environment has it; calls that name it by its own id are refused afterwards."}<//>`;
}
