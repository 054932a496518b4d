// The form that sets a budget, and the question before one goes.
import { html, useState } from "../../lib/html.js";
import { get, post, remove } from "../../lib/api.js";
import { usd } from "../../lib/format.js";
import { useAct, useQuery } from "../../lib/query.js";
import { Field, FormDialog } from "../../parts/form.js";
import { Confirm } from "../../parts/pop.js";

const EACH = "*";
const PERIODS = ["day", "week", "month"];
export const scopeText = (row) => row.scope?.replace("property:", "property ") ?? "";

/** `budget` is a row to be changed, or empty for a new one. Scope, value and period are what it is
 *  known by: of one that is there, only the amount changes. */
export function BudgetForm({ budget, name, close, done }) {
  const isNew = !budget.id;
  const [scope, setScope] = useState("user");
  const [property, setProperty] = useState("");
  const [isOne, setOne] = useState(false);
  const [value, setValue] = useState("");
  const [period, setPeriod] = useState("month");
  const [limit, setLimit] = useState(budget.limit_usd ?? "");
  const [run, act] = useAct(async () => {
    const made = { scope: scope === "property" ? `property:${property.trim()}` : scope, value: isOne ? value : EACH, period };
    const known = { scope: budget.scope, value: budget.each ? EACH : budget.value, period: budget.period };
    await post("/v1/budgets", { ...(isNew ? made : known), limit_usd: limit });
    done(isNew ? "The budget holds from the next request on" : "Changed");
  });
  const choose = (next) => { setScope(next); setValue(""); };
  return html`<${FormDialog} title=${isNew ? "New budget" : "Change the budget"} verb=${isNew ? "Set the budget" : "Change"} close=${close} submit=${run} act=${act}>
    ${isNew ? html`
      <${Field} id="budget-scope" label="For" hint="Users by Helicone-User-Id, values by a property's header."><select id="budget-scope" value=${scope} onChange=${(event) => choose(event.target.value)}>
        <option value="user">users</option><option value="key">Helicone keys</option><option value="property">values of a property</option></select><//>
      ${scope === "property" && html`<${Field} id="budget-property" label="Property" hint="The part of its header behind Helicone-Property-."><input id="budget-property" required value=${property} onInput=${(event) => setProperty(event.target.value)} /><//>`}
      <${Field} id="budget-one" label="Counted for"><select id="budget-one" value=${isOne ? "one" : EACH} onChange=${(event) => setOne(event.target.value === "one")}>
        <option value=${EACH}>each for itself</option><option value="one">one alone</option></select><//>
      ${isOne && html`<${Value} scope=${scope} value=${value} set=${setValue} />`}
      <${Field} id="budget-period" label="Per"><select id="budget-period" value=${period} onChange=${(event) => setPeriod(event.target.value)}>${PERIODS.map((one) => html`<option value=${one}>${one}</option>`)}</select><//>`
    : html`<p>${whose(budget, name)}, per ${budget.period}. What was spent stays counted.</p>`}
    <${Field} id="budget-limit" label="Budget in USD"><input id="budget-limit" type="number" min="0" step="any" required value=${limit} onInput=${(event) => setLimit(event.target.value)} /><//><//>`;
}

const whose = (budget, name) => (budget.each || budget.value === EACH ? `Of each ${scopeText(budget)} for itself` : `Of ${scopeText(budget)} ${name}`);

/** Who it is for: of keys one that is there, else what the header says. */
function Value({ scope, value, set }) {
  const keys = useQuery(scope === "key" ? "keys" : null, (signal) => get("/v1/api-keys", { signal }));
  if (scope !== "key") return html`<${Field} id="budget-value" label=${scope === "user" ? "User" : "Value"}><input id="budget-value" required maxlength="256" value=${value} onInput=${(event) => set(event.target.value)} /><//>`;
  return html`<${Field} id="budget-value" label="Key"><select id="budget-value" required value=${value} onChange=${(event) => set(event.target.value)}>
    <option value="">choose one</option>${(keys.data ?? []).map((one) => html`<option key=${one.id} value=${one.id}>${one.api_key_name}</option>`)}</select><//>`;
}

export function DropBudget({ budget, name, close, done }) {
  const [run, act] = useAct(async () => {
    await remove(`/v1/budgets/${budget.id}`);
    done("Deleted");
  });
  return html`<${Confirm} title="Delete the budget" close=${close} act=${() => run()} busy=${act.busy} error=${act.error}>
    ${whose(budget, name)}: ${usd(budget.limit_usd)} per ${budget.period}. From the next request on nothing is refused by it, and what was counted on it is gone.<//>`;
}
