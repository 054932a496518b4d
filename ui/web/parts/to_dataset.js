// Requests that were chosen go into a dataset: a new one, or one that is there.
import { html, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { useAct, useQuery } from "../lib/query.js";
import { Dialog, toast } from "./pop.js";

export function ToDataset({ ids, close, done }) {
  const known = useQuery("datasets", (signal) => post("/v1/helicone-dataset/query", {}, { signal }));
  const [into, setInto] = useState("");
  const [name, setName] = useState("");
  const [run, act] = useAct(async () => {
    if (into) await post(`/v1/helicone-dataset/${into}/mutate`, { addRequests: ids, removeRequests: [] });
    else await post("/v1/helicone-dataset", { datasetName: name, requestIds: ids });
    toast(`${ids.length} added`);
    done();
  });
  return html`<${Dialog} title=${`${ids.length} ${ids.length === 1 ? "request" : "requests"} to a dataset`} close=${close}>
    <form class="form" onSubmit=${(event) => { event.preventDefault(); run(); }}>
      <div class="field"><label for="into">Dataset</label><select id="into" value=${into} onChange=${(event) => setInto(event.target.value)}>
        <option value="">A new one</option>${(known.data ?? []).map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select></div>
      ${!into && html`<div class="field"><label for="dataset-name">Name</label><input id="dataset-name" required value=${name} onInput=${(event) => setName(event.target.value)} /></div>`}
      ${act.error && html`<p class="notice bad" role="alert">${act.error.message}</p>`}
      <div class="row"><button type="submit" class="primary" disabled=${act.busy}>Add</button><button type="button" onClick=${close}>Cancel</button></div>
    </form><//>`;
}
