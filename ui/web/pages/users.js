// Users: who asked for how much, as a table that the server sorts; /users/ID is one of them.
import { html, useEffect, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { useChartBody } from "../lib/asked.js";
import { NONE, ago, count, minute, short, usd, utc } from "../lib/format.js";
import { useQuery } from "../lib/query.js";
import { href, setParams } from "../lib/route.js";
import { FilterBar } from "../parts/filter_bar.js";
import { CodeBox } from "../parts/pop.js";
import { Empty, Loading, Problem } from "../parts/states.js";
import { Pager, Table, sortOf, sortText, useSteady } from "../parts/table.js";
import { User } from "./users/one.js";

const PAGE_ROWS = 50;
const TYPING_MS = 300;
const SENT = "Helicone-User-Id: alice@example.com";

const columnsOf = (params) => [
  { id: "user", name: "User", sort: "user_id", show: (row) => html`<a class="cut" href=${href("users", [row.user_id], { range: params.range })}>${row.user_id}</a>`, title: (row) => row.user_id },
  { id: "cost", name: "Cost", num: true, sort: "cost", show: (row) => usd(row.cost), tells: "USD, by the price list at the time" },
  { id: "requests", name: "Requests", num: true, sort: "total_requests", show: (row) => count(row.total_requests) },
  { id: "per-day", name: "Per day", num: true, sort: "average_requests_per_day_active", show: (row) => perDay(row.average_requests_per_day_active), tells: "Requests divided by the days (UTC) with at least one" },
  { id: "days", name: "Active days", num: true, sort: "active_for", show: (row) => count(row.active_for), tells: "Days (UTC) with at least one request" },
  { id: "tokens", name: "Tokens/request", num: true, sort: "average_tokens_per_request", show: (row) => short(row.average_tokens_per_request), tells: "The mean of prompt and completion tokens" },
  { id: "prompt", name: "Prompt", num: true, tells: "Prompt tokens in all", sort: "total_prompt_tokens", show: (row) => short(row.total_prompt_tokens), title: (row) => count(row.total_prompt_tokens) },
  { id: "completion", name: "Completion", num: true, tells: "Completion tokens in all", sort: "total_completion_tokens", show: (row) => short(row.total_completion_tokens), title: (row) => count(row.total_completion_tokens) },
  { id: "errors", name: "Errors", num: true, sort: "errors", show: (row) => (row.errors ? count(row.errors) : NONE), tells: "Answers with a status from 400 to 599" },
  { id: "first", name: "First active", sort: "first_active", show: (row) => html`<span class="nowrap">${minute(row.first_active)}</span>`, title: (row) => utc(row.first_active), tells: "The first request in this range" },
  { id: "last", name: "Last active", sort: "last_active", show: (row) => html`<span class="nowrap">${minute(row.last_active)}</span>`, title: (row) => `${utc(row.last_active)} · ${ago(row.last_active)}`, tells: "The latest request in this range" },
];

const perDay = (value) => (value >= 100 ? count(value) : Number(value).toFixed(1));

export default function Users({ rest, params }) {
  return rest[0] ? html`<${User} key=${rest[0]} id=${rest[0]} params=${params} />` : html`<${All} params=${params} />`;
}

/** The users of a range and a filter, and of a part of their names. */
function useUsers(params, sort, page) {
  const { body, key } = useChartBody(params);
  const name = params.name ?? "";
  const named = { users_view: { user_user_id: { contains: name } } };
  const filter = !name ? body.filter : body.filter === "all" ? named : { left: body.filter, operator: "and", right: named };
  const asked = key && `users:${JSON.stringify([key, name])}`;
  const query = useQuery(asked && `${asked}:${sort.id}:${sort.down}:${page}`, (signal) => post("/v1/user/metrics/query", {
    filter, timeFilter: body.timeFilter, limit: PAGE_ROWS, offset: page * PAGE_ROWS, sort: { [sort.id]: sort.down ? "desc" : "asc" },
  }, { signal }));
  return useSteady(query, asked);
}

function All({ params }) {
  const sort = sortOf(params.sort, "cost.desc");
  const page = Math.max(0, Number.parseInt(params.page, 10) || 0);
  const users = useUsers(params, sort, page);
  const setSort = (id) => setParams({ sort: sortText(sort, id), page: undefined });
  return html`<div class="page">
    <div class="page-head"><h1>Users</h1><${Name} value=${params.name ?? ""} /></div>
    <${FilterBar} params=${params} />
    <${Problem} error=${users.error} again=${users.reload} />
    ${!users.data ? !users.error && html`<${Loading} />`
      : !users.data.hasUsers ? html`<${Nobody} />`
      : !users.data.count ? html`<${Empty} title="Nobody matches"><p>No user in this range fits. Take a condition away, or widen the range.</p><//>`
      : html`<${Table} label="Users" columns=${columnsOf(params)} rows=${users.data.users} sort=${sort} setSort=${setSort} keyOf=${(row) => row.user_id} busy=${users.loading} />
        <${Pager} page=${page} size=${PAGE_ROWS} total=${users.data.count} shown=${users.data.users.length} go=${(next) => setParams({ page: next || undefined }, { push: true })} />`}
  </div>`;
}

const Nobody = () => html`<${Empty} title="No users yet"><div class="stack">
  <p>Requests that say whose they are can be counted, limited and looked at by user. One header does it:</p>
  <${CodeBox} text=${SENT} /></div><//>`;

/** A part of the name, asked for when nobody types any more. */
function Name({ value }) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  useEffect(() => {
    if (draft === value) return undefined;
    const timer = setTimeout(() => setParams({ name: draft || undefined, page: undefined }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [draft]);
  return html`<input type="search" aria-label="Part of the user's name" placeholder="Find a user" value=${draft} onInput=${(event) => setDraft(event.target.value)} />`;
}
