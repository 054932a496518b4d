// The values of one property: over time, the dearest, the most frequent, and a way to find any.
import { html, useMemo, useState } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { zoomTo } from "../../lib/asked.js";
import { count, date, percent, short, usd } from "../../lib/format.js";
import { withCondition } from "../../lib/filter_text.js";
import { useQuery } from "../../lib/query.js";
import { go, href } from "../../lib/route.js";
import { Bars, Chart, Legend } from "../../parts/chart.js";
import { Panel } from "../../parts/panel.js";
import { Table } from "../../parts/table.js";

const OTHER = "other";
const TOP = 10;
const COLOURS = 6;

export function Values({ name, body, asked, params }) {
  const ask = (path, more) => (signal) => post(path, { ...body, ...more }, { signal });
  const at = encodeURIComponent(name);
  const named = (what) => asked && `properties:${what}:${name}:${asked}`;
  const overTime = useQuery(named("over-time"), ask("/v1/property/properties/over-time", { propertyKey: name }));
  const costs = useQuery(named("costs"), ask(`/v1/property/${at}/top-costs/query`));
  const requests = useQuery(named("requests"), ask(`/v1/property/${at}/top-requests/query`));
  const address = (value) => href("requests", [], { q: withCondition(params.q ?? "", `property.${name}`, value), range: params.range });
  return html`<div class="charts">
      <${OverTime} title="Requests" tells="Requests with this property, by its value" query=${overTime} field="count" format=${short} />
      <${OverTime} title="Cost" tells="USD in each step of time, by value" query=${overTime} field="cost" format=${usd} />
      <${Tops} title="Values by cost" query=${costs} field="cost" format=${usd} address=${address} />
      <${Tops} title="Values by requests" query=${requests} field="count" format=${short} address=${address} />
    </div>
    <${Panel} title="By value" tells="The ten values with the most requests, and all others together" query=${overTime} side=${html`<${Find} name=${name} address=${address} />`}>
      ${(rows) => html`<${ByValue} rows=${rows} address=${address} />`}<//>`;
}

/** What each value has in all, the most frequent first, and what is told of the rest of them. */
function sums(rows) {
  const found = new Map();
  for (const { value, count: requests, cost } of rows) {
    const one = found.get(value) ?? { value, count: 0, cost: 0 };
    one.count += requests;
    one.cost += Number(cost);
    found.set(value, one);
  }
  const all = [...found.values()];
  const isRest = (one) => all.length > TOP && one.value === OTHER;
  return all.map((one) => ({ ...one, isRest: isRest(one) })).sort((a, b) => a.isRest - b.isRest || b.count - a.count);
}

/** The most frequent values one by one, in the same colours in every chart; the others as one. */
function OverTime({ title, tells, query, field, format }) {
  const drawn = useMemo(() => {
    if (!query.data) return null;
    const values = sums(query.data);
    const own = values.filter((one) => !one.isRest).slice(0, COLOURS).map((one) => one.value);
    const times = [...new Set(query.data.map((row) => row.time))].sort();
    const places = new Map(times.map((time, at) => [time, at]));
    const columns = new Map([...own, OTHERS].map((value) => [value, new Array(times.length).fill(0)]));
    for (const row of query.data) columns.get(own.includes(row.value) ? row.value : OTHERS)[places.get(row.time)] += Number(row[field]);
    const series = [...own, ...(values.length > own.length ? [OTHERS] : [])]
      .map((value, at) => ({ name: value === OTHERS ? "all others" : value, color: value === OTHERS ? "line-strong" : `chart-${at + 1}`, bars: true, values: columns.get(value) }));
    return { times: times.map(date), series };
  }, [query.data]);
  return html`<${Panel} title=${title} tells=${tells} query=${query}>${() => drawn.series.length
    ? html`<${Legend} series=${drawn.series} /><${Chart} label=${title} times=${drawn.times} series=${drawn.series} format=${format} zoom=${zoomTo} stacked />`
    : html`<p class="muted small">No request in this range has it.</p>`}<//>`;
}

const OTHERS = Symbol("others");

function Tops({ title, query, field, format, address }) {
  return html`<${Panel} title=${title} tells="Ten values and all others together. Click one to see its requests" query=${query}>${(rows) => html`
    <${Bars} rows=${rows.map((row, at) => ({ name: at === TOP ? "all others" : row.value, value: Number(row[field]), isRest: at === TOP, given: row.value }))} format=${format}
      pick=${(row) => { if (!row.isRest) go(address(row.given)); }} />`}<//>`;
}

function ByValue({ rows, address }) {
  const values = sums(rows);
  const all = values.reduce((sum, one) => sum + one.count, 0);
  if (!values.length) return html`<p class="muted small">No request in this range has it.</p>`;
  const columns = [
    { id: "value", name: "Value", show: (one) => (one.isRest ? html`<span class="muted">all others</span>` : html`<a class="cut" href=${address(one.value)}>${one.value}</a>`), title: (one) => (one.isRest ? "" : `Requests with ${one.value}`) },
    { id: "requests", name: "Requests", num: true, show: (one) => count(one.count) },
    { id: "share", name: "Share", num: true, show: (one) => percent(one.count / all), tells: "Of all requests with this property" },
    { id: "cost", name: "Cost", num: true, show: (one) => usd(one.cost), tells: "USD, by the price list at the time" },
    { id: "mean", name: "Cost/request", num: true, show: (one) => usd(one.count ? one.cost / one.count : 0), tells: "The mean, in USD" },
  ];
  return html`<${Table} label="Values" columns=${columns} rows=${values} keyOf=${(one) => `${one.isRest}${one.value}`} />`;
}

/** Any value by a part of it, of all time. */
function Find({ name, address }) {
  const [term, setTerm] = useState("");
  const found = useQuery(term ? `properties:found:${name}:${term}` : null, (signal) => post(`/v1/property/${encodeURIComponent(name)}/search`, { searchTerm: term }, { signal }));
  return html`<form class="row" onSubmit=${(event) => { event.preventDefault(); if (term) go(address(term)); }}>
    <input list="property-values" aria-label="Find a value" placeholder="Find a value" value=${term} onInput=${(event) => setTerm(event.target.value)} />
    <datalist id="property-values">${(found.data ?? []).map((value) => html`<option key=${value} value=${value} />`)}</datalist>
    <button type="submit" disabled=${!term}>Its requests</button></form>`;
}
