// Properties: what requests were marked with, and what each value cost. /properties/KEY is one key.
import { html, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { useChartBody } from "../lib/asked.js";
import { forget, useAct, useQuery } from "../lib/query.js";
import { go, href } from "../lib/route.js";
import { may, useSession } from "../lib/session.js";
import { FilterBar } from "../parts/filter_bar.js";
import { Icon } from "../parts/icon.js";
import { CodeBox, Confirm, Menu, toast } from "../parts/pop.js";
import { Empty, Loading, Problem } from "../parts/states.js";
import { Values } from "./properties/values.js";

const TABS_MAX = 10;
const SENT = "Helicone-Property-Environment: production";

export default function Properties({ rest, params }) {
  const { body, key } = useChartBody(params);
  const [hiding, setHiding] = useState(false);
  const session = useSession();
  const keys = useQuery(key && `properties:keys:${key}`, (signal) => post("/v1/property/query", body, { signal }));
  const hidden = useQuery("properties:hidden", (signal) => post("/v1/property/hidden/query", {}, { signal }));
  const changed = () => { forget("properties:"); keys.reload(); hidden.reload(); };
  const names = ownFirst((keys.data ?? []).map((one) => one.property));
  const chosen = rest[0] ?? names[0];
  const address = (name) => href("properties", [name], { q: params.q, range: params.range });
  return html`<div class="page">
    <div class="page-head"><h1>Properties</h1>
      ${chosen && may(session, "manage") && names.includes(chosen) && html`<button type="button" onClick=${() => setHiding(true)} title="Leave this name out of lists">Hide “${chosen}”</button>`}
      ${hidden.data?.length > 0 && html`<${Hidden} names=${hidden.data.map((one) => one.property)} changed=${changed} />`}</div>
    <${FilterBar} params=${params} />
    <${Problem} error=${keys.error} again=${keys.reload} />
    ${!keys.data ? !keys.error && key && html`<${Loading} />`
      : !names.length && !rest[0] ? html`<${Nothing} isFiltered=${Boolean(params.q)} />`
      : html`<${Keys} names=${names} chosen=${chosen} address=${address} />
        <${Values} key=${chosen} name=${chosen} body=${body} asked=${key} params=${params} />`}
    ${hiding && html`<${Hide} name=${chosen} close=${() => setHiding(false)} done=${() => { setHiding(false); changed(); go(href("properties", [], params)); }} />`}
  </div>`;
}

/** What people chose themselves, before what Helicone's own headers put down. */
const ownFirst = (names) => [...names.filter((name) => !isTheirs(name)), ...names.filter(isTheirs)];
const isTheirs = (name) => /^Helicone-/i.test(name);

/** A few as tabs, many as a list. */
function Keys({ names, chosen, address }) {
  if (names.length > TABS_MAX) {
    return html`<label class="row">Property <select value=${chosen} onChange=${(event) => go(address(event.target.value))}>
      ${ownFirst([...new Set([chosen, ...names])].sort()).map((name) => html`<option value=${name}>${name}</option>`)}</select></label>`;
  }
  const shown = names.includes(chosen) ? names : [chosen, ...names];
  return html`<nav class="tabs" aria-label="Properties">${shown.map((name) => html`
    <a key=${name} href=${address(name)} class="tab" aria-current=${name === chosen ? "page" : undefined}>${name}</a>`)}</nav>`;
}

const Nothing = ({ isFiltered }) => isFiltered
  ? html`<${Empty} title="Nothing matches"><p>No request in this range with a property fits the filter. Take a condition away, or widen the range.</p><//>`
  : html`<${Empty} title="No properties in this range"><div class="stack">
      <p>A property marks requests with whatever you like to tell apart: an environment, a feature, a tenant. Any header of this form is one:</p>
      <${CodeBox} text=${SENT} /></div><//>`;

function Hide({ name, close, done }) {
  const [run, act] = useAct(async () => {
    await post("/v1/property/hide", { key: name });
    toast("Hidden");
    done();
  });
  return html`<${Confirm} title=${`Hide “${name}”`} verb="Hide" close=${close} act=${() => run()} busy=${act.busy} error=${act.error}>
    Lists leave it out for everybody here. Nothing that was recorded changes, and it can be shown again.<//>`;
}

function Hidden({ names, changed }) {
  const session = useSession();
  const restore = async (name) => {
    try {
      await post("/v1/property/restore", { key: name });
      changed();
    } catch (error) { toast(error.message, "bad"); }
  };
  return html`<${Menu} label="Hidden properties" text=${`Hidden (${names.length})`} icon="down">${names.map((name) => html`
    <div key=${name} class="row tight"><span class="grow cut">${name}</span>
      ${may(session, "manage") && html`<button type="button" aria-label=${`Show ${name} again`} onClick=${() => restore(name)}><${Icon} name="reload" /> Show</button>`}</div>`)}<//>`;
}
