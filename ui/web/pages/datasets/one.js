// One dataset: its rows page by page, one of them beside the list, and files of the whole.
import { html, useEffect, useState } from "../../lib/html.js";
import { patch, post } from "../../lib/api.js";
import { preview } from "../../lib/chat.js";
import { NONE, ago, count, line, utc } from "../../lib/format.js";
import { useKey } from "../../lib/keys.js";
import { forget, useAct, useQuery } from "../../lib/query.js";
import { go, setParams } from "../../lib/route.js";
import { may, useSession } from "../../lib/session.js";
import { bodyOf } from "../../lib/stream.js";
import { Field, FormDialog } from "../../parts/form.js";
import { Icon } from "../../parts/icon.js";
import { Confirm, copy, toast } from "../../parts/pop.js";
import { Empty, Loading, Problem, Shown } from "../../parts/states.js";
import { Pager } from "../../parts/table.js";
import { useBodies } from "./bodies.js";
import { ExportMenu } from "./export.js";
import { RowDrawer } from "./row.js";

const PAGE_ROWS = 25;

export function Dataset({ id, params }) {
  const canManage = may(useSession(), "manage");
  const page = Math.max(0, Number(params.page) || 0);
  const found = useQuery(`dataset:${id}`, (signal) => post("/v1/helicone-dataset/query", { datasetIds: [id] }, { signal }));
  const rows = useQuery(`dataset:rows:${id}:${page}`, (signal) => post(`/v1/helicone-dataset/${encodeURIComponent(id)}/query`, { limit: PAGE_ROWS, offset: page * PAGE_ROWS, bodies: true }, { signal }));
  const bodies = useBodies(rows.data);
  const [marked, setMarked] = useState(new Set());
  const [dialog, setDialog] = useState(null);
  useEffect(() => setMarked(new Set()), [page]);
  const changed = () => {
    forget("dataset");
    found.reload();
    rows.reload();
  };
  const dataset = found.data?.[0];
  if (found.error || (found.data && !dataset)) {
    return html`<div class="page"><div class="page-head"><h1>Dataset</h1></div><${Problem} error=${found.error ?? new Error("There is no such dataset. It may have been deleted.")} /><a href="/datasets">All datasets</a></div>`;
  }
  if (!dataset) return html`<div class="page"><${Loading} /></div>`;
  const at = (rows.data ?? []).findIndex((row) => row.id === params.row);
  const step = (by) => rows.data?.[at + by] && (() => setParams({ row: rows.data[at + by].id }));
  const empty = page > 0 ? html`<${Empty} title="No rows on this page"><button type="button" onClick=${() => setParams({ page: undefined })}>To the first page</button><//>`
    : html`<${Empty} title="No rows yet"><p>Mark requests on the <a href="/requests">Requests</a> page and click “to a dataset”.</p><//>`;
  return html`<div class="page">
    <div class="page-head"><h1><a href="/datasets" class="muted">Datasets</a> <span class="muted">/</span> ${dataset.name}</h1>
      ${canManage && marked.size > 0 && html`<button type="button" class="danger" onClick=${() => setDialog([...marked])}><${Icon} name="trash" /> Remove ${marked.size}</button>`}
      ${dataset.requests_count > 0 && html`<${ExportMenu} id=${id} />`}
      ${canManage && html`<button type="button" onClick=${() => setDialog("rename")}><${Icon} name="edit" /> Rename</button>`}
      ${canManage && html`<button type="button" class="danger" onClick=${() => setDialog("dataset")}><${Icon} name="trash" /> Delete</button>`}</div>
    <div class="row small muted"><span>${count(dataset.requests_count)} ${dataset.requests_count === 1 ? "row" : "rows"}</span><span title=${utc(dataset.created_at)}>created ${ago(dataset.created_at)}</span>
      <button type="button" class="link" onClick=${() => copy(id)} title=${id}>Copy the id</button></div>
    <${Shown} query=${rows} empty=${empty}>${(list) => html`
      <${Rows} list=${list} bodies=${bodies} at=${params.row} marked=${canManage ? marked : null} setMarked=${setMarked} />
      <${Pager} page=${page} size=${PAGE_ROWS} total=${dataset.requests_count} shown=${list.length} go=${(next) => setParams({ page: next || undefined, row: undefined }, { push: true })} />`}<//>
    ${at >= 0 && html`<${RowDrawer} key=${params.row} dataset=${id} row=${rows.data[at]} close=${() => setParams({ row: undefined })} next=${step(1)} previous=${step(-1)} canManage=${canManage} changed=${changed} drop=${() => setDialog([params.row])} />`}
    ${dialog === "rename" && html`<${Rename} dataset=${dataset} close=${() => setDialog(null)} done=${() => { setDialog(null); toast("Renamed"); changed(); }} />`}
    ${dialog === "dataset" && html`<${DropDataset} dataset=${dataset} close=${() => setDialog(null)} />`}
    ${Array.isArray(dialog) && html`<${DropRows} dataset=${id} ids=${dialog} close=${() => setDialog(null)} done=${() => { setDialog(null); setMarked(new Set()); if (dialog.includes(params.row)) setParams({ row: undefined }); changed(); }} />`}
  </div>`;
}

function Rows({ list, bodies, at, marked, setMarked }) {
  useKey("Escape", () => (at ? (setParams({ row: undefined }), true) : false), "Close the row");
  const flip = (id) => {
    const next = new Set(marked);
    if (!next.delete(id)) next.add(id);
    setMarked(next);
  };
  const isAll = marked && list.length > 0 && list.every((row) => marked.has(row.id));
  return html`<div class="table-box" tabindex="0"><table class="plain dataset-rows"><thead><tr>
      ${marked && html`<th><input type="checkbox" aria-label="Select all on this page" checked=${isAll} onChange=${() => setMarked(new Set(isAll ? [] : list.map((row) => row.id)))} /></th>`}
      <th>Asked</th><th>Answered</th><th>Model</th><th>Added</th></tr></thead>
    <tbody>${list.map((row) => html`<tr key=${row.id} aria-selected=${row.id === at}>
      ${marked && html`<td><input type="checkbox" aria-label="Select this row" checked=${marked.has(row.id)} onChange=${() => flip(row.id)} /></td>`}
      <${Said} body=${bodies.get(row.id)} open=${() => setParams({ row: row.id })} />
      <td class="nowrap"><span title=${utc(row.created_at)}>${ago(row.created_at)}</span> ${row.edited_at && html`<span class="badge accent" title=${`Edited ${utc(row.edited_at)}`}>edited</span>`}</td></tr>`)}</tbody></table></div>`;
}

/** The cells that need the row's bodies. */
function Said({ body, open }) {
  if (!body) return html`<td colspan="3"><div class="skeleton" role="status" aria-label="Loading" /></td>`;
  if (body.error) return html`<td colspan="3"><button type="button" class="link" onClick=${open}>${body.error.message}</button></td>`;
  const asked = bodyOf(body.request).value;
  const answered = bodyOf(body.response).value;
  return html`<td><button type="button" class="link cut" title="Open this row" onClick=${open}>${line(preview(asked, false)) || "(nothing)"}</button></td>
    <td class="cut muted">${line(preview(answered, true)) || NONE}</td><td class="nowrap">${asked?.model ?? NONE}</td>`;
}

function Rename({ dataset, close, done }) {
  const [name, setName] = useState(dataset.name);
  const [run, act] = useAct(async () => {
    await patch(`/v1/helicone-dataset/${dataset.id}`, { datasetName: name.trim() });
    done();
  });
  return html`<${FormDialog} title="Rename the dataset" verb="Rename" close=${close} submit=${() => run()} act=${act}>
    <${Field} id="dataset-name" label="Name"><input id="dataset-name" required maxlength="255" autofocus value=${name} onInput=${(event) => setName(event.target.value)} /><//><//>`;
}

function DropDataset({ dataset, close }) {
  const [run, act] = useAct(async () => {
    await post(`/v1/helicone-dataset/${dataset.id}/delete`, {});
    forget("dataset");
    toast("Deleted");
    go("/datasets", { replace: true });
  });
  return html`<${Confirm} title="Delete this dataset?" act=${() => run()} close=${close} busy=${act.busy} error=${act.error}>
    <b>${dataset.name}</b> and its ${count(dataset.requests_count)} copies go for good, edits included. The recorded requests stay.<//>`;
}

function DropRows({ dataset, ids, close, done }) {
  const [run, act] = useAct(async () => {
    await post(`/v1/helicone-dataset/${dataset}/mutate`, { addRequests: [], removeRequests: ids });
    toast(ids.length === 1 ? "Removed" : `${ids.length} removed`);
    done();
  });
  return html`<${Confirm} title=${ids.length === 1 ? "Remove this row?" : `Remove ${ids.length} rows?`} verb="Remove" act=${() => run()} close=${close} busy=${act.busy} error=${act.error}>
    The copies go from the dataset, edits included. The recorded requests stay.<//>`;
}
