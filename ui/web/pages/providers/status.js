// How the providers that were called are doing, by the organisation's own calls.
import { html } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { count, date, duration, percent, short } from "../../lib/format.js";
import { useQuery } from "../../lib/query.js";
import { href, setParams } from "../../lib/route.js";
import { Chart } from "../../parts/chart.js";
import { Choice, Section } from "../../parts/settings.js";
import { Empty, Loading, Problem, Shown } from "../../parts/states.js";

const REFRESH_MS = 60_000;
const FRAMES = [["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]];
const BAD = 0.05;

export function Status({ params }) {
  const all = useQuery("providers.status", (signal) => get("/v1/public/status/provider", { signal }), { every_ms: REFRESH_MS });
  return html`<p class="muted">The last 24 hours of this organisation's own calls, beside the 24 hours before.</p>
    <${Shown} query=${all} empty=${html`<${Empty} title="No provider was called in the last two days">
      <p>Here it says how many of your calls to each provider fail and how long its answers take. It appears by itself with the first call. <a href="/start">How to send one</a></p>
      ${params.provider ? null : html`<p>What was called before is on the <a href=${href("dashboard", [], { range: "30d" })}>dashboard</a>.</p>`}<//>`}>
      ${(rows) => html`<${Table} rows=${rows} chosen=${params.provider} />`}<//>
    ${params.provider && html`<${Course} key=${params.provider} name=${params.provider} frame=${FRAMES.some(([id]) => id === params.frame) ? params.frame : "24h"} />`}`;
}

function Table({ rows, chosen }) {
  const most = [...rows].sort((a, b) => b.metrics.requests - a.metrics.requests);
  return html`<div class="table-box" tabindex="0"><table class="plain">
    <thead><tr><th>Provider</th><th>State</th><th class="num" title="Calls that ended in the last 24 hours">Calls</th>
      <th class="num" title="Answers with a status from 400 to 599, of all calls; also those that a limit or a budget here turned away. In brackets: against the 24 hours before">Errors</th>
      <th class="num" title="The mean from the request's arrival to the end of the answer. In brackets: against the 24 hours before">Mean latency</th>
      <th class="num" title="The mean over streamed answers">Mean to first token</th></tr></thead>
    <tbody>${most.map(({ providerName: name, metrics: told }) => html`<tr key=${name}>
      <td><button type="button" class="link" aria-pressed=${name === chosen} title="Its course over time" onClick=${() => setParams({ provider: name === chosen ? "" : name })}>${name}</button></td>
      <td><${State} told=${told} /></td>
      <td class="num">${count(told.requests)}</td>
      <td class="num">${told.requests ? percent(told.errorRate) : "–"} <${Change} told=${told} by=${told.errorRateChange} text=${(by) => `${(100 * by).toFixed(1)} points`} least=${0.0005} /></td>
      <td class="num">${told.requests ? duration(told.average_latency_ms) : "–"} <${Change} told=${told} by=${told.latencyChangeMs} text=${duration} least=${1} /></td>
      <td class="num">${told.average_time_to_first_token_ms ? duration(told.average_time_to_first_token_ms) : "–"}</td>
    </tr>`)}</tbody></table></div>`;
}

/** In a word what the figures say. */
function State({ told }) {
  if (!told.requests) return html`<span class="badge" title="Called in the 24 hours before, not since">quiet</span>`;
  if (told.errorRate >= 0.5) return html`<span class="badge bad" title="Half of the calls or more fail">failing</span>`;
  if (told.errorRate >= BAD) return html`<span class="badge warn" title="Five of a hundred calls or more fail">errors</span>`;
  return html`<span class="badge good" title="Fewer than five of a hundred calls fail">well</span>`;
}

/** Against the day before, if there were calls then. */
function Change({ told, by, text, least }) {
  const wasCalled = told.average_latency_ms - told.latencyChangeMs > 0;
  if (!told.requests || !wasCalled || Math.abs(by) < least) return null;
  return html`<span class=${`small ${by > 0 ? "bad" : "good"}`}>(${by > 0 ? "+" : "−"}${text(Math.abs(by))})</span>`;
}

function Course({ name, frame }) {
  const one = useQuery(`providers.course:${name}:${frame}`, (signal) => get(`/v1/public/status/provider/${encodeURIComponent(name)}?timeFrame=${frame}`, { signal }));
  const rows = one.data?.timeSeries;
  return html`<${Section} title=${name} act=${html`<${Choice} label="Span of time" choices=${FRAMES} value=${frame} set=${(id) => setParams({ frame: id })} />
      <a class="button" href=${href("requests", [], { q: `provider = ${JSON.stringify(name)}`, range: frame })}>Requests</a>`}>
    <${Problem} error=${one.error} again=${one.reload} />
    ${!rows && !one.error && html`<${Loading} />`}
    ${rows && html`<div class="charts">
      <div><h3 title="Calls in each step of time, by how they ended">Calls</h3><${Chart} label="Calls" times=${rows.map((row) => date(row.time))} format=${short} stacked series=${[
        { name: "Answered", color: "chart-1", bars: true, values: rows.map((row) => row.requests - row.errors) },
        { name: "Errors", color: "chart-4", bars: true, values: rows.map((row) => row.errors) }]} /></div>
      <div><h3 title="The mean from the request's arrival to the end of the answer">Latency</h3><${Chart} label="Latency" times=${rows.map((row) => date(row.time))} format=${duration} series=${[
        { name: "Whole answer", color: "chart-3", bars: true, values: rows.map((row) => row.average_latency_ms || null) },
        { name: "First token", color: "chart-6", values: rows.map((row) => row.average_time_to_first_token_ms || null) }]} /></div>
    </div>`}<//>`;
}
