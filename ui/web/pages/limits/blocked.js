// What limits turned away: when, and whose requests.
import { html } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { useChartBody } from "../../lib/asked.js";
import { count, short } from "../../lib/format.js";
import { withCondition } from "../../lib/filter_text.js";
import { useQuery } from "../../lib/query.js";
import { go, href } from "../../lib/route.js";
import { Bars } from "../../parts/chart.js";
import { FilterBar } from "../../parts/filter_bar.js";
import { Panel, Series } from "../../parts/panel.js";

const TOP = 10;
const NOTHING = "No request in this range was turned away.";
const NOBODY = "without a user";

export function Blocked({ params }) {
  const { body, key } = useChartBody(params);
  const blocked = useQuery(key && `blocked:${key}`, (signal) => post("/v1/rate-limits/blocked", body, { signal }));
  const requests = (row) => {
    if (!row.isRest) go(href("requests", [], { q: withCondition(withCondition(params.q ?? "", "user", row.name), "property.Helicone-Rate-Limit-Status", "rate_limited", "~"), range: params.range }));
  };
  return html`<section class="part"><header><h2>Turned away</h2></header>
    <${FilterBar} params=${params} />
    <div class="charts">
      <${Series} title="Over time" tells="Requests that a limit turned away, by rule or by header" query=${blocked} rows=${(data) => data.over_time} series=${[["Turned away", "count", "chart-4"]]} format=${short} bars empty=${NOTHING} />
      <${Panel} title="By user" tells="Who was turned away most often. Click one to see the requests" query=${blocked}>${(data) => html`<div class="stack">
        <${Bars} rows=${data.by_user.slice(0, TOP).map((row) => ({ name: row.user_id || NOBODY, isRest: !row.user_id, value: row.count }))} format=${count} pick=${requests} empty=${NOTHING} />
        ${data.total > 0 && html`<p class="muted small">${count(data.total)} requests of ${count(data.users)} ${data.users === 1 ? "user" : "users"}</p>`}</div>`}<//>
    </div></section>`;
}
