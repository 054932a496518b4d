// Rate limits: the rules that are kept here, what they turned away, and how far budgets are spent.
import { html } from "../lib/html.js";
import { Blocked } from "./limits/blocked.js";
import { Budgets } from "./limits/budgets.js";
import { Rules } from "./limits/rules.js";

export default function Limits({ params }) {
  return html`<div class="page">
    <div class="page-head"><h1>Rate limits</h1></div>
    <${Rules} /><${Blocked} params=${params} /><${Budgets} />
  </div>`;
}
