// The models that the gateway offers, who serves them, and what they cost.
import { html, useMemo } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { NONE, count, short } from "../../lib/format.js";
import { useQuery } from "../../lib/query.js";
import { setParams } from "../../lib/route.js";
import { Icon } from "../../parts/icon.js";
import { copy } from "../../parts/pop.js";
import { Empty, Shown } from "../../parts/states.js";

const SHOWN = 100;
const cost = (usd) => (usd === null || usd === undefined ? NONE : usd === 0 ? "free" : `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 })}`);
const price = (name) => (row) => row.pricing[name];
const COLUMNS = [
  { id: "model", name: "Model", of: (row) => row.model, tells: "As the gateway calls it. Click to copy it with its provider" },
  { id: "provider", name: "Provider", of: (row) => row.provider },
  { id: "context", name: "Context", num: true, of: (row) => row.context, tells: "Tokens that fit in, prompt and answer together" },
  { id: "output", name: "Longest answer", num: true, of: (row) => row.output, tells: "Tokens" },
  { id: "prompt", name: "Prompt", num: true, of: price("prompt"), tells: "USD for a million tokens of the prompt" },
  { id: "completion", name: "Completion", num: true, of: price("completion"), tells: "USD for a million tokens of the answer" },
  { id: "read", name: "Cache read", num: true, of: price("cacheRead"), tells: "USD for a million tokens from the provider's cache" },
  { id: "write", name: "Cache write", num: true, of: price("cacheWrite"), tells: "USD for a million tokens put into the provider's cache" },
];

export function Models({ params }) {
  const models = useQuery("models", (signal) => get("/v1/public/model-registry/models", { signal }));
  return html`<${Shown} query=${models}>${(data) => html`<${Found} data=${data} params=${params} />`}<//>`;
}

function Found({ data, params }) {
  const { q = "", by = "", kind = "" } = params;
  const [sorted = "", way = "asc"] = (params.sort ?? "").split(".");
  const rows = useMemo(() => found(data.models, { q, by, kind, sorted, way }), [data, q, by, kind, sorted, way]);
  const shown = params.all ? rows : rows.slice(0, SHOWN);
  const sort = (id) => setParams({ sort: sorted === id ? (way === "asc" ? `${id}.desc` : "") : `${id}.asc` });
  return html`
    <div class="bar"><div class="search"><${Icon} name="search" /><input data-search aria-label="Search models" placeholder="Model, provider or author" value=${q} onInput=${(event) => setParams({ q: event.target.value })} /></div>
      <select aria-label="Provider" value=${by} onChange=${(event) => setParams({ by: event.target.value })}><option value="">All providers</option>${data.filters.providers.map((id) => html`<option value=${id}>${id}</option>`)}</select>
      <select aria-label="Takes in" value=${kind} onChange=${(event) => setParams({ kind: event.target.value })}><option value="">Takes anything in</option>${data.filters.capabilities.map((id) => html`<option value=${id}>Takes ${id} in</option>`)}</select></div>
    <p class="muted small">${count(new Set(rows.map((row) => row.model)).size)} models at ${count(new Set(rows.map((row) => row.provider)).size)} providers. Prices are USD for a million tokens, as this version's price list has them; providers may have changed theirs since.</p>
    ${!rows.length ? html`<${Empty} title="No model fits">Take a word away, or another provider. The gateway passes unknown models on to the provider that is named with them, as in <code>model/provider</code>.<//>` : html`
    <div class="table-box" tabindex="0"><table class="plain">
      <thead><tr>${COLUMNS.map((column) => html`<th key=${column.id} class=${column.num ? "num" : ""} title=${column.tells} aria-sort=${sorted === column.id ? (way === "asc" ? "ascending" : "descending") : undefined}>
        <button type="button" onClick=${() => sort(column.id)}>${column.name}${sorted === column.id && html`<${Icon} name=${way === "asc" ? "up" : "down"} />`}</button></th>`)}
        <th title="Whether calls may be paid with credits, through the keys of the platform organisation">Credits</th></tr></thead>
      <tbody>${shown.map((row) => html`<tr key=${`${row.model}/${row.provider}/${row.named}`}>
        <td title=${`${row.author}; takes ${row.takes.join(", ")} in`}><button type="button" class="link" onClick=${() => copy(`${row.model}/${row.provider}`, `${row.model}/${row.provider} copied`)}>${row.model}</button></td>
        <td title=${`There it is called ${row.named}`}>${row.provider}</td>
        <td class="num" title=${count(row.context)}>${short(row.context)}</td><td class="num" title=${count(row.output)}>${short(row.output)}</td>
        ${["prompt", "completion", "cacheRead", "cacheWrite"].map((name) => html`<td class="num">${cost(row.pricing[name])}</td>`)}
        <td>${row.credits ? "yes" : html`<span class="muted">no</span>`}</td></tr>`)}</tbody></table></div>
    ${shown.length < rows.length && html`<div><button type="button" onClick=${() => setParams({ all: "1" })}>Show all ${count(rows.length)}</button></div>`}`}`;
}

/** One row for each model at each provider that fits, sorted. */
function found(models, { q, by, kind, sorted, way }) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = models.flatMap((model) => model.endpoints.map((end) => ({
    model: model.id, author: model.author, context: model.contextLength, output: model.maxOutput, takes: model.inputModalities,
    provider: end.provider, named: end.providerModelId, credits: end.supportsPtb, pricing: end.pricing ?? {},
  }))).filter((row) => (!by || row.provider === by) && (!kind || row.takes.includes(kind))
    && words.every((word) => `${row.model} ${row.provider} ${row.author} ${row.named}`.toLowerCase().includes(word)));
  const column = COLUMNS.find((one) => one.id === sorted);
  if (!column) return rows;
  const sign = way === "asc" ? 1 : -1;
  return rows.sort((a, b) => {
    const [x, y] = [column.of(a), column.of(b)];
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
}
