// Prompts: texts that are kept here, with versions, and called by their id. /prompts, and /prompts/ID for one.
import { html, useEffect, useState } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { ago, utc } from "../lib/format.js";
import { useQuery } from "../lib/query.js";
import { href, setParams } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { Icon } from "../parts/icon.js";
import { Empty, Shown } from "../parts/states.js";
import { Pager } from "../parts/table.js";
import { Prompt } from "./prompts/one.js";
import { NewPrompt } from "./prompts/forms.js";

const PAGE_ROWS = 50;
const TYPING_MS = 250;

export default function Prompts({ rest, params }) {
  return rest[0] ? html`<${Prompt} key=${rest[0]} id=${rest[0]} params=${params} />` : html`<${All} params=${params} />`;
}

function All({ params }) {
  const session = useSession();
  const { q = "", tag = "" } = params;
  const page = Math.max(0, Number(params.page) || 0);
  const found = useQuery(`prompts:list:${q}:${tag}:${page}`, (signal) => post("/v1/prompt-2025/query", { search: q, tagsFilter: tag ? [tag] : [], page, pageSize: PAGE_ROWS, total: true }, { signal, whole: true }));
  const list = { ...found, data: found.data?.data };
  const tags = useQuery("prompts:tags", (signal) => get("/v1/prompt-2025/tags", { signal }));
  const [making, setMaking] = useState(false);
  const canManage = may(session, "manage");
  const make = canManage && html`<button type="button" class="primary" onClick=${() => setMaking(true)}><${Icon} name="plus" /> New prompt</button>`;
  const empty = q || tag
    ? html`<${Empty} title="No prompt fits"><p>None has this in its name${tag ? `, and the tag ${tag}` : ""}.</p><button type="button" onClick=${() => setParams({ q: undefined, tag: undefined, page: undefined })}>Show all</button><//>`
    : html`<${Empty} title="No prompts yet"><div class="stack"><p>A prompt that is kept here can be changed without touching the program that calls it: the program sends its id and inputs, and gets the version that production has.</p>
        <div class="row">${make}<a class="button" href="/playground">Try one in the playground</a></div></div><//>`;
  return html`<div class="page"><div class="page-head"><h1>Prompts</h1>${list.data?.length > 0 && make}</div>
    ${(q || tag || page > 0 || list.data?.length > 0) && html`<div class="bar"><${Search} q=${q} />
      ${(tags.data ?? []).length > 0 && html`<div class="row tight" role="group" aria-label="Tags">${tags.data.map((one) => html`<button type="button" aria-pressed=${one === tag} onClick=${() => setParams({ tag: one === tag ? undefined : one, page: undefined })}>${one}</button>`)}</div>`}</div>`}
    <${Shown} query=${list} empty=${empty}>${(rows) => html`
      <div class="table-box" tabindex="0"><table class="plain"><thead><tr><th>Name</th><th>Id</th><th>Tags</th><th>Created</th></tr></thead>
        <tbody>${rows.map((one) => html`<tr key=${one.id}><td><a href=${href("prompts", [one.id])}>${one.name}</a></td><td><code>${one.id}</code></td>
          <td><span class="row tight">${one.tags.map((name) => html`<span class="badge">${name}</span>`)}</span></td><td class="nowrap" title=${utc(one.created_at)}>${ago(one.created_at)}</td></tr>`)}</tbody></table></div>
      <${Pager} page=${page} size=${PAGE_ROWS} total=${found.data.total} shown=${rows.length} go=${(next) => setParams({ page: next || undefined }, { push: true })} />`}<//>
    ${making && html`<${NewPrompt} close=${() => setMaking(false)} />`}
  </div>`;
}

/** The address follows what is typed, a little later. */
function Search({ q }) {
  const [text, setText] = useState(q);
  useEffect(() => {
    if (text === q) return undefined;
    const timer = setTimeout(() => setParams({ q: text || undefined, page: undefined }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => setText(q), [q]);
  return html`<div class="search"><${Icon} name="search" /><input type="search" aria-label="Search prompts by name" placeholder="Search by name" value=${text} onInput=${(event) => setText(event.target.value)} /></div>`;
}
