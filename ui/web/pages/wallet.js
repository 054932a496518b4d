// The wallet: what is left of the credits, what calls cost, what was paid in, and the budgets.
import { html } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { count, time, usd, utc } from "../lib/format.js";
import { useQuery } from "../lib/query.js";
import { go, href, setParams } from "../lib/route.js";
import { Bars } from "../parts/chart.js";
import { CodeBox } from "../parts/pop.js";
import { Choice, Meter, Section } from "../parts/settings.js";
import { Figure, Shown } from "../parts/states.js";

const SPANS = [["7d", "7 days"], ["30d", "30 days"], ["90d", "90 days"]];
const DAY_MS = 86_400_000;
const PAGE_ROWS = 20;
const TOP = 15;
const REFRESH_MS = 30_000;

export default function Wallet({ params }) {
  const wallet = useQuery("wallet", (signal) => get("/wallet/state", { signal }), { every_ms: REFRESH_MS });
  const span = SPANS.some(([id]) => id === params.range) ? params.range : "30d";
  return html`<div class="page">
    <div class="page-head"><h1>Wallet</h1></div>
    <${Shown} query=${wallet}>${(state) => html`<${State} state=${state} />`}<//>
    <${Budgets} />
    <${Spend} span=${span} />
    <${Payments} page=${Math.max(0, Number(params.page) || 0)} />
    <${About} />
  </div>`;
}

const cents = (value) => usd(Number(value) / 100);

function State({ state }) {
  const isUnused = !Number(state.totalCredits) && !Number(state.totalDebits) && !Number(state.creditLine);
  return html`
    ${isUnused && html`<p class="notice"><b>No credits are in use here.</b> That is as it should be, unless this appliance pays for the calls of others: calls with your own providers' keys need none.</p>`}
    ${state.disputeStatus === "suspended" && html`<div class="notice bad" role="alert"><b>The wallet is suspended:</b> a payment is disputed, and until that has ended nothing is paid with credits.
      ${state.activeDisputes.map((one) => html`<div key=${one.id} title=${utc(one.createdAt)}>${cents(one.amount)} of ${one.chargeId}, ${one.reason}, since ${time(one.createdAt)}</div>`)}</div>`}
    <div class="cards">
      <${Figure} name="To spend" value=${cents(state.effectiveBalance)} tone=${Number(state.effectiveBalance) < 0 ? "bad" : ""} title="The balance, less what calls under way may cost at most" />
      <${Figure} name="Balance" value=${cents(state.balance)} title="What was paid in, less what calls have cost" />
      <${Figure} name="Held" value=${cents(state.totalEscrow)} title="Set aside for calls that are under way. When one ends, its cost is taken and the rest is free again" />
      <${Figure} name="Spent" value=${cents(state.totalDebits)} title="What calls have cost so far" />
      <${Figure} name="Paid in" value=${cents(state.totalCredits)} title="All credits that were ever bought, less what went back" />
      ${Number(state.creditLine) > 0 && html`<${Figure} name="Credit line" value=${cents(state.creditLine)} title="How far the balance may go below nothing" />`}
    </div>
    ${state.disallowList.length > 0 && html`<${Disallowed} rows=${state.disallowList} />`}`;
}

const Disallowed = ({ rows }) => html`<${Section} title="Not paid from credits" tells="The cost of a call to these could not be told once. They are not paid with credits until somebody allows them again.">
  <div class="table-box" tabindex="0"><table class="plain"><thead><tr><th>Provider</th><th>Model</th><th>Seen in</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${`${row.provider}/${row.model}`}><td>${row.provider}</td><td>${row.model}</td>
      <td>${row.helicone_request_id ? html`<a href=${href("requests", [], { id: row.helicone_request_id })}>the request</a>` : "–"}</td></tr>`)}</tbody></table></div>
  <${CodeBox} text=${`helicone-appliance wallet allow ${rows[0].provider} ${rows[0].model}`} /><//>`;

const SCOPES = { key: "Key", user: "User" };
const PERIODS = { day: "a day", week: "a week", month: "a month" };

function Budgets() {
  const budgets = useQuery("budgets", (signal) => get("/v1/budgets", { signal }), { every_ms: REFRESH_MS });
  const keys = useQuery(budgets.data?.some((row) => row.scope === "key") ? "keys" : null, (signal) => get("/v1/api-keys", { signal }));
  const nameOf = (row) => (row.scope === "key" && keys.data?.find((one) => one.id === row.value)?.api_key_name) || row.value;
  const none = html`<p>No budget is set. A budget says what a key, a user or the value of a property may spend in a day, a week or a month; when that is used up, further calls are refused. No credits are needed for it.</p>
    <p><a href="/limits">Set a budget</a></p>`;
  return html`<${Section} title="Budgets" tells="What may be spent in the period that runs. Periods begin at midnight UTC, weeks on Monday.">
    <${Shown} query=${budgets} empty=${html`<div class="stack">${none}</div>`}>${(rows) => html`
      <div class="table-box" tabindex="0"><table class="plain"><thead><tr><th>For</th><th>Value</th><th class="num">Spent</th><th class="num" title="Set aside for calls that are under way">Held</th><th class="num">Limit</th><th>Used</th><th>Id</th></tr></thead>
        <tbody>${[...rows].sort((a, b) => share(b) - share(a)).map((row) => html`<${Budget} key=${`${row.id}:${row.value}`} row=${row} name=${nameOf(row)} />`)}</tbody></table></div>
      <p class="muted small"><a href="/limits">Set or remove budgets</a></p>`}<//><//>`;
}

const share = (row) => (Number(row.limit_usd) ? (Number(row.spent_usd) + Number(row.held_usd)) / Number(row.limit_usd) : 1);

function Budget({ row, name }) {
  const limit = Number(row.limit_usd) || 1e-12;
  const [spent, held] = [Number(row.spent_usd) / limit, Number(row.held_usd) / limit];
  const used = share(row);
  const tone = used >= 1 ? "over" : used >= 0.8 ? "near" : "";
  return html`<tr><td>${SCOPES[row.scope] ?? row.scope.replace("property:", "Property ")}</td>
    <td class="cut" title=${row.value}>${name && name !== "*" ? name : html`<span class="muted">each for itself</span>`}</td>
    <td class="num">${usd(row.spent_usd)}</td><td class="num">${usd(row.held_usd)}</td>
    <td class="num">${usd(row.limit_usd)} ${PERIODS[row.period] ?? row.period}</td>
    <td><${Meter} label=${`${Math.round(100 * used)} % used`} parts=${[[spent, tone], [held, "held"]]} /></td>
    <td><code title=${row.id}>${row.id.slice(0, 8)}</code></td></tr>`;
}

function Spend({ span }) {
  const models = useQuery(`wallet.spend:${span}`, (signal) => {
    const end = new Date();
    const start = new Date(end - parseInt(span, 10) * DAY_MS);
    return post("/v1/metrics/models", { timeFilter: { start: start.toISOString(), end: end.toISOString() }, filter: "all", limit: 1000, offset: 0 }, { signal });
  });
  return html`<${Section} title="What calls cost" tells="By model and the price list, with credits or with keys of your own."
      act=${html`<${Choice} label="Span of time" choices=${SPANS} value=${span} set=${(range) => setParams({ range })} />`}>
    <${Shown} query=${models} empty=${html`<p class="muted">No calls in this time.</p>`}>${(rows) => {
      const costly = rows.map((row) => ({ name: row.model, value: Number(row.cost), title: `${row.model}: ${count(row.total_requests)} requests` })).filter((row) => row.value > 0).sort((a, b) => b.value - a.value);
      return html`<p><b>${usd(costly.reduce((sum, row) => sum + row.value, 0))}</b> <span class="muted">in all</span></p>
        <${Bars} rows=${costly.slice(0, TOP)} format=${usd} empty="No call in this time had a known cost." pick=${(row) => go(href("requests", [], { q: `model = ${JSON.stringify(row.name)}`, range: span }))} />
        ${costly.length > TOP && html`<p class="muted small">and ${costly.length - TOP} more models</p>`}`;
    }}<//><//>`;
}

function Payments({ page }) {
  const paid = useQuery(`wallet.payments:${page}`, (signal) => get(`/v1/credits/payments?page=${page}&pageSize=${PAGE_ROWS}`, { signal }));
  return html`<${Section} title="Payments" tells="What was paid in or taken back, the newest first.">
    <${Shown} query=${paid}>${({ purchases, total }) => !total ? html`<p class="muted">Nothing was paid in yet. Payments come from <code>wallet top-up</code>, from POST /admin/wallet/…/modify-balance, or from Stripe.</p>` : html`
      <div class="table-box" tabindex="0"><table class="plain"><thead><tr><th>When</th><th class="num">Amount</th><th>Reference</th></tr></thead>
        <tbody>${purchases.map((row) => html`<tr key=${row.id}><td class="nowrap" title=${utc(row.createdAt)}>${time(row.createdAt)}</td>
          <td class=${`num ${Number(row.credits) < 0 ? "bad" : ""}`}>${cents(row.credits)}</td><td class="cut" title=${row.referenceId}>${row.referenceId || "–"}</td></tr>`)}</tbody></table></div>
      ${total > PAGE_ROWS && html`<div class="row"><button type="button" disabled=${page === 0} onClick=${() => setParams({ page: page - 1 || "" })}>Newer</button>
        <button type="button" disabled=${(page + 1) * PAGE_ROWS >= total} onClick=${() => setParams({ page: page + 1 })}>Older</button>
        <span class="muted small">${count(page * PAGE_ROWS + 1)} to ${count(Math.min(total, (page + 1) * PAGE_ROWS))} of ${count(total)}</span></div>`}`}<//><//>`;
}

const About = () => html`<${Section} title="What credits are for">
  <p>With credits an organisation calls models without a provider's key of its own: one organisation, <code>platform_org</code> of the configuration, lends its stored keys, and each call is paid from the caller's wallet. Before a call goes out, what it may cost at most is held; when it has ended, what it did cost is taken. A wallet never runs below nothing, but for its credit line.</p>
  <p>An appliance without <code>platform_org</code> needs no credits at all: every call is made with keys of your own, and costs are only counted.</p>
  <${CodeBox} text=${"helicone-appliance wallet top-up 25 --org acme --event-id pay_123\nhelicone-appliance wallet show --org acme\nhelicone-appliance budgets set key 50 --per month"} /><//>`;
