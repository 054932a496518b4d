// One user: what they asked for and what it cost, over 30 days unless another range is chosen.
import { html } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { useChartBody } from "../../lib/asked.js";
import { ago, count, duration, short, time, usd, utc } from "../../lib/format.js";
import { withCondition } from "../../lib/filter_text.js";
import { useQuery } from "../../lib/query.js";
import { go, href } from "../../lib/route.js";
import { Bars } from "../../parts/chart.js";
import { RangePicker } from "../../parts/filter_bar.js";
import { Icon } from "../../parts/icon.js";
import { OUTCOMES, Panel, Series, byOutcome } from "../../parts/panel.js";
import { Empty, Figure, Loading, Problem } from "../../parts/states.js";

const RANGE = "30d";
const TOP = 10;

export function User({ id, params }) {
  const range = params.range ?? RANGE;
  const q = withCondition("", "user", id);
  const { body, key } = useChartBody({ q, range });
  const named = (name) => `user:${name}:${key}`;
  const user = useQuery(named("figures"), (signal) => post("/v1/user/metrics/query", {
    filter: { users_view: { user_user_id: { equals: id } } }, timeFilter: body.timeFilter, limit: 1, offset: 0,
  }, { signal }));
  const told = user.data?.users[0];
  return html`<div class="page">
    <div class="page-head"><h1 class="cut"><a href=${href("users", [], { range: params.range })}>Users</a> / <span title=${id}>${id}</span></h1>
      <a class="button" href=${href("requests", [], { q, range })}><${Icon} name="requests" /> Requests of this user</a>
      <${RangePicker} value=${range} usual=${RANGE} /></div>
    <${Problem} error=${user.error} again=${user.reload} />
    ${!user.data ? !user.error && html`<${Loading} />`
      : !told ? html`<${Empty} title="No requests in this range"><p>Widen the range to see when this user was last here.</p><//>`
      : html`<${Figures} told=${told} /><${Charts} body=${body} named=${named} q=${q} range=${range} />`}
  </div>`;
}

const Figures = ({ told }) => html`
  <p class="muted small">First active <span title=${utc(told.first_active)}>${time(told.first_active)}</span>, last active <span title=${`${utc(told.last_active)} · ${ago(told.last_active)}`}>${time(told.last_active)}</span> in this range.</p>
  <div class="cards">
    <${Figure} name="Cost" value=${usd(told.cost)} title=${`The sum of all costs, in USD: ${usd(told.cost / told.total_requests)} a request`} />
    <${Figure} name="Requests" value=${count(told.total_requests)} title="All requests that ended in this range" />
    <${Figure} name="Active days" value=${count(told.active_for)} title="Days (UTC) with at least one request" />
    <${Figure} name="Per active day" value=${Number(told.average_requests_per_day_active).toFixed(1)} title="Requests divided by active days" />
    <${Figure} name="Tokens per request" value=${short(told.average_tokens_per_request)} title=${`${count(told.total_prompt_tokens)} prompt, ${count(told.total_completion_tokens)} completion in all`} />
    <${Figure} name="Errors" value=${count(told.errors)} tone=${told.errors ? "bad" : ""} title="Answers with a status from 400 to 599" />
    <${Figure} name="Rate-limited" value=${count(told.rate_limited_count)} title="Requests that a limit turned away" />
  </div>`;

function Charts({ body, named, q, range }) {
  const ask = (name, more) => (signal) => post(`/v1/metrics/${name}`, { ...body, ...more }, { signal });
  const statuses = useQuery(named("statuses"), ask("requestStatusOverTime"));
  const cost = useQuery(named("cost"), ask("costOverTime"));
  const tokens = useQuery(named("tokens"), ask("tokensOverTime"));
  const latency = useQuery(named("latency"), ask("latencyOverTime"));
  const models = useQuery(named("models"), ask("models", { limit: TOP, offset: 0 }));
  const requests = (row) => go(href("requests", [], { q: withCondition(q, "model", row.name), range }));
  return html`<div class="charts">
    <${Series} title="Requests" tells="By the status of the answer; cut off is one below 0: the client or the provider hung up" query=${statuses} rows=${byOutcome} series=${OUTCOMES} format=${short} bars stacked />
    <${Series} title="Cost" tells="USD in each step of time" query=${cost} series=${[["Cost", "cost", "chart-2"]]} format=${usd} bars />
    <${Series} title="Tokens" tells="Prompt tokens without those from the provider's cache; completion tokens" query=${tokens} series=${[["Prompt", "prompt_tokens", "chart-1"], ["Completion", "completion_tokens", "chart-5"]]} format=${short} bars stacked />
    <${Series} title="Latency" tells="The mean, from the request's arrival to the end of the answer" query=${latency} series=${[["Mean", "duration", "chart-3"]]} format=${duration} gaps />
    <${Panel} title="Models by cost" query=${models}>${(rows) => html`<${Bars} rows=${costliest(rows)} format=${usd} pick=${requests} />`}<//>
    <${Panel} title="Models by requests" query=${models}>${(rows) => html`<${Bars} rows=${rows.map((row) => ({ name: row.model, value: row.total_requests }))} format=${short} pick=${requests} />`}<//>
  </div>`;
}

const costliest = (rows) => [...rows].sort((a, b) => b.cost - a.cost).map((row) => ({ name: row.model, value: Number(row.cost) }));
