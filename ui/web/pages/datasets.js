// Datasets: requests that were picked, as copies that may be edited. /datasets, and /datasets/ID for one.
import { html, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { ago, count, utc } from "../lib/format.js";
import { forget, useAct, useQuery } from "../lib/query.js";
import { go, href } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { Icon } from "../parts/icon.js";
import { Dialog } from "../parts/pop.js";
import { Empty, Problem, Shown } from "../parts/states.js";
import { Dataset } from "./datasets/one.js";

export default function Datasets({ rest, params }) {
  return rest[0] ? html`<${Dataset} key=${rest[0]} id=${rest[0]} params=${params} />` : html`<${All} />`;
}

function All() {
  const canManage = may(useSession(), "manage");
  const list = useQuery("datasets", (signal) => post("/v1/helicone-dataset/query", {}, { signal }));
  const [making, setMaking] = useState(false);
  const make = canManage && html`<button type="button" class="primary" onClick=${() => setMaking(true)}><${Icon} name="plus" /> New dataset</button>`;
  const empty = html`<${Empty} title="No datasets yet"><div class="stack">
    <p>A dataset has copies of requests that were picked, to fine-tune a model or to test another one. The copies may be edited; what was recorded stays as it is.</p>
    <p>Mark requests on the <a href="/requests">Requests</a> page and click “to a dataset”${canManage ? ", or begin with an empty one" : ""}.</p>${make}</div><//>`;
  return html`<div class="page"><div class="page-head"><h1>Datasets</h1>${list.data?.length > 0 && make}</div>
    <${Shown} query=${list} empty=${empty}>${(rows) => html`<div class="table-box" tabindex="0"><table class="plain">
      <thead><tr><th>Name</th><th class="num">Rows</th><th>Created</th></tr></thead>
      <tbody>${rows.map((one) => html`<tr key=${one.id}><td><a href=${href("datasets", [one.id])}>${one.name}</a></td><td class="num">${count(one.requests_count)}</td>
        <td class="nowrap" title=${utc(one.created_at)}>${ago(one.created_at)}</td></tr>`)}</tbody></table></div>`}<//>
    ${making && html`<${NewDataset} close=${() => setMaking(false)} />`}</div>`;
}

function NewDataset({ close }) {
  const [name, setName] = useState("");
  const [run, act] = useAct(async () => {
    const made = await post("/v1/helicone-dataset", { datasetName: name.trim(), requestIds: [] });
    forget("dataset");
    go(href("datasets", [made.datasetId]));
  });
  return html`<${Dialog} title="New dataset" close=${close}><form class="form" onSubmit=${(event) => { event.preventDefault(); run(); }}>
    <div class="field"><label for="dataset-name">Name</label><input id="dataset-name" required maxlength="255" autofocus value=${name} onInput=${(event) => setName(event.target.value)} /></div>
    <${Problem} error=${act.error} />
    <div class="row"><button type="submit" class="primary" disabled=${act.busy || !name.trim()}>Make it</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`;
}
